"""What the body of a message of a recording session says: an SDP offer, metadata, both or neither."""

from collections.abc import Iterator
from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, Severity, finding
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot
from siprec_core.metadata.privacy import MetadataFilter
from siprec_core.metadata.reader import ParsedMetadata, read_metadata
from siprec_core.recording.policy import METADATA_TYPES, SiprecMarks, mark_findings, marks_of
from siprec_core.recording.redaction import filtered_part
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.message import Request, Response
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.uas import ACCEPTED_TYPES, Refusal

_SEALED_TYPES = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime"))
"""Bodies encrypted by S/MIME (RFC 3261 section 23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingBody:
    """The body of a message, understood."""

    marks: SiprecMarks
    offer: SessionDescription | None
    metadata: MetadataDocument | None
    metadata_raw: bytes | memoryview
    """The document as received, decoded from its transfer encoding: a view of the body when it has none. Empty when
    there is no document."""
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


def read_request(
    request: Request, *, limits: Limits, strict: bool, policy: MetadataFilter | None = None
) -> RecordingRequest:
    """Read the body of a request; never raises.

    With a `policy` on what may be stored, document, octets and findings are those of the filtered metadata.

    Broken SDP refuses the request. Broken metadata does so only in strict mode: a recording is worth more than its XML.
    """
    body = parse_body(request, limits=limits)
    reading = _Reading(limits, strict, policy)
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


def read_answer_of_client(
    response: Response, *, limits: Limits, strict: bool, policy: MetadataFilter | None = None
) -> RecordingResponse:
    """Read the 2xx of a recording client to an INVITE of ours: its offer and metadata; never raises.

    `policy` is as in `read_request`.
    """
    body = parse_body(response, limits=limits)
    reading = _Reading(limits, strict, policy)
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


_UNSUPPORTED = Refusal(415, headers=(("Accept", ", ".join(ACCEPTED_TYPES)),))
_DISPOSITIONS = {"application/sdp": "session"} | dict.fromkeys(METADATA_TYPES, "recording-session")
"""The disposition of each type that is read (RFC 5621 section 8.2, RFC 7866 section 9)."""
_OTHER_DESCRIPTIONS = frozenset(("early-session",))
"""Dispositions of a session description that is not the call's (RFC 3959)."""


def _parts_to_read(body: ParsedBody) -> Iterator[tuple[BodyPart, bool]]:
    """Give the leaf parts that count, in order, and of each whether it may be passed over."""
    if body.root is not None:
        yield from _leaves(body.root, optional=False)


def _leaves(part: BodyPart, *, optional: bool) -> Iterator[tuple[BodyPart, bool]]:
    disposition = part.disposition
    # What is in an optional part is optional as a whole.
    optional = optional or (disposition is not None and disposition.handling == "optional")
    if part.content_type.type != "multipart":
        yield part, optional
        return
    leaves = [leaf for inner in part.parts for leaf in _leaves(inner, optional=optional)]
    if part.content_type.media_type == "multipart/alternative":
        # RFC 2046 5.1.4: the last alternative that is understood. What a sender puts there although it is of another
        # kind than the rest (metadata beside SDP) is none of them.
        kinds = [_DISPOSITIONS.get(leaf.content_type.media_type) for leaf, _ in leaves]
        last = {kind: leaf for kind, leaf in zip(kinds, leaves, strict=True) if kind is not None}
        leaves = list(last.values()) or leaves
    yield from leaves


class _Reading:
    """Collects what the parts say, in order."""

    def __init__(self, limits: Limits, strict: bool, policy: MetadataFilter | None) -> None:
        self._limits = limits
        self._strict = strict
        self._policy = policy
        self.findings: list[Finding] = []
        self.offer: SessionDescription | None = None
        self.metadata: MetadataDocument | None = None
        self.metadata_raw: bytes | memoryview = b""
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
        for part, optional in _parts_to_read(body):
            self.take(part, optional=optional)
        self.refuse_unknown(message)

    def take(self, part: BodyPart, *, optional: bool) -> None:
        """Take one leaf part; one that is `optional` may be passed over."""
        disposition = None if part.disposition is None else part.disposition.type
        if disposition == "by-reference":
            # RFC 5621 9.4: such a part is only for what refers to it, and nothing that is read here does.
            return
        media_type = part.content_type.media_type
        known = _DISPOSITIONS.get(media_type)
        if known is not None and disposition not in {None, known}:
            self._displaced(part, known)
            # RFC 5621 8.4: 415 also for a disposition that a known type does not have in this context.
            known = None if self._strict or disposition in _OTHER_DESCRIPTIONS else known
        try:
            if known == "session":
                self._take_offer(part)
            elif known is not None:
                self._take_metadata(part)
            elif not optional:
                # RFC 5621 8.2: handling is "required" unless it says "optional"; then a type we do not know is 415.
                self._foreign(part)
        except RemoteProtocolError as error:  # the transfer encoding
            self._take_undecodable(part, error)

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
            self.refusal = _UNSUPPORTED

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
        self.metadata_type = part.content_type.media_type
        charset = part.content_type.parameters.get("charset")
        raw = part.decoded()
        parsed = read_metadata(raw, limits=self._limits, charset=charset)
        if self._strict:
            self._refuse_deviation(parsed)
        if self._policy is not None:
            # RFC 7865 10: what policy does not ask for "MUST NOT" be recorded, so nothing behind this line sees it.
            raw = filtered_part(part, self._policy, limits=self._limits)
            parsed = read_metadata(raw, limits=self._limits, charset=charset)
        self.metadata_raw = raw
        self.findings.extend(parsed.findings if raw else (finding("metadata-empty", "body"),))
        if isinstance(parsed.document, MetadataDocument):
            self.metadata = parsed.document
        self.snapshot_requested = isinstance(parsed.document, RequestSnapshot)

    def _take_undecodable(self, part: BodyPart, error: RemoteProtocolError) -> None:
        """Take a part whose transfer encoding fails: metadata refuses the request in strict mode only."""
        media_type = part.content_type.media_type
        if media_type in METADATA_TYPES and not self._strict:
            # What cannot be read cannot be filtered: with a policy it is withheld.
            self.metadata_raw, self.metadata_type = part.content if self._policy is None else b"", media_type
            self.findings.append(finding("metadata-malformed", "metadata", str(error)))
        elif error.status_hint == 415:
            # RFC 2045 6.4: what has an unknown encoding is an octet stream, whatever its Content-Type says.
            self.refusal = self.refusal or _UNSUPPORTED
        else:
            self.refuse_malformed(media_type, error)

    def _displaced(self, part: BodyPart, known: str) -> None:
        """Tell of a disposition that is not that of the type; `metadata-disposition` tells it of metadata."""
        if known == "session" and part.disposition is not None:
            message = f"a session description of disposition {part.disposition.type[:40]!r}"
            self.findings.append(finding("body-disposition", "Content-Disposition", message))

    def _refuse_deviation(self, parsed: ParsedMetadata) -> None:
        """Refuse a document that cannot be read, or the first error in one that can."""
        if parsed.error is not None:
            self.refuse_malformed("metadata", parsed.error)
            return
        for each in parsed.findings:
            if each.severity is Severity.ERROR:
                error = RemoteProtocolError(each.message, field=each.where, line=each.line, column=each.column)
                self.refuse_malformed("metadata", error)
                return

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
