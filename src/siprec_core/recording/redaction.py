"""SIP messages as they may be stored: with a metadata filter, only the filtered metadata is left in them."""

import re
from binascii import b2a_base64, b2a_qp
from dataclasses import replace
from typing import Final

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.privacy import FilterAction, MetadataFilter
from siprec_core.recording.policy import METADATA_TYPES
from siprec_core.sip.body import BodyPart
from siprec_core.sip.message import Malformed
from siprec_core.sip.multipart import parse_body, write_multipart
from siprec_core.sip.parser import find_header_end, parse_head

_LENGTH: Final = re.compile(rb"^((?:Content-Length|l)[ \t]*:)\s*\d+", re.IGNORECASE | re.MULTILINE)
_SDP: Final = "application/sdp"


def filter_message(data: bytes, policy: MetadataFilter, *, limits: Limits) -> bytes:
    """Give a message with its metadata filtered and its Content-Length adjusted.

    A multipart body is written anew: what stands around its parts goes. A body that cannot be taken apart is left out
    as a whole, because nobody can tell what is in it. Never raises.
    """
    start = len(data) - len(data.lstrip(b"\r\n"))
    end = find_header_end(data, start, len(data))
    if end is None or end[1] == len(data):
        return data
    head = parse_head(data[start : end[0]], limits=limits, strict=False)
    message = head.message
    body = b""
    if not isinstance(message, Malformed):
        message.body = data[end[1] :][: head.content_length]
        root = parse_body(message, limits=limits).root
        if root is not None:
            try:
                body = _filtered(root, policy, limits)
            except (LocalProtocolError, RemoteProtocolError):
                body = b""
        if body == message.body:
            return data
    header = _LENGTH.sub(rb"\g<1> %d" % len(body), data[: end[1]])
    return header + body


def filtered_part(part: BodyPart, policy: MetadataFilter, *, limits: Limits) -> bytes:
    """Give the metadata of a part as it may be stored, without its transfer encoding.

    Raises RemoteProtocolError for a transfer encoding that is unknown or not followed.
    """
    return policy.apply(part.decoded(), limits=limits, charset=part.content_type.parameters.get("charset"))


def _filtered(part: BodyPart, policy: MetadataFilter, limits: Limits) -> bytes:
    """Give the content of a part as it may be stored, in its transfer encoding."""
    content_type = part.content_type
    if content_type.type == "multipart":
        parts = []
        for each in part.parts:
            content = _filtered(each, policy, limits)
            headers = each.headers
            if headers.get("Content-Length") is not None:
                headers = headers.copy()
                headers.set("Content-Length", str(len(content)))
            parts.append(replace(each, headers=headers, content=content))
        return write_multipart(parts, boundary=content_type.boundary or "")
    if content_type.media_type in METADATA_TYPES:
        encoding = (part.headers.get("Content-Transfer-Encoding") or "").strip().lower()
        content = filtered_part(part, policy, limits=limits)
        if encoding == "base64":
            return b2a_base64(content)
        return b2a_qp(content) if encoding == "quoted-printable" else content
    if content_type.media_type != _SDP and policy.other_parts is FilterAction.DROP:
        return b""
    return bytes(part.content)
