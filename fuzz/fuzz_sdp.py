"""Any octets give a session description or an error, never an exception; what was read can be written and read again.

Whatever was read can also be answered: as many lines in the same order, formats of the offer, nothing unprintable told.
"""

import sys
from dataclasses import replace

from siprec_core.errors import NegotiationError
from siprec_core.limits import Limits
from siprec_core.sdp.crypto import SUITES, InlineKey, SrtpPolicy, read_crypto
from siprec_core.sdp.formats import Codec
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import build_answer, plan_answer
from siprec_core.sdp.offer import read_answer
from siprec_core.sdp.parser import parse_sdp

LIMITS = Limits()
# What is left out of a text (`s=`, `t=`) is written, and a tolerated word may be shorter than its right form.
WIDER_LIMITS = replace(LIMITS, sdp_lines=2 * LIMITS.sdp_lines, sdp_line_size=2 * LIMITS.sdp_line_size)
CODECS = (Codec("PCMU", 8000), Codec("PCMA", 8000), Codec("opus", 48000, 2))


def check(data: bytes) -> None:
    """Raise when the invariant breaks."""
    parsed = parse_sdp(data, limits=LIMITS)
    _require((parsed.description is None) == (parsed.error is not None), "neither description nor error")
    _require(len(parsed.findings) <= 3 * LIMITS.sdp_lines, "findings without bound")
    _require(all((found.message + found.where).isprintable() for found in parsed.findings), "unprintable finding")
    if parsed.description is None:
        return
    again = parse_sdp(parsed.description.to_bytes(), limits=WIDER_LIMITS)
    _require(again.description == parsed.description, "the round trip changed the description")
    _check_answer(parsed.description)


def _check_answer(offer: SessionDescription) -> None:
    try:
        plan = plan_answer(offer, codecs=CODECS, all_codecs=True, rtcp_mux=True, srtp=SrtpPolicy.ALLOW)
    except NegotiationError as error:
        _require(error.message.isprintable(), "unprintable refusal")
        return
    _require(all((found.message + found.where).isprintable() for found in plan.findings), "unprintable finding")
    ports = {line.index: 30000 + 2 * line.index for line in plan.accepted}
    keys = {line.index: _key(line.index, line.crypto.suite) for line in plan.accepted if line.crypto is not None}
    answer = build_answer(offer, plan, ports=ports, address="192.0.2.1", session_id=1, keys=keys)
    parsed = parse_sdp(answer.to_bytes(), limits=WIDER_LIMITS).description
    _require(parsed == answer, "the answer does not survive a round trip")
    _require(len(answer.media) == len(offer.media), "another number of lines")
    for offered, answered in zip(offer.media, answer.media, strict=True):
        _require(answered.media == offered.media, "another media type")
        _require(set(answered.formats) <= set(offered.formats), "a format that was not offered")
        for crypto in offered.crypto_attributes:
            _require(read_crypto(str(crypto)).attribute == crypto, "the round trip changed a=crypto")
    read_answer(offer, answer)


def _key(number: int, suite: str) -> InlineKey:
    # Longer than any peer's key is likely to repeat: the answer refuses the offerer's own.
    return InlineKey((b"key of line %d" % number).ljust(SUITES[suite].size, b"k"))


def _require(held: bool, message: str) -> None:
    if not held:
        raise AssertionError(message)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
