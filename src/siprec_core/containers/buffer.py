"""Octets that come in chunks of any size, for readers that need a known number of them at a time.

Chunks are joined only when what is needed is there, so the cost is linear however small the chunks are.
"""


class ChunkBuffer:
    """A queue of octets. `data[offset:]` are those that can be read; what `has` was asked for is among them."""

    __slots__ = ("_start", "_waiting", "_waiting_size", "data", "offset")

    def __init__(self) -> None:
        self.data = b""
        self.offset = 0
        self._start = 0
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    @property
    def position(self) -> int:
        """Octets skipped since the beginning: where `offset` stands in the whole."""
        return self._start + self.offset

    @property
    def size(self) -> int:
        """Octets that are there, those included that were not joined yet."""
        return len(self.data) - self.offset + self._waiting_size

    def receive(self, data: bytes | memoryview) -> None:
        """Append octets."""
        if len(data):
            self._waiting.append(bytes(data))
            self._waiting_size += len(data)

    def has(self, size: int) -> bool:
        """Tell whether `size` octets from `offset` on are there; if so they can be read."""
        if len(self.data) - self.offset >= size:
            return True
        if self.size < size:
            return False
        self.join()
        return True

    def join(self) -> None:
        """Make all octets that are there readable."""
        if not self._waiting:
            return
        self._start += self.offset
        left = self.data[self.offset :]
        self.data = b"".join((left, *self._waiting)) if left or len(self._waiting) > 1 else self._waiting[0]
        self.offset = 0
        self._waiting.clear()
        self._waiting_size = 0

    def skip(self, size: int) -> None:
        """Leave octets behind; at most `size` octets that are there."""
        if len(self.data) - self.offset < size:
            self.join()
        self.offset += min(size, len(self.data) - self.offset)
