"""INFO within a call (RFC 6086): which bodies are taken, and the digits that some of them tell.

No info package is offered, so that what comes is the usage of before RFC 6086 ("legacy", its section 9): a body of a
known type without Info-Package.
"""

import re
from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.message import Request
from siprec_core.sip.uas import METADATA_TYPES, Refusal

DIGIT_TYPES = frozenset(("application/dtmf-relay", "application/dtmf"))
"""Types of bodies that tell one DTMF digit: common practice, no RFC's."""
MEDIA_CONTROL = "application/media_control+xml"
"""Asks for a full video picture (RFC 5168, RFC 7866 section 8.1.7)."""
INFO_TYPES = (*sorted(DIGIT_TYPES), *METADATA_TYPES, MEDIA_CONTROL)
"""What an INFO may carry."""

_DIGIT = re.compile(r"(?:Signal\s*=)?\s*([0-9A-Da-d*#]|1[0-6])\s*(?:$|[\r\n;])", re.IGNORECASE)
_DURATION = re.compile(r"^Duration\s*=\s*([0-9]{1,6})", re.IGNORECASE | re.MULTILINE)
_NAMES = "0123456789*#ABCD"
_LONGEST_BODY = 512


@dataclass(frozen=True, slots=True)
class InfoDigit:
    """One digit told by INFO."""

    digit: str
    """`0` to `9`, `*`, `#`, `A` to `D`."""
    duration: float | None
    """Seconds, None when the body does not say."""


def refuse_info(request: Request) -> Refusal | None:
    """Give what an INFO within a call earns: None for 200, 469 or 415 (RFC 6086 section 4.2.2).

    Raises RemoteProtocolError when Content-Type cannot be read.
    """
    if request.headers.get("Info-Package") is not None:
        # RFC 6086 4.2.2: a package that Recv-Info did not list is answered 469 with the Recv-Info that holds; ours is
        # empty, which says that no package is taken.
        return Refusal(469, headers=(("Recv-Info", ""),))
    if not request.body:
        return None
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        # RFC 3261 8.2.3: 415 for an encoding that is not understood lists in Accept-Encoding what is.
        return Refusal(415, headers=(("Accept-Encoding", "identity"),))
    content_type = request.content_type
    if content_type is not None and content_type.media_type in INFO_TYPES:
        return None
    return Refusal(415, headers=(("Accept", ", ".join(INFO_TYPES)),))


def read_digit(request: Request) -> InfoDigit | None:
    """Read the digit of an INFO that `refuse_info` lets pass; None when it tells none."""
    try:
        content_type = request.content_type
    except RemoteProtocolError:
        return None
    if content_type is None or content_type.media_type not in DIGIT_TYPES or len(request.body) > _LONGEST_BODY:
        return None
    text = request.body.decode("utf-8", "replace").strip()
    found = _DIGIT.match(text)
    if found is None:
        return None
    signal = found[1].upper()
    # Events 10 to 15 of RFC 4733 section 3.2 are *, #, A to D.
    digit = signal if len(signal) == 1 else _NAMES[int(signal)] if int(signal) < len(_NAMES) else None
    if digit is None:
        return None
    duration = _DURATION.search(text)
    return InfoDigit(digit, None if duration is None else int(duration[1]) / 1000)
