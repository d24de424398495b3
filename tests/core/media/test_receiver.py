from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.media.outputs import GoodbyeReceived, KeyPressed, MediaOutput, SourceFinding, SourceLocked, SsrcAdded
from siprec_core.media.spec import MediaSpec
from siprec_core.rtp.packet import HeaderExtension, RtpPacket
from siprec_core.rtp.telephone_event import TelephoneEvent
from siprec_core.types import Address, Component
from tests.core.media.lines import ANNOUNCED, ELSEWHERE, FOREIGN, Datagram, Line, batch, line, rtp, run, spec

RECEIVER_REPORT = bytes.fromhex("80 c9 0001 00000001")
BYE = bytes.fromhex("80 c9 0001 00000001 81 cb 0003 00000001") + b"\x04done\0\0\0"
BYE_OF_THREE = bytes.fromhex("80 c9 0001 00000001 83 cb 0003 00000001 00000002 00000003")


def rtcp(data: bytes, source: Address = ANNOUNCED, at: float = 0.0) -> Datagram:
    return Datagram(data, Address(source.host, source.port + 1), at, Component.RTCP)


# counting


@pytest.mark.parametrize("together", [True, False])
def test_packets_in_order_are_all_accepted(together: bool) -> None:
    sent = run(65_500, 100)
    recorded = line().feed(sent, together=together)
    statistics = recorded.receiver.statistics()
    assert recorded.journal == sent
    assert statistics.packets_received == 100
    assert statistics.packets_lost == statistics.packets_duplicate == statistics.packets_rejected == 0
    assert statistics.payload_size == 16_000
    assert statistics.jitter == pytest.approx(0.0, abs=1e-6)
    assert (statistics.first_arrival, statistics.last_arrival) == (0.0, sent[-1].arrival)
    assert (statistics.ssrcs, statistics.payload_types, statistics.source) == ((1,), (0,), ANNOUNCED)
    assert recorded.outputs == [
        SourceLocked(source=ANNOUNCED, ssrc=1, announced=True, at=0.0),
        SsrcAdded(ssrc=1, at=0.0),
    ]


def test_a_batch_without_exception_is_accepted_as_a_range() -> None:
    receiver = line().receiver
    assert receiver.receive(batch(run(0, 5)), component=Component.RTP, now=0.0).indexes == range(5)
    assert receiver.receive(batch([]), component=Component.RTP, now=0.0).indexes == range(0)


@pytest.mark.parametrize("together", [True, False])
def test_lost_late_and_duplicate_packets_are_told_apart(together: bool) -> None:
    one, two, three, four, five, six = run(10, 6)
    recorded = line().feed([one, two, two, five, four, five, six], together=together)
    statistics = recorded.receiver.statistics()
    assert statistics.packets_received == 5
    assert statistics.packets_lost == 1
    assert statistics.packets_duplicate == 2
    assert statistics.packets_reordered == 1
    assert statistics.packets_rejected == 0
    assert len(recorded.journal) == 7, "duplicates and late packets are evidence"
    recorded.feed([three])
    assert recorded.receiver.statistics().packets_lost == 0


@pytest.mark.requirement("3550-5.3.1-a", "7866-8.1.4-b")
def test_header_extensions_csrcs_and_padding_count_as_what_they_are() -> None:
    packets = [
        RtpPacket(0, number, number * 160, 1, bytes(160), csrcs=(8, 9), extension=HeaderExtension(1, bytes(8)))
        for number in range(5)
    ]
    packets.append(RtpPacket(0, 5, 800, 1, bytes(160), padding_size=8))
    recorded = line().feed(Datagram(packet.to_bytes(), arrival=packet.timestamp / 8000) for packet in packets)
    statistics = recorded.receiver.statistics()
    assert statistics.packets_received == 6
    assert statistics.payload_size == 960
    assert statistics.csrcs == (8, 9)
    assert statistics.jitter == pytest.approx(0.0, abs=1e-6)


