"""One recording session as it stands, as plain values: what an application, a log or an operator's page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Never

from siprec_core.clock import format_instant
from siprec_core.errors import RemoteProtocolError
from siprec_core.metadata.model import Participant
from siprec_core.recording.exchanges import UNANSWERED_STATES
from siprec_core.recording.report import StreamReport
from siprec_core.recording.session import RecordingSession, SessionState
from siprec_core.types import Address, SessionId, Transport


class SessionStatus(Enum):
    """What an operator wants to know first."""

    EARLY = "early"
    """The call is not answered yet."""
    ACTIVE = "active"
    PAUSED = "paused"
    """We asked the client to hold all media."""
    ENDED = "ended"
    """The call is over, the final files are being made."""
    FAILED = "failed"
    """Storage failed: what can be kept is kept."""


@dataclass(frozen=True, slots=True)
class ParticipantInfo:
    """One participant of the metadata that stands."""

    id: str
    aors: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One accepted media line and its quality so far."""

    label: str
    stream_id: str | None
    """The metadata's stream that the line carries."""
    codec: str | None
    direction: str
    """Ours: `recvonly` or `inactive`."""
    local_port: int
    remote: Address | None
    packets_received: int
    packets_lost: int
    packets_duplicate: int
    packets_reordered: int
    packets_rejected: int
    jitter: float
    """Seconds."""
    last_packet_at: str | None
    """RFC 3339 UTC, as all instants here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One session as it stands."""

    id: SessionId
    status: SessionStatus
    state: str
    """`calling`, `requested`, `binding`, `active`, `closing` or `rendering`."""
    call_id: str
    local_tag: str
    """With `remote_tag` and `call_id` the dialog (RFC 3261 section 12)."""
    remote_tag: str
    peer: Address
    transport: Transport
    user_agent: str | None
    authenticated_user: str | None
    """Who called, by Digest, where the listener wants that."""
    started_at: str
    answered_at: str | None
    labels: tuple[str, ...]
    streams: tuple[StreamInfo, ...]
    participants: tuple[ParticipantInfo, ...]
    datamode: str | None
    """`complete` or `partial`: the latest metadata; None before any."""
    dialect: str
    metadata_documents: int
    """Documents received."""
    findings: int
    """Findings so far."""
    directory: str
    """Folder of the recording relative to the recordings root."""
    files: tuple[str, ...]
    """What was opened in it so far."""

    def as_json(self) -> dict[str, object]:
        """Give the session as values of JSON; `from_json` reads them."""
        return {
            "id": self.id,
            "status": self.status.value,
            "state": self.state,
            "call_id": self.call_id,
            "local_tag": self.local_tag,
            "remote_tag": self.remote_tag,
            "peer": _address_json(self.peer),
            "transport": self.transport.value,
            "user_agent": self.user_agent,
            "authenticated_user": self.authenticated_user,
            "started_at": self.started_at,
            "answered_at": self.answered_at,
            "labels": list(self.labels),
            "streams": [_stream_json(stream) for stream in self.streams],
            "participants": [
                {"id": each.id, "aors": list(each.aors), "names": list(each.names)} for each in self.participants
            ],
            "datamode": self.datamode,
            "dialect": self.dialect,
            "metadata_documents": self.metadata_documents,
            "findings": self.findings,
            "directory": self.directory,
            "files": list(self.files),
        }

    @classmethod
    def from_json(cls, value: object) -> "SessionInfo":
        """Read what `as_json` gives; unknown fields are passed over. Raises RemoteProtocolError for anything else."""
        fields = _Fields(value)
        try:
            status, transport = SessionStatus(fields.text("status")), Transport(fields.text("transport"))
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from error
        peer = fields.address("peer")
        if peer is None:
            raise RemoteProtocolError("peer is missing", field="peer")
        return cls(
            id=SessionId(fields.text("id")),
            status=status,
            state=fields.text("state"),
            call_id=fields.text("call_id"),
            local_tag=fields.text("local_tag"),
            remote_tag=fields.text("remote_tag"),
            peer=peer,
            transport=transport,
            user_agent=fields.optional("user_agent"),
            authenticated_user=fields.optional("authenticated_user"),
            started_at=fields.text("started_at"),
            answered_at=fields.optional("answered_at"),
            labels=fields.texts("labels"),
            streams=tuple(_stream(each) for each in fields.objects("streams")),
            participants=tuple(
                ParticipantInfo(each.text("id"), each.texts("aors"), each.texts("names"))
                for each in fields.objects("participants")
            ),
            datamode=fields.optional("datamode"),
            dialect=fields.text("dialect"),
            metadata_documents=fields.number("metadata_documents"),
            findings=fields.number("findings"),
            directory=fields.text("directory"),
            files=fields.texts("files"),
        )


