"""Digits become `*`, everything else stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.recording.masking import DigitMask, mask_info
from siprec_core.rtp.packet import HeaderExtension, RtpPacket
from siprec_core.rtp.telephone_event import DIGITS, TelephoneEvent, read_events
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sip.info import InfoDigit, read_digit
from siprec_core.sip.message import Request
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Address, Component, DatagramBatch
from tests.core.messages import request

LIMITS = Limits()
FORMATS = {0: MediaFormat(0, "PCMU", 8_000), 101: MediaFormat(101, "telephone-event", 8_000)}
PEER = Address("192.0.2.1", 4_000)


def mask(*, wanted: bool = True) -> DigitMask:
    return DigitMask(wanted=wanted, limits=LIMITS)


def batch(*datagrams: bytes) -> DatagramBatch:
    return DatagramBatch(list(datagrams), [PEER] * len(datagrams), [0.0] * len(datagrams))


def masked(*datagrams: bytes, wanted: bool = True, component: Component = Component.RTP) -> list[bytes]:
    found = mask(wanted=wanted).media(FORMATS, batch(*datagrams), component=component)
    return [bytes(data) for data in found.datagrams]


def event(code: int, **fields: int) -> bytes:
    return TelephoneEvent(
        code, fields.get("duration", 160), bool(fields.get("end")), fields.get("volume", 7)
    ).to_bytes()


@pytest.mark.requirement("4733-x-a")
@pytest.mark.parametrize("code", range(16))
def test_the_code_of_a_key_is_the_same_for_all(code: int) -> None:
    (data,) = masked(RtpPacket(101, 1, 2, 3, event(code, end=True), marker=True).to_bytes())
    packet = RtpPacket.parse(data)
    assert packet == RtpPacket(101, 1, 2, 3, event(DIGITS.index("*"), end=True), marker=True)


def test_every_event_of_a_packet_and_every_shape_of_header() -> None:
    payload = event(1) + event(2) + event(33) + b"\4"
    packet = RtpPacket(
        101, 1, 2, 3, payload, csrcs=(7, 8), extension=HeaderExtension(0xBEDE, b"\1\2\3\4"), padding_size=4
    )
    (data,) = masked(packet.to_bytes())
    found = RtpPacket.parse(data)
    assert [each.event for each in read_events(found.payload)] == [10, 10, 33]
    assert bytes(found.payload)[-1:] == b"\x0a"
    assert (found.csrcs, found.extension, found.padding_size) == (packet.csrcs, packet.extension, 4)


def test_what_tells_no_digit_stays() -> None:
    audio = RtpPacket(0, 1, 2, 3, bytes(range(160))).to_bytes()
    broken = b"\xbf\x65" + bytes(12)
    assert masked(audio, broken, b"", b"\x80") == [audio, broken, b"", b"\x80"]
    key = RtpPacket(101, 1, 2, 3, event(5)).to_bytes()
    assert masked(key, wanted=False) == [key]
    assert masked(key, component=Component.RTCP) == [key]
    unchanged = batch(audio)
    assert mask().media(FORMATS, unchanged, component=Component.RTP) is unchanged


def test_the_type_counts_that_was_agreed_on() -> None:
    key = RtpPacket(101, 1, 2, 3, event(5)).to_bytes()
    for formats in ({}, {101: MediaFormat(101, "opus", 48_000)}):
        assert list(mask().media(formats, batch(key), component=Component.RTP).datagrams) == [key]


@given(st.binary(max_size=60))
def test_any_datagram_keeps_its_length(data: bytes) -> None:
    for each in (data, b"\x80\x65" + data, b"\xb1\xe5" + data):
        (found,) = masked(each)
        assert len(found) == len(each)
        assert masked(found) == [found]


def info(body: str, kind: str) -> bytes:
    return request("INFO", cseq=2, to_tag="t", body=body, content_type=kind)


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


@pytest.mark.requirement("4733-x-a")
@pytest.mark.parametrize(
    ("kind", "body", "hidden"),
    [
        ("application/dtmf-relay", "Signal=7\r\nDuration=160", b"Signal=*\r\nDuration=160"),
        ("application/dtmf-relay", "Signal= 11\r\n", b"Signal= * \r\n"),
        ("application/dtmf-relay", "SIGNAL=d\nduration = 90", b"SIGNAL=*\nduration = 90"),
        ("application/dtmf-relay", "Duration=90;Signal=5", b"*ur*tion=* ;Sign*l=*"),
        ("application/DTMF", "5", b"*"),
        ("application/dtmf", "4111", b"*   "),
        ("application/dtmf-relay", "Digits=1\r\nSignal=2", b"*igits=*\r\nSignal=*"),
        ("text/plain; charset=x", "PIN 0815", b"PIN *   "),
        ("nonsense", "12", b"* "),
    ],
)
def test_bodies_of_info(kind: str, body: str, hidden: bytes) -> None:
    data = info(body, kind)
    found = mask().message(data)
    assert body_of(found) == hidden
    assert found[: -len(hidden)] == data[: -len(hidden)]
    assert mask(wanted=False).message(data) is data


def test_a_masked_info_still_tells_of_a_press() -> None:
    parsed = parse_datagram(mask().message(info("Signal=11\r\nDuration=250", "application/dtmf-relay")), limits=LIMITS)
    assert isinstance(parsed, Request)
    assert read_digit(parsed) == InfoDigit("*", 0.25)


def test_other_messages_and_metadata_stay() -> None:
    for data in (
        request("UPDATE", cseq=2, to_tag="t", body="Signal=7", content_type="application/dtmf-relay"),
        info("<recording>4711</recording>", "application/rs-metadata+xml"),
        b"INFO sip:a SIP/2.0\r\nCall-ID: 5",
        b"",
    ):
        assert mask_info(data, limits=LIMITS) == data


def test_a_digit_is_told_by_its_mask() -> None:
    assert mask().digit(InfoDigit("5", 0.1)) == InfoDigit("*", 0.1)
    assert mask(wanted=False).digit(InfoDigit("5", None)) == InfoDigit("5", None)


@given(st.binary(max_size=80))
def test_no_digit_is_left_in_any_body(body: bytes) -> None:
    head = b"INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf\r\n\r\n"
    found = mask_info(head + body, limits=LIMITS)
    assert len(found) == len(head + body)
    lines = [line for line in found[len(head) :].splitlines() if b"duration" not in line.lower()]
    assert not set(b"0123456789") & set(b"".join(lines))