def test_jitter_is_the_same_on_the_fast_and_the_slow_path() -> None:
    late = [replace(sent, arrival=sent.arrival + (0.007 if index % 3 else 0)) for index, sent in enumerate(run(0, 50))]
    mixed = [replace(sent, data=replace(RtpPacket.parse(sent.data), csrcs=(5,)).to_bytes()) for sent in late]
    fast, slow = line().feed(late, together=True), line().feed(mixed, together=True)
    assert fast.receiver.statistics().jitter == slow.receiver.statistics().jitter
    assert fast.receiver.statistics().jitter == pytest.approx(0.005, rel=0.5)


@pytest.mark.parametrize("together", [True, False])
def test_packets_with_a_header_extension_are_counted_alike(together: bool) -> None:
    packets = [
        RtpPacket(0, number, number * 160, 1, bytes(160), extension=HeaderExtension(0xBEDE, bytes(4 * (number % 4))))
        for number in range(20)
    ]
    sent = [Datagram(packet.to_bytes(), arrival=packet.timestamp / 8000) for packet in packets]
    cut_off = [Datagram(sent[5].data[:size]) for size in (12, 13, 15, 16, 18)]
    recorded = line().feed(sent[:5], cut_off, sent[5:], together=together)
    statistics = recorded.receiver.statistics()
    assert (statistics.packets_received, statistics.payload_size) == (20, 3200)
    assert statistics.packets_rejected == len(cut_off)


@pytest.mark.requirement("3550-A.8-a")
def test_telephone_events_do_not_count_as_jitter() -> None:
    event = [
        Datagram(RtpPacket(101, 50 + step, 8000, 1, bytes(4)).to_bytes(), arrival=1.0 + step * 0.02)
        for step in range(10)
    ]
    recorded = line().feed(run(0, 50), event, run(60, 10, at=1.2))
    statistics = recorded.receiver.statistics()
    assert statistics.packets_received == 70
    assert statistics.payload_types == (0, 101)
    assert statistics.jitter == pytest.approx(0.0, abs=1e-6)


@pytest.mark.requirement("4733-2.5.2-a")
def test_keys_are_told_once_for_each_source() -> None:
    def held(first: int, ssrc: int, count: int) -> list[Datagram]:
        return [
            Datagram(
                RtpPacket(101, first + step, 8000, ssrc, TelephoneEvent(7, 160 * (step + 1)).to_bytes()).to_bytes(),
                arrival=1.0 + step * 0.02 + 0.02,
            )
            for step in range(count)
        ]

    recorded = line().feed(run(0, 50), held(50, 1, 5), held(50, 1, 5), run(0, 2, ssrc=2), held(2, 2, 3))
    presses = [output.press for output in recorded.outputs if isinstance(output, KeyPressed)]
    found = [(press.digit, round(press.at, 6), round(press.duration, 6)) for press in presses]
    assert found == [("7", 1.0, 0.1), ("7", 1.0, 0.06)]
    again = line().feed(recorded.journal)
    assert [output.press for output in again.outputs if isinstance(output, KeyPressed)] == presses


def test_key_presses_are_bounded() -> None:
    events = [
        Datagram(RtpPacket(101, number, number * 800, 1, TelephoneEvent(1, 400, end=True).to_bytes()).to_bytes())
        for number in range(20)
    ]
    recorded = line(limits=Limits(key_presses=5)).feed(events)
    assert sum(isinstance(output, KeyPressed) for output in recorded.outputs) == 5


# validity and payload types


@pytest.mark.requirement("3550-5.1-a")
@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", []),
        (b"\x80", ["rtp-invalid"]),
        (rtp(1)[:11], ["rtp-invalid"]),
        (b"\xff" * 40, ["rtp-invalid"]),
        (b"\x9f" + rtp(1)[1:20], ["rtp-invalid"]),
        (rtp(1, payload_type=96), ["payload-type-unknown"]),
        (bytes.fromhex("00 01 0000 2112a442") + bytes(12), ["media-other-protocol"]),
        (b"\x16\xfe\xfd" + bytes(10), ["media-other-protocol"]),
        (b"\x10\x00" + bytes(10), ["media-other-protocol"]),
        (b"\x80\xc8\0\x09abcd", ["rtcp-invalid"]),
    ],
)
def test_what_is_no_packet_of_the_line_is_rejected(data: bytes, codes: list[str]) -> None:
    recorded = line().feed(run(0, 3), [Datagram(data), Datagram(data)], run(3, 3, at=0.06))
    statistics = recorded.receiver.statistics()
    assert statistics.packets_rejected == 2
    assert statistics.packets_received == 6
    assert recorded.codes == codes


