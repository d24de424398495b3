"""What a document says otherwise than those before it, where both cannot be right."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from siprec_core.metadata.ids import id_key
from siprec_core.metadata.model import (
    MetadataDocument,
    Participant,
    ParticipantSessionAssociation,
    Session,
    Stream,
)
from siprec_core.metadata.origins import shown
from siprec_core.metadata.times import Instant

Tell = Callable[[str, str, str | None], None]
"""Takes a finding: code, place, message."""

_SECOND_NS: Final = 1_000_000_000
_AHEAD_NS: Final = 300 * _SECOND_NS
"""How far a client's clock may be ahead of ours before it is wrong."""
_BEHIND_NS: Final = 366 * 86_400 * _SECOND_NS
"""Calls of a year ago are no calls of today: the clock was never set."""
_LATE_NS: Final = 60 * _SECOND_NS
"""How much later an event may be told than one that came after it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier documents told, by key."""

    sessions: Mapping[str, Session]
    participants: Mapping[str, Participant]
    streams: Mapping[str, Stream]
    memberships: Mapping[tuple[str, str], ParticipantSessionAssociation]
    newest_ns: int | None
    """The latest instant of any event told."""


def compare(document: MetadataDocument, known: Known, now_ns: int, tell: Tell) -> int | None:
    """Tell contradictions between a document that came at `now_ns` and those before it; gives the new `newest_ns`."""
    for stream in document.streams:
        before = known.streams.get(id_key(stream.stream_id)) if stream.stream_id else None
        was = None if before is None else before.session_id
        if was is not None and stream.session_id is not None and id_key(was) != id_key(stream.session_id):
            # RFC 7865 6.7.2: a stream belongs to one session at most.
            message = f"it was of session {shown(was)} and is of session {shown(stream.session_id)}"
            tell("metadata-stream-moved", f"stream {shown(stream.stream_id)}", message)
    for participant in document.participants:
        earlier = known.participants.get(id_key(participant.participant_id))
        if earlier is not None and earlier.aors and participant.aors:
            if {each.lower() for each in earlier.aors}.isdisjoint(each.lower() for each in participant.aors):
                message = f"it was {shown(earlier.aors[0])} and is {shown(participant.aors[0])}"
                tell("metadata-identity-changed", f"participant {shown(participant.participant_id)}", message)
    _compare_spans(document, known, tell)
    return _compare_clock(document, known, now_ns, tell)


def _compare_spans(document: MetadataDocument, known: Known, tell: Tell) -> None:
    """Tell ends that lie before a beginning which an earlier document told."""
    if document.is_complete:
        return
    for session in document.sessions:
        before = known.sessions.get(id_key(session.session_id))
        if session.start_time is None and before is not None:
            _check_order(before.start_time, session.stop_time, f"session {shown(session.session_id)}", tell)
    for membership in document.participant_session_associations:
        key = id_key(membership.participant_id), id_key(membership.session_id)
        joined = known.memberships.get(key)
        if membership.associate_time is None and joined is not None:
            where = f"participantsessionassoc {shown(membership.participant_id)}"
            _check_order(joined.associate_time, membership.disassociate_time, where, tell)


def _check_order(since: Instant | None, until: Instant | None, where: str, tell: Tell) -> None:
    if since is None or until is None or since.unix_ns is None or until.unix_ns is None:
        return
    if until.unix_ns < since.unix_ns:
        tell("metadata-time-order", where, f"it ends at {until.text} and began at {since.text}")


def _compare_clock(document: MetadataDocument, known: Known, now_ns: int, tell: Tell) -> int | None:
    newest = known.newest_ns
    for where, instant, ends in _instants(document):
        if instant is None or instant.unix_ns is None:
            continue
        at = instant.unix_ns
        if at > now_ns + _AHEAD_NS:
            tell("metadata-clock", where, f"{instant.text} lies in the future")
        elif at < now_ns - _BEHIND_NS:
            tell("metadata-clock", where, f"{instant.text} is more than a year ago")
        if ends and not document.is_complete and known.newest_ns is not None and at < known.newest_ns - _LATE_NS:
            tell("metadata-time-backwards", where, f"{instant.text} lies before what was told earlier")
        newest = at if newest is None else max(newest, at)
    return newest


def _instants(document: MetadataDocument) -> Iterator[tuple[str, Instant | None, bool]]:
    """Give place and instant of what a document tells, and whether it is an end."""
    for session in document.sessions:
        yield "session/start-time", session.start_time, False
        yield "session/stop-time", session.stop_time, True
    for membership in document.participant_session_associations:
        yield "participantsessionassoc/associate-time", membership.associate_time, False
        yield "participantsessionassoc/disassociate-time", membership.disassociate_time, True
