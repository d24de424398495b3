"""Ways of other recording clients, to try a recorder with: header fields, bodies and metadata as they write them.

Our own INVITE is written anew in the manner of a product. What follows in the call is ours: the dialog, the audio, the
checks of the answers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from siprec_core.limits import Limits
from siprec_core.metadata.model import Dialect
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.parser import parse_datagram

_METADATA_TYPE = "application/rs-metadata+xml"
_OLD_METADATA_TYPE = "application/rs-metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a product writes its INVITE."""

    product: str
    """Its User-Agent."""
    dialect: Dialect = Dialect.RFC7865
    drops: frozenset[str] = frozenset()
    """Header fields that it does not send."""
    adds: tuple[tuple[str, str], ...] = ()
    contact: Callable[[str], str] | None = None
    """Makes its Contact out of ours."""
    boundary: str = "uniqueBoundary"
    metadata_first: bool = False
    metadata_type: str = _METADATA_TYPE
    metadata_disposition: str | None = "recording-session"
    description_type: str = "application/sdp"
    description_disposition: str | None = None
    disposition_first: bool = False
    """Content-Disposition stands before Content-Type in the parts."""
    part_blank: str = " "
    """What follows the colon in the header fields of parts."""
    delimiter_end: str = ""
    """What follows a boundary in its line."""
    last_line_end: str = "\r\n"
    """What follows the closing delimiter."""
    preamble: str = ""
    describe: Callable[[str], str] | None = None
    """Makes its session description out of ours."""
    tell: Callable[[str], str] | None = None
    """Makes its metadata document out of ours."""

    def rewrite(self, message: bytes) -> bytes:
        """Write an INVITE as the product would; other messages stay as they are."""
        if not message.startswith(b"INVITE "):
            return message
        request = parse_datagram(message, limits=Limits())
        if not isinstance(request, Request):
            return message
        body = self._body(request)
        lines = [f"INVITE {request.uri} SIP/2.0"]
        for name, value in request.headers:
            if name == "Contact" and self.contact is not None:
                lines.append(f"Contact: {self.contact(value)}")
            elif name == "Content-Length":
                lines.append(f"Content-Length: {len(body)}")
            elif name == "Content-Type" and value.lower().startswith("multipart/"):
                lines.append(f"Content-Type: multipart/mixed;boundary={self.boundary}")
            elif name == "User-Agent":
                lines.append(f"User-Agent: {self.product}")
            elif name not in self.drops:
                lines.append(f"{name}: {value}")
        lines += [f"{name}: {value}".rstrip() for name, value in self.adds]
        return "\r\n".join((*lines, "", "")).encode() + body

    def _body(self, request: Request) -> bytes:
        read = parse_body(request, limits=Limits())
        description = metadata = ""
        for part in read.leaves():
            if part.content_type.media_type == "application/sdp":
                description = bytes(part.content).decode("utf-8", "replace")
            elif part.content_type.media_type == _METADATA_TYPE:
                metadata = bytes(part.content).decode("utf-8", "replace")
        if not description or not metadata:
            return request.body  # a hold: plain SDP
        if self.describe is not None:
            description = self.describe(description)
        if self.tell is not None:
            metadata = self.tell(metadata)
        parts = [
            self._part(self.description_type, self.description_disposition, description),
            self._part(self.metadata_type, self.metadata_disposition, metadata),
        ]
        if self.metadata_first:
            parts.reverse()
        delimiter = f"--{self.boundary}"
        text = "".join(f"{delimiter}{self.delimiter_end}\r\n{part}\r\n" for part in parts)
        return f"{self.preamble}{text}{delimiter}--{self.last_line_end}".encode()

    def _part(self, content_type: str, disposition: str | None, content: str) -> str:
        lines = [f"Content-Type:{self.part_blank}{content_type}"]
        if disposition is not None:
            place = 0 if self.disposition_first else 1
            lines.insert(place, f"Content-Disposition:{self.part_blank}{disposition}")
        return "\r\n".join((*lines, "", content))


def _without_tag(contact: str) -> str:
    return contact.replace(";+sip.src", "")