@pytest.mark.requirement("3550-5.1-b")
def test_each_unknown_payload_type_is_told_once() -> None:
    recorded = line().feed(Datagram(rtp(number, payload_type=96 + number % 2)) for number in range(20))
    assert recorded.codes == ["payload-type-unknown"]  # 97 is known
    assert recorded.receiver.statistics().packets_rejected == 10


def test_a_type_that_looks_like_rtcp_is_rtp_where_negotiated_without_mux() -> None:
    formats = (replace(spec().formats[0], payload_type=80),)
    marked = [Datagram(RtpPacket(80, n, 0, 1, bytes(160), marker=True).to_bytes()) for n in range(3)]
    assert line(spec(formats=formats)).feed(marked).receiver.statistics().packets_received == 3
    assert line(spec(formats=formats, rtcp_mux=True)).feed(marked).receiver.statistics().packets_received == 0


# source addresses


@pytest.mark.requirement("3550-A.1-a")
def test_the_announced_address_needs_no_probation() -> None:
    recorded = line().feed(run(7, 1))
    assert recorded.receiver.statistics().packets_received == 1
    assert len(recorded.journal) == 1


@pytest.mark.parametrize("together", [True, False])
def test_another_address_is_learnt_and_nothing_is_lost(together: bool) -> None:
    sent = run(7, 10, source=ELSEWHERE)
    recorded = line().feed(sent, together=together)
    assert recorded.journal == sent
    assert recorded.receiver.statistics().packets_received == 10
    assert recorded.codes == ["source-learnt"]
    assert recorded.outputs[0] == SourceLocked(source=ELSEWHERE, ssrc=1, announced=False, at=sent[1].arrival)


@pytest.mark.parametrize(
    "remote", [None, Address("0.0.0.0", 4000), Address("src.example", 4000), Address("224.0.0.1", 4)]
)
def test_without_a_usable_address_the_source_is_learnt_silently(remote: Address | None) -> None:
    recorded = line(spec(remote_rtp=remote)).feed(run(7, 3, source=ELSEWHERE))
    assert recorded.receiver.statistics().packets_received == 3
    assert recorded.codes == []


def test_addresses_are_compared_by_value_not_by_text() -> None:
    recorded = line(spec(remote_rtp=Address("2001:DB8:0::1", 4000))).feed(
        run(0, 1, source=Address("2001:db8::1", 4000))
    )
    assert recorded.receiver.statistics().packets_received == 1


@pytest.mark.parametrize("first", [ANNOUNCED, ELSEWHERE])
@pytest.mark.parametrize("ssrc", [1, 2])
def test_after_the_lock_packets_from_elsewhere_are_rejected(first: Address, ssrc: int) -> None:
    recorded = line().feed(run(0, 5, source=first), run(5, 50, source=FOREIGN, ssrc=ssrc), run(5, 5, source=first))
    statistics = recorded.receiver.statistics()
    assert statistics.packets_received == 10
    assert statistics.packets_rejected == 50
    assert statistics.ssrcs == (1,)
    assert recorded.codes.count("source-foreign") == 1


def test_the_announced_address_takes_over_with_the_same_ssrc_at_once() -> None:
    recorded = line().feed(run(0, 5, source=ELSEWHERE), run(5, 5), run(10, 5, source=ELSEWHERE))
    statistics = recorded.receiver.statistics()
    assert (statistics.packets_received, statistics.packets_rejected) == (10, 5)
    assert statistics.source == ANNOUNCED
    assert recorded.codes == ["source-learnt", "source-changed", "source-foreign"]


def test_the_announced_address_takes_over_with_another_ssrc_after_probation() -> None:
    recorded = line().feed(run(0, 5, source=ELSEWHERE), run(900, 1, ssrc=2))
    assert recorded.receiver.statistics().source == ELSEWHERE
    recorded.feed(run(901, 4, ssrc=2))
    statistics = recorded.receiver.statistics()
    assert (statistics.packets_received, statistics.source, statistics.ssrcs) == (10, ANNOUNCED, (1, 2))


