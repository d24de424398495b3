"""The journal: one pcapng file that holds everything a recording session received, and what was decided about it.

Its interfaces are `sip` and one per media line (`line-0`, `line-1`, ...); every packet carries IP and transport headers
as a capture beside us would show them. Decisions that no packet tells are notes: interface statistics with a comment
that holds one JSON object, which every reader of pcapng passes over. The format is described in `docs/journal.md`;
`replay` reads it.

Bytes are only ever appended, so a journal that was cut anywhere is good up to the cut. Keys, passwords and tokens are
never written.
"""

import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from siprec_core.clock import TimeBase
from siprec_core.containers.capture import Direction
from siprec_core.containers.packets import DatagramEncoder, TcpFlowWriter
from siprec_core.containers.pcapng import ENHANCED_PACKET_BLOCK, OPTION_SIZE, PcapngEncoder
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, Severity
from siprec_core.recording.control_report import SentReports
from siprec_core.recording.report import Initiator
from siprec_core.types import Address, Component, Flow, SessionId

JOURNAL_VERSION: Final = 1
"""Version of the notes; a reader takes notes of any version and passes over kinds that it does not know."""
NOTE_KEY: Final = "siprec"
"""Key of a note's JSON object that names its kind."""
SIP_INTERFACE: Final = "sip"
"""Name of the first interface."""
LINE_INTERFACE: Final = "line-"
"""Start of the name of a media line's interface; the line's index follows."""

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
"""What a note may hold."""
NoteFields: TypeAlias = Mapping[str, JsonValue]
"""The content of a note or of a timeline entry."""

_SECRET = re.compile(
    rb"(?P<before>\binline:[ \t]*)(?P<key>[A-Za-z0-9+/]+)"
    rb"|(?P<name>^(?:Proxy-)?Authorization[ \t]*:)(?P<value>[^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+)",
    re.IGNORECASE | re.MULTILINE,
)
"""SRTP keys (RFC 4568 section 9.2) and credentials (RFC 3261 section 20.7), on as many lines as these have."""
_SECRET_WORDS = (b"inline:", b"authorization")
"""One of them, in whatever letter case, is in every message that `_SECRET` finds anything in."""
_LEGIBLE = re.compile(rb"(?<![\r\n])[^\r\n]")
"""What is blotted out of credentials: line ends stay, and the blank that makes a line go on."""
_TEXT_SIZE = 2_000
"""Characters that are kept of a text in a note which is too long as a whole."""
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False).encode
_BLOCK_HEAD = struct.Struct("<III")
"""Type and size of a block, and of a packet the interface."""
_FLOWS = 64
"""Connections remembered; SIP of one recording session comes over very few."""


class LineEncoder:
    """Writes the packets of one media line as blocks of a journal that somebody may write other blocks of."""

    __slots__ = ("_encoders", "_time_base", "interface")

    def __init__(self, interface: int, *, rtp: Address, rtcp: Address | None, time_base: TimeBase) -> None:
        """Take our addresses, `rtcp` None when both share a port."""
        self.interface = interface
        """Number of the line's interface in its journal."""
        self._time_base = time_base
        self._encoders = {
            Component.RTP: DatagramEncoder(interface, rtp, Direction.INBOUND),
            Component.RTCP: DatagramEncoder(interface, rtcp or rtp, Direction.INBOUND),
        }

    def encode(self, component: Component, datagrams: Iterable[tuple[memoryview | bytes, Address, float]]) -> bytes:
        """Give the blocks of (payload, source, arrival) triples that came to one port."""
        monotonic, unix_ns = self._time_base.monotonic, self._time_base.unix_ns
        return self._encoders[component].encode(
            [
                (data, source, unix_ns + round((arrival - monotonic) * 1_000_000_000))
                for data, source, arrival in datagrams
            ]
        )


