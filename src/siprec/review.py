"""What a message of a recording session does against RFC 7866 beyond its grammar, for `siprec validate`."""

from collections.abc import Iterator
from dataclasses import replace

from siprec.description import siprec_marks
from siprec.documents import Document, at_header
from siprec_core.findings import Finding, finding
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.policy import METADATA_TYPES, mark_findings
from siprec_core.recording.request import disposition_findings, within_dialog
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.rules import recording_offer_findings, where
from siprec_core.sip.message import Request


def review(document: Document) -> list[Finding]:
    """Give all findings of a document: those of its decoding and those of the rules, by line."""
    found = list(document.findings)
    message = document.message
    if isinstance(message, Request):
        found += _request_findings(document, message)
    elif document.kind in ("sdp", "multipart") and document.description is not None:
        # Nothing says whether it is offer or answer; who receives only does not offer (RFC 7866 section 7.1.1).
        description = document.description
        if all(description.direction_of(media) != "recvonly" for media in description.media):
            found += _offer_findings(document, description)
        found += _label_findings(document)
    return sorted(found, key=lambda each: (each.line or 1, each.column or 1))


def _request_findings(document: Document, request: Request) -> Iterator[Finding]:
    marks = siprec_marks(request, document.body)
    if not marks.any:
        return
    if request.method == "INVITE" and not within_dialog(request):
        for found in mark_findings(marks):
            yield at_header(found, document.header)
    from_server = "+sip.srs" in " ".join(request.headers.get_all("Contact")).lower()
    if document.description is not None and not from_server:
        yield from _offer_findings(document, document.description)
    for part in document.body.leaves() if document.body is not None else ():
        if part.content_type.media_type in METADATA_TYPES:
            for found in disposition_findings(part):
                yield replace(found, line=document.metadata_line)
    yield from _label_findings(document)


def _offer_findings(document: Document, offer: SessionDescription) -> Iterator[Finding]:
    for found in recording_offer_findings(offer):
        yield replace(found, line=(found.line or 1) + document.description_line - 1)


def _label_findings(document: Document) -> Iterator[Finding]:
    """Compare the labels of the media lines with those of the metadata, when both tell everything."""
    description, metadata = document.description, document.metadata
    if description is None or not isinstance(metadata, MetadataDocument) or not metadata.is_complete:
        return
    told = {stream.label for stream in metadata.streams if stream.label is not None}
    offered = {media.label for media in description.media}
    for index, media in enumerate(description.media):
        if media.port and media.label is not None and media.label not in told:
            line = document.description_line + (media.line or 1) - 1
            yield finding("stream-without-metadata", where(description, index), line=line)
    for stream in metadata.streams:
        if stream.label is not None and stream.label not in offered:
            message = f"no media line has the label {stream.label[:80]!r}"
            place = f"stream {stream.stream_id[:80]!r}"
            yield finding("metadata-label-without-line", place, message, line=document.metadata_line)