def test_a_candidate_loses_when_the_announced_address_speaks() -> None:
    recorded = line().feed(run(0, 1, source=FOREIGN, ssrc=9), run(0, 5), run(1, 5, source=FOREIGN, ssrc=9))
    statistics = recorded.receiver.statistics()
    assert (statistics.packets_received, statistics.packets_rejected, statistics.ssrcs) == (5, 6, (1,))


def test_a_flood_that_is_never_valid_does_not_lock() -> None:
    flood = [
        Datagram(rtp(number * 7919, ssrc=number * 104_729), FOREIGN, number * 0.001, Component.RTP)
        for number in range(2000)
    ]
    recorded = line().feed(flood)
    assert recorded.receiver.statistics().source is None
    assert recorded.journal == []
    recorded.feed(run(0, 5, at=2.0))
    assert recorded.receiver.statistics().packets_received == 5


@pytest.mark.parametrize("first", [ANNOUNCED, ELSEWHERE])
def test_a_re_offer_with_another_address_lets_the_source_move(first: Address) -> None:
    recorded = line().feed(run(0, 5, source=first))
    recorded.update(spec(remote_rtp=Address("192.0.2.77", 4000)), now=1.0)
    recorded.feed(run(5, 2, source=first))
    assert recorded.receiver.statistics().packets_received == 7, "the old source goes on until the new one is there"
    recorded.feed(run(7, 3, source=FOREIGN, at=2.0), run(10, 3, source=first, at=3.0))
    statistics = recorded.receiver.statistics()
    assert (statistics.packets_received, statistics.packets_rejected) == (10, 3)
    assert statistics.source == FOREIGN


def test_a_re_offer_that_announces_the_learnt_source_ends_the_learning() -> None:
    recorded = line().feed(run(0, 1, source=FOREIGN), run(0, 5, source=ELSEWHERE, ssrc=2))
    recorded.update(spec(remote_rtp=ELSEWHERE), now=1.0)
    recorded.feed(run(5, 5, source=ELSEWHERE, ssrc=2), run(1, 5, source=FOREIGN))
    assert recorded.receiver.statistics().source == ELSEWHERE
    assert recorded.receiver.statistics().ssrcs == (2,)


@pytest.mark.parametrize("remote", [ANNOUNCED, None])
def test_a_re_offer_without_another_address_keeps_the_lock(remote: Address | None) -> None:
    recorded = line().feed(run(0, 5))
    recorded.update(spec(remote_rtp=remote), now=1.0)
    recorded.feed(run(5, 5, source=FOREIGN))
    assert recorded.receiver.statistics().packets_received == 5


@pytest.mark.parametrize("first", [ANNOUNCED, ELSEWHERE])
def test_a_source_that_is_gone_is_followed_by_one_that_passes_its_probation(first: Address) -> None:
    recorded = line().feed(run(0, 5, source=first), run(900, 1, source=FOREIGN, ssrc=2, at=9.9))
    recorded.feed(run(901, 1, source=FOREIGN, ssrc=2, at=10.2))
    assert recorded.receiver.statistics().source == first, "what came while the source counted speaks for nobody"
    recorded.feed(run(902, 3, source=FOREIGN, ssrc=2, at=10.22))
    statistics = recorded.receiver.statistics()
    assert (statistics.source, statistics.source_changes) == (FOREIGN, 1)
    assert (statistics.packets_received, statistics.packets_rejected) == (9, 1)
    (_, locked) = [output for output in recorded.outputs if isinstance(output, SourceLocked)]
    assert (locked.source, locked.previous, locked.announced) == (FOREIGN, first, False)
    recorded.feed(run(5, 3, source=ANNOUNCED, at=10.4))
    assert recorded.receiver.statistics().source == ANNOUNCED, "who was announced may always come back"


