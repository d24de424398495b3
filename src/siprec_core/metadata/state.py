"""The metadata of one recording session as it stands and as it went: documents applied in the order they came.

A complete document replaces everything (RFC 7865 section 5). A partial one replaces the objects that it names and
leaves the others. The streams of a participant are always told in full (section 6.8.1). But RFC 8068 section 3.2.4 ends
a session with a bare stop-time and a membership with a bare disassociate-time: what was true before and is not told
anew, a session or association keeps.

Beside the present state stands the history: every object that was ever described, as described last, and the stays of
participants in sessions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.metadata.contributions import Contributions, StreamSpan
from siprec_core.metadata.history import History, Stay, Told
from siprec_core.metadata.ids import id_key
from siprec_core.metadata.model import (
    DataMode,
    Dialect,
    Element,
    Group,
    MetadataDocument,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.succession import Known, compare
from siprec_core.metadata.times import Instant

__all__ = ["MetadataChanges", "MetadataState", "Moment", "ParticipantRecord", "Stay", "StreamSpan"]

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataChanges:
    """What one document changed. Ids are as the documents write them."""

    complete: bool
    joined: tuple[tuple[str, str], ...] = ()
    """Participant and session of each stay that began."""
    left: tuple[tuple[str, str], ...] = ()
    """Participant and session of each stay that ended."""
    streams_added: tuple[str, ...] = ()
    streams_removed: tuple[str, ...] = ()
    sessions_started: tuple[str, ...] = ()
    sessions_stopped: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    """Participants who ceased to contribute to any stream and are still there (RFC 8068 section 3.2.2)."""
    resumed: tuple[str, ...] = ()
    """Participants who contribute again."""
    transferred: tuple[tuple[str, str, str], ...] = ()
    """Who left, who came instead, and the session: one for one in a single document (RFC 8068 section 3.2.3)."""
    snapshot_needed: bool = False
    """True when only a complete document can repair what we know (RFC 7866 section 9.2)."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantRecord:
    """A participant with everything that was ever told about it."""

    participant: Participant
    """As described last."""
    stays: tuple[Stay, ...]
    sends: tuple[str, ...]
    """Ids of all streams that it ever contributed to, in order."""
    receives: tuple[str, ...]
    """Ids of all streams that it ever received, in order."""
    joined_ns: int | None
    """The earliest instant at which it joined a session, else its first mention; UTC, nanoseconds since the epoch."""
    left_ns: int | None
    """The latest instant at which it left, None while it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the metadata says of one instant."""

    unix_ns: int
    present: tuple[tuple[str, str], ...]
    """Ids of participant and session of everybody who is in a session."""
    senders: Mapping[str, tuple[str, ...]]
    """Ids of the participants who contribute to a stream, by the stream's id; more than one make it a mix."""
    receivers: Mapping[str, tuple[str, ...]]


class _Table(Generic[KeyT, ItemT]):
    """Objects of one kind by key: those that stand and all that ever were, each in order of first mention."""

    __slots__ = ("current", "ever")

    def __init__(self) -> None:
        self.current: dict[KeyT, ItemT] = {}
        self.ever: dict[KeyT, ItemT] = {}

    def values(self, *, ended: bool) -> tuple[ItemT, ...]:
        return tuple((self.ever if ended else self.current).values())


class _Changes:
    """Collects what one document changes."""

    __slots__ = ("_limit", "findings", "held", "joined", "left", "resumed")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.joined: list[tuple[str, str]] = []
        self.left: list[tuple[str, str]] = []
        self.held: list[str] = []
        self.resumed: list[str] = []
        self.findings: dict[tuple[str, str], Finding] = {}

    def note(self, code: str, where: str, message: str | None = None) -> None:
        if len(self.findings) < self._limit:
            self.findings.setdefault((code, where), finding(code, where, message))


