"""Logs that a thread writes."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from siprec import log_writer
from siprec.log_writer import LogWriter

SECONDS = 10.0
"""After which a test gives up; nothing is asserted about time."""


class Output(logging.Handler):
    """Keeps lines; while `open` is not set, writing waits as for a pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.waiting = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def emit(self, record: logging.LogRecord) -> None:
        self.waiting.set()
        self.open.wait(SECONDS)
        self.lines.append(record.getMessage())


@pytest.fixture
def output() -> Iterator[Output]:
    output = Output()
    yield output
    output.open.set()


@pytest.fixture
def write(output: Output) -> Iterator[Callable[[str], None]]:
    writer = LogWriter(output, waiting_records=3)

    def write(text: str) -> None:
        writer.handle(logging.LogRecord("siprec", logging.INFO, "", 0, text, None, None))

    yield write
    writer.close()


def test_lines_come_in_order_and_closing_waits_for_them(output: Output) -> None:
    writer = LogWriter(output)
    for number in range(100):
        writer.handle(logging.LogRecord("siprec", logging.INFO, "", 0, "%d", (number,), None))
    writer.close()
    writer.close()
    assert output.lines == [str(number) for number in range(100)]


def test_a_log_that_nobody_reads_holds_up_nothing_and_what_was_dropped_is_counted(
    output: Output, write: Callable[[str], None]
) -> None:
    output.open.clear()
    write("first")
    assert output.waiting.wait(SECONDS)
    for number in range(10):
        write(str(number))
    output.open.set()
    _wait_for(output, 5)
    assert output.lines[:2] == ["first", "7 lines of the log were dropped: nobody reads it"]
    assert output.lines[2:] == ["0", "1", "2"]


def test_closing_gives_up_on_a_log_that_nobody_reads(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "CLOSING_SECONDS", 0.01)
    output.open.clear()
    writer = LogWriter(output, waiting_records=1)
    for _ in range(5):
        writer.handle(logging.LogRecord("siprec", logging.INFO, "", 0, "line", None, None))
    writer.close()
    assert output.lines == []


def _wait_for(output: Output, count: int) -> None:
    give_up = time.monotonic() + SECONDS
    while len(output.lines) < count and time.monotonic() < give_up:
        time.sleep(0.001)
