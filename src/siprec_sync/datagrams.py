"""Batched reading of UDP sockets into one reusable buffer.

On 64-bit Linux one `recvmmsg` takes up to a buffer full of datagrams with the kernel's arrival times; elsewhere a loop
of `recvfrom_into` gives the same. Either way the result is a `DatagramBatch` that is valid until the next `read`.

`recvmmsg` is called without releasing the interpreter lock: it never blocks (MSG_DONTWAIT), and giving the lock away
thousands of times a tick would cost a thread switch each time while a rendering thread computes.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from siprec_core.types import Address, DatagramBatch

MAXIMUM_DATAGRAM_SIZE = 65_535
"""No UDP datagram is longer (RFC 768: 16 bits of length)."""

_SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; the control message of the arrival time has the same number."""
_TIMESTAMP_CONTROL_SIZE = 32
"""CMSG_SPACE of a timespec on 64-bit Linux: 16 octets of header, 16 of time."""
_CONTROL_SLOT_SIZE = 128
_NAME_SLOT_SIZE = 32
"""Room for a sockaddr_in6 (28), rounded up."""
_CACHED_SOURCES = 16_384
"""Addresses remembered by a reader: a flood of spoofed sources must not grow the memory."""
_CACHED_BATCH = 16
"""Datagrams of a batch whose senders are remembered together: ticks of one stream bring some five."""
_CACHED_SIZES = 64
"""Datagram sizes whose views are kept."""
_LONGEST_WAIT_SECONDS = 10.0
"""Arrival times further back than this, or in the future, come from a stepped wall clock."""
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", {"linux": 8, "darwin": 26}.get(sys.platform))
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", None)
_IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", None)
_SOCKADDR_HEAD = struct.Struct("=H")
_CONTROL_HEADER = struct.Struct("@Nii")


class DatagramReader(Protocol):
    """Reads what waits in a non-blocking UDP socket, a batch at a time."""

    capacity: int
    """Datagrams of one batch at most: a batch with fewer emptied the socket."""
    destinations: Sequence[str | None]
    """Local host that each datagram of the last batch was sent to, None where unknown."""

    def prepare(self, sock: socket.socket) -> None:
        """Switch on what the reader wants to know from the kernel."""

    def synchronise(self) -> None:
        """Compare the kernel's clock with ours; call once before each round of reads."""

    def read(self, sock: socket.socket) -> DatagramBatch | None:
        """Take a batch, None when nothing waits; OSError when the socket is broken."""


