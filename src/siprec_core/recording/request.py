"""What the body of a message of a recording session says: an SDP offer, metadata, both or neither."""

from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.policy import METADATA_TYPES, SiprecMarks, mark_findings, marks_of
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.message import Request, Response
from siprec_core.sip.multipart import BodyPart, ParsedBody, parse_body
from siprec_core.sip.uas import ACCEPTED_TYPES, Refusal

_SEALED_TYPES = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime"))
"""Bodies encrypted by S/MIME (RFC 3261 section 23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingBody:
    """The body of a message, understood."""

    marks: SiprecMarks
    offer: SessionDescription | None
    metadata: MetadataDocument | None
    metadata_raw: bytes
    """The document as received, decoded from its transfer encoding; empty when there is none."""
    findings: tuple[Finding, ...]
    refusal: Refusal | None
    """What the body earns: 400, 415, 493; None when it can be taken."""
    metadata_type: str = ""
    """Media type of the metadata part."""
    snapshot_requested: bool = False
    """The metadata part is a `requestsnapshot` document (RFC 7865 section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRequest(RecordingBody):
    """A request with its body, understood."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingResponse(RecordingBody):
    """A 2xx with its body, understood; `refusal` tells that the body cannot be read."""

    response: Response


def read_request(request: Request, *, limits: Limits, strict: bool) -> RecordingRequest:
    """Read the body of a request; never raises.

    Broken SDP refuses the request. Broken metadata does so only in strict mode: a recording is worth more than its XML.
    """
    body = parse_body(request, limits=limits)
    reading = _Reading(limits, strict)
    reading.take_all(request, body)
    marks = marks_of(request, body)
    if request.method == "INVITE" and not within_dialog(request):
        reading.findings.extend(mark_findings(marks))
    return RecordingRequest(
        request=request,
        marks=marks,
        offer=reading.offer,
        metadata=reading.metadata,
        metadata_raw=reading.metadata_raw,
        findings=tuple(reading.findings),
        refusal=reading.refusal,
        metadata_type=reading.metadata_type,
        snapshot_requested=reading.snapshot_requested,
    )


def read_answer_of_client(response: Response, *, limits: Limits, strict: bool) -> RecordingResponse:
    """Read the 2xx of a recording client to an INVITE of ours: its offer and metadata; never raises."""
    body = parse_body(response, limits=limits)
    reading = _Reading(limits, strict)
    reading.take_all(response, body)
    marks = marks_of(response, body)
    if not marks.feature_tag:
        reading.findings.append(finding("siprec-no-feature-tag", "Contact"))
    elif not marks.standard_tag:
        reading.findings.append(finding("siprec-feature-tag-form", "Contact"))
    if not marks.metadata:
        message = "the 200 carries no metadata"
        reading.findings.append(finding("siprec-no-metadata", "body", message))
    return RecordingResponse(
        response=response,
        marks=marks,
        offer=reading.offer,
        metadata=reading.metadata,
        metadata_raw=reading.metadata_raw,
        findings=tuple(reading.findings),
        refusal=reading.refusal,
        metadata_type=reading.metadata_type,
        snapshot_requested=reading.snapshot_requested,
    )


class _Reading:
    """Collects what the parts say, in order."""

    def __init__(self, limits: Limits, strict: bool) -> None:
        self._limits = limits
        self._strict = strict
        self.findings: list[Finding] = []
        self.offer: SessionDescription | None = None
        self.metadata: MetadataDocument | None = None
        self.metadata_raw = b""
        self.metadata_type = ""
        self.snapshot_requested = False
        self.refusal: Refusal | None = None
        self._unknown: list[str] = []
        self._sealed = False

    def take_all(self, message: Request | Response, body: ParsedBody) -> None:
        """Take a whole body."""
        self.findings.extend((*message.findings, *body.findings))
        if body.error is not None:
            self.refuse_malformed("body", body.error)
            return
        for part in body.leaves():
            self.take(part)
        self.refuse_unknown(message)

    def take(self, part: BodyPart) -> None:
        """Take one leaf part."""
        media_type = part.content_type.media_type
        try:
            if media_type == "application/sdp":
                self._take_offer(part)
                return
            if media_type in METADATA_TYPES:
                self._take_metadata(part)
                return
        except RemoteProtocolError as error:  # the transfer encoding
            self.refuse_malformed(media_type, error)
            return
        if part.disposition is None or part.disposition.handling != "optional":
            # RFC 5621 8.2: handling is "required" unless it says "optional"; then a type we do not know is 415.
            self._foreign(part)

    def refuse_unknown(self, message: Request | Response) -> None:
        """Refuse with 415 what we cannot read: an encoded body, or required parts of unknown types.

        Outside strict mode a known offer beside the unknown part is recorded (RFC 5621 section 8.2 would refuse it).
        """
        if self.refusal is not None:
            return
        encoding = message.headers.get("Content-Encoding")
        if message.body and encoding is not None and encoding.strip().lower() != "identity":
            self.refusal = Refusal(415, headers=(("Accept-Encoding", "identity"),))
        elif self._sealed and self.offer is None and self.metadata is None:
            # RFC 3261 23.2, 21.4.26: an encrypted body for which we have no key is answered 493 (Undecipherable).
            self.refusal = Refusal(493)
        elif self._unknown and (self._strict or (self.offer is None and self.metadata is None)):
            self.refusal = Refusal(415, headers=(("Accept", ", ".join(ACCEPTED_TYPES)),))

    def refuse_malformed(self, what: str, error: RemoteProtocolError) -> None:
        """Refuse with 400 and the place of the fault."""
        if self.refusal is None:
            self.refusal = Refusal(400, f"Bad Request - {what}: {_printable(str(error))}")

    def _take_offer(self, part: BodyPart) -> None:
        if self.offer is not None:
            self.findings.append(finding("body-second-offer", "body"))
            return
        parsed = parse_sdp(part.decoded(), limits=self._limits)
        self.findings.extend(parsed.findings)
        if parsed.error is not None:
            self.refuse_malformed("SDP", parsed.error)
        self.offer = parsed.description

    def _take_metadata(self, part: BodyPart) -> None:
        if self.metadata_raw:
            self.findings.append(finding("body-second-metadata", "body"))
            return
        self.findings.extend(disposition_findings(part))
        self.metadata_raw = part.decoded()
        self.metadata_type = part.content_type.media_type
        charset = part.content_type.parameters.get("charset")
        parsed = read_metadata(self.metadata_raw, limits=self._limits, charset=charset)
        self.findings.extend(parsed.findings)
        if parsed.error is not None:
            self.findings.append(
                finding(
                    "metadata-malformed",
                    "metadata",
                    str(parsed.error),
                    line=parsed.error.line,
                    column=parsed.error.column,
                )
            )
            if self._strict:
                self.refuse_malformed("metadata", parsed.error)
        if isinstance(parsed.document, MetadataDocument):
            self.metadata = parsed.document
        self.snapshot_requested = isinstance(parsed.document, RequestSnapshot)

    def _foreign(self, part: BodyPart) -> None:
        media_type = part.content_type.media_type
        self._unknown.append(media_type)
        self._sealed = self._sealed or media_type in _SEALED_TYPES
        message = f"body part of type {media_type} is not understood"
        self.findings.append(finding("body-unknown-part", "body", message))


def within_dialog(request: Request) -> bool:
    """Tell whether a request carries a To tag (RFC 3261 section 12.2)."""
    try:
        return request.to.tag is not None
    except RemoteProtocolError:
        return False


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else " " for character in text)[:120]


def disposition_findings(part: BodyPart) -> tuple[Finding, ...]:
    """Tell when a metadata part is not marked as one (RFC 7866 section 9)."""
    if part.disposition is not None and part.disposition.type == "recording-session":
        return ()
    return (finding("metadata-disposition", "Content-Disposition"),)
