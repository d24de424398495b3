"""Nonces of our own making and the counts they were used with (RFC 7616 sections 3.3, 5.4 and 5.5).

A nonce carries its own time of issue under a MAC over realm and algorithm, so that a challenge costs no memory: only a
nonce that a known user has answered is remembered, until it expires.

    nonce = base64(time of issue, 8 octets | random, 10 octets | MAC, 18 octets)

Base64 of 36 octets has neither padding nor unused bits: one nonce has one spelling.
"""

import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from math import inf
from typing import Final

from siprec_core.entropy import Entropy
from siprec_core.sip.digest_hash import Algorithm, octets_of
from siprec_core.timers import TimerQueue

__all__ = ["Nonce", "Nonces"]

_TIME_SIZE: Final = 8
_RANDOM_SIZE: Final = 10
_MAC_SIZE: Final = 18
_TEXT_SIZE: Final = (_TIME_SIZE + _RANDOM_SIZE + _MAC_SIZE) * 4 // 3
_TIME_MASK: Final = (1 << 8 * _TIME_SIZE) - 1
WINDOW: Final = 64
"""How far a count may lie behind the highest one: requests overtake each other on UDP."""
_WINDOW_MASK: Final = (1 << WINDOW) - 1
_ONCE: Final = 1 << 33
"""Counted for an answer without a count: beyond the window of each number of 32 bits."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """A nonce of ours that has not expired."""

    octets: bytes
    issued: int
    """Microseconds on the caller's clock."""


class _Use:
    """What a nonce was used for."""

    __slots__ = ("highest", "issued", "seen", "session_ha1", "username")

    def __init__(self, username: str, issued: int, session_ha1: str | None) -> None:
        self.username = username
        self.issued = issued
        self.session_ha1 = session_ha1
        self.highest = 0
        self.seen = 1
        """Bit n: the count `highest - n` was used. Zero counts as used: counts begin with one."""

    def count(self, number: int) -> bool:
        """Mark a count as used; False when it was used before or lies behind the window."""
        ahead = number - self.highest
        if ahead > 0:
            # Shifting by as much as a peer asks would make a number of 2**32 bits.
            self.seen = (self.seen << ahead | 1) & _WINDOW_MASK if ahead < WINDOW else 1
            self.highest = number
            return True
        bit = 1 << -ahead if -ahead < WINDOW else 0
        if not bit or self.seen & bit:
            return False
        self.seen |= bit
        return True


class Nonces:
    """Issues nonces, recognises them and lets each count of each nonce pass once."""

    __slots__ = (
        "_entropy",
        "_expiry",
        "_key",
        "_lifetime",
        "_limit",
        "_offset",
        "_realm",
        "_remembered_after",
        "_uses",
    )

    def __init__(self, realm: str, *, key: bytes, entropy: Entropy, lifetime: float, limit: int) -> None:
        self._realm = octets_of(realm)
        self._key = key
        self._entropy = entropy
        self._lifetime = _microseconds(lifetime)
        self._limit = limit
        # A monotonic clock counts from the start of the machine: a secret offset keeps that from everyone.
        self._offset = int.from_bytes(hmac.digest(key, b"offset", "sha256")[:_TIME_SIZE], "big")
        self._uses: dict[bytes, _Use] = {}
        self._expiry: TimerQueue[bytes] = TimerQueue()
        self._remembered_after = -inf

    def __len__(self) -> int:
        """How many nonces are remembered."""
        return len(self._uses)

    def issue(self, algorithm: Algorithm, *, now: float) -> str:
        """Give a new nonce that is good for answers with that algorithm only."""
        time = (_microseconds(now) + self._offset) & _TIME_MASK
        head = time.to_bytes(_TIME_SIZE, "big") + self._entropy(_RANDOM_SIZE)
        return b64encode(head + self._mac(head, algorithm)).decode("ascii")

    def read(self, text: str, algorithm: Algorithm, *, now: float) -> Nonce | None:
        """Give the nonce that a peer sent back; None when it is not ours, expired, or too old for our memory."""
        if len(text) != _TEXT_SIZE:
            return None
        try:
            octets = b64decode(text, validate=True)
        except ValueError:
            return None
        head, mac = octets[:-_MAC_SIZE], octets[-_MAC_SIZE:]
        if not hmac.compare_digest(mac, self._mac(head, algorithm)):
            return None
        at = _microseconds(now)
        # A time of issue in the future wraps to an age beyond every lifetime.
        age = (at + self._offset - int.from_bytes(head[:_TIME_SIZE], "big")) & _TIME_MASK
        if age > self._lifetime or self._is_forgotten(octets, at - age):
            return None
        return Nonce(octets, at - age)

    def session_ha1(self, nonce: Nonce, username: str) -> str | None:
        """Give H(A1) of that user's first answer to a nonce; None before it and for algorithms without `-sess`."""
        use = self._uses.get(nonce.octets)
        return None if use is None or use.username != username else use.session_ha1

    def spend(
        self, nonce: Nonce, count: int | None, *, username: str, session_ha1: str | None = None, now: float
    ) -> bool:
        """Let a count of a nonce pass once; False when it did before, or the nonce is another user's.

        Without a count the nonce passes once in all. Call it for a right response only: a wrong one must use nothing
        up and take no memory.
        """
        use = self._uses.get(nonce.octets)
        if use is None:
            use = self._remember(nonce, username, session_ha1, now)
        elif use.username != username or count is None:
            return False
        return use.count(_ONCE if count is None else count)

    def _remember(self, nonce: Nonce, username: str, session_ha1: str | None, now: float) -> _Use:
        at = _microseconds(now)
        # What expired is refused by its age; strictly before `at`, as `read` still takes an age of the whole lifetime.
        while (expired := self._expiry.pop_due(at - 1)) is not None:
            del self._uses[expired]
        if len(self._uses) >= self._limit and (oldest := self._expiry.next_key()) is not None:
            # Forgetting alone would let the forgotten nonce pass again: all that are as old become stale.
            self._remembered_after = max(self._remembered_after, self._uses.pop(oldest).issued)
            self._expiry.cancel(oldest)
        use = self._uses[nonce.octets] = _Use(username, nonce.issued, session_ha1)
        self._expiry.set(nonce.octets, nonce.issued + self._lifetime)
        return use

    def _is_forgotten(self, octets: bytes, issued: int) -> bool:
        return issued <= self._remembered_after and octets not in self._uses

    def _mac(self, head: bytes, algorithm: Algorithm) -> bytes:
        message = b"%b%b:%b" % (head, algorithm.value.encode("ascii"), self._realm)
        return hmac.digest(self._key, message, "sha256")[:_MAC_SIZE]


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