def open_reader(*, slots: int = 64, slot_size: int = 2_048, destinations: bool = False) -> DatagramReader:
    """Give the best reader that this system has.

    `slots` datagrams a batch; those up to `slot_size` octets are read without a copy; `destinations` asks for the local
    address of each datagram too.
    """
    if _recvmmsg is not None:
        return MultiMessageReader(slots=slots, slot_size=slot_size, destinations=destinations)
    return SingleMessageReader(slots=min(slots, 16), destinations=destinations)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct mmsghdr`: a `struct msghdr` and the size that was received."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("_header_padding", ctypes.c_uint),
        ("size", ctypes.c_uint),
        ("_padding", ctypes.c_uint),
    )


_HEADER_SIZE = 64
"""sizeof(struct mmsghdr) on 64-bit Linux: 56 + 4 + 4."""


def _load_recvmmsg() -> "ctypes._NamedFuncPointer | None":
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    function: ctypes._NamedFuncPointer | None = getattr(ctypes.PyDLL(None, use_errno=True), "recvmmsg", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        function.restype = ctypes.c_int
    return function


_recvmmsg = _load_recvmmsg()


class MultiMessageReader:
    """`recvmmsg` with kernel arrival times (64-bit Linux)."""

    def __init__(self, *, slots: int = 64, slot_size: int = 2_048, destinations: bool = False) -> None:
        self.capacity = slots
        self.destinations: Sequence[str | None] = ()
        self._wants_destinations = destinations
        self._slot_size = slot_size
        self._buffer = memoryview(bytearray(slots * slot_size))
        self._overflow_size = MAXIMUM_DATAGRAM_SIZE - slot_size
        # What does not fit a slot flows over into a second area, whose pages cost nothing until then.
        self._overflow = memoryview(bytearray(slots * max(self._overflow_size, 0)))
        self._names = memoryview(bytearray(slots * _NAME_SLOT_SIZE))
        self._controls = memoryview(bytearray(slots * _CONTROL_SLOT_SIZE))
        self._headers = self._build_headers(slots)
        octets = memoryview(self._headers).cast("B")
        self._header_octets = octets
        self._template = bytes(octets)
        self._sizes = octets.cast("I")[_Header.size.offset // 4 :: _HEADER_SIZE // 4]
        self._control_sizes = octets.cast("Q")[_Header.control_size.offset // 8 :: _HEADER_SIZE // 8]
        times = self._controls.cast("q")
        self._seconds = times[2 :: _CONTROL_SLOT_SIZE // 8]
        self._nanoseconds = times[3 :: _CONTROL_SLOT_SIZE // 8]
        self._headers_address = ctypes.addressof(self._headers)
        self._views: dict[int, list[memoryview]] = {}
        self._sources: dict[bytes, Address] = {}
        self._batches: dict[bytes, tuple[Address, ...]] = {}
        # Apart, because a float of seconds since 1970 is good for a quarter of a microsecond only.
        self._offset_seconds, self._offset_fraction = 0, 0.0
        self.synchronise()

    def _build_headers(self, slots: int) -> "ctypes.Array[_Header]":
        headers = (_Header * slots)()
        self._vectors = (_Vector * (2 * slots))()
        areas = [
            (_address_of(self._buffer), self._slot_size),
            (_address_of(self._overflow), max(self._overflow_size, 0)),
        ]
        names, controls = _address_of(self._names), _address_of(self._controls)
        for index in range(slots):
            for part, (base, size) in enumerate(areas):
                self._vectors[2 * index + part] = _Vector(base + index * size, size)
            headers[index] = _Header(
                name=names + index * _NAME_SLOT_SIZE,
                name_size=_NAME_SLOT_SIZE,
                vectors=ctypes.addressof(self._vectors) + 2 * index * ctypes.sizeof(_Vector),
                vector_count=2,
                control=controls + index * _CONTROL_SLOT_SIZE,
                control_size=_CONTROL_SLOT_SIZE,
            )
        return headers

    def prepare(self, sock: socket.socket) -> None:
        """Ask for arrival times, and for destinations where they are wanted."""
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if self._wants_destinations:
            _ask_destinations(sock)

    def synchronise(self) -> None:
        """Sample how far the wall clock, which stamps datagrams, is from the monotonic clock."""
        whole, nanoseconds = divmod(time.time_ns() - time.monotonic_ns(), 1_000_000_000)
        self._offset_seconds, self._offset_fraction = whole, nanoseconds * 1e-9

    def read(self, sock: socket.socket) -> DatagramBatch | None:
        """Take up to `capacity` datagrams with one system call."""
        if _recvmmsg is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        count = _recvmmsg(sock.fileno(), self._headers_address, self.capacity, socket.MSG_DONTWAIT, None)
        if count <= 0:
            number = ctypes.get_errno() if count < 0 else errno.EAGAIN
            if number in {errno.EAGAIN, errno.EINTR}:
                return None
            raise OSError(number, os.strerror(number))
        sizes = self._sizes[:count].tolist()
        control_sizes = self._control_sizes[:count].tolist()
        # The kernel wrote the sizes that it used into the headers: put ours back for the next call.
        self._header_octets[: count * _HEADER_SIZE] = self._template[: count * _HEADER_SIZE]
        if control_sizes.count(_TIMESTAMP_CONTROL_SIZE) == count:
            whole, fraction = self._offset_seconds, self._offset_fraction
            arrivals = [
                (second - whole) + (nanosecond * 1e-9 - fraction)
                for second, nanosecond in zip(
                    self._seconds[:count].tolist(), self._nanoseconds[:count].tolist(), strict=True
                )
            ]
            self.destinations = (None,) * count
        else:
            arrivals = self._read_controls(control_sizes)
        return DatagramBatch(self._datagrams(sizes), self._senders(count), _believable(arrivals))

    def _datagrams(self, sizes: list[int]) -> list[memoryview | bytes]:
        size = sizes[0]
        if size <= self._slot_size and sizes.count(size) == len(sizes):
            return list(self._views_of(size)[: len(sizes)])
        return [
            self._views_of(size)[index] if size <= self._slot_size else self._long_datagram(index, size)
            for index, size in enumerate(sizes)
        ]

    def _views_of(self, size: int) -> list[memoryview]:
        """Give the first `size` octets of each slot; the buffer stays, so the views can stay too."""
        views = self._views.get(size)
        if views is None:
            if len(self._views) >= _CACHED_SIZES:
                self._views.clear()
            step = self._slot_size
            buffer = self._buffer.toreadonly()
            views = [buffer[start : start + size] for start in range(0, self.capacity * step, step)]
            self._views[size] = views
        return views

    def _long_datagram(self, index: int, size: int) -> bytes:
        start, rest = index * self._slot_size, index * self._overflow_size
        tail = self._overflow[rest : rest + size - self._slot_size]
        return b"".join((self._buffer[start : start + self._slot_size], tail))

    def _senders(self, count: int) -> tuple[Address, ...]:
        names = bytes(self._names[: count * _NAME_SLOT_SIZE])
        # A media socket nearly always hears one sender, so whole batches repeat.
        senders = self._batches.get(names)
        if senders is None:
            starts = range(0, len(names), _NAME_SLOT_SIZE)
            senders = tuple(self._source(names[start : start + _NAME_SLOT_SIZE]) for start in starts)
            if len(self._batches) >= _CACHED_SOURCES:
                self._batches.clear()
            if count <= _CACHED_BATCH:
                self._batches[names] = senders
        return senders

    def _source(self, name: bytes) -> Address:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _CACHED_SOURCES:
                self._sources.clear()
            source = self._sources[name] = _decode_name(name)
        return source

    def _read_controls(self, control_sizes: list[int]) -> list[float]:
        """Read arrival times and destinations one control message at a time."""
        arrivals: list[float] = []
        destinations: list[str | None] = []
        default = time.monotonic()
        for index, size in enumerate(control_sizes):
            arrival, destination = default, None
            start = index * _CONTROL_SLOT_SIZE
            for level, kind, data in _control_messages(bytes(self._controls[start : start + size])):
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) == 16:
                    second, nanosecond = struct.unpack("@qq", data)
                    arrival = (second - self._offset_seconds) + (nanosecond * 1e-9 - self._offset_fraction)
                else:
                    destination = _destination_of(level, kind, data) or destination
            arrivals.append(arrival)
            destinations.append(destination)
        self.destinations = destinations
        return arrivals


class SingleMessageReader:
    """A loop of one system call a datagram, for systems without `recvmmsg`."""

    def __init__(self, *, slots: int = 16, slot_size: int = MAXIMUM_DATAGRAM_SIZE, destinations: bool = False) -> None:
        self.capacity = slots
        self.destinations: Sequence[str | None] = ()
        self._wants_destinations = destinations and hasattr(socket.socket, "recvmsg_into")
        # One call fills one buffer, so a slot has to hold the longest datagram.
        size = max(slot_size, MAXIMUM_DATAGRAM_SIZE)
        buffer = memoryview(bytearray(slots * size))
        self._slots = [buffer[start : start + size] for start in range(0, slots * size, size)]
        self._sources: dict[object, Address] = {}

    def prepare(self, sock: socket.socket) -> None:
        """Ask for destinations where they are wanted and the system can tell."""
        if self._wants_destinations:
            _ask_destinations(sock)

    def synchronise(self) -> None:
        """Nothing to compare: arrival is the moment of reading."""

    def read(self, sock: socket.socket) -> DatagramBatch | None:
        """Take up to `capacity` datagrams."""
        datagrams: list[memoryview | bytes] = []
        sources: list[Address] = []
        arrivals: list[float] = []
        destinations: list[str | None] = []
        for slot in self._slots:
            try:
                size, name, destination = self._read_one(sock, slot)
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                # Some systems report on a later read that nobody listened where we sent to; it says nothing about this
                # socket's health.
                continue
            except OSError:
                if not datagrams:
                    raise
                break
            datagrams.append(slot[:size].toreadonly())
            sources.append(self._source(name))
            arrivals.append(time.monotonic())
            destinations.append(destination)
        self.destinations = destinations
        return DatagramBatch(datagrams, sources, arrivals) if datagrams else None

    def _read_one(self, sock: socket.socket, slot: memoryview) -> tuple[int, object, str | None]:
        if not self._wants_destinations:
            size, name = sock.recvfrom_into(slot)
            return size, name, None
        size, controls, _, name = sock.recvmsg_into([slot], _CONTROL_SLOT_SIZE)
        found = (_destination_of(level, kind, data) for level, kind, data in controls)
        return size, name, next((destination for destination in found if destination), None)

    def _source(self, name: object) -> Address:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _CACHED_SOURCES:
                self._sources.clear()
            source = self._sources[name] = address_of(name)
        return source


def address_of(name: object) -> Address:
    """Make an `Address` of what Python's socket functions give for IPv4 and IPv6."""
    match name:
        case (str(host), int(port)):
            return Address(host, port)
        case (str(host), int(port), int(), int(scope)):
            return Address(_with_scope(host, scope), port)
        case _:
            return Address("", 0)


def destination_control(local: str) -> list[tuple[int, int, bytes]]:
    """Give the control messages that make a datagram leave from `local`, none where the system cannot say so."""
    host, _, _ = local.partition("%")
    if ":" in host:
        if _IPV6_PKTINFO is None:
            return []
        return [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, host) + bytes(4))]
    if _IP_PKTINFO is None:
        return []
    return [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + socket.inet_aton(host) + bytes(4))]


def _ask_destinations(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        if _IPV6_RECVPKTINFO is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    elif _IP_PKTINFO is not None:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _destination_of(level: int, kind: int, data: bytes) -> str | None:
    """Read `struct in_pktinfo` (octets 8 to 12: the destination) and `struct in6_pktinfo` (RFC 3542 section 6)."""
    if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(data) >= 12:
        return socket.inet_ntop(socket.AF_INET, data[8:12])
    if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO and len(data) >= 20:
        host = socket.inet_ntop(socket.AF_INET6, data[:16])
        return _with_scope(host, struct.unpack_from("@I", data, 16)[0])
    return None


def _control_messages(data: bytes) -> list[tuple[int, int, bytes]]:
    messages: list[tuple[int, int, bytes]] = []
    offset = 0
    while offset + _CONTROL_HEADER.size <= len(data):
        size, level, kind = _CONTROL_HEADER.unpack_from(data, offset)
        if size < _CONTROL_HEADER.size:
            break
        messages.append((level, kind, data[offset + _CONTROL_HEADER.size : offset + size]))
        offset += (size + 7) & ~7
    return messages


def _decode_name(name: bytes) -> Address:
    family = _SOCKADDR_HEAD.unpack_from(name)[0]
    port = int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return Address(socket.inet_ntop(socket.AF_INET, name[4:8]), port)
    if family == socket.AF_INET6:
        host = socket.inet_ntop(socket.AF_INET6, name[8:24])
        return Address(_with_scope(host, struct.unpack_from("=I", name, 24)[0]), port)
    return Address("", 0)


def _with_scope(host: str, scope: int) -> str:
    """Name the interface of a link-local address, which means nothing without it (RFC 4007 section 11)."""
    return f"{host}%{scope}" if scope and host.startswith("fe80:") and "%" not in host else host


def _believable(arrivals: list[float]) -> list[float]:
    """Keep arrival times near the present: the wall clock that stamped them may have been stepped since."""
    now = time.monotonic()
    earliest = now - _LONGEST_WAIT_SECONDS
    # The kernel queues in order, so a step shows at one end of the batch or the other.
    if earliest <= arrivals[0] <= now and earliest <= arrivals[-1] <= now:
        return arrivals
    return [arrival if earliest <= arrival <= now else now for arrival in arrivals]


def _address_of(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) if len(view) else 0
