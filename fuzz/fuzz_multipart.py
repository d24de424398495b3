"""Any body is read or refused, the same however it is cut up; its parts lie in order, and written again are read alike.

The first line of an input is the Content-Type, the rest the body.
"""

import sys

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.body import ParsedBody
from siprec_core.sip.body_reader import BodyReader
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body, write_multipart

LIMITS = Limits()
NARROW = Limits(multipart_parts=6, multipart_depth=2, multipart_boundary=8, part_header_size=100)
"""Bounds that inputs of the fuzzer reach."""
BOUNDARY = "0123456789-no-part-holds-this-0123456789"


def check(data: bytes) -> None:
    first, _, body = data.partition(b"\n")
    content_type = first.decode("utf-8", "surrogateescape").translate({0: " ", 13: " "})
    message = Request("INVITE", "sip:a", Headers([("Content-Type", content_type)]), body)
    parsed = parse_body(message, limits=LIMITS)
    for limits in (LIMITS, NARROW):
        whole = describe(parse_body(message, limits=limits))
        for size in (1, 7):
            if describe(read_in_pieces(message, size, limits)) != whole:
                raise AssertionError("cut up, the body is read in another way")
    if (parsed.root is None) != (parsed.error is not None or not body):
        raise AssertionError("neither a body nor an error")
    leaves = list(parsed.leaves())
    if len(leaves) > LIMITS.multipart_parts + 1:
        raise AssertionError("more parts than the limit")
    place = 0
    for leaf in leaves:
        place = body.find(bytes(leaf.content), place)
        if place == -1:
            raise AssertionError("a part that is not in the body")
        try:
            leaf.decoded()
        except RemoteProtocolError:
            continue
    if parsed.root is None or not parsed.root.parts or BOUNDARY.encode() in body:
        return
    written = write_multipart(parsed.root.parts, boundary=BOUNDARY)
    headers = Headers([("Content-Type", f"multipart/mixed;boundary={BOUNDARY}")])
    again = parse_body(Request("INVITE", "sip:a", headers, written), limits=LIMITS)
    if again.root is None or [part.content for part in again.root.parts] != [
        part.content for part in parsed.root.parts
    ]:
        raise AssertionError("written parts are read in another way")


def read_in_pieces(message: Request, size: int, limits: Limits) -> ParsedBody:
    if not message.body:
        return ParsedBody(None)
    try:
        content_type = message.content_type
    except RemoteProtocolError as error:
        return ParsedBody(None, (), error)
    reader, buffer = BodyReader(message.headers, content_type, len(message.body), limits=limits), bytearray()
    for start in range(0, len(message.body), size):
        buffer += message.body[start : start + size]
        reader.receive(buffer)
    return reader.finish(message.body)


def describe(parsed: ParsedBody) -> object:
    return parsed.root, parsed.findings, parsed.error and (parsed.error.message, parsed.error.field)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
