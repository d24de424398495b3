"""The bytes of a journal."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import Datagram, Direction, Interface, Packet, Section, Statistics
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.containers.reader import CaptureItem, CaptureReader
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, Severity, finding
from siprec_core.limits import Limits
from siprec_core.recording.control_report import SentReports
from siprec_core.recording.journal import (
    JournalWriter,
    blot_secrets,
    read_finding,
    read_note,
    read_reports,
    without_media,
)
from siprec_core.sdp.crypto import read_crypto
from siprec_core.types import Address, Component, Flow, FlowId, SessionId, Transport
from tests.core.recording.calls import TIME_BASE, UNIX_NS

LOCAL, REMOTE = Address("198.51.100.20", 5_060), Address("192.0.2.10", 5_062)
FLOW = Flow(Transport.UDP, LOCAL, REMOTE)
NOW = TIME_BASE.monotonic


def writer() -> JournalWriter:
    return JournalWriter(SessionId("cafe"), time_base=TIME_BASE, application="siprec test")


def items_of(journal: bytes) -> list[CaptureItem]:
    reader = CaptureReader(limits=Limits())
    reader.receive(journal)
    reader.end_of_file()
    items: list[CaptureItem] = []
    while (item := reader.poll()) is not None:
        items.append(item)
    return items


def notes_of(journal: bytes) -> list[dict[str, object]]:
    notes = [read_note(item.comments[0]) for item in items_of(journal) if isinstance(item, Statistics)]
    return [dict(note) for note in notes if note is not None]


def test_the_start() -> None:
    section, interface, statistics = items_of(writer().start(flow=FLOW, now=NOW + 1.5, started=NOW + 1.0))
    assert isinstance(section, Section)
    assert isinstance(interface, Interface)
    assert isinstance(statistics, Statistics)
    assert (section.application, interface.name, interface.link_type) == ("siprec test", "sip", 101)
    assert statistics.at_ns == UNIX_NS + 1_500_000_000
    assert read_note(statistics.comments[0]) == {
        "siprec": "start",
        "version": 1,
        "session": "cafe",
        "application": "siprec test",
        "initiator": "client",
        "transport": "udp",
        "local": ["198.51.100.20", 5_060],
        "peer": ["192.0.2.10", 5_062],
        "started_ns": UNIX_NS + 1_000_000_000,
        "time_base": {"monotonic": NOW, "unix_ns": UNIX_NS},
    }


def test_lines_have_interfaces_of_their_own() -> None:
    journal = writer()
    blocks = journal.start(flow=FLOW, now=NOW)
    blocks += journal.add_line(3, label="10", rtp=Address("198.51.100.20", 30_006), rtcp=None, now=NOW)
    data = b"\x80\x00" + bytes(170)
    blocks += journal.media(3, Component.RTP, [(data, REMOTE, NOW + 0.25), (memoryview(data), REMOTE, NOW + 0.5)])
    items = items_of(blocks)
    interface = items[3]
    assert isinstance(interface, Interface)
    assert (interface.name, interface.description) == ("line-3", "media line 3, label 10")
    packets = [item for item in items if isinstance(item, Packet)]
    assert [(each.interface, each.at_ns - UNIX_NS, each.direction) for each in packets] == [
        (1, 250_000_000, Direction.INBOUND),
        (1, 500_000_000, Direction.INBOUND),
    ]
    assert notes_of(blocks)[1] == {
        "siprec": "line",
        "line": 3,
        "label": "10",
        "rtp": ["198.51.100.20", 30_006],
        "rtcp": None,
    }
    assert journal.size == len(blocks)


def test_new_ports_of_a_line_keep_its_interface() -> None:
    journal = writer()
    blocks = journal.start(flow=FLOW, now=NOW)
    for port in (30_000, 30_010):
        rtp, rtcp = Address("198.51.100.20", port), Address("198.51.100.20", port + 1)
        blocks += journal.add_line(0, label=None, rtp=rtp, rtcp=rtcp, now=NOW)
        blocks += journal.media(0, Component.RTCP, [(b"\x80\xc8" + bytes(26), REMOTE, NOW)])
    reader = DatagramReader(limits=Limits())
    reader.receive(blocks)
    reader.end_of_file()
    ports = []
    while (item := reader.poll()) is not None:
        if isinstance(item, Datagram):
            ports.append((item.interface, item.destination.port))
    assert ports == [(1, 30_001), (1, 30_011)]


def test_media_of_an_unknown_line_is_refused() -> None:
    journal = writer()
    journal.start(flow=FLOW, now=NOW)
    with pytest.raises(LocalProtocolError):
        journal.media(0, Component.RTP, [(b"", REMOTE, NOW)])


@pytest.mark.parametrize("transport", list(Transport))
def test_sip_both_ways(transport: Transport) -> None:
    flow = Flow(transport, LOCAL, REMOTE, FlowId(4) if transport.reliable else None)
    journal = writer()
    blocks = journal.start(flow=flow, now=NOW)
    messages = [(b"OPTIONS sip:a SIP/2.0\r\n\r\n", False), (b"SIP/2.0 200 OK\r\n\r\n", True), (b"x" * 70_000, False)]
    if not transport.reliable:
        messages.pop()
    for data, sent in messages:
        blocks += journal.sip(data, flow=flow, sent=sent, now=NOW)
    reader = DatagramReader(limits=Limits())
    reader.receive(blocks)
    reader.end_of_file()
    got: dict[bool, bytes] = {False: b"", True: b""}
    while (item := reader.poll()) is not None:
        if isinstance(item, Datagram):
            assert (item.source, item.destination) in ((REMOTE, LOCAL), (LOCAL, REMOTE))
            got[item.source == LOCAL] += item.payload
    assert got == {side: b"".join(data for data, sent in messages if sent is side) for side in (False, True)}


def test_without_media_the_rest_stays() -> None:
    journal = writer()
    head = journal.start(flow=FLOW, now=NOW) + journal.add_line(0, label="1", rtp=LOCAL, rtcp=None, now=NOW)
    audio = journal.media(0, Component.RTP, [(b"audio", REMOTE, NOW)] * 3)
    message = journal.sip(b"BYE sip:a SIP/2.0\r\n\r\n", flow=FLOW, sent=False, now=NOW)
    end = journal.finish("bye", now=NOW, received={}, rejected={})
    assert without_media(head + audio + message + audio + end) == head + message + end
    assert without_media(audio) == b""


@given(st.binary())
def test_without_media_takes_any_octets(data: bytes) -> None:
    assert len(without_media(data)) <= len(data)


def test_the_end_counts_each_line() -> None:
    journal = writer()
    blocks = journal.start(flow=FLOW, now=NOW)
    for line in (1, 0):
        blocks += journal.add_line(line, label=None, rtp=LOCAL, rtcp=None, now=NOW)
    blocks += journal.finish("bye", now=NOW + 2.0, received={0: 7}, rejected={0: 1, 1: 2}, ended=NOW + 1.0)
    ends = [item for item in items_of(blocks) if isinstance(item, Statistics)][3:]
    assert [(each.interface, each.received, each.dropped) for each in ends] == [(2, 7, 1), (1, 0, 2), (0, None, None)]
    assert notes_of(blocks)[-1] == {"siprec": "end", "reason": "bye", "ended_ns": UNIX_NS + 1_000_000_000}


def test_findings_are_notes() -> None:
    journal = writer()
    blocks = journal.start(flow=FLOW, now=NOW)
    found = finding("limit-reached", "recording", "too long \udc80", line=3, column=9)
    blocks += journal.finding(found, now=NOW)
    assert read_finding(notes_of(blocks)[-1]) == found


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.integers()))))
def test_any_note_reads_as_a_finding_or_not(fields: dict[str, object]) -> None:
    assert isinstance(read_finding(fields | {"severity": "info"}), Finding)
    assert read_finding(fields | {"severity": "bad"}) is None


def test_a_note_that_is_too_long_is_cut() -> None:
    journal = writer()
    blocks = journal.start(flow=FLOW, now=NOW)
    blocks += journal.finding(
        Finding(code="x", severity=Severity.INFO, where="\udcff" * 40_000, message="m" * 90_000, rfc=""), now=NOW
    )
    note = notes_of(blocks)[-1]
    assert note["message"] == "m" * 2_000
    with pytest.raises(LocalProtocolError):
        journal.note("numbers", {"list": list(range(60_000))}, now=NOW)


@pytest.mark.parametrize("comment", ["", "{", "[]", "{}", '{"siprec": 1}', "{" * 100_000, '{"siprec": "x"'])
def test_other_comments_are_no_notes(comment: str) -> None:
    assert read_note(comment) is None


def test_keys_and_credentials_are_blotted_out() -> None:
    message = (
        b"INVITE sip:a SIP/2.0\r\nAuthorization: Digest username=a\r\nproxy-authorization : Digest b\r\n\r\n"
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n"
    )
    journal = writer()
    blocks = journal.start(flow=FLOW, now=NOW) + journal.sip(message, flow=FLOW, sent=False, now=NOW)
    for secret in (b"d0Rmdm", b"username", b"Digest"):
        assert secret not in blocks
    blotted = blot_secrets(message)
    assert len(blotted) == len(message)
    assert b"AES_CM_128_HMAC_SHA1_80 inline:xxxx" in blotted
    assert blotted.endswith(b"|2^20|1:32\r\n")


@pytest.mark.parametrize("word", [b"inline:", b"InLine:", b"INLINE: "])
def test_keys_are_blotted_out_in_whatever_letter_case_they_stand(word: bytes) -> None:
    assert blot_secrets(b"a=crypto:1 X " + word + b"abcd") == b"a=crypto:1 X " + word + b"xxxx"


@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION", b"proxy-authorization"])
def test_credentials_are_blotted_out_in_whatever_letter_case_they_stand(name: bytes) -> None:
    assert blot_secrets(name + b":Basic x1\r\nTo: a\r\n") == name + b":xxxxxxxx\r\nTo: a\r\n"


@given(st.binary().filter(lambda data: b":" not in data))
def test_a_message_without_secrets_stays_as_it_is(data: bytes) -> None:
    assert blot_secrets(memoryview(data)) == data


def test_a_blotted_key_is_still_one_of_its_suite() -> None:
    value = f"1 AES_256_CM_HMAC_SHA1_80 inline:{b64encode(bytes(46)).decode()}"
    assert read_crypto(value).deviation is None
    reading = read_crypto(blot_secrets(value.encode()).decode())
    assert reading.deviation is None
    assert reading.attribute is not None
    assert reading.attribute.keys[0].key != bytes(46)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_credentials_on_several_lines_are_blotted_out(end: bytes) -> None:
    lines = [
        b"BYE sip:a SIP/2.0",
        b"Authorization:",
        b' Digest username="a",',
        b'\tresponse="b"',
        b"CSeq: 1 BYE",
        b"",
        b"",
    ]
    blotted = blot_secrets(end.join(lines))
    assert b"Digest" not in blotted
    assert b"response" not in blotted
    kept = blotted.split(end)
    assert [len(line) for line in kept] == [len(line) for line in lines]
    assert (kept[1], kept[4]) == (lines[1], lines[4])
    assert kept[2].startswith(b" x")
    assert kept[3].startswith(b"\tx")


@given(st.binary(max_size=300))
def test_blotting_keeps_the_size(data: bytes) -> None:
    assert len(blot_secrets(data)) == len(data)


def test_reports_sent_are_read_as_written_and_nothing_else_is() -> None:
    assert read_reports({"reports_sent": 3, "reports_ssrc": 7}) == SentReports(3, 7)
    for fields in ({}, {"reports_sent": 3}, {"reports_sent": "3", "reports_ssrc": 7}):
        assert read_reports(fields) is None