def session_info(session: RecordingSession) -> SessionInfo:
    """Take the picture of a session."""
    account = session.account
    return SessionInfo(
        id=session.id,
        status=status_of(session),
        state=session.state.name.lower(),
        call_id=session.call_id,
        local_tag=account.local_tag,
        remote_tag=account.remote_tag,
        peer=session.flow.remote,
        transport=session.flow.transport,
        user_agent=account.user_agent,
        authenticated_user=session.authenticated_user,
        started_at=format_instant(account.started_ns),
        answered_at=None if account.answered_ns is None else format_instant(account.answered_ns),
        labels=tuple(line.label for line in account.lines.values()),
        streams=tuple(_stream_info(stream) for stream in account.streams()),
        participants=tuple(_participant(record.participant) for record in account.metadata.participants),
        datamode=account.datamode,
        dialect=account.dialect,
        metadata_documents=account.metadata_documents,
        findings=len(account.findings.findings),
        directory=session.directory,
        files=tuple(session.files),
    )


def status_of(session: RecordingSession) -> SessionStatus:
    """Tell what an operator wants to know first of a session."""
    if session.storage_failed:
        return SessionStatus.FAILED
    if session.state in UNANSWERED_STATES:
        return SessionStatus.EARLY
    if session.state is not SessionState.ACTIVE:
        return SessionStatus.ENDED
    return SessionStatus.PAUSED if session.paused else SessionStatus.ACTIVE


def _participant(participant: Participant) -> ParticipantInfo:
    return ParticipantInfo(participant.participant_id, tuple(participant.aors), tuple(participant.names))


def _stream_info(stream: StreamReport) -> StreamInfo:
    last = stream.last_packet_ns
    return StreamInfo(
        label=stream.label,
        stream_id=stream.stream_id,
        codec=stream.codec,
        direction=stream.direction,
        local_port=stream.local_port,
        remote=stream.remote,
        packets_received=stream.packets_received,
        packets_lost=stream.packets_lost,
        packets_duplicate=stream.packets_duplicate,
        packets_reordered=stream.packets_reordered,
        packets_rejected=stream.packets_rejected,
        jitter=round(stream.jitter, 6),
        last_packet_at=None if last is None else format_instant(last),
    )


# JSON


def _address_json(address: Address | None) -> dict[str, object] | None:
    return None if address is None else {"host": address.host, "port": address.port}


def _stream_json(stream: StreamInfo) -> dict[str, object]:
    return {
        "label": stream.label,
        "stream_id": stream.stream_id,
        "codec": stream.codec,
        "direction": stream.direction,
        "local_port": stream.local_port,
        "remote": _address_json(stream.remote),
        "packets_received": stream.packets_received,
        "packets_lost": stream.packets_lost,
        "packets_duplicate": stream.packets_duplicate,
        "packets_reordered": stream.packets_reordered,
        "packets_rejected": stream.packets_rejected,
        "jitter": stream.jitter,
        "last_packet_at": stream.last_packet_at,
    }


def _stream(fields: "_Fields") -> StreamInfo:
    return StreamInfo(
        label=fields.text("label"),
        stream_id=fields.optional("stream_id"),
        codec=fields.optional("codec"),
        direction=fields.text("direction"),
        local_port=fields.number("local_port"),
        remote=fields.address("remote"),
        packets_received=fields.number("packets_received"),
        packets_lost=fields.number("packets_lost"),
        packets_duplicate=fields.number("packets_duplicate"),
        packets_reordered=fields.number("packets_reordered"),
        packets_rejected=fields.number("packets_rejected"),
        jitter=fields.seconds("jitter"),
        last_packet_at=fields.optional("last_packet_at"),
    )


class _Fields:
    """The fields of a JSON object, each read as the type that it has to have."""

    __slots__ = ("_fields",)

    def __init__(self, value: object) -> None:
        if not isinstance(value, Mapping):
            raise RemoteProtocolError("an object was expected")
        self._fields: Mapping[object, object] = value

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        return value if isinstance(value, str) else self._wrong(name)

    def optional(self, name: str) -> str | None:
        return None if self._fields.get(name) is None else self.text(name)

    def number(self, name: str) -> int:
        value = self._fields.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else self._wrong(name)

    def seconds(self, name: str) -> float:
        value = self._fields.get(name)
        return value if isinstance(value, float) else float(self.number(name))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(each if isinstance(each, str) else self._wrong(name) for each in self._list(name))

    def objects(self, name: str) -> tuple["_Fields", ...]:
        return tuple(_Fields(each) for each in self._list(name))

    def address(self, name: str) -> Address | None:
        if self._fields.get(name) is None:
            return None
        fields = _Fields(self._fields[name])
        return Address(fields.text("host"), fields.number("port"))

    def _list(self, name: str) -> list[object]:
        value = self._fields.get(name)
        return value if isinstance(value, list) else self._wrong(name)

    def _wrong(self, name: str) -> Never:
        raise RemoteProtocolError(f"{name} is missing or of another type", field=name)
