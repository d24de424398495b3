"""Documents of a recording client about a call in which people come and go (RFC 7865, RFC 8068).

The builder keeps who takes part and who says what. `complete` tells all of it, `partial` only what is otherwise than
what was told last: the document for `update_metadata`.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

from siprec_core.entropy import Entropy, Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.metadata.model import (
    DataMode,
    MetadataDocument,
    Name,
    NameId,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.times import Instant

ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class _Person:
    """One participant, present or gone."""

    participant: Participant
    stream_id: str
    joined: Instant
    left: Instant | None = None
    held: bool = False
    changed: Instant | None = None
    """When what it sends or hears changed last."""
    last: ParticipantStreamAssociation | None = None
    """Its streams until it left."""


class MetadataBuilder:
    """One communication session with its people. `unix_ns` is the time of day in nanoseconds since 1970."""

    __slots__ = ("_ids", "_people", "_recording", "_session", "_streams", "_told")

    def __init__(self, *, entropy: Entropy, unix_ns: int, sip_session_id: str | None = None) -> None:
        """Begin a session; `entropy` gives random octets for the ids, `sip_session_id` is that of RFC 7989."""
        self._ids = Ids(entropy)
        known = () if sip_session_id is None else (sip_session_id,)
        self._session = Session(self._ids.unique_id(), sip_session_ids=known, start_time=Instant.at(unix_ns))
        self._recording = SessionRecordingAssociation(self._session.session_id, Instant.at(unix_ns))
        self._streams: dict[str, Stream] = {}
        self._people: dict[str, _Person] = {}
        self._told = MetadataDocument()

    def join(self, label: str, aor: str, name: str | None = None, *, unix_ns: int) -> str:
        """Add a participant, who says what the stream with this SDP label carries, and give the participant's id.

        Several may share a stream that is mixed.
        """
        if label not in self._streams:
            self._streams[label] = Stream(self._ids.unique_id(), self._session.session_id, label)
        name_id = NameId(aor, None if name is None else Name(name))
        participant_id, now = self._ids.unique_id(), Instant.at(unix_ns)
        participant = Participant(participant_id, (name_id,))
        self._people[participant_id] = _Person(participant, self._streams[label].stream_id, now, changed=now)
        self._touch(now)
        return participant_id

    def leave(self, participant: str, *, unix_ns: int) -> None:
        """Let a participant go. Raises LocalProtocolError for one who does not take part."""
        self._person(participant)
        now = Instant.at(unix_ns)
        self._let_go(next(each for each in self._associations() if each.participant_id == participant), now)
        self._touch(now)

    def transfer(self, participant: str, aor: str, name: str | None = None, *, unix_ns: int) -> str:
        """Put another in the place of a participant, on the same stream, and give the new id (RFC 8068 section 3.2.3).

        Raises LocalProtocolError for one who does not take part.
        """
        stream_id = self._person(participant).stream_id
        label = next(label for label, stream in self._streams.items() if stream.stream_id == stream_id)
        self.leave(participant, unix_ns=unix_ns)
        return self.join(label, aor, name, unix_ns=unix_ns)

    def hold(self, participant: str, *, unix_ns: int) -> None:
        """Let a participant say nothing; hearing goes on (RFC 8068 section 3.2.2).

        Raises LocalProtocolError for one who does not take part.
        """
        self._set_held(participant, unix_ns, held=True)

    def resume(self, participant: str, *, unix_ns: int) -> None:
        """Let a participant speak again; as `hold`."""
        self._set_held(participant, unix_ns, held=False)

    def end(self, *, unix_ns: int) -> None:
        """End the session, and let all go who are left."""
        now = Instant.at(unix_ns)
        self._session = replace(self._session, stop_time=now)
        self._recording = replace(self._recording, disassociate_time=now)
        for streams in self._associations():
            self._let_go(streams, now)

    def complete(self) -> MetadataDocument:
        """Tell everything of those who take part: for an INVITE, or when the server asks for it (RFC 7866 9.1)."""
        whole = self._whole()
        self._told = whole
        present = {key for key, person in self._people.items() if person.left is None}
        return replace(
            whole,
            datamode=DataMode.COMPLETE,
            participants=tuple(each for each in whole.participants if each.participant_id in present),
            participant_session_associations=tuple(
                each for each in whole.participant_session_associations if each.participant_id in present
            ),
            participant_stream_associations=self._associations(),
        )

    def partial(self) -> MetadataDocument:
        """Tell what is otherwise than in the last document that was built (RFC 7865 section 6.1)."""
        whole, told = self._whole(), self._told
        self._told = whole
        return MetadataDocument(
            datamode=DataMode.PARTIAL,
            sessions=_new(whole.sessions, told.sessions),
            participants=_new(whole.participants, told.participants),
            streams=_new(whole.streams, told.streams),
            session_recording_associations=_new(
                whole.session_recording_associations, told.session_recording_associations
            ),
            participant_session_associations=_new(
                whole.participant_session_associations, told.participant_session_associations
            ),
            participant_stream_associations=_new(
                whole.participant_stream_associations, told.participant_stream_associations
            ),
        )

    def _person(self, participant: str) -> _Person:
        person = self._people.get(participant)
        if person is None or person.left is not None:
            raise LocalProtocolError(f"{participant!r} does not take part")
        return person

    def _let_go(self, streams: ParticipantStreamAssociation, now: Instant) -> None:
        person = self._people[streams.participant_id]
        person.last, person.left = replace(streams, disassociate_time=now), now

    def _set_held(self, participant: str, unix_ns: int, *, held: bool) -> None:
        person = self._person(participant)
        if person.held is not held:
            person.held = held
            self._touch(Instant.at(unix_ns))

    def _touch(self, now: Instant) -> None:
        """Date what changed with everybody whose streams are others than those told."""
        told = {each.participant_id: each for each in self._told.participant_stream_associations}
        for association in self._associations():
            last = told.get(association.participant_id)
            if last is None or (last.send, last.recv) != (association.send, association.recv):
                self._people[association.participant_id].changed = now

    def _associations(self) -> tuple[ParticipantStreamAssociation, ...]:
        present = {key: person for key, person in self._people.items() if person.left is None}
        spoken = list(dict.fromkeys(person.stream_id for person in present.values() if not person.held))
        return tuple(
            ParticipantStreamAssociation(
                key,
                () if person.held else (person.stream_id,),
                tuple(stream for stream in spoken if stream != person.stream_id),
                associate_time=person.changed,
            )
            for key, person in present.items()
        )

    def _whole(self) -> MetadataDocument:
        """Give all that is known, those who are gone included."""
        session_id = self._session.session_id
        people = self._people
        gone = (person.last for person in people.values() if person.last is not None)
        return MetadataDocument(
            sessions=(self._session,),
            participants=tuple(person.participant for person in people.values()),
            streams=tuple(self._streams.values()),
            session_recording_associations=(self._recording,),
            participant_session_associations=tuple(
                ParticipantSessionAssociation(key, session_id, person.joined, person.left)
                for key, person in people.items()
            ),
            participant_stream_associations=(*self._associations(), *gone),
        )


def _new(now: tuple[ItemT, ...], before: tuple[ItemT, ...]) -> tuple[ItemT, ...]:
    return tuple(each for each in now if each not in before)
