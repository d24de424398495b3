"""Logs that nobody waits for: a thread writes them, so that who does not read a log delays no call."""

import logging
import queue
import threading
from typing import Final

WAITING_RECORDS: Final = 10_000
"""Lines that may wait; those above it are dropped, and their number is logged."""
CLOSING_SECONDS: Final = 2.0
"""How long the end waits for lines to be written."""


class LogWriter(logging.Handler):
    """Hands records to a thread that gives them to `output`. Nothing but `close` waits."""

    def __init__(self, output: logging.Handler, *, waiting_records: int = WAITING_RECORDS) -> None:
        super().__init__()
        self._output = output
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(waiting_records)
        self._dropped = 0
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="siprec-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record, or count it as dropped."""
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Wait until what is queued is written, if that goes on. Harmless twice."""
        if not self._closed:
            self._closed = True
            self._end_thread()
        super().close()

    def _end_thread(self) -> None:
        try:
            self._records.put(None, timeout=CLOSING_SECONDS)
        except queue.Full:
            return  # nobody reads: the thread ends with the program
        self._thread.join(CLOSING_SECONDS)

    def _write(self) -> None:
        while (record := self._records.get()) is not None:
            self._output.handle(record)
            # One thread counts and the other takes the count: a line counted in between is told with the next ones.
            dropped = self._dropped
            if dropped:
                self._dropped -= dropped
                self._output.handle(_told(dropped))


def _told(dropped: int) -> logging.LogRecord:
    return logging.LogRecord(
        "siprec.log",
        logging.WARNING,
        __file__,
        0,
        "%d lines of the log were dropped: nobody reads it",
        (dropped,),
        None,
    )
