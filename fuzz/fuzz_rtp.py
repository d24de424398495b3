"""Any datagram parses as RTP or RTCP or raises RemoteProtocolError with its offset; what is written reads the same."""

import sys

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.compound import read_packet
from siprec_core.rtp.demux import classify
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.rtcp import parse_compound


def check(data: bytes) -> None:
    classify(data)
    _check_rtp(data)
    _check_rtcp(data)


def _check_rtp(data: bytes) -> None:
    try:
        packet = RtpPacket.parse(data)
    except RemoteProtocolError as error:
        _check_place(error, data)
        return
    assert RtpPacket.parse(memoryview(data)) == packet
    written = packet.to_bytes()
    assert len(written) == len(data)
    assert RtpPacket.parse(written) == packet
    if not packet.padding_size:
        assert written == data


def _check_rtcp(data: bytes) -> None:
    try:
        packets = parse_compound(data)
    except RemoteProtocolError as error:
        _check_place(error, data)
        return
    assert packets
    assert sum(4 + len(packet.body) for packet in packets) <= len(data)
    for packet in packets:
        typed = read_packet(packet)
        if typed is not None:
            (again,) = parse_compound(typed.to_bytes())
            assert read_packet(again) == typed


def _check_place(error: RemoteProtocolError, data: bytes) -> None:
    assert error.offset is not None
    assert 0 <= error.offset <= len(data)


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
