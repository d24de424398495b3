"""Any body is read or refused; its parts lie within it in order, and parts that are written again are read alike."""

import sys

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body, write_multipart

LIMITS = Limits()
BOUNDARY = "0123456789-no-part-holds-this-0123456789"


def check(data: bytes) -> None:
    """The first line of `data` is the Content-Type, the rest the body."""
    first, _, body = data.partition(b"\n")
    content_type = first.decode("utf-8", "surrogateescape").translate({0: " ", 13: " "})
    message = Request("INVITE", "sip:a", Headers([("Content-Type", content_type)]), body)
    parsed = parse_body(message, limits=LIMITS)
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


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
