"""What a capture holds: the SIP messages in order, and the RTP of each flow and synchronisation source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siprec.description import Json, address_json, describe_document, findings_json
from siprec.documents import LIMITS, Document, decode_message, document_of, refused_document
from siprec_core.clock import format_instant
from siprec_core.containers.capture import CaptureProblem, Datagram
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.recording.signalling import looks_like_sip
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.sequence import SequenceTracker, Verdict
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES
from siprec_core.sip.framing import MessageFramer
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Address

_CHUNK_SIZE: Final = 1024 * 1024
_SOURCES: Final = 10_000
"""Flows and synchronisation sources that are told one by one."""


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """A SIP message of a capture, also one that a server would refuse."""

    datagram: Datagram
    """What brought it, or its last piece."""
    document: Document


class Capture:
    """One capture, read to its end."""

    def __init__(self) -> None:
        self.messages: list[CapturedMessage] = []
        self.findings: list[Finding] = []
        self.items = 0
        """Sections, interfaces, statistics, datagrams: 0 when nothing of the file could be read."""
        self.rtp = RtpFlows()

    def describe(self) -> Json:
        """Give the object that `siprec inspect` prints."""
        return {
            "kind": "capture",
            "messages": [
                {
                    "at": format_instant(message.datagram.at_ns),
                    "source": address_json(message.datagram.source),
                    "destination": address_json(message.datagram.destination),
                    "transport": message.datagram.transport,
                    **describe_document(message.document),
                }
                for message in self.messages
            ],
            "rtp": self.rtp.describe(self._lines()),
            "findings": findings_json(self.findings),
        }

    def _lines(self) -> dict[Address, tuple[str | None, dict[int, str | None]]]:
        """Give label and codecs by the address that a description receives a media line at; the latest counts."""
        lines: dict[Address, tuple[str | None, dict[int, str | None]]] = {}
        for message in self.messages:
            description = message.document.description
            for media in () if description is None else description.media:
                connection = None if description is None else description.connection_of(media)
                if connection is not None and media.port:
                    lines[Address(connection.address, media.port)] = (media.label, dict(media.codecs()))
        return lines


class _Signalling:
    """Finds SIP messages; what does not look like one is passed over."""

    def __init__(self) -> None:
        self._framers: dict[tuple[Address, Address], MessageFramer] = {}

    def receive(self, datagram: Datagram) -> Iterator[Document]:
        """Take a datagram or a piece of a stream, give what it completes."""
        if datagram.transport == "udp":
            if looks_like_sip(datagram.payload):
                message = parse_datagram(datagram.payload, limits=LIMITS)
                yield (
                    decode_message(datagram.payload) if isinstance(message, Malformed | None) else document_of(message)
                )
            return
        framer = self._framer(datagram)
        framer.receive(datagram.payload)
        while (item := framer.poll()) is not None:
            if isinstance(item, Request | Response):
                yield document_of(item)
            elif isinstance(item, Malformed) and item.request_method is not None:
                yield refused_document(item)

    def _framer(self, datagram: Datagram) -> MessageFramer:
        key = (datagram.source, datagram.destination)
        framer = self._framers.get(key)
        if framer is None or datagram.restart:
            if len(self._framers) >= LIMITS.capture_streams:
                del self._framers[next(iter(self._framers))]
            framer = self._framers[key] = MessageFramer(LIMITS)
        return framer


class _Source:
    """One synchronisation source on one flow."""

    __slots__ = ("candidate", "first_ns", "last_ns", "payload_types", "rejected", "tracker")

    def __init__(self, at_ns: int) -> None:
        self.first_ns = self.last_ns = at_ns
        self.tracker: SequenceTracker | None = None
        """None until two packets came in sequence (RFC 3550 appendix A.1)."""
        self.candidate: int | None = None
        """Number of a packet that is not believed before the next one follows it."""
        self.rejected = 0
        self.payload_types: dict[int, int] = {}
        """Packets by payload type."""

    def receive(self, packet: RtpPacket, at_ns: int) -> None:
        self.last_ns = at_ns
        self.payload_types[packet.payload_type] = self.payload_types.get(packet.payload_type, 0) + 1
        number = packet.sequence_number
        if self.tracker is not None and self.tracker.update(number) is not Verdict.OUT_OF_RANGE:
            return
        if self.candidate is None or number != (self.candidate + 1) & 0xFFFF:
            self.candidate = number
            self.rejected += 1
            return
        if self.tracker is None:
            self.tracker = SequenceTracker(self.candidate)
        else:
            self.tracker.restart(self.candidate)
        self.tracker.update(number)
        self.candidate = None
        self.rejected -= 1


class RtpFlows:
    """The RTP of a capture; what never shows two packets in sequence is taken for something else."""

    def __init__(self) -> None:
        self._sources: dict[tuple[Address, Address, int], _Source] = {}
        self._dropped = 0

    def receive(self, datagram: Datagram) -> None:
        """Take a datagram that looks like RTP."""
        try:
            packet = RtpPacket.parse(datagram.payload)
        except RemoteProtocolError:
            return  # it only looked like RTP
        key = (datagram.source, datagram.destination, packet.ssrc)
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= _SOURCES:
                self._dropped += 1
                return
            source = self._sources[key] = _Source(datagram.at_ns)
        source.receive(packet, datagram.at_ns)

    def findings(self) -> list[Finding]:
        """Tell what was left out."""
        if not self._dropped:
            return []
        message = f"{self._dropped} packets of further sources were left out"
        return [finding("ssrc-limit", "rtp", message)]

    def describe(self, lines: dict[Address, tuple[str | None, dict[int, str | None]]]) -> list[Json]:
        """Give one object for each flow and source, in order of appearance; `lines` as descriptions tell them."""
        return [
            _source_json(key, source, source.tracker, *lines.get(key[1], (None, {})))
            for key, source in self._sources.items()
            if source.tracker is not None
        ]


def _source_json(
    key: tuple[Address, Address, int],
    source: _Source,
    tracker: SequenceTracker,
    label: str | None,
    codecs: dict[int, str | None],
) -> Json:
    most = max(source.payload_types, key=lambda payload_type: source.payload_types[payload_type])
    static = STATIC_PAYLOAD_TYPES.get(most)
    return {
        "source": address_json(key[0]),
        "destination": address_json(key[1]),
        "ssrc": key[2],
        "label": label,
        "payload_types": sorted(source.payload_types),
        "codec": codecs.get(most) or (None if static is None else str(static)),
        "packets_received": tracker.received,
        "packets_lost": tracker.lost,
        "packets_duplicate": tracker.duplicates,
        "packets_reordered": tracker.reordered,
        "packets_rejected": source.rejected,
        "first_packet_at": format_instant(source.first_ns),
        "last_packet_at": format_instant(source.last_ns),
    }


def read_capture(path: Path) -> Capture:
    """Read a pcap or pcapng file. Raises OSError."""
    capture = Capture()
    reader = DatagramReader(limits=LIMITS)
    signalling = _Signalling()
    for chunk in _chunks(path):
        reader.receive(chunk)
        _drain(reader, signalling, capture)
    reader.end_of_file()
    _drain(reader, signalling, capture)
    capture.findings += capture.rtp.findings()
    return capture


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_SIZE):
            yield chunk


def _drain(reader: DatagramReader, signalling: _Signalling, capture: Capture) -> None:
    while (item := reader.poll()) is not None:
        if isinstance(item, CaptureProblem):
            if len(capture.findings) < LIMITS.findings:
                capture.findings.append(item.finding)
            continue
        capture.items += 1
        if isinstance(item, Datagram):
            kind = classify(item.payload) if item.transport == "udp" else DatagramKind.UNKNOWN
            if kind is DatagramKind.RTP:
                capture.rtp.receive(item)
            else:
                capture.messages += [CapturedMessage(item, document) for document in signalling.receive(item)]