class JournalWriter:
    """Encodes the journal of one recording session; every method gives the bytes to append.

    All instants (`now`, arrivals) are monotonic seconds of the clock that `time_base` ties to UTC.
    """

    __slots__ = ("_datagrams", "_encoder", "_flows", "_lines", "_session", "_time_base", "application", "size")

    def __init__(self, session: SessionId, *, time_base: TimeBase, application: str) -> None:
        self._session = session
        self._time_base = time_base
        self._encoder = PcapngEncoder()
        self._datagrams: dict[tuple[Address, Direction], DatagramEncoder] = {}
        self._flows: dict[Flow, TcpFlowWriter] = {}
        self._lines: dict[int, LineEncoder] = {}
        self.application = application
        """Name and version of the program that records, for example `siprec 0.1.0`."""
        self.size = 0
        """Octets given so far, for `Limits.journal_size`."""

    def start(
        self,
        *,
        flow: Flow,
        now: float,
        started: float | None = None,
        initiator: Initiator = "client",
        authenticated_user: str | None = None,
    ) -> bytes:
        """Begin the journal of a session whose INVITE went over `flow`: call first, once.

        `started` is when the INVITE came or was begun, `now` without it; `initiator` sent it, by Digest as
        `authenticated_user`: the credentials themselves are blotted out.
        """
        time_base = self._time_base
        fields: NoteFields = {
            "version": JOURNAL_VERSION,
            "session": self._session,
            "application": self.application,
            "initiator": initiator,
            "transport": flow.transport.value,
            "local": [flow.local.host, flow.local.port],
            "peer": [flow.remote.host, flow.remote.port],
            "started_ns": time_base.unix_ns_at(now if started is None else started),
            "time_base": {"monotonic": time_base.monotonic, "unix_ns": time_base.unix_ns},
        }
        if flow.peer_names:
            fields = {**fields, "peer_names": list(flow.peer_names)}
        if authenticated_user is not None:
            fields = {**fields, "authenticated_user": authenticated_user}
        head = self._encoder.start(application=self.application) + self._encoder.add_interface(SIP_INTERFACE)
        self.size += len(head)
        return head + self.note("start", fields, now=now)

    def add_line(self, line: int, *, label: str | None, rtp: Address, rtcp: Address | None, now: float) -> bytes:
        """Describe a media line before its first packet, and again when its local ports change.

        `rtp` and `rtcp` are our addresses, `rtcp` None when both share a port.
        """
        head = b""
        known = self._lines.get(line)
        interface = self._encoder.interfaces if known is None else known.interface
        if known is None:
            description = f"media line {line}" if label is None else f"media line {line}, label {label[:200]}"
            head = self._encoder.add_interface(f"{LINE_INTERFACE}{line}", description)
            self.size += len(head)
        self._lines[line] = LineEncoder(interface, rtp=rtp, rtcp=rtcp, time_base=self._time_base)
        fields: NoteFields = {
            "label": label,
            "rtp": [rtp.host, rtp.port],
            "rtcp": None if rtcp is None else [rtcp.host, rtcp.port],
        }
        return head + self.note("line", fields, now=now, line=line)

    def sip(self, data: bytes, *, flow: Flow, sent: bool, now: float) -> bytes:
        """Write one whole SIP message as on the wire (over TLS: deciphered), keys and credentials blotted out."""
        return b"".join(self.sip_blocks(data, flow=flow, sent=sent, now=now))

    def sip_blocks(self, data: bytes, *, flow: Flow, sent: bool, now: float) -> Iterator[bytes]:
        """Write a SIP message block by block, so that a large one stands in memory once.

        One that came along a connection may be given in two pieces, header and body.
        """
        data = blot_secrets(data)
        direction = Direction.OUTBOUND if sent else Direction.INBOUND
        at_ns = self._time_base.unix_ns_at(now)
        if flow.transport.reliable:
            for block in self._flow(flow).blocks(data, at_ns=at_ns, direction=direction):
                self.size += len(block)
                yield block
            return
        encoder = self._datagrams.get((flow.local, direction))
        if encoder is None:
            if len(self._datagrams) >= _FLOWS:
                self._datagrams.clear()
            encoder = self._datagrams[flow.local, direction] = DatagramEncoder(0, flow.local, direction)
        block = encoder.encode([(data, flow.remote, at_ns)])
        self.size += len(block)
        yield block

    def media(
        self, line: int, component: Component, datagrams: Iterable[tuple[memoryview | bytes, Address, float]]
    ) -> bytes:
        """Write (payload, source, arrival) triples that came to one port of a line: those accepted of a batch.

        Raises LocalProtocolError for a line that was not added.
        """
        known = self._lines.get(line)
        if known is None:
            raise LocalProtocolError(f"media line {line} was not added to the journal")
        block = known.encode(component, datagrams)
        self.size += len(block)
        return block

    def interface_of(self, line: int) -> int:
        """Give the number of the interface of a line that was added."""
        return self._lines[line].interface

    def note(self, kind: str, fields: NoteFields, *, now: float, line: int | None = None) -> bytes:
        """Write a decision: `kind` and its fields, beside the packets of `line` when one is named."""
        return self._statistics(kind, fields, now=now, line=line)

    def finding(self, found: Finding, *, now: float) -> bytes:
        """Write a finding as a note."""
        return self.note("finding", _finding_fields(found), now=now)

    def finish(
        self,
        reason: str,
        *,
        now: float,
        received: Mapping[int, int],
        rejected: Mapping[int, int],
        reports: Mapping[int, SentReports] | None = None,
        ended: float | None = None,
    ) -> bytes:
        """End the journal with an `end_reason` and, by line, packets received and rejected, and reports sent.

        `ended` is when the call was over, `now` without it.
        """
        blocks = [
            self._statistics(
                "line-end",
                _reports_fields((reports or {}).get(line)),
                now=now,
                line=line,
                received=received.get(line, 0),
                dropped=rejected.get(line, 0),
            )
            for line in sorted(self._lines)
        ]
        fields: NoteFields = {
            "reason": reason,
            "ended_ns": self._time_base.unix_ns_at(now if ended is None else ended),
        }
        return b"".join(blocks) + self.note("end", fields, now=now)

    def _flow(self, flow: Flow) -> TcpFlowWriter:
        writer = self._flows.get(flow)
        if writer is None:
            if len(self._flows) >= _FLOWS:
                del self._flows[next(iter(self._flows))]
            writer = self._flows[flow] = TcpFlowWriter(0, flow.local, flow.remote)
        return writer

    def _statistics(
        self,
        kind: str,
        fields: NoteFields,
        *,
        now: float,
        line: int | None,
        received: int | None = None,
        dropped: int | None = None,
    ) -> bytes:
        content: dict[str, JsonValue] = {NOTE_KEY: kind}
        if line is not None:
            content["line"] = line
        content.update(fields)
        known = None if line is None else self._lines.get(line)
        block = self._encoder.add_statistics(
            0 if known is None else known.interface,
            at_ns=self._time_base.unix_ns_at(now),
            received=received,
            dropped=dropped,
            comments=(_comment(content),),
        )
        self.size += len(block)
        return block


