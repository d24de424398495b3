"""The calls of a capture, each for itself."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.containers.capture import Datagram
from siprec_core.limits import Limits
from siprec_core.recording.splitting import CallSplitter
from siprec_core.types import Address
from tests.core.recording.calls import CLIENT, SERVER, coded, rendered
from tests.core.recording.captured import (
    LINKS,
    CapturedCall,
    Segments,
    as_pcap,
    as_pcapng,
    files_of_calls,
    in_pieces,
    ip_packets,
    out_of_order,
    repeated_and_overlapping,
    split,
    together,
    whole,
)
from tests.core.recording.test_render import codes, pcm_of, report_of

ONE = CapturedCall()
TWO = CapturedCall("call-2@example.com", begin=0.05, port=30_010, step=53)
THREE = CapturedCall("call-3@example.com", begin=0.1, port=30_020, step=71, samples=800)


def assert_calls(capture: bytes, *calls: CapturedCall) -> list[dict[str, bytes]]:
    """Each call is there with its audio and nothing else."""
    rendered_calls = files_of_calls(capture)
    assert len(rendered_calls) == len(calls)
    for files, call in zip(rendered_calls, calls, strict=True):
        report = report_of(files)
        assert (report["call_id"], report["status"]) == (call.name, "completed" if call.bye else "recovered")
        assert codes(report) == {"metadata-label-without-line"}  # the metadata tell of a second stream
        assert pcm_of(files, "1.wav") == coded(call.pcm)
        counts = {name: report["streams"][0][f"packets_{name}"] for name in ("received", "lost", "rejected")}
        assert counts == {"received": call.samples // 160, "lost": 0, "rejected": 0}
        assert "metadata/0001.xml" in files
    return rendered_calls


def test_calls_side_by_side_are_told_apart() -> None:
    capture = as_pcapng(ip_packets(together(ONE, TWO, THREE)))
    assert_calls(capture, ONE, TWO, THREE)
    assert files_of_calls(capture) == files_of_calls(capture)


def test_one_call_is_what_is_rendered_without_splitting() -> None:
    capture = as_pcapng(ip_packets(together(ONE)))
    (files,) = assert_calls(capture, ONE)
    direct = rendered(capture)
    told, expected = report_of(files), report_of(direct)
    assert [each for each in told.pop("files") if each["name"] != "journal.pcapng"] == [
        each for each in expected.pop("files") if each["name"] != "journal.pcapng"
    ]
    assert told == expected
    assert {name: data for name, data in files.items() if name != "recording.json"} == {
        name: data for name, data in direct.items() if name != "recording.json"
    }


def test_ports_that_are_used_again_belong_to_the_later_call() -> None:
    first = replace(ONE, bye=False)
    second = CapturedCall("call-2@example.com", begin=0.4, port=ONE.port, step=53)
    assert_calls(as_pcapng(ip_packets(together(first, second))), first, second)


def test_a_call_id_that_is_used_again_begins_another_call() -> None:
    second = replace(ONE, begin=1.0, tag="again", step=53)
    files = assert_calls(as_pcapng(ip_packets(together(ONE, second))), ONE, second)
    assert len({report_of(each)["id"] for each in files}) == 2


def test_calls_that_are_no_recordings_or_were_not_answered_are_left_out() -> None:
    plain = replace(TWO, marked=False)
    asked = replace(THREE, answered=False)
    splitter, parts = split(as_pcapng(ip_packets(together(plain, ONE, asked))))
    assert len(splitter.recordings) == len(parts) == 1
    assert_calls(as_pcapng(ip_packets(together(plain, ONE, asked))), ONE)
    none, _ = split(as_pcapng(ip_packets(together(plain, asked))))
    assert none.recordings == ()


def test_media_behind_a_translated_address() -> None:
    call = replace(ONE, server_host="10.0.0.1")
    assert_calls(as_pcapng(ip_packets(together(call))), call)


@pytest.mark.parametrize("segments", [whole, in_pieces, out_of_order, repeated_and_overlapping])
def test_calls_on_one_connection(segments: Segments) -> None:
    calls = [replace(call, transport="tcp") for call in (ONE, TWO, THREE)]
    packets = ip_packets(together(*calls), segments=segments)
    files = assert_calls(as_pcapng(packets), *calls)
    assert {report_of(each)["transport"] for each in files} == {"tcp"}


def test_fragmented_invites() -> None:
    packets = ip_packets(together(ONE, TWO), fragment_size=512)
    assert len(packets) > len(together(ONE, TWO))
    assert_calls(as_pcapng(packets), ONE, TWO)


@pytest.mark.parametrize("link", LINKS)
def test_every_link(link: str) -> None:
    packets = ip_packets(together(ONE, TWO), fragment_size=512)
    for order in "<>":
        assert_calls(as_pcapng(packets, link, order=order), ONE, TWO)
        for ns in (False, True):
            capture = as_pcap(packets, link, order=order, ns=ns)
            assert files_of_calls(capture) == files_of_calls(as_pcapng(packets))


def test_what_is_wrong_with_the_capture_is_told_with_each_call() -> None:
    capture = as_pcapng(ip_packets(together(ONE, TWO)))[:-5]
    for files in files_of_calls(capture):
        assert "capture-torn" in codes(report_of(files))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2_000))
def test_any_cutting_gives_the_same_captures(size: int) -> None:
    capture = as_pcapng(ip_packets(together(ONE, TWO)))
    (first, whole_parts), (second, parts) = split(capture), split(capture, size=size)
    assert first.recordings == second.recordings
    assert parts == whole_parts


def test_more_calls_than_the_bound_are_left_out_with_a_finding() -> None:
    limits = Limits(capture_calls=2)
    splitter, parts = split(as_pcapng(ip_packets(together(ONE, TWO, THREE))), limits=limits)
    assert len(splitter.recordings) == len(parts) == 2
    assert [found.code for found in splitter.findings] == ["capture-limit"]


def flood(count: int, *, size: int = 0) -> list[Datagram]:
    """INVITEs of as many calls that nobody answers."""
    (invite,) = replace(ONE, answered=False).datagrams()
    return [
        replace(
            invite,
            payload=invite.payload.replace(b"call-1@", b"flood-%d@" % number).replace(
                b"Max-Forwards", b"X: " + b"x" * size + b"\r\nMax-Forwards"
            ),
        )
        for number in range(count)
    ]


def test_a_flood_of_calls_does_not_cost_those_that_are_recorded() -> None:
    invite, *rest = ONE.datagrams()
    answer, *media = rest
    limits = Limits(capture_calls=8, capture_waiting_size=20_000)
    capture = as_pcapng(ip_packets([*flood(20), invite, *flood(3), answer, *flood(40), *media]))
    splitter, parts = split(capture, limits=limits)
    assert len(splitter.recordings) == 1
    assert pcm_of(rendered(parts[splitter.recordings[0]]), "1.wav") == coded(ONE.pcm)


def test_messages_that_wait_for_an_answer_are_bounded() -> None:
    limits = Limits(capture_waiting_size=50_000)
    splitter = CallSplitter(limits=limits)
    splitter.receive(as_pcapng(ip_packets(flood(60, size=4_000))))
    splitter.end_of_file()
    assert splitter.poll() is None
    assert splitter.waiting_size <= limits.capture_waiting_size


def spoofed(datagrams: list[Datagram], chance: Random) -> list[Datagram]:
    """Send everything from and to somewhere else too."""
    ports = [Address(host, chance.randrange(1, 65_536)) for host in (CLIENT, SERVER) for _ in range(200)]
    return datagrams + [
        replace(each, source=chance.choice(ports), destination=chance.choice(ports)) for each in datagrams
    ]


def cut(datagrams: list[Datagram], chance: Random) -> list[Datagram]:
    return [replace(each, payload=each.payload[: chance.randrange(len(each.payload) + 1)]) for each in datagrams]


def shuffled(datagrams: list[Datagram], chance: Random) -> list[Datagram]:
    return chance.sample(datagrams, len(datagrams))


def at_odd_times(datagrams: list[Datagram], chance: Random) -> list[Datagram]:
    return [replace(each, at_ns=chance.choice((0, 1, 1 << 63, (1 << 64) - 1))) for each in datagrams]


@pytest.mark.parametrize("spoil", [spoofed, cut, shuffled, at_odd_times])
@pytest.mark.parametrize("seed", range(4))
def test_spoilt_captures_never_raise(spoil: Callable[[list[Datagram], Random], list[Datagram]], seed: int) -> None:
    chance = Random(seed)
    calls = [replace(call, transport=chance.choice(("udp", "tcp"))) for call in (ONE, TWO, THREE)]
    packets = ip_packets(spoil(together(*calls), chance), segments=in_pieces)
    for files in files_of_calls(as_pcapng(packets), limits=Limits(recording_seconds=60.0)):
        assert report_of(files)["call_id"]
        assert len(files.get("mix.wav", b"")) < 120 * 16_000


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 20_000), change=st.integers(1, 255))
def test_one_wrong_octet_never_raises(place: int, change: int) -> None:
    capture = bytearray(as_pcapng(ip_packets(together(replace(ONE, samples=320), replace(TWO, transport="tcp")))))
    capture[place % len(capture)] ^= change
    splitter, parts = split(bytes(capture))
    assert set(splitter.recordings) == set(parts)
