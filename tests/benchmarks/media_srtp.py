"""Opens SRTP packets as a recorded line does, and with libsrtp alone: what the path around the ciphers costs."""

import gc
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from time import process_time

from siprec_core.limits import Limits
from siprec_core.media.encryption import LineCipher, MasterKey, ReceivingKey
from siprec_core.sdp.crypto import SUITES
from siprec_core.types import Address, Component, DatagramBatch
from siprec_sync.srtp import PylibsrtpProvider

PACKETS = 2_000
PER_BATCH = 5
ROUNDS = 15
MEASURED = ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
GOAL = 1.3
"""Of the time that libsrtp alone takes."""


def sealed(provider: PylibsrtpProvider, key: MasterKey) -> list[bytes]:
    """Give packets of 20 ms of PCMU, encrypted."""
    context = provider.context(key, sending=True)
    found = []
    for number in range(PACKETS):
        head = b"\x80\x00" + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"\0\0\0\1"
        data = context.protect(head + bytes(160))
        if not isinstance(data, bytes):
            raise TypeError("a packet was not encrypted")
        found.append(data)
    return found


def batches(packets: list[bytes]) -> list[DatagramBatch]:
    sources = [Address("192.0.2.1", 4_000)] * PER_BATCH
    return [
        DatagramBatch([memoryview(each) for each in packets[at : at + PER_BATCH]], sources, [0.02 * at] * PER_BATCH)
        for at in range(0, len(packets), PER_BATCH)
    ]


def measure(suite: str, rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Give microseconds a packet of libsrtp alone and of a line, and their ratio: medians of the rounds."""
    provider, key = PylibsrtpProvider(), MasterKey(suite, bytes(range(SUITES[suite].size)))
    packets = sealed(provider, key)
    gathered = batches(packets)

    def alone() -> int:
        opened = provider.context(key, sending=False)
        return sum(isinstance(opened.unprotect(data), bytes) for data in packets)

    def line() -> int:
        cipher = LineCipher(provider, limits=Limits(), where="line")
        cipher.agree([ReceivingKey(key)], now=0.0)
        return sum(len(cipher.receive(each, component=Component.RTP).datagrams) for each in gathered)

    times = [(_time(alone), _time(line)) for _ in range(rounds)]
    theirs, ours = (median(each[index] for each in times) / PACKETS * 1e6 for index in range(2))
    return theirs, ours, median(line_time / alone_time for alone_time, line_time in times)


def _time(read: Callable[[], int]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = process_time()
        if read() != PACKETS:
            raise RuntimeError("not every packet was opened")
        return process_time() - start
    finally:
        gc.enable()


def section(rounds: int = ROUNDS) -> list[str]:
    """Write the section of the page."""
    lines = ["", "## Opening SRTP", ""]
    if find_spec("pylibsrtp") is None:
        return [*lines, "Not measured: pylibsrtp is not installed."]
    lines += [
        "Microseconds for a packet of 20 ms of PCMU in one process: libsrtp (through pylibsrtp) alone, and a line of a",
        f"recording, which tells packets apart, counts failures and keeps sources and times. The goal is {GOAL} times.",
        "",
        "| | libsrtp alone | siprec | ratio | |",
        "|---|---:|---:|---:|---|",
    ]
    for suite in MEASURED:
        theirs, ours, ratio = measure(suite, rounds)
        lines.append(f"| {suite} | {theirs:.2f} | {ours:.2f} | {ratio:.2f} | {'met' if ratio <= GOAL else 'not met'} |")
    return lines