def test_a_stranger_gains_nothing_while_the_source_lives() -> None:
    alive = [Datagram(rtp(number), ANNOUNCED, number * 9.0) for number in range(5)]
    strange = run(900, 2_200, source=FOREIGN, ssrc=2)
    recorded = line().feed(sorted([*alive, *strange], key=lambda each: each.arrival))
    statistics = recorded.receiver.statistics()
    assert (statistics.source, statistics.source_changes, statistics.packets_rejected) == (ANNOUNCED, 0, 2_200)


def test_reports_are_a_sign_of_life() -> None:
    recorded = line().feed(run(0, 5), [rtcp(RECEIVER_REPORT, at=8.0)], run(900, 5, source=FOREIGN, ssrc=2, at=12.0))
    assert recorded.receiver.statistics().source == ANNOUNCED
    recorded.feed(run(905, 5, source=FOREIGN, ssrc=2, at=18.1))
    assert recorded.receiver.statistics().source == FOREIGN


def test_a_source_on_hold_is_not_missed() -> None:
    recorded = line().feed(run(0, 5))
    recorded.update(spec(direction="inactive"), now=1.0)
    recorded.feed(run(900, 5, source=FOREIGN, ssrc=2, at=60.0))
    recorded.update(spec(), now=100.0)
    recorded.feed(run(905, 5, source=FOREIGN, ssrc=2, at=101.0))
    assert recorded.receiver.statistics().source == ANNOUNCED
    recorded.feed(run(910, 5, source=FOREIGN, ssrc=2, at=110.1))
    assert recorded.receiver.statistics().source == FOREIGN


def test_sources_may_be_locked_for_good() -> None:
    recorded = line(limits=Limits(source_silent_seconds=0.0)).feed(run(0, 5), run(900, 50, source=FOREIGN, at=1_000.0))
    assert recorded.receiver.statistics().source == ANNOUNCED


def test_formats_are_added_by_a_re_offer_and_never_taken_away() -> None:
    recorded = line().feed(run(0, 5))
    recorded.update(spec(formats=(replace(spec().formats[0], payload_type=99),)), now=1.0)
    recorded.feed(run(5, 5), run(10, 5, payload_type=99))
    assert recorded.receiver.statistics().packets_received == 15
    assert recorded.receiver.spec.formats[0].payload_type == 99


# synchronisation sources


@pytest.mark.parametrize("together", [True, False])
def test_a_change_of_ssrc_loses_nothing(together: bool) -> None:
    sent = run(0, 5) + run(40_000, 5, ssrc=2, at=0.1)
    recorded = line().feed(sent, together=together)
    statistics = recorded.receiver.statistics()
    assert recorded.journal == sent
    assert (statistics.packets_received, statistics.packets_lost, statistics.ssrcs) == (10, 0, (1, 2))
    assert recorded.codes == ["ssrc-changed"]
    assert [entry.packets_received for entry in statistics.sources] == [5, 5]


@pytest.mark.parametrize("together", [True, False])
def test_two_sources_at_a_time_are_counted_apart(together: bool) -> None:
    first, second = run(0, 50), run(500, 50, ssrc=2)
    mixed = [datagram for pair in zip(first, second, strict=True) for datagram in pair]
    recorded = line().feed(mixed, together=together)
    assert [entry.packets_received for entry in recorded.receiver.statistics().sources] == [50, 50]
    assert recorded.receiver.statistics().packets_lost == 0


def test_a_jump_within_a_source_is_believed_after_two() -> None:
    recorded = line().feed(run(0, 5), run(30_000, 1), run(5, 5))
    assert recorded.receiver.statistics().packets_rejected == 1
    recorded.feed(run(30_001, 4))
    statistics = recorded.receiver.statistics()
    assert (statistics.packets_received, statistics.packets_lost, statistics.packets_rejected) == (15, 0, 0)
    assert statistics.sources[0].restarts == 1
    assert recorded.codes == ["sequence-restarted"]


def test_the_rate_of_new_ssrcs_is_limited() -> None:
    sent = [datagram for ssrc in range(2, 12) for datagram in run(0, 2, ssrc=ssrc, at=1.0)]
    recorded = line().feed(run(0, 5), sent)
    assert recorded.receiver.statistics().ssrcs == (1, 2, 3, 4, 5)
    assert recorded.codes.count("ssrc-limit") == 1
    recorded.feed(run(0, 2, ssrc=20, at=2.5))
    assert recorded.receiver.statistics().ssrcs[-1] == 20


