"""What `siprec inspect` tells of a document: the JSON objects of its output."""

from siprec.documents import Document
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot
from siprec_core.metadata.vendors import vendor_data
from siprec_core.recording.policy import SiprecMarks, marks_of
from siprec_core.sdp.model import MediaDescription, SessionDescription
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.types import Address

Json = dict[str, object]


def describe_document(document: Document) -> Json:
    """Give the object of a document; keys of what it does not have are absent."""
    described: Json = {}
    if document.kind is not None:
        described["kind"] = document.kind
    if document.message is not None:
        described.update(_message(document.message, document.body))
    if document.body is not None:
        described["parts"] = [_part(part) for part in document.body.leaves()]
    if document.description is not None:
        described["sdp"] = _sdp(document.description)
    if document.metadata is not None:
        described["metadata"] = _metadata(document.metadata)
    described["findings"] = findings_json(document.findings)
    return described


def findings_json(findings: list[Finding]) -> list[Json]:
    """Give the objects of findings."""
    return [found.as_json() for found in findings]


def address_json(address: Address) -> Json:
    """Give the object of an address."""
    return {"host": address.host, "port": address.port}


def siprec_marks(message: Request | Response, body: ParsedBody | None) -> SiprecMarks:
    """Read the marks of a recording session that one message shows, a response too."""
    if isinstance(message, Response):
        # The marks are in the header fields and the body alone.
        message = Request("INVITE", "sip:localhost", message.headers, message.body)
    return marks_of(message, body or ParsedBody(None))


def _message(message: Request | Response, body: ParsedBody | None) -> Json:
    described: Json = (
        {"method": message.method, "uri": message.uri}
        if isinstance(message, Request)
        else {"status": message.status, "reason": message.reason}
    )
    described["headers"] = _headers(message.headers)
    call_id = message.headers.get("Call-ID")
    if call_id:
        described["call_id"] = call_id
    try:
        described["cseq"] = [message.cseq.number, message.cseq.method]
    except RemoteProtocolError:
        pass  # a finding tells it
    marks = siprec_marks(message, body)
    described["siprec"] = {
        "recording_session": marks.any or marks.server_tag,
        "require": marks.require,
        "feature_tag": marks.feature_tag or marks.server_tag,
        "metadata": marks.metadata,
    }
    return described


def _headers(headers: Headers) -> list[list[str]]:
    return [[name, value] for name, value in headers]


def _part(part: BodyPart) -> Json:
    return {
        "content_type": part.content_type.media_type,
        "disposition": None if part.disposition is None else part.disposition.type,
        "size": len(part.content),
    }


def _metadata(metadata: MetadataDocument | RequestSnapshot) -> Json:
    described = metadata.as_json()
    if isinstance(metadata, MetadataDocument):
        extensions = vendor_data(metadata)
        if extensions:
            described["vendor"] = extensions[0].vendor.value
            described["vendor_data"] = [
                {"vendor": each.vendor.value, "owner": each.owner, "owner_id": each.owner_id, "values": each.values}
                for each in extensions
            ]
    return described


def _sdp(description: SessionDescription) -> Json:
    origin = description.origin
    return {
        "origin": {
            "username": origin.username,
            "session_id": origin.session_id,
            "version": origin.version,
            "network_type": origin.network_type,
            "address_type": origin.address_type,
            "address": origin.address,
        },
        "media": [_media(description, media) for media in description.media],
    }


def _media(description: SessionDescription, media: MediaDescription) -> Json:
    connection = description.connection_of(media)
    return {
        "media": media.media,
        "port": media.port,
        "protocol": media.protocol,
        "label": media.label,
        "direction": description.direction_of(media),
        "host": None if connection is None else connection.address,
        "codecs": [name for _, name in media.codecs()],
        "crypto": len(media.crypto),
    }
