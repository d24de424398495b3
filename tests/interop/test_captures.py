"""Captures that the tools of Wireshark write, merge and convert, and what tshark sees in the calls told apart."""

from pathlib import Path

import pytest

from siprec_sync.captured_calls import render_calls
from tests.core.recording.calls import coded
from tests.core.recording.captured import (
    LINKS,
    CapturedCall,
    as_pcap,
    in_pieces,
    ip_packets,
    out_of_order,
    repeated_and_overlapping,
    split,
    together,
)
from tests.interop.programs import output_of, path_of
from tests.interop.recordings import Recording, read_capture

ONE = CapturedCall(transport="tcp")
TWO = CapturedCall("call-2@example.com", begin=0.05, port=30_010, step=53)


def assert_both(capture: Path, folder: Path) -> None:
    """Both calls were rendered with their audio."""
    made = {Recording.read(each).report["call_id"]: Recording.read(each) for each in render_calls(capture, folder)}
    assert list(made) == [ONE.name, TWO.name]
    for call in (ONE, TWO):
        recording = made[call.name]
        recording.check_files()
        (samples,) = recording.wav("1.wav").channels
        assert b"".join(each.to_bytes(2, "little", signed=True) for each in samples) == coded(call.pcm)


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["pcapng", "pcap", "nsecpcap"])
@pytest.mark.parametrize("link", ["ethernet", "vlan", "cooked", "cooked 2", "null"])
def test_captures_that_were_converted(tmp_path: Path, kind: str, link: str) -> None:
    packets = ip_packets(together(ONE, TWO), segments=out_of_order, fragment_size=512)
    capture = written(tmp_path, "in.pcap", as_pcap(packets, link))
    output_of([path_of("editcap"), "-F", kind, str(capture), str(tmp_path / "out")])
    assert_both(tmp_path / "out", tmp_path / "files")


def test_captures_of_two_machines_that_were_merged(tmp_path: Path) -> None:
    """Interfaces with links of their own, packets in order of time."""
    one = written(tmp_path, "1.pcap", as_pcap(ip_packets(together(ONE), segments=in_pieces), "ethernet"))
    two = written(tmp_path, "2.pcap", as_pcap(ip_packets(together(TWO), fragment_size=512), "cooked"))
    merged = tmp_path / "merged.pcapng"
    output_of([path_of("mergecap"), "-F", "pcapng", "-w", str(merged), str(two), str(one)])
    assert_both(merged, tmp_path / "files")


def test_a_capture_in_which_every_packet_was_seen_twice(tmp_path: Path) -> None:
    one = written(tmp_path, "1.pcap", as_pcap(ip_packets(together(ONE, TWO), segments=repeated_and_overlapping)))
    merged = tmp_path / "merged.pcapng"
    output_of([path_of("mergecap"), "-F", "pcapng", "-w", str(merged), str(one), str(one)])
    assert_both(merged, tmp_path / "files")


def test_packets_written_from_text(tmp_path: Path) -> None:
    lines = []
    for at_ns, data in ip_packets(together(ONE, TWO)):
        lines.append(f"{at_ns // 10**9}.{at_ns % 10**9:09}")
        lines += [f"{at:06x} {data[at : at + 16].hex(' ')}" for at in range(0, len(data), 16)]
    text = written(tmp_path, "in.txt", ("\n".join(lines) + "\n").encode())
    made = tmp_path / "out.pcapng"
    output_of([path_of("text2pcap"), "-q", "-l", "101", "-t", "%s.%f", str(text), str(made)])
    assert_both(made, tmp_path / "files")


def test_tshark_sees_the_same_in_the_captures_of_the_calls(tmp_path: Path) -> None:
    capture = as_pcap(ip_packets(together(ONE, TWO), segments=in_pieces, fragment_size=512), "ethernet")
    seen = read_capture(written(tmp_path, "in.pcap", capture))
    assert seen.rtp == {ONE.step: 10, TWO.step: 10}
    splitter, parts = split(capture)
    for name, call in zip(splitter.recordings, (ONE, TWO), strict=True):
        apart = read_capture(written(tmp_path, f"{name}.pcapng", parts[name]))
        assert apart.sip == seen.sip == ["INVITE", "200 INVITE", "BYE", "200 BYE"]
        assert apart.rtp == {call.step: 10}
        assert apart.problems == []


@pytest.mark.parametrize("link", LINKS)
def test_tshark_understands_every_link_that_the_tests_make(tmp_path: Path, link: str) -> None:
    seen = read_capture(written(tmp_path, "in.pcap", as_pcap(ip_packets(together(TWO)), link)))
    assert (seen.rtp, seen.problems) == ({TWO.step: 10}, [])
