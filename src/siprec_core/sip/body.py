"""What a message body is made of: a tree of parts, each a view of the octets that came."""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.sip.fields import ContentDisposition, ContentType
from siprec_core.sip.headers import Headers


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A body or a part of one."""

    headers: Headers
    """Those of the part; of the message for the body itself."""
    content: bytes | memoryview
    """As carried: transfer encoding and line ends untouched."""
    content_type: ContentType
    disposition: ContentDisposition | None = None
    parts: tuple["BodyPart", ...] = ()
    """The parts of a multipart body, in order."""

    @classmethod
    def create(
        cls,
        content_type: str,
        content: bytes | memoryview,
        *,
        disposition: str | None = None,
        content_id: str | None = None,
    ) -> Self:
        """Make a part to be written. Raises RemoteProtocolError or LocalProtocolError for values that are none."""
        headers = Headers([("Content-Type", content_type)])
        if disposition is not None:
            headers.add("Content-Disposition", disposition)
        if content_id is not None:
            headers.add("Content-ID", f"<{content_id}>")
        return cls(
            headers,
            content,
            ContentType.parse(content_type),
            None if disposition is None else ContentDisposition.parse(disposition),
        )

    def leaves(self) -> Iterator["BodyPart"]:
        """Give the parts that have no parts themselves, in order; a part without parts gives itself."""
        if self.content_type.type != "multipart":
            yield self
        for part in self.parts:
            yield from part.leaves()

    def decoded(self) -> bytes | memoryview:
        """Give the content without its transfer encoding (RFC 2045 section 6): itself, not a copy, when it has none.

        Raises RemoteProtocolError: status 415 for an unknown encoding, 400 for content that does not follow it.
        """
        encoding = (self.headers.get("Content-Transfer-Encoding") or "binary").strip().lower()
        if encoding in ("binary", "8bit", "7bit"):
            return self.content
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.content)
        if encoding == "base64":
            return _decode_base64(bytes(self.content))
        raise RemoteProtocolError("unknown encoding", status_hint=415, field="Content-Transfer-Encoding")


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """What became of a body."""

    root: BodyPart | None
    """None for a message without body, or with an error."""
    findings: tuple[Finding, ...] = ()
    error: RemoteProtocolError | None = None

    def leaves(self) -> Iterator[BodyPart]:
        """Give the leaf parts in order; a body that is not multipart is one."""
        if self.root is not None:
            yield from self.root.leaves()


@dataclass(frozen=True, slots=True)
class BodyReading:
    """A body that was read while it came."""

    body: bytes
    """The octets that were read."""
    limits: Limits
    """The bounds that held."""
    parsed: ParsedBody


def _decode_base64(content: bytes) -> bytes:
    # RFC 2045 6.8: characters outside the alphabet are ignored; missing padding is made up for.
    try:
        return binascii.a2b_base64(content + b"===")
    except binascii.Error as error:
        raise RemoteProtocolError("malformed base64", field="Content-Transfer-Encoding") from error
