"""The report of one recording: what `recording.json` says, as a value."""

import json
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from siprec_core.clock import format_instant
from siprec_core.findings import Finding
from siprec_core.recording.control_report import ControlReport
from siprec_core.types import Address, SessionId, Transport

REPORT_VERSION = 1
"""Version of the fields of `recording.json`."""
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False).encode
"""Without indentation, for only then the encoder is the one written in C."""
Initiator: TypeAlias = Literal["client", "server"]
"""Who sent the INVITE that began a recording session (RFC 7866 section 6)."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a recording."""

    name: str
    """Relative to the folder of the recording, `/` between the parts."""
    size: int
    sha256: str
    """Lower-case hexadecimal."""

    def as_json(self) -> dict[str, object]:
        """Give the fields of `files`."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """One accepted media line."""

    index: int
    """Place of the `m=` line, from 0."""
    label: str
    """The label; the index as text where there is none."""
    stream_id: str | None
    """The metadata's stream that the line carries."""
    session_id: str | None
    media: str
    codec: str | None
    """For example `PCMU/8000`: what came first, else what was agreed on first."""
    direction: str
    """Ours: `recvonly` or `inactive`."""
    local_port: int
    remote: Address | None
    """Where the packets came from; before the first one, where the offer says they will."""
    ssrcs: tuple[int, ...]
    packets_received: int
    packets_lost: int
    packets_duplicate: int
    packets_reordered: int
    packets_rejected: int
    source_changes: int = 0
    """Times that packets came from another address than before."""
    jitter: float
    """Seconds (RFC 3550 appendix A.8)."""
    first_packet_ns: int | None
    last_packet_ns: int | None
    duration: float
    """Seconds from the beginning of the first audio to the end of the last."""
    silence: float = 0.0
    """Seconds put in for gaps."""
    dtmf: tuple[dict[str, object], ...] = ()
    """Keys pressed (RFC 4733): `digit`, `at`, `duration`, in the order in which they came."""
    rtcp: ControlReport = field(default_factory=ControlReport)
    """The reports of both sides."""
    file: str | None = None

    def as_json(self) -> dict[str, object]:
        """Give the fields of an entry of `streams`."""
        return {
            "label": self.label,
            "stream_id": self.stream_id,
            "session_id": self.session_id,
            "media": self.media,
            "codec": self.codec,
            "direction": self.direction,
            "local_port": self.local_port,
            "remote": _address(self.remote),
            "ssrcs": list(self.ssrcs),
            "packets_received": self.packets_received,
            "packets_lost": self.packets_lost,
            "packets_duplicate": self.packets_duplicate,
            "packets_reordered": self.packets_reordered,
            "packets_rejected": self.packets_rejected,
            "source_changes": self.source_changes,
            "jitter": round(self.jitter, 6),
            "first_packet_at": _instant(self.first_packet_ns),
            "last_packet_at": _instant(self.last_packet_ns),
            "duration": round(self.duration, 6),
            "silence": round(self.silence, 6),
            "dtmf": list(self.dtmf),
            "rtcp": self.rtcp.as_json(),
            "file": self.file,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReport:
    """Everything that `recording.json` says."""

    id: SessionId
    status: str
    """`active`, `completed`, `failed` or `recovered`."""
    end_reason: str | None
    """None while active."""
    initiator: Initiator
    call_id: str
    local_tag: str
    remote_tag: str
    transport: Transport
    peer: Address | None
    user_agent: str | None
    authenticated_user: str | None
    """Who called, by Digest; None where nobody asked for that."""
    peer_names: tuple[str, ...]
    """Whom the peer's certificate names (RFC 5922 section 7.1); none without TLS on both sides."""
    started_ns: int
    """Nanoseconds since 1970-01-01T00:00:00Z, as all instants here."""
    answered_ns: int | None
    ended_ns: int | None
    datamode: str | None
    dialect: str
    """Empty as long as no metadata came."""
    groups: tuple[dict[str, object], ...]
    sessions: tuple[dict[str, object], ...]
    participants: tuple[dict[str, object], ...]
    contributions: tuple[dict[str, object], ...]
    """Who was on which stream from when to when."""
    streams: tuple[StreamReport, ...]
    timeline: tuple[dict[str, object], ...]
    findings: tuple[Finding, ...]
    files: tuple[FileEntry, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds from the answer to the end, 0 before either."""
        if self.answered_ns is None or self.ended_ns is None:
            return 0.0
        return max(self.ended_ns - self.answered_ns, 0) / 1_000_000_000

    def as_json(self) -> dict[str, object]:
        """Give the fields of `recording.json` in their order."""
        return {
            "version": REPORT_VERSION,
            "id": self.id,
            "status": self.status,
            "end_reason": self.end_reason,
            "initiator": self.initiator,
            "call_id": self.call_id,
            "local_tag": self.local_tag,
            "remote_tag": self.remote_tag,
            "transport": self.transport.value,
            "peer": _address(self.peer),
            "user_agent": self.user_agent,
            "authenticated_user": self.authenticated_user,
            "peer_names": list(self.peer_names),
            "started_at": format_instant(self.started_ns),
            "answered_at": _instant(self.answered_ns),
            "ended_at": _instant(self.ended_ns),
            "duration": round(self.duration, 6),
            "datamode": self.datamode,
            "dialect": self.dialect,
            "groups": list(self.groups),
            "sessions": list(self.sessions),
            "participants": list(self.participants),
            "contributions": list(self.contributions),
            "streams": [stream.as_json() for stream in self.streams],
            "timeline": list(self.timeline),
            "findings": [finding.as_json() for finding in self.findings],
            "files": [entry.as_json() for entry in self.files],
            **self._policy(),
        }

    def _policy(self) -> dict[str, object]:
        """Give what was decided about the call, where anything of that is kept."""
        kept = [entry for entry in self.timeline if entry.get("event") == "policy"]
        return {"policy": {key: kept[0][key] for key in kept[0] if key not in {"at", "event"}}} if kept else {}

    def to_bytes(self) -> bytes:
        """Write `recording.json`, a field or an entry of a list on each line: the same report gives the same bytes."""
        octets = bytearray()
        before = "{\n "
        # The report of a large conference has millions of values. Entry by entry, few of them stand in memory as text.
        for name, value in self.as_json().items():
            if isinstance(value, list) and value:
                octets += f'{before}"{name}": ['.encode()
                for index, entry in enumerate(value):
                    octets += b",\n  " if index else b"\n  "
                    octets += _json(entry)
                octets += b"\n ]"
            else:
                octets += f'{before}"{name}": '.encode() + _json(value)
            before = ",\n "
        octets += b"\n}\n"
        return bytes(octets)


def _json(value: object) -> bytes:
    # A peer's octets that are no UTF-8 are lone surrogates here; backslashes make them JSON escapes.
    return _ENCODE(value).encode("utf-8", "backslashreplace")


def _instant(unix_ns: int | None) -> str | None:
    return None if unix_ns is None else format_instant(unix_ns)


def _address(address: Address | None) -> dict[str, object] | None:
    return None if address is None else {"host": address.host, "port": address.port}