def _short_tag(contact: str) -> str:
    return contact.replace(";+sip.src", ";src")


def _tag_within(contact: str) -> str:
    return contact.replace(">;+sip.src", ";+sip.src>")


def _without_direction(description: str) -> str:
    return description.replace("a=sendonly\r\n", "")


def _media_addresses(description: str) -> str:
    """Move the session's `c=` line into every media description."""
    match = re.search(r"^c=[^\r\n]*\r\n", description, re.MULTILINE)
    if match is None or description.find("m=") < match.start():
        return description
    rest = description[: match.start()] + description[match.end() :]
    return re.sub(r"(?m)^(m=[^\r\n]*\r\n)", partial(_append, match[0]), rest)


def _append(line: str, match: "re.Match[str]") -> str:
    return match[1] + line


def _capital_mode(metadata: str) -> str:
    return metadata.replace("datamode>", "dataMode>")


def _no_zone_colon(metadata: str) -> str:
    return re.sub(r"(:\d\d)(?:\.\d+)?Z<", r"\1+0000<", metadata)


def _recording_id(metadata: str) -> str:
    return re.sub(r"<recording ", '<recording id="1" ', metadata, count=1)


def _blank_line(metadata: str) -> str:
    return metadata.replace("?>", "?>\r\n ", 1)


PROFILES: Final[dict[str, Profile]] = {
    "cube": Profile(
        product="Cisco-SIPGateway/IOS-17.3.2",
        adds=(("Cisco-Guid", "1234567890-1234567890-1234567890-1234567890"), ("Allow-Events", "telephone-event")),
        description_type="application/sdp ",
        description_disposition="session;handling=required",
        disposition_first=True,
        delimiter_end=" ",
    ),
    "oracle": Profile(
        product="Oracle SBC",
        dialect=Dialect.DRAFT_RECORDING,
        boundary="unique-boundary-1",
        delimiter_end=" ",
        tell=_blank_line,
    ),
    "audiocodes": Profile(
        product="Mediant SW/v.7.40A",
        dialect=Dialect.DRAFT_RECORDING,
        contact=_short_tag,
        boundary="boundary_ac1b4a",
        metadata_type=_OLD_METADATA_TYPE,
        last_line_end="",
    ),
    "avaya": Profile(
        product="Avaya SBCE",
        adds=(("User-to-User", "00FA0800010001001234;encoding=hex"),),
        contact=_tag_within,
        boundary="foobar",
        tell=_capital_mode,
    ),
    "broadworks": Profile(
        product="BroadWorks",
        dialect=Dialect.DRAFT_SIPREC,
        drops=frozenset(("Require", "Supported")),
        adds=(("Supported", ""), ("Recv-Info", ""), ("X-BroadWorks-Correlation-Info", "8b3c-1")),
        contact=_short_tag,
        boundary="UniqueBroadWorksBoundary",
        metadata_first=True,
        part_blank="",
        preamble="\r\n",
        describe=_without_direction,
        tell=_capital_mode,
    ),
    "metaswitch": Profile(
        product="Metaswitch Perimeta",
        dialect=Dialect.DRAFT_RECORDING,
        boundary="sep",
        metadata_type=_OLD_METADATA_TYPE,
        describe=_without_direction,
        tell=_recording_id,
    ),
    "ribbon": Profile(
        product="Ribbon SBC",
        dialect=Dialect.DRAFT_RECORDING,
        adds=(("Accept", "application/sdp, application/rs-metadata-request"),),
        boundary="sonus-content-delim",
        description_disposition="session; handling=required",
        metadata_disposition="recording-session; handling=required",
        disposition_first=True,
        describe=_media_addresses,
    ),
    "opensips": Profile(
        product="OpenSIPS (3.4.0)",
        drops=frozenset(("Allow", "Supported")),
        contact=_without_tag,
        boundary="OSS-unique-boundary-42",
        metadata_disposition="recording-session",
        description_disposition="session;handling=required",
        tell=_no_zone_colon,
    ),
}
"""By the name that `--profile` takes."""