def test_idle_sources_give_way_and_stay_in_the_statistics() -> None:
    sent = [datagram for ssrc in range(1, 41) for datagram in run(0, 3, ssrc=ssrc, at=float(ssrc))]
    recorded = line(limits=Limits(ssrcs_per_line=6, ssrcs_reported=10)).feed(sent)
    statistics = recorded.receiver.statistics()
    assert statistics.packets_received == 120
    assert statistics.ssrcs == tuple(range(1, 11))
    assert len(statistics.sources) == 16
    assert sum(entry.packets_received for entry in statistics.sources) == 120


def test_active_sources_do_not_give_way() -> None:
    sent = [datagram for ssrc in range(1, 9) for datagram in run(0, 3, ssrc=ssrc, at=float(ssrc) / 2)]
    recorded = line(limits=Limits(ssrcs_per_line=3)).feed(sent)
    assert recorded.receiver.statistics().ssrcs == (1, 2, 3)
    assert "ssrc-limit" in recorded.codes


# hold


def test_packets_of_an_inactive_line_are_kept_and_told_once() -> None:
    recorded = line().feed(run(0, 5))
    recorded.update(spec(direction="inactive"), now=0.1)
    recorded.feed(run(5, 5, at=0.1))
    assert recorded.codes == [], "these were on their way"
    recorded.feed(run(10, 40, at=0.2))
    assert recorded.codes == [], "and these too"
    recorded.feed(run(50, 50, at=1.2))
    assert recorded.codes == ["media-while-inactive"]
    recorded.update(spec(), now=3.0)
    recorded.update(spec(direction="inactive"), now=3.1)
    recorded.feed(run(100, 5, at=5.0))
    assert recorded.codes == ["media-while-inactive"]
    assert recorded.receiver.statistics().packets_received == 105


# RTCP


def test_rtcp_of_the_host_is_accepted() -> None:
    recorded = line().feed([rtcp(RECEIVER_REPORT), rtcp(RECEIVER_REPORT, FOREIGN)], run(0, 2))
    statistics = recorded.receiver.statistics()
    assert (statistics.rtcp_received, statistics.rtcp_rejected) == (1, 1)
    recorded.feed([rtcp(RECEIVER_REPORT, FOREIGN), rtcp(b"\x80\xc9\0\x09")])
    assert recorded.receiver.statistics().rtcp_rejected == 3
    assert recorded.codes == ["source-foreign", "rtcp-invalid"]


def test_rtcp_of_the_announced_rtcp_host_is_accepted() -> None:
    recorded = line(spec(remote_rtcp=FOREIGN)).feed(run(0, 2), [rtcp(RECEIVER_REPORT, FOREIGN)])
    assert recorded.receiver.statistics().rtcp_received == 1


def test_rtcp_before_the_source_is_known_waits_for_it() -> None:
    early = [rtcp(RECEIVER_REPORT, ELSEWHERE), rtcp(RECEIVER_REPORT, FOREIGN, at=0.01)]
    sent = run(0, 2, source=ELSEWHERE, at=0.02)
    recorded = line().feed(early, sent)
    assert recorded.journal == [early[0], *sent]
    assert (recorded.receiver.statistics().rtcp_received, recorded.receiver.statistics().rtcp_rejected) == (1, 1)


@pytest.mark.parametrize("rtcp_mux", [True, False])
def test_rtcp_on_the_rtp_port_is_accepted(rtcp_mux: bool) -> None:
    recorded = line(spec(rtcp_mux=rtcp_mux)).feed(run(0, 2), [Datagram(RECEIVER_REPORT)], run(2, 2))
    statistics = recorded.receiver.statistics()
    assert (statistics.rtcp_received, statistics.packets_received, statistics.packets_rejected) == (1, 4, 0)
    assert recorded.codes == ([] if rtcp_mux else ["rtcp-not-multiplexed"])


