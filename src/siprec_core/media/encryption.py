"""Encrypted media lines (SRTP, RFC 3711): whose key a packet is opened with, and what becomes of those that none opens.

The ciphers themselves come from outside, behind `CryptoProvider`. A packet is opened before anything else is done with
it, so receiver and journal know decrypted packets alone, and forged ones never reach them. Master key identifiers are
taken off here: a provider sees packets as RFC 3711 has them without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, Protocol

from siprec_core.findings import finding
from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.media.commands import SendMedia
from siprec_core.media.outputs import SourceFinding
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.types import Address, Component, DatagramBatch


@dataclass(frozen=True, slots=True)
class MasterKey:
    """What a cryptographic context is made from."""

    suite: str
    """Name of the crypto suite, for example `AES_CM_128_HMAC_SHA1_80`."""
    key: bytes = field(repr=False)
    """Master key and master salt, one behind the other."""
    window_size: int = 1024
    """Packets remembered against replay (RFC 3711 section 3.3.2)."""


class CryptoFailure(Enum):
    """Why a packet was not opened."""

    AUTHENTICATION = "authentication"
    """Its tag is wrong: another key, damage or forgery."""
    REPLAY = "replay"
    """It came before, or is older than the window."""
    MALFORMED = "malformed"
    """It is too short, too long, or cannot be read."""


class CryptoContext(Protocol):
    """Ciphers under one master key in one direction. Nothing here raises for what a packet holds.

    Rollover counters and replay lists are kept by SSRC, and change only once a packet is authenticated
    (RFC 3711 sections 3.3.1 and 3.3.2).
    """

    def unprotect(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the RTP packet within an SRTP packet."""

    def unprotect_all(self, packets: Sequence[bytes]) -> list[bytes | CryptoFailure]:
        """Give what `unprotect` gives for each of them, in order."""

    def unprotect_rtcp(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the RTCP packet within an SRTCP packet."""

    def protect(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the SRTP packet for an RTP packet."""

    def protect_rtcp(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the SRTCP packet for an RTCP packet."""


class CryptoProvider(Protocol):
    """Makes cryptographic contexts."""

    @property
    def suites(self) -> Sequence[str]:
        """Names of the crypto suites that contexts can be made for."""

    def context(self, key: MasterKey, *, sending: bool) -> CryptoContext:
        """Make a context, to protect when `sending`, else to unprotect."""


class ReceivingKey(NamedTuple):
    """One key that a peer may encrypt with."""

    master: MasterKey
    identifier: bytes = b""
    """Master key identifier in each packet (RFC 3711 section 3.1), empty when packets carry none."""


class CryptoCounts(NamedTuple):
    """Datagrams of one line that were not opened."""

    failed: int
    """Wrong tag, unknown key identifier, or malformed."""
    replayed: int


_GRACE_SECONDS: Final = 10.0
"""How long packets under the keys before a change may still be on their way."""
_ALL_FAILED: Final = 10
_ALL_FAILED_SECONDS: Final = 2.0
"""So many packets, or so long a time, without one that is authentic: then the key is told to be wrong."""
_SSRC = slice(8, 12)
_RTCP_TAG_SIZE: Final = 10


class LineCipher:
    """Opens what comes to one encrypted line. Drain `poll_output` after each input."""

    __slots__ = (
        "_authentic",
        "_current",
        "_failed",
        "_first_failure",
        "_found",
        "_keys",
        "_limits",
        "_outbox",
        "_previous",
        "_previous_until",
        "_provider",
        "_rejected",
        "_replayed",
        "_where",
    )

    def __init__(self, provider: CryptoProvider, *, limits: Limits, where: str) -> None:
        self._provider = provider
        self._limits = limits
        self._where = where
        self._keys: tuple[ReceivingKey, ...] = ()
        self._current: _Contexts | None = None
        self._previous: _Contexts | None = None
        self._previous_until: float | None = None
        self._outbox: Outbox[SourceFinding] = Outbox()
        self._found: set[str] = set()
        self._authentic = self._failed = self._replayed = 0
        self._rejected = {Component.RTP: 0, Component.RTCP: 0}
        self._first_failure: float | None = None

    def agree(self, keys: Sequence[ReceivingKey], *, now: float) -> None:
        """Take the keys that the peer named last.

        With the same keys everything goes on, rollover counters too (RFC 4568 section 7.1.4). Those before a change
        are still tried for ten seconds: packets of theirs may be on their way.
        """
        agreed = tuple(keys)
        if agreed == self._keys:
            return
        self._keys = agreed
        self._previous, self._previous_until = self._current, now + _GRACE_SECONDS
        self._current = _Contexts(self._provider, agreed, self._limits)
        self._authentic, self._first_failure = 0, None

    @property
    def counts(self) -> CryptoCounts:
        """Give the datagrams that were not opened, of both components."""
        return CryptoCounts(self._failed, self._replayed)

    @property
    def packets_rejected(self) -> int:
        """Datagrams of the RTP port that were not opened."""
        return self._rejected[Component.RTP]

    def receive(self, batch: DatagramBatch, *, component: Component) -> DatagramBatch:
        """Give the datagrams of a batch that are authentic, decrypted; what is no RTP or RTCP stays as it is."""
        tried: Sequence[bytes | CryptoFailure | None] | None = None
        if component is Component.RTP and self._current is not None:
            # Nearly always: RTP of sources that are known, all authentic.
            tried = self._current.open_all(batch.datagrams)
            if tried is not None:
                plain = [each for each in tried if isinstance(each, bytes)]
                if len(plain) == len(tried):
                    self._authentic += len(plain)
                    return DatagramBatch(plain, batch.sources, batch.arrivals)
        return self._receive_each(batch, component, tried or [None] * len(batch))

    def _receive_each(
        self, batch: DatagramBatch, component: Component, tried: Sequence[bytes | CryptoFailure | None]
    ) -> DatagramBatch:
        """Take datagrams one by one; `tried` is what the current key made of them, None where it was not tried."""
        datagrams: list[bytes | memoryview] = []
        sources: list[Address] = []
        arrivals: list[float] = []
        for (data, source, arrival), first in zip(batch, tried, strict=True):
            opened = self._open(data, component, arrival, first)
            if isinstance(opened, CryptoFailure):
                self._reject(opened, component, arrival)
                continue
            datagrams.append(opened)
            sources.append(source)
            arrivals.append(arrival)
        return DatagramBatch(datagrams, sources, arrivals)

    def poll_output(self) -> SourceFinding | None:
        """Give the oldest finding not yet taken, None when there is none."""
        return self._outbox.poll()

    def _open(
        self, data: bytes | memoryview, component: Component, arrival: float, first: bytes | CryptoFailure | None
    ) -> bytes | memoryview | CryptoFailure:
        kind = classify(data)
        if kind not in (DatagramKind.RTP, DatagramKind.RTCP):
            return data
        current = self._current
        if current is None:
            return CryptoFailure.AUTHENTICATION
        packet = bytes(data)
        rtcp = component is Component.RTCP or kind is DatagramKind.RTCP
        opened = current.open(packet, rtcp=rtcp) if first is None else first
        if opened is CryptoFailure.AUTHENTICATION and self._previous is not None:
            if self._previous_until is not None and arrival > self._previous_until:
                self._previous = None
            else:
                opened = self._previous.open(packet, rtcp=rtcp)
        if not isinstance(opened, CryptoFailure):
            self._authentic += 1
        return opened

    def _reject(self, failure: CryptoFailure, component: Component, arrival: float) -> None:
        self._rejected[component] += 1
        if failure is CryptoFailure.REPLAY:
            self._replayed += 1
            self._find("srtp-replayed", arrival)
            return
        self._failed += 1
        if self._first_failure is None:
            self._first_failure = arrival
        if self._authentic:
            self._find("srtp-rejected", arrival)
        elif self._failed >= _ALL_FAILED or arrival - self._first_failure >= _ALL_FAILED_SECONDS:
            self._find("srtp-unauthenticated", arrival)

    def _find(self, code: str, arrival: float) -> None:
        if code not in self._found:
            self._found.add(code)
            self._outbox.put(SourceFinding(finding=finding(code, self._where), at=arrival, replayable=False))


class SendingCipher:
    """Encrypts what leaves on one line."""

    __slots__ = ("_context",)

    def __init__(self, provider: CryptoProvider, key: MasterKey) -> None:
        self._context = provider.context(key, sending=True)

    def seal(self, command: SendMedia) -> SendMedia | None:
        """Give a command with its packet encrypted, RTCP as SRTCP; None for a packet too long to be."""
        rtcp = command.component is Component.RTCP or classify(command.data) is DatagramKind.RTCP
        sealed = self._context.protect_rtcp(command.data) if rtcp else self._context.protect(command.data)
        if isinstance(sealed, CryptoFailure):
            return None
        return SendMedia(media=command.media, component=command.component, to=command.to, data=sealed)


class _Contexts:
    """The contexts of the keys that were named together, told apart by their identifiers."""

    __slots__ = ("_by_identifier", "_identifier_size", "_limits", "_rtcp_tag_size", "_rtp_tag_size", "_ssrcs")

    def __init__(self, provider: CryptoProvider, keys: Sequence[ReceivingKey], limits: Limits) -> None:
        self._limits = limits
        self._by_identifier: Mapping[bytes, CryptoContext] = {
            key.identifier: provider.context(key.master, sending=False) for key in keys
        }
        self._identifier_size = len(keys[0].identifier)
        self._rtp_tag_size, self._rtcp_tag_size = _tag_sizes(keys[0].master.suite)
        self._ssrcs: set[bytes] = set()

    def open_all(self, datagrams: Sequence[bytes | memoryview]) -> list[bytes | CryptoFailure] | None:
        """Decrypt RTP of sources that are known; None, and nothing was tried, when anything else is among it."""
        if self._identifier_size:
            return None
        packets = [bytes(data) for data in datagrams]
        ssrcs = self._ssrcs
        for packet in packets:
            # What is too short has no such octets; the first two tell RTP from the rest (RFC 7983, RFC 5761 4).
            if packet[_SSRC] not in ssrcs or packet[0] >> 6 != 2 or 192 <= packet[1] <= 223:
                return None
        return self._by_identifier[b""].unprotect_all(packets)

    def open(self, packet: bytes, *, rtcp: bool) -> bytes | CryptoFailure:
        """Decrypt a packet under the key that it names."""
        ssrc = packet[4:8] if rtcp else packet[_SSRC]
        if ssrc not in self._ssrcs and len(self._ssrcs) >= self._limits.srtp_ssrcs:
            return CryptoFailure.MALFORMED
        identifier = b""
        if self._identifier_size:
            # RFC 3711 3.1: the identifier stands in front of the tag; RFC 7714 8.2 and 9.2: behind all else.
            end = len(packet) - (self._rtcp_tag_size if rtcp else self._rtp_tag_size)
            begin = end - self._identifier_size
            if begin < len(ssrc):
                return CryptoFailure.MALFORMED
            identifier = packet[begin:end]
            packet = packet[:begin] + packet[end:]
        context = self._by_identifier.get(identifier)
        if context is None:
            return CryptoFailure.AUTHENTICATION
        opened = context.unprotect_rtcp(packet) if rtcp else context.unprotect(packet)
        if not isinstance(opened, CryptoFailure):
            self._ssrcs.add(ssrc)
        return opened


def _tag_sizes(suite: str) -> tuple[int, int]:
    """Give the octets behind the key identifier of an SRTP and an SRTCP packet."""
    if suite.startswith("AEAD_"):
        return 0, 0
    # RFC 3711 3.4: the tag of SRTCP has 80 bits also where that of SRTP has 32 (RFC 4568 6.2.2).
    return (4 if suite.endswith("_32") else _RTCP_TAG_SIZE), _RTCP_TAG_SIZE