class MetadataState:
    """The metadata of one recording session."""

    __slots__ = (
        "_contributions",
        "_dialect",
        "_extensions",
        "_flows",
        "_groups",
        "_had_complete",
        "_history",
        "_limits",
        "_memberships",
        "_newest_ns",
        "_owners",
        "_participants",
        "_recordings",
        "_room",
        "_sessions",
        "_streams",
    )

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._dialect: Dialect | None = None
        self._had_complete = False
        self._groups: _Table[str, Group] = _Table()
        self._sessions: _Table[str, Session] = _Table()
        self._participants: _Table[str, Participant] = _Table()
        self._streams: _Table[str, Stream] = _Table()
        self._recordings: _Table[str, SessionRecordingAssociation] = _Table()
        self._memberships: _Table[tuple[str, str], ParticipantSessionAssociation] = _Table()
        self._flows: _Table[str, ParticipantStreamAssociation] = _Table()
        self._extensions: tuple[Element, ...] = ()
        self._history = History(limits.metadata_objects)
        self._contributions = Contributions(limits.metadata_objects)
        self._newest_ns: int | None = None
        self._owners: dict[str, str] = {}
        self._room = limits.metadata_objects

    def apply(self, document: MetadataDocument, now_ns: int) -> MetadataChanges:
        """Take over a document that arrived at `now_ns` (UTC, nanoseconds since the epoch); never raises."""
        changes = _Changes(self._limits.findings)
        complete = document.is_complete
        if self._dialect is None:
            self._dialect = document.dialect
        if not complete and not self._had_complete:
            changes.note("metadata-partial-first", "recording/datamode")
        self._had_complete = self._had_complete or complete
        streams, sessions = set(self._streams.current), _lasting(self._sessions.current)
        present = set(self._participants.current)
        known = Known(
            self._sessions.ever, self._participants.ever, self._streams.ever, self._memberships.current, self._newest_ns
        )
        self._newest_ns = compare(document, known, now_ns, changes.note)
        self._take_objects(document, changes)
        self._tell_history(document, now_ns, changes)
        self._take_associations(document, now_ns, changes)
        if complete or document.sessions or document.participant_session_associations:
            self._end_stays(present, now_ns, changes)
        self._tell_contributions(document, now_ns, changes)
        dangling = not complete and self._note_dangling(document, changes)
        now_streams, now_sessions = set(self._streams.current), _lasting(self._sessions.current)
        return MetadataChanges(
            complete=complete,
            joined=tuple(changes.joined),
            left=tuple(changes.left),
            streams_added=_texts(self._streams.ever, now_streams - streams, _stream_id),
            streams_removed=_texts(self._streams.ever, streams - now_streams, _stream_id),
            sessions_started=_texts(self._sessions.ever, now_sessions - sessions, _session_id),
            sessions_stopped=_texts(self._sessions.ever, sessions - now_sessions, _session_id),
            held=tuple(changes.held),
            resumed=tuple(changes.resumed),
            transferred=_transfers(changes.joined, changes.left),
            snapshot_needed=dangling or not self._had_complete,
            findings=tuple(changes.findings.values()),
        )

    # Questions

    @property
    def dialect(self) -> Dialect | None:
        """The dialect of the first document, in which the peer is to be answered; None before it."""
        return self._dialect

    @property
    def had_complete(self) -> bool:
        """Whether a complete document came: partial ones build on it (RFC 7866 section 9.1)."""
        return self._had_complete

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups ever described, as described last."""
        return self._groups.values(ended=True)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions ever described, as described last."""
        return self._sessions.values(ended=True)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams ever described, as described last."""
        return self._streams.values(ended=True)

    @property
    def participants(self) -> tuple[ParticipantRecord, ...]:
        """All participants ever described, with their history."""
        return tuple(self._record(key, participant) for key, participant in self._participants.ever.items())

    def stream(self, stream_id: str) -> Stream | None:
        """Give a stream by its id, None when it was never described."""
        return self._streams.ever.get(id_key(stream_id))

    def stream_for_label(self, label: str) -> Stream | None:
        """Give the stream that an SDP label names: a present one, else the last one that had the label."""
        for streams in (self._streams.current, self._streams.ever):
            for stream in reversed(streams.values()):
                if stream.label == label:
                    return stream
        return None

    def senders_of(self, stream_id: str) -> tuple[Participant, ...]:
        """Give all participants who ever contributed to a stream."""
        return self._whose(stream_id, self._history.sends)

    def receivers_of(self, stream_id: str) -> tuple[Participant, ...]:
        """Give all participants who ever received a stream."""
        return self._whose(stream_id, self._history.receives)

    def current_senders_of(self, stream_id: str) -> tuple[Participant, ...]:
        """Give the participants who contribute to a stream now; more than one make it a mix."""
        key = id_key(stream_id)
        return tuple(
            self._participants.ever[participant_key]
            for participant_key, flow in self._flows.current.items()
            if participant_key in self._participants.ever
            and flow.disassociate_time is None
            and any(id_key(each) == key for each in flow.send)
        )

    @property
    def spans(self) -> tuple[StreamSpan, ...]:
        """Who was on which stream when, in the order in which it was told."""
        return self._contributions.spans()

    def at(self, unix_ns: int) -> Moment:
        """Tell who was where at an instant (UTC, nanoseconds since the epoch)."""
        present = tuple(
            (participant.participant_id, stay.session_id)
            for key, participant in self._participants.ever.items()
            for stay in self._history.stays(key)
            if stay.joined_ns <= unix_ns and (stay.left_ns is None or unix_ns < stay.left_ns)
        )
        senders: dict[str, list[str]] = {}
        receivers: dict[str, list[str]] = {}
        for span in self._contributions.spans():
            if span.covers(unix_ns):
                (senders if span.sends else receivers).setdefault(span.stream_id, []).append(span.participant_id)
        return Moment(
            unix_ns=unix_ns,
            present=present,
            senders={stream_id: tuple(people) for stream_id, people in senders.items()},
            receivers={stream_id: tuple(people) for stream_id, people in receivers.items()},
        )

    def snapshot(self, *, ended: bool = False) -> MetadataDocument:
        """Give one complete document, in the RFC 7865 dialect, of what stands now.

        With `ended`, of everything that was ever described: the last word on each object.
        """
        return MetadataDocument(
            datamode=DataMode.COMPLETE,
            groups=self._groups.values(ended=ended),
            sessions=self._sessions.values(ended=ended),
            participants=self._participants.values(ended=ended),
            streams=self._streams.values(ended=ended),
            session_recording_associations=self._recordings.values(ended=ended),
            participant_session_associations=self._memberships.values(ended=ended),
            participant_stream_associations=self._flows.values(ended=ended),
            extensions=self._extensions,
        )

    # Taking over

    def _take_objects(self, document: MetadataDocument, changes: _Changes) -> None:
        if document.is_complete or document.extensions:
            self._extensions = document.extensions
        complete = document.is_complete
        groups = {id_key(each.group_id): each for each in document.groups}
        self._take("group", self._groups, groups, complete, changes, _renewed_group)
        sessions = {id_key(each.session_id): each for each in document.sessions}
        self._take("session", self._sessions, sessions, complete, changes, _renewed_session)
        participants = {id_key(each.participant_id): each for each in document.participants}
        self._take("participant", self._participants, participants, complete, changes, _renewed_participant)
        streams = {_stream_key(each): each for each in document.streams}
        self._take("stream", self._streams, streams, complete, changes, _replaced)
        kinds: tuple[tuple[str, Iterable[str]], ...] = (
            ("group", groups),
            ("session", sessions),
            ("participant", participants),
            ("stream", streams),
        )
        for kind, keys in kinds:
            for key in keys:
                self._note_reuse(key, kind, changes)

    def _take_associations(self, document: MetadataDocument, now_ns: int, changes: _Changes) -> None:
        complete = document.is_complete
        recordings = {id_key(each.session_id): each for each in document.session_recording_associations}
        if document.dialect is Dialect.SEED:
            # That dialect has no association between session and recording: it begins when the first document comes.
            recordings = {key: self._since(key, each, now_ns) for key, each in recordings.items()}
        self._take("sessionrecordingassoc", self._recordings, recordings, complete, changes, _renewed_recording)
        memberships = {
            (id_key(each.participant_id), id_key(each.session_id)): each
            for each in document.participant_session_associations
        }
        self._take("participantsessionassoc", self._memberships, memberships, complete, changes, _renewed_membership)
        told: dict[str, list[ParticipantStreamAssociation]] = {}
        for flow in document.participant_stream_associations:
            told.setdefault(id_key(flow.participant_id), []).append(flow)
        # One document may tell the streams of a participant in several elements; together they are the set.
        flows = {key: _united(each) for key, each in told.items()}
        # RFC 7865 6.8.1: the association of a participant tells all that it sends and receives, so it is not merged.
        self._take("participantstreamassoc", self._flows, flows, complete, changes, _replaced)

    def _take(
        self,
        kind: str,
        table: _Table[KeyT, ItemT],
        items: Mapping[KeyT, ItemT],
        complete: bool,
        changes: _Changes,
        renew: Callable[[ItemT, ItemT], ItemT],
    ) -> None:
        """Replace the objects of one kind by those of a document: all, or those that it names."""
        taken: dict[KeyT, ItemT] = {}
        for key, item in items.items():
            if key not in table.ever:
                if self._room == 0:
                    changes.note("metadata-objects", kind, f"more than {self._limits.metadata_objects} objects")
                    continue
                self._room -= 1
            before = None if complete else table.current.get(key)
            table.ever[key] = taken[key] = item if before is None else renew(before, item)
        if complete:
            table.current = taken
        else:
            table.current.update(taken)

    def _note_reuse(self, key: str, kind: str, changes: _Changes) -> None:
        if not key or (key not in self._owners and len(self._owners) >= self._limits.metadata_objects):
            return
        owner = self._owners.setdefault(key, kind)
        if owner != kind:
            # RFC 7865 6.10: one UUID mapped to more than one element is an error.
            changes.note("metadata-id-reused", f"{kind} {key[:80]!r}", f"{key[:80]!r} is the id of a {owner}")

    def _since(self, key: str, association: SessionRecordingAssociation, now_ns: int) -> SessionRecordingAssociation:
        if association.associate_time is not None:
            return association
        known = self._recordings.ever.get(key)
        since = Instant.at(now_ns) if known is None else known.associate_time
        return replace(association, associate_time=since)

    # History

    def _tell_history(self, document: MetadataDocument, now_ns: int, changes: _Changes) -> None:
        history = self._history
        for participant in document.participants:
            history.mention(participant.participant_id, now_ns)
        for flow in document.participant_stream_associations:
            if flow.disassociate_time is None:
                history.carry(flow.participant_id, flow.send, flow.recv, now_ns)
        for each in document.participant_session_associations:
            session = self._sessions.current.get(id_key(each.session_id))
            start_ns = None if session is None else _ns(session.start_time)
            rejoins = history.knows(id_key(each.participant_id), id_key(each.session_id))
            told = Told(
                participant_id=each.participant_id,
                session_id=each.session_id,
                joined_ns=_ns(each.associate_time),
                left_ns=_ns(each.disassociate_time),
                over=each.disassociate_time is not None,
                guess_ns=now_ns if start_ns is None or rejoins else start_ns,
                now_ns=now_ns,
            )
            began, ended = history.tell(told)
            if began:
                changes.joined.append((each.participant_id, each.session_id))
            if ended:
                changes.left.append((each.participant_id, each.session_id))

    def _tell_contributions(self, document: MetadataDocument, now_ns: int, changes: _Changes) -> None:
        """Begin and end what participants are on, for all whom the document may have changed."""
        touched = dict.fromkeys(id_key(each.participant_id) for each in document.participant_stream_associations)
        touched.update(dict.fromkeys(id_key(who) for who, _ in (*changes.joined, *changes.left)))
        if document.is_complete:
            touched.update(dict.fromkeys(self._contributions.participants()))
        joined = {id_key(who) for who, _ in changes.joined}
        left = {id_key(who) for who, _ in changes.left}
        told = {id_key(each.participant_id) for each in document.participant_stream_associations}
        for key in touched:
            flow = self._flows.current.get(key)
            stays = self._history.stays(key)
            gone = flow is None or flow.disassociate_time is not None
            if stays and all(stay.left_ns is not None for stay in stays):
                if flow is not None and (flow.send or flow.recv) and key in left and not self._stopped(key):
                    # RFC 7865 6.8.1: a snapshot "MUST" be sent without the send of who stops to contribute.
                    where = f"participantstreamassoc {flow.participant_id[:80]!r}"
                    changes.note("metadata-streams-not-cleared", where)
                gone = True
            begin_ns = _ns(flow.associate_time) if flow is not None and key in told else None
            if begin_ns is None:
                begin_ns = stays[-1].joined_ns if stays and key in joined else now_ns
            end_ns = None if flow is None else _ns(flow.disassociate_time)
            if end_ns is None and key in left and stays:
                end_ns = stays[-1].left_ns
            paused, again = self._contributions.tell(
                self._participants.ever[key].participant_id if key in self._participants.ever else key,
                () if gone or flow is None else flow.send,
                () if gone or flow is None else flow.recv,
                begin_ns=begin_ns,
                end_ns=now_ns if end_ns is None else end_ns,
            )
            if flow is not None and not gone and (paused or again) and key not in joined:
                (changes.held if paused else changes.resumed).append(flow.participant_id)

    def _stopped(self, participant_key: str) -> bool:
        """Tell whether a participant is out because its sessions are over (RFC 8068 section 3.2.3)."""
        keys = {id_key(stay.session_id) for stay in self._history.stays(participant_key)}
        return all((session := self._sessions.ever.get(key)) is None or session.stop_time is not None for key in keys)

    def _end_stays(self, present: set[str], now_ns: int, changes: _Changes) -> None:
        """End the stays that the present state does not show any more."""
        for participant_key, session_key in self._history.lasting():
            session = self._sessions.current.get(session_key)
            if session is not None and session.stop_time is not None:
                # RFC 8068 3.2.3: a stop-time ends the stay of all participants of the session.
                stopped = _ns(session.stop_time)
                left_ns = now_ns if stopped is None else stopped
            elif (participant_key, session_key) not in self._memberships.current:
                left_ns = now_ns
            else:
                continue
            changes.left.append(self._history.leave(participant_key, session_key, left_ns))
        for participant_key in present - self._participants.current.keys():
            self._history.vanish(participant_key, now_ns)

    def _record(self, key: str, participant: Participant) -> ParticipantRecord:
        joined_ns, left_ns = self._history.span(key)
        return ParticipantRecord(
            participant=participant,
            stays=self._history.stays(key),
            sends=self._history.sends(key),
            receives=self._history.receives(key),
            joined_ns=joined_ns,
            left_ns=left_ns,
        )

    def _whose(self, stream_id: str, streams: Callable[[str], tuple[str, ...]]) -> tuple[Participant, ...]:
        key = id_key(stream_id)
        return tuple(
            participant
            for participant_key, participant in self._participants.ever.items()
            if any(id_key(each) == key for each in streams(participant_key))
        )

    # Checks

    def _note_dangling(self, document: MetadataDocument, changes: _Changes) -> bool:
        """Note references of a partial document that the merged state cannot follow; tells whether there are any."""
        known: dict[str, Mapping[str, object]] = {
            "group": self._groups.ever,
            "session": self._sessions.ever,
            "participant": self._participants.ever,
            "stream": self._streams.ever,
        }
        found = False
        for kind, where, reference in _references(document):
            if reference and id_key(reference) not in known[kind]:
                found = True
                message = f"no {kind} has the id {reference[:80]!r}"
                changes.note("metadata-dangling-reference", f"{where} {reference[:80]!r}", message)
        return found


def _references(document: MetadataDocument) -> list[tuple[str, str, str | None]]:
    """List the kind, place and text of all references to objects."""
    references: list[tuple[str, str, str | None]] = []
    references.extend(("group", "session/group-ref", each.group_ref) for each in document.sessions)
    references.extend(("session", "stream@session_id", each.session_id) for each in document.streams)
    for membership in document.participant_session_associations:
        references.append(("participant", "participantsessionassoc@participant_id", membership.participant_id))
        references.append(("session", "participantsessionassoc@session_id", membership.session_id))
    for flow in document.participant_stream_associations:
        references.append(("participant", "participantstreamassoc@participant_id", flow.participant_id))
        references.extend(("stream", "participantstreamassoc/send", each) for each in flow.send)
        references.extend(("stream", "participantstreamassoc/recv", each) for each in flow.recv)
    return references


def _transfers(joined: Sequence[tuple[str, str]], left: Sequence[tuple[str, str]]) -> tuple[tuple[str, str, str], ...]:
    """Pair those who came with those who left, where a session lost one and got one."""
    if not joined or not left:
        return ()
    came: dict[str, list[str]] = {}
    went: dict[str, list[str]] = {}
    for who, session_id in joined:
        came.setdefault(session_id, []).append(who)
    for who, session_id in left:
        went.setdefault(session_id, []).append(who)
    return tuple(
        (went[session_id][0], people[0], session_id)
        for session_id, people in came.items()
        if len(people) == 1 and len(went.get(session_id, ())) == 1
    )


def _texts(items: Mapping[str, ItemT], keys: set[str], text: Callable[[ItemT], str]) -> tuple[str, ...]:
    return tuple(text(items[key]) for key in items if key in keys) if keys else ()


def _stream_id(stream: Stream) -> str:
    return stream.stream_id


def _session_id(session: Session) -> str:
    return session.session_id


def _stream_key(stream: Stream) -> str:
    """Give the key of a stream; Avaya leaves the id empty, so that only the label tells such streams apart."""
    return id_key(stream.stream_id) if stream.stream_id else f" label {stream.label}"


def _lasting(sessions: Mapping[str, Session]) -> set[str]:
    return {key for key, session in sessions.items() if session.stop_time is None}


def _ns(instant: Instant | None) -> int | None:
    return None if instant is None else instant.unix_ns


def _united(flows: list[ParticipantStreamAssociation]) -> ParticipantStreamAssociation:
    if len(flows) == 1:
        return flows[0]
    return replace(
        flows[-1],
        send=tuple(dict.fromkeys(each for flow in flows for each in flow.send)),
        recv=tuple(dict.fromkeys(each for flow in flows for each in flow.recv)),
        associate_time=next((flow.associate_time for flow in reversed(flows) if flow.associate_time), None),
        extensions=tuple(each for flow in flows for each in flow.extensions),
    )


def _replaced(_before: ItemT, now: ItemT) -> ItemT:
    return now


def _renewed_group(before: Group, now: Group) -> Group:
    return replace(
        now,
        associate_time=now.associate_time or before.associate_time,
        extensions=now.extensions or before.extensions,
    )


def _renewed_session(before: Session, now: Session) -> Session:
    return replace(
        now,
        sip_session_ids=now.sip_session_ids or before.sip_session_ids,
        reasons=now.reasons or before.reasons,
        group_ref=before.group_ref if now.group_ref is None else now.group_ref,
        start_time=now.start_time or before.start_time,
        stop_time=now.stop_time or before.stop_time,
        extensions=now.extensions or before.extensions,
    )


def _renewed_participant(before: Participant, now: Participant) -> Participant:
    return replace(now, name_ids=now.name_ids or before.name_ids, extensions=now.extensions or before.extensions)


def _renewed_recording(
    before: SessionRecordingAssociation, now: SessionRecordingAssociation
) -> SessionRecordingAssociation:
    return replace(
        now,
        associate_time=now.associate_time or before.associate_time,
        extensions=now.extensions or before.extensions,
    )


def _renewed_membership(
    before: ParticipantSessionAssociation, now: ParticipantSessionAssociation
) -> ParticipantSessionAssociation:
    return replace(
        now,
        associate_time=now.associate_time or before.associate_time,
        parameters=now.parameters or before.parameters,
        extensions=now.extensions or before.extensions,
    )