def blot_secrets(data: bytes | memoryview) -> bytes:
    """Give a SIP message with the letters of its SRTP keys and credentials replaced; its size stays the same."""
    data = bytes(data)
    lower = data.lower()
    # Few messages have secrets, and the search for the words takes a twentieth of the time of the expression.
    return _SECRET.sub(_blot, data) if any(word in lower for word in _SECRET_WORDS) else data


def _blot(match: re.Match[bytes]) -> bytes:
    if match["key"] is not None:
        return match["before"] + b"x" * len(match["key"])
    return match["name"] + _LEGIBLE.sub(b"x", match["value"])


def without_media(blocks: bytes) -> bytes:
    """Leave the media packets out of whole blocks of a journal of ours: what is left is small and still a journal.

    For a recorder whose disk takes nothing: signalling, lines and notes wait for better times, audio cannot.
    """
    kept = []
    position = 0
    while position + _BLOCK_HEAD.size <= len(blocks):
        kind, size, interface = _BLOCK_HEAD.unpack_from(blocks, position)
        if size < _BLOCK_HEAD.size:
            break
        if kind != ENHANCED_PACKET_BLOCK or interface == 0:
            kept.append(blocks[position : position + size])
        position += size
    return b"".join(kept)


def whole_size(blocks: memoryview) -> int:
    """Tell how many octets of a journal of ours are whole blocks: what follows was being written when it ended."""
    position, end = 0, len(blocks)
    while position + _BLOCK_HEAD.size <= end:
        size = _BLOCK_HEAD.unpack_from(blocks, position)[1]
        if size < _BLOCK_HEAD.size or position + size > end:
            break
        position += size
    return position


def read_note(comment: str) -> dict[str, JsonValue] | None:
    """Read a comment of interface statistics as a note, None when it is none of ours."""
    if not comment.startswith("{"):
        return None
    try:
        content = json.loads(comment)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get(NOTE_KEY), str) else None


def _comment(content: dict[str, JsonValue]) -> str:
    comment = _ENCODE(content)
    if len(comment.encode("utf-8", "backslashreplace")) <= OPTION_SIZE:
        return comment
    # Only a peer's text can be that long. Twelve octets is the longest a character becomes.
    cut = {key: value[:_TEXT_SIZE] if isinstance(value, str) else value for key, value in content.items()}
    comment = _ENCODE(cut)
    if len(comment.encode("utf-8", "backslashreplace")) <= OPTION_SIZE:
        return comment
    raise LocalProtocolError(f"a note of kind {content[NOTE_KEY]!r} is too long")


def _finding_fields(found: Finding) -> NoteFields:
    fields: dict[str, JsonValue] = {
        "code": found.code,
        "severity": found.severity.value,
        "where": found.where,
        "message": found.message,
        "rfc": found.rfc,
    }
    if found.line is not None:
        # Beside the packets' `line`, which is a media line.
        fields["at_line"] = found.line
    if found.column is not None:
        fields["at_column"] = found.column
    return fields


def _reports_fields(reports: SentReports | None) -> NoteFields:
    return {} if reports is None else {"reports_sent": reports.count, "reports_ssrc": reports.ssrc}


def read_reports(fields: Mapping[str, object]) -> SentReports | None:
    """Give the reports that we sent on a line, as the note of its end tells; None when it tells nothing of them."""
    match fields:
        case {"reports_sent": int(count), "reports_ssrc": int(ssrc)}:
            return SentReports(count, ssrc)
        case _:
            return None


def read_finding(fields: Mapping[str, object]) -> Finding | None:
    """Give the finding that a note holds, None when it holds none."""
    try:
        severity = Severity(fields.get("severity"))
    except ValueError:
        return None
    line, column = fields.get("at_line"), fields.get("at_column")
    return Finding(
        code=str(fields.get("code", "")),
        severity=severity,
        where=str(fields.get("where", "")),
        message=str(fields.get("message", "")),
        rfc=str(fields.get("rfc", "")),
        line=line if isinstance(line, int) else None,
        column=column if isinstance(column, int) else None,
    )