def test_goodbye_is_noted_once_and_ends_nothing() -> None:
    recorded = line().feed(run(0, 5), [rtcp(BYE, at=0.2), rtcp(BYE, at=0.3)], run(5, 5, at=0.4))
    assert [output for output in recorded.outputs if isinstance(output, GoodbyeReceived)] == [
        GoodbyeReceived(ssrc=1, reason="done", at=0.2)
    ]
    statistics = recorded.receiver.statistics()
    assert statistics.packets_received == 10
    assert statistics.sources[0].goodbye_at == 0.2


def test_a_goodbye_that_comes_before_its_source_is_told_all_the_same() -> None:
    recorded = line().feed([rtcp(BYE, at=0.1)], run(0, 5, at=0.2))
    assert recorded.outputs[-1] == GoodbyeReceived(ssrc=1, reason="done", at=0.1)
    assert recorded.receiver.statistics().sources[0].goodbye_at == 0.1


def test_goodbyes_of_strangers_tell_nothing() -> None:
    recorded = line().feed(run(0, 5, ssrc=2), [rtcp(BYE), rtcp(BYE, FOREIGN), rtcp(bytes.fromhex("85cb000100000001"))])
    assert not any(isinstance(output, GoodbyeReceived) for output in recorded.outputs)
    assert "rtcp-invalid" in recorded.codes


# laws

_sources = st.sampled_from([ANNOUNCED, ELSEWHERE, FOREIGN, Address(ANNOUNCED.host, 4002)])
_numbers = st.integers(0, 12) | st.sampled_from([65_530, 65_535, 3_005, 20_000, 20_001, 20_002])
_packets = st.builds(
    rtp, _numbers, ssrc=st.integers(1, 3), payload_type=st.sampled_from([0, 0, 8, 97, 101, 96]), size=st.just(8)
)
_steps = st.sampled_from([0.0, 0.0, 0.02, 0.3, 6.0])
_runs = st.builds(
    lambda first, count, ssrc: [rtp(first + step, ssrc=ssrc, size=4) for step in range(count)],
    _numbers,
    st.integers(2, 5),
    st.integers(1, 3),
)
_one = (_packets | st.sampled_from([RECEIVER_REPORT, BYE, BYE_OF_THREE, b"", b"\x80", b"\0" * 20])).map(
    lambda data: [data]
)
_bursts = st.tuples(_one | _runs, _sources, _steps, st.sampled_from([Component.RTP] * 5 + [Component.RTCP]))


def _datagrams(bursts: Iterable[tuple[list[bytes], Address, float, Component]]) -> list[Datagram]:
    datagrams, at = [], 100.0
    for octets, source, step, component in bursts:
        for data in octets:
            at += step
            datagrams.append(Datagram(data, source, at, component))
    return datagrams


def _cut(datagrams: list[Datagram], cuts: set[int]) -> list[list[Datagram]]:
    """Batches of one component each, with further cuts at these places."""
    batches: list[list[Datagram]] = []
    for index, datagram in enumerate(datagrams):
        if not batches or index in cuts or batches[-1][-1].component is not datagram.component:
            batches.append([])
        batches[-1].append(datagram)
    return batches


_lines = st.builds(
    lambda remote, mux: spec(remote_rtp=remote, rtcp_mux=mux),
    st.sampled_from([ANNOUNCED, FOREIGN, None]),
    st.booleans(),
)
_tight = st.sampled_from([Limits(), Limits(ssrcs_per_line=2, new_ssrcs_per_second=2, probation_size=40)])
_histories = st.lists(_bursts, max_size=14).map(_datagrams)


@settings(max_examples=300)
@given(_lines, _tight, _histories, st.sets(st.integers(0, 40)))
def test_decisions_do_not_depend_on_the_cuts(
    given_spec: MediaSpec, limits: Limits, datagrams: list[Datagram], cuts: set[int]
) -> None:
    one_by_one = line(given_spec, limits=limits).feed(datagrams)
    cut = line(given_spec, limits=limits)
    for some in _cut(datagrams, cuts):
        cut.receive(some)
    assert cut.receiver.statistics() == one_by_one.receiver.statistics()
    assert cut.outputs == one_by_one.outputs
    assert sorted(cut.journal, key=repr) == sorted(one_by_one.journal, key=repr)


