"""Encrypted lines of a recording session: keys of ours for answers, and the ciphers of the lines (RFC 4568).

Here the keys of session descriptions meet the ciphers of the media plane. Keys leave in descriptions only; the journal
blots them out of those that it keeps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.media.commands import SendMedia
from siprec_core.media.encryption import (
    CryptoCounts,
    CryptoProvider,
    LineCipher,
    MasterKey,
    ReceivingKey,
    SendingCipher,
)
from siprec_core.media.outputs import SourceFinding
from siprec_core.sdp.crypto import (
    PREFERRED_SUITES,
    SECURE_RTP,
    SUITES,
    CryptoAttribute,
    InlineKey,
    SrtpPolicy,
    offer_crypto,
)
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered, AnswerPlan, LinePlan
from siprec_core.sdp.offer import NegotiatedLine
from siprec_core.types import Component, DatagramBatch, MediaId

_LEAST_WINDOW: Final = 1_024
"""Packets that a recorder remembers at least: what comes late is recorded."""
_LARGEST_WINDOW: Final = 32_767
_LONGEST_PTIME: Final = 40
"""Milliseconds of audio in an encrypted packet: the longest PCM that is offered then stays below 1,356 octets."""


class SecureLines:
    """The encrypted lines of one session."""

    __slots__ = ("_ciphers", "_limits", "_policy", "_provider", "_sending", "_told_unavailable", "suites")

    def __init__(self, provider: CryptoProvider | None, policy: SrtpPolicy, *, limits: Limits) -> None:
        self._provider = provider
        self._policy = policy
        self._limits = limits
        self._ciphers: dict[int, LineCipher] = {}
        self._sending = _SendingCiphers[int](provider)
        self._told_unavailable = False
        self.suites: tuple[str, ...] = usable_suites(provider)
        """The crypto suites that may be accepted, most wanted first."""

    @property
    def policy(self) -> SrtpPolicy:
        """What may be answered: without ciphers nothing that is encrypted."""
        return self._policy if self._provider is not None else SrtpPolicy.OFF

    def unavailable(self, offer: SessionDescription) -> tuple[Finding, ...]:
        """Tell, once, that an offer wants encryption which is allowed but not installed."""
        wanted = any(line.port and line.protocol.upper() in SECURE_RTP for line in offer.media)
        if not wanted or self._told_unavailable or self._policy is self.policy:
            return ()
        self._told_unavailable = True
        return (finding("srtp-unavailable", "offer"),)

    def agree(self, plan: AnswerPlan, ours: SessionDescription, *, now: float) -> None:
        """Take the keys of an exchange that is complete, before the packets under them come; `ours` is our description.

        A line that is not accepted keeps its keys: its last packets are still handed over.
        """
        if self._provider is None:
            return
        for line in plan.accepted:
            own = ours.media[line.index].crypto_attributes
            self._sending.agree(line.index, own[0] if line.crypto is not None and own else None)
            self._agree(line, self._provider, () if line.crypto is None else receiving_keys(line.crypto), now)

    def _agree(self, line: LinePlan, provider: CryptoProvider, keys: tuple[ReceivingKey, ...], now: float) -> None:
        """Take the keys of one line, none for one without encryption."""
        if not keys:
            self._ciphers.pop(line.index, None)
            return
        cipher = self._ciphers.get(line.index)
        if cipher is None:
            where = f"stream {line.index if line.label is None else line.label}"
            cipher = self._ciphers[line.index] = LineCipher(provider, limits=self._limits, where=where)
        cipher.agree(keys, now=now)

    def _is_encrypted(self, index: int) -> bool:
        return index in self._ciphers

    def receive(self, index: int, batch: DatagramBatch, *, component: Component) -> DatagramBatch:
        """Give the authentic datagrams of a line, decrypted; those of a line without encryption as they are."""
        cipher = self._ciphers.get(index)
        return batch if cipher is None else cipher.receive(batch, component=component)

    def seal(self, index: int, command: SendMedia) -> SendMedia | None:
        """Give a report of ours as it leaves: encrypted, or on a line without encryption as it is; None drops it."""
        # RFC 3711 3.4: SRTCP is authenticated; on an encrypted line nothing leaves in the clear.
        if self._is_encrypted(index) and index not in self._sending:
            return None
        return self._sending.seal(index, command)

    def poll(self, index: int) -> SourceFinding | None:
        """Give what the cipher of a line has to tell, None when there is nothing more."""
        cipher = self._ciphers.get(index)
        return None if cipher is None else cipher.poll_output()

    def packets_rejected(self, index: int) -> int:
        """Datagrams of a line's RTP port that were not authentic."""
        cipher = self._ciphers.get(index)
        return 0 if cipher is None else cipher.packets_rejected

    def counts(self) -> Mapping[int, CryptoCounts]:
        """Give what was not opened, by line; lines of which everything was are absent."""
        return {index: cipher.counts for index, cipher in self._ciphers.items() if any(cipher.counts)}


