"""Media lines: ports taken, bound, tried again, closed and given back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.media.commands import BindMedia, CloseMedia
from siprec_core.recording.lines import BIND_ATTEMPTS, MediaLines, Resources
from siprec_core.recording.ports import PortPool
from siprec_core.types import Address, MediaId
from tests.core.harness import entropy


def resources(pairs: int = 20) -> Resources:
    return Resources(PortPool(30_000, 30_000 + 2 * pairs - 1), Ids(entropy(5)))


@pytest.fixture
def lines() -> MediaLines:
    return MediaLines(resources(), host="192.0.2.1")


def test_a_line_takes_a_pair_and_with_mux_one_port(lines: MediaLines) -> None:
    assert lines.open(0, mux=False, now=0.0) == BindMedia(
        media=MediaId(1), rtp=Address("192.0.2.1", 30_000), rtcp=Address("192.0.2.1", 30_001)
    )
    assert lines.open(3, mux=True, now=0.0) == BindMedia(media=MediaId(2), rtp=Address("192.0.2.1", 30_002), rtcp=None)
    assert (lines.indexes(), len(lines), 3 in lines, 1 in lines) == ([0, 3], 2, True, False)


def test_lines_are_bound_when_the_last_one_is(lines: MediaLines) -> None:
    assert lines.all_bound
    for index in (0, 1):
        lines.open(index, mux=False, now=0.0)
    for media, expected in ((1, False), (2, True)):
        line = lines.by_media(MediaId(media))
        assert line is not None
        line.bound = True
        assert lines.all_bound is expected


def test_a_port_in_use_is_given_back_and_another_taken() -> None:
    shared = resources(pairs=2 * BIND_ATTEMPTS)
    lines = MediaLines(shared, host="192.0.2.1")
    lines.open(0, mux=False, now=0.0)
    line = lines.get(0)
    assert line is not None
    ports = [line.port]
    while (command := lines.retry(line, now=0.0)) is not None:
        assert command.media == line.media
        ports.append(command.rtp.port)
    assert ports == [30_000 + 2 * number for number in range(BIND_ATTEMPTS)]
    assert len(shared.ports) == 2 * BIND_ATTEMPTS
    assert lines.get(0) is None
    assert lines.by_media(line.media) is None


def test_a_dry_pool_ends_the_attempts() -> None:
    lines = MediaLines(resources(pairs=1), host="192.0.2.1")
    assert lines.open(0, mux=False, now=0.0) is not None
    assert lines.open(1, mux=False, now=0.0) is None
    line = lines.get(0)
    assert line is not None
    command = lines.retry(line, now=0.0)
    assert command is not None, "the same port, rested, is all there is"
    assert command.rtp.port == 30_000


def test_a_port_comes_back_when_the_driver_has_closed() -> None:
    shared = resources(pairs=1)
    lines = MediaLines(shared, host="192.0.2.1")
    lines.open(0, mux=False, now=0.0)
    assert lines.close(0) == CloseMedia(media=MediaId(1))
    assert lines.close(0) is None
    assert (len(shared.ports), lines.closing, lines.get(0)) == (0, {MediaId(1)}, None)
    assert lines.by_media(MediaId(1)) is not None, "its last packets are still to come"
    lines.closed(MediaId(1), now=0.0)
    lines.closed(MediaId(1), now=0.0)
    assert (len(shared.ports), lines.closing, lines.by_media(MediaId(1))) == (1, set(), None)


def test_ids_are_never_used_twice() -> None:
    shared = resources()
    first, second = MediaLines(shared, host="192.0.2.1"), MediaLines(shared, host="192.0.2.1")
    medias = {
        command.media for lines in (first, second, first) if (command := lines.open(len(lines), mux=False, now=0.0))
    }
    assert len(medias) == 3
    assert len({shared.next_sink() for _ in range(10)}) == 10


@given(st.lists(st.tuples(st.sampled_from(["open", "retry", "close", "closed"]), st.integers(0, 4)), max_size=60))
def test_every_port_comes_back_in_the_end(steps: list[tuple[str, int]]) -> None:
    shared = resources(pairs=6)
    lines = MediaLines(shared, host="192.0.2.1")
    for what, index in steps:
        line = lines.get(index)
        if what == "open" and line is None:
            lines.open(index, mux=False, now=0.0)
        elif what == "retry" and line is not None:
            lines.retry(line, now=0.0)
        elif what == "close":
            lines.close(index)
        elif what == "closed":
            for media in list(lines.closing):
                lines.closed(media, now=0.0)
        held = [line.port for index in lines.indexes() if (line := lines.get(index)) is not None]
        assert len(set(held)) == len(held)
        assert len(shared.ports) == 6 - len(held) - len(lines.closing)
    for index in lines.indexes():
        lines.close(index)
    for media in list(lines.closing):
        lines.closed(media, now=0.0)
    assert len(shared.ports) == 6


def test_lines_are_opened_as_far_as_ports_reach() -> None:
    lines = MediaLines(resources(pairs=2), host="192.0.2.1")
    with pytest.raises(LocalProtocolError, match="no free media port"):
        list(lines.open_each(3, now=0.0))
    assert lines.indexes() == [0, 1]