_respecified = st.sampled_from(
    [spec(), spec(remote_rtp=ELSEWHERE), spec(remote_rtp=None), spec(direction="inactive"), spec(rtcp_mux=True)]
)


def _replayable(recorded: Line) -> list[MediaOutput]:
    """What a replay tells again; by time, because datagrams held are journalled after those that came meanwhile."""
    told = [output for output in recorded.outputs if not isinstance(output, SourceFinding) or output.replayable]
    return sorted(told, key=lambda output: (output.at, repr(output)))


@settings(max_examples=300)
@given(
    _lines, _tight, st.lists(st.tuples(_histories, _respecified), min_size=1, max_size=3), st.sets(st.integers(0, 20))
)
@example(spec(), Limits(), [(run(0, 3, source=ELSEWHERE) + run(3, 3), spec())], set())
@example(
    spec(remote_rtp=ELSEWHERE),
    Limits(),
    [(run(0, 1, ssrc=2), spec()), (run(0, 1, ssrc=1) + run(0, 2, ssrc=2), spec())],
    set(),
)
@example(spec(), Limits(), [([rtcp(BYE), *run(0, 3)], spec()), ([rtcp(BYE_OF_THREE), *run(0, 3, ssrc=2)], spec())], {1})
def test_the_journal_gives_the_same_account_again(
    given_spec: MediaSpec, limits: Limits, history: list[tuple[list[Datagram], MediaSpec]], cuts: set[int]
) -> None:
    recorded, replayed = line(given_spec, limits=limits), line(given_spec, limits=limits)
    at = 0.0
    for datagrams, changed in history:
        datagrams = [replace(datagram, arrival=datagram.arrival + at) for datagram in datagrams]
        at += 100.0
        journalled = len(recorded.journal)
        for some in _cut(datagrams, cuts):
            recorded.receive(some)
        recorded.update(changed, now=at)
        for datagram in recorded.journal[journalled:]:
            replayed.receive([datagram])
        replayed.update(changed, now=at)
    statistics = recorded.receiver.statistics()
    assert replayed.receiver.statistics() == replace(statistics, packets_rejected=0, rtcp_rejected=0)
    assert sorted(replayed.journal, key=repr) == sorted(recorded.journal, key=repr)
    assert _replayable(replayed) == _replayable(recorded)


@settings(max_examples=200)
@given(_histories)
def test_every_datagram_is_counted_once(datagrams: list[Datagram]) -> None:
    recorded = line().feed(datagrams)
    statistics = recorded.receiver.statistics()
    accepted = statistics.packets_received + statistics.packets_duplicate + statistics.rtcp_received
    assert accepted == len(recorded.journal)
    assert accepted + statistics.packets_rejected + statistics.rtcp_rejected == len(datagrams)


@given(st.lists(st.tuples(st.binary(max_size=80), _sources), max_size=30))
def test_garbage_never_raises(garbage: list[tuple[bytes, Address]]) -> None:
    for component in Component:
        recorded = line().feed(run(0, 2), [Datagram(data, source, 1.0, component) for data, source in garbage])
        assert recorded.receiver.statistics().packets_received >= 2


def test_a_thousand_packets_of_any_kind_grow_nothing_without_bound() -> None:
    limits = Limits()
    recorded = line(limits=limits)
    state = 1
    for number in range(3000):
        state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & (1 << 64) - 1
        size = state >> 40 & 0x7FF
        data = (
            rtp(state >> 8, ssrc=state >> 24 & 0xFFFF_FFFF, size=size) if number % 3 else state.to_bytes(8, "big") * 9
        )
        recorded.receive([Datagram(data, ANNOUNCED if number % 2 else FOREIGN, number / 100)])
        probation = recorded.receiver._probation
        assert probation.held_size <= limits.probation_size
        assert len(probation) <= limits.ssrcs_per_line
        assert len(recorded.receiver._sources) <= limits.ssrcs_per_line
        assert len(recorded.receiver._findings) < 150
    assert len(recorded.outputs) < 200