class SecureStreams:
    """The encryption of a recording client: of what it sends, and of the reports that come back."""

    __slots__ = ("_limits", "_provider", "_receiving", "_sending")

    def __init__(self, provider: CryptoProvider | None, *, limits: Limits) -> None:
        self._provider = provider
        self._limits = limits
        self._sending = _SendingCiphers[MediaId](provider)
        self._receiving: dict[MediaId, LineCipher] = {}

    def check(self, suites: Sequence[str]) -> None:
        """Raise LocalProtocolError for a suite that there are no ciphers for."""
        known = usable_suites(self._provider)
        for suite in suites:
            if suite not in known:
                raise LocalProtocolError(f"no ciphers for the crypto suite {suite!r}; there are: {', '.join(known)}")

    def agree(self, media: MediaId, line: NegotiatedLine, *, now: float) -> NegotiatedLine:
        """Encrypt from now on as a line was negotiated, and give the line with packets short enough for that.

        The context goes on while the key is the same, for its SSRC and sequence numbers do (RFC 3711 section 9.1).
        """
        if self._provider is None or line.crypto is None:
            return line
        self._sending.agree(media, line.crypto)
        if line.remote_crypto is not None:
            cipher = self._receiving.get(media)
            if cipher is None:
                where = f"stream {line.label}"
                cipher = self._receiving[media] = LineCipher(self._provider, limits=self._limits, where=where)
            cipher.agree(receiving_keys(line.remote_crypto), now=now)
        return line if line.ptime is None else replace(line, ptime=min(line.ptime, _LONGEST_PTIME))

    def seal(self, command: SendMedia) -> SendMedia | None:
        """Give a packet as it leaves: encrypted, or on a line without encryption as it is; None drops it."""
        return self._sending.seal(command.media, command)

    def receive(self, media: MediaId, batch: DatagramBatch, *, component: Component) -> DatagramBatch:
        """Give the authentic datagrams of a line, decrypted; those of a line without encryption as they are."""
        cipher = self._receiving.get(media)
        return batch if cipher is None else cipher.receive(batch, component=component)


_LineT = TypeVar("_LineT")


class _SendingCiphers(Generic[_LineT]):
    """Ciphers of what leaves, by line; each lives as long as its key."""

    __slots__ = ("_by_line", "_provider")

    def __init__(self, provider: CryptoProvider | None) -> None:
        self._provider = provider
        self._by_line: dict[_LineT, tuple[MasterKey, SendingCipher]] = {}

    def __contains__(self, line: object) -> bool:
        return line in self._by_line

    def agree(self, line: _LineT, ours: CryptoAttribute | None) -> None:
        """Encrypt with the first key of an attribute of ours, or with none."""
        if ours is None or self._provider is None:
            self._by_line.pop(line, None)
            return
        master = MasterKey(ours.suite, ours.keys[0].key)
        known = self._by_line.get(line)
        if known is None or known[0] != master:
            self._by_line[line] = master, SendingCipher(self._provider, master)

    def seal(self, line: _LineT, command: SendMedia) -> SendMedia | None:
        """Give a packet as it leaves; None drops it."""
        known = self._by_line.get(line)
        return command if known is None else known[1].seal(command)


def usable_suites(provider: CryptoProvider | None) -> tuple[str, ...]:
    """Give the suites that a provider has, in our order of preference."""
    return () if provider is None else tuple(name for name in PREFERRED_SUITES if name in provider.suites)


def answer_keys(plan: AnswerPlan, before: Answered | None, ids: Ids) -> dict[int, InlineKey]:
    """Give our master key for each encrypted line of an answer: the one in use where the context goes on, else new."""
    keys: dict[int, InlineKey] = {}
    for line in plan.accepted:
        if line.crypto is not None:
            # RFC 4568 6.1: the key is random, and another one for each line and each direction.
            keys[line.index] = _key_in_use(line, before) or InlineKey(ids.octets(SUITES[line.crypto.suite].size))
    return keys


def _key_in_use(line: LinePlan, before: Answered | None) -> InlineKey | None:
    if before is None or line.index >= len(before.plan.lines):
        return None
    if not line.continues_crypto(before.plan.lines[line.index]):
        return None
    ours = before.answer.media[line.index].crypto_attributes
    return ours[0].keys[0] if ours else None


def offered_crypto(suites: Sequence[str], ids: Ids) -> tuple[CryptoAttribute, ...]:
    """Make the `a=crypto` lines of an offered media line, each with a key of its own.

    Raises LocalProtocolError for a suite that is not known.
    """
    return offer_crypto([(name, InlineKey(ids.octets(SUITES[name].size if name in SUITES else 1))) for name in suites])


def receiving_keys(attribute: CryptoAttribute) -> tuple[ReceivingKey, ...]:
    """Give the keys of an attribute as the media plane wants them."""
    window = min(max(attribute.window_size, _LEAST_WINDOW), _LARGEST_WINDOW)
    return tuple(
        ReceivingKey(
            MasterKey(attribute.suite, key.key, window),
            b"" if key.mki is None else key.mki.to_bytes(key.mki_size, "big"),
        )
        for key in attribute.keys
    )
