"""A stream gives the same messages whole and octet by octet, raises never and holds no more than the limits allow."""

import sys

from siprec_core.limits import Limits
from siprec_core.sip.framing import KeepAlive, MessageFramer
from siprec_core.sip.message import Malformed

LIMITS = Limits(header_block_size=2_048, body_size=2_048)


def check(data: bytes) -> None:
    whole = events([data])
    if events([data[i : i + 1] for i in range(len(data))]) != whole:
        raise AssertionError("octet by octet gives something else")
    if events([data[: len(data) // 2], data[len(data) // 2 :]]) != whole:
        raise AssertionError("two halves give something else")


def events(pieces: list[bytes]) -> list[object]:
    framer = MessageFramer(LIMITS)
    found: list[object] = []
    for piece in pieces:
        framer.receive(piece)
        found += drain(framer)
        if framer.buffered_size > LIMITS.header_block_size + LIMITS.body_size + len(piece):
            raise AssertionError("more is held than the limits allow")
    framer.end_of_stream()
    return found + drain(framer)


def drain(framer: MessageFramer) -> list[object]:
    found: list[object] = []
    while (event := framer.poll()) is not None:
        if isinstance(event, KeepAlive):
            found.append(event)
        elif isinstance(event, Malformed):
            found.append((str(event.error), event.request_method, event.is_response, event.fatal, list(event.headers)))
        else:
            found.append((event.to_bytes(), event.findings))
    return found


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
