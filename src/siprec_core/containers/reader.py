"""Reads a capture file of either format; the first four octets tell which one it is."""

from typing import TypeAlias

from siprec_core.containers.capture import CaptureProblem, Interface, Packet, Section, Statistics, capture_problem
from siprec_core.containers.pcap import MAGICS, PcapReader
from siprec_core.containers.pcapng_reader import PcapngReader
from siprec_core.limits import Limits

CaptureItem: TypeAlias = Section | Interface | Packet | Statistics | CaptureProblem

_PCAPNG = b"\x0a\x0d\x0d\x0a"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"\xfd\x37": "xz", b"\x42\x5a": "bzip2", b"\x50\x4b": "zip"}


class CaptureReader:
    """Turns the octets of a pcap or pcapng file into items.

    Feed octets with `receive`, take items with `poll` until it gives None, and so on; after the last octet call
    `end_of_file` and take what is left. Never raises for what the file holds.
    """

    __slots__ = ("_ended", "_limits", "_reader", "_start", "_unknown")

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._start = b""
        self._reader: PcapReader | PcapngReader | None = None
        self._unknown: CaptureProblem | None = None
        self._ended = False

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next octets of the file, any number of them."""
        if self._reader is not None:
            self._reader.receive(data)
        elif len(self._start) < 4:
            self._start += data
            if len(self._start) >= 4:
                self._begin()

    def end_of_file(self) -> None:
        """Tell that no octet follows."""
        if self._reader is not None:
            self._reader.end_of_file()
        elif len(self._start) < 4 and not self._ended:
            what = "the file is too short" if self._start else "the file is empty"
            self._unknown = capture_problem("capture-unknown", what, offset=0)
        self._ended = True

    def poll(self) -> CaptureItem | None:
        """Give the next item, None when more octets are needed (or the file is at its end)."""
        if self._reader is not None:
            return self._reader.poll()
        problem, self._unknown = self._unknown, None
        return problem

    def _begin(self) -> None:
        magic = self._start[:4]
        if magic == _PCAPNG:
            self._reader = PcapngReader(limits=self._limits)
        elif magic in MAGICS:
            self._reader = PcapReader(limits=self._limits)
        else:
            packed = _COMPRESSED.get(magic[:2])
            message = f"the file is packed with {packed}; unpack it first" if packed else "neither pcap nor pcapng"
            self._unknown = capture_problem("capture-unknown", message, offset=0)
            self._start = magic
            return
        self._reader.receive(self._start)
        self._start = b""
