"""The connection between a server and one of its media workers: lists of values, and descriptors beside them.

A frame is the size of what follows, then a pickled list. Both ends are processes of one program: nothing of a peer's is
ever unpickled, and the socket has no name that another program could connect to.
"""

import pickle
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

_SIZE: Final = struct.Struct("=I")
_READ_SIZE: Final = 1024 * 1024
MOST_DESCRIPTORS: Final = 128
"""Descriptors of one frame at most; the kernel takes 253."""


class ChannelClosedError(Exception):
    """The other end is gone."""


class WorkerChannel:
    """One end. No method waits, `finish` apart."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self.socket = sock
        self.unsent_size = 0
        """Octets that the other end has no room for yet."""
        self._unsent: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def wait(self, seconds: float = 0.0) -> bool:
        """Tell whether something can be received, the end included, within so long a time."""
        return bool(self._poll.poll(seconds * 1_000))

    def send(self, values: Sequence[object], descriptors: Iterable[int] = ()) -> None:
        """Send values, now or with a later `flush`; descriptors must stay open until the other end has them."""
        content = pickle.dumps(values, pickle.HIGHEST_PROTOCOL)
        self._unsent.append((memoryview(_SIZE.pack(len(content)) + content), tuple(descriptors)))
        self.unsent_size += _SIZE.size + len(content)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room. The loss of the other end shows when receiving."""
        while self._unsent:
            data, descriptors = self._unsent[0]
            try:
                sent = socket.send_fds(self.socket, [data], descriptors) if descriptors else self.socket.send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._unsent.clear()
                self.unsent_size = 0
                return
            self.unsent_size -= sent
            if sent == len(data):
                self._unsent.popleft()
            else:
                self._unsent[0] = (data[sent:], ())

    def receive(self) -> list[object]:
        """Give the values of all whole frames that came. Raises ChannelClosedError when no more will."""
        values: list[object] = []
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, _READ_SIZE, MOST_DESCRIPTORS)
            except (BlockingIOError, InterruptedError):
                return values
            except OSError as error:
                raise ChannelClosedError from error
            self._descriptors.extend(descriptors)
            if not data:
                if values:
                    return values  # the end comes again
                raise ChannelClosedError
            self._received += data
            values += self._take_frames()

    def take_descriptor(self) -> int:
        """Give the oldest descriptor that came and was not taken."""
        return self._descriptors.popleft()

    def finish(self, seconds: float) -> None:
        """Send the rest, which may take so long, and say that nothing follows."""
        self.socket.settimeout(seconds)
        self.flush()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end is gone

    def close(self) -> None:
        """Close this end, and descriptors that nobody took."""
        self.socket.close()
        while self._descriptors:
            socket.close(self._descriptors.popleft())

    def _take_frames(self) -> list[object]:
        values: list[object] = []
        position, received = 0, self._received
        while position + _SIZE.size <= len(received):
            size: int = _SIZE.unpack_from(received, position)[0]
            end = position + _SIZE.size + size
            if end > len(received):
                break
            with memoryview(received) as view:
                values += pickle.loads(view[position + _SIZE.size : end])
            position = end
        del received[:position]
        return values
