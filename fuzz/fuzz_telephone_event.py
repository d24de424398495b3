"""Any packets give presses of known keys, each with a duration, and a packet that comes again gives none."""

import sys

from siprec_core.rtp.telephone_event import DIGITS, KeyPressReader


def check(data: bytes) -> None:
    size = data[0] % 24 + 1 if data else 1
    once, twice = KeyPressReader(), KeyPressReader()
    for at in range(1, len(data), size + 3):
        timestamp = int.from_bytes(data[at : at + 3], "big") << 3
        payload = data[at + 3 : at + 3 + size]
        marker = bool(timestamp & 8)
        told = once.receive(payload, timestamp=timestamp, marker=marker, clock_rate=8000, arrival=at)
        again = twice.receive(payload, timestamp=timestamp, marker=marker, clock_rate=8000, arrival=at)
        assert told == again
        assert all(press.digit in DIGITS and press.duration > 0 for press in told)
        repeated = twice.receive(payload, timestamp=timestamp, marker=marker, clock_rate=8000, arrival=at)
        assert repeated == []


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
