from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.buffer import ChunkBuffer


def test_nothing_is_there_at_first() -> None:
    buffer = ChunkBuffer()
    assert buffer.has(0)
    assert not buffer.has(1)
    assert (buffer.size, buffer.position) == (0, 0)


def test_what_was_asked_for_is_readable_in_one_piece() -> None:
    buffer = ChunkBuffer()
    for chunk in (b"ab", b"", memoryview(b"cd"), b"e"):
        buffer.receive(chunk)
    assert not buffer.has(6)
    assert buffer.has(4)
    assert buffer.data[buffer.offset : buffer.offset + 4] == b"abcd"
    buffer.skip(3)
    assert (buffer.position, buffer.size) == (3, 2)
    buffer.receive(b"f")
    assert buffer.has(3)
    assert buffer.data[buffer.offset :] == b"def"


def test_skip_reaches_into_chunks_that_were_not_joined_and_not_beyond() -> None:
    buffer = ChunkBuffer()
    buffer.receive(b"abc")
    buffer.receive(b"def")
    buffer.skip(4)
    assert (buffer.position, buffer.size) == (4, 2)
    buffer.skip(10)
    assert (buffer.position, buffer.size) == (6, 0)


def test_small_chunks_are_joined_once() -> None:
    class Counting(ChunkBuffer):
        joins = 0

        def join(self) -> None:
            Counting.joins += 1
            super().join()

    buffer = Counting()
    for _ in range(10_000):
        buffer.receive(b"x")
        buffer.has(10_000)
    assert Counting.joins == 1


@given(st.lists(st.tuples(st.binary(max_size=20), st.integers(min_value=0, max_value=30))))
def test_reads_the_same_octets_in_order(steps: list[tuple[bytes, int]]) -> None:
    buffer, whole, taken = ChunkBuffer(), b"", b""
    for chunk, size in steps:
        buffer.receive(chunk)
        whole += chunk
        if buffer.has(size):
            taken += buffer.data[buffer.offset : buffer.offset + size]
            buffer.skip(size)
    assert whole.startswith(taken)
    assert buffer.position == len(taken)
    assert buffer.size == len(whole) - len(taken)
