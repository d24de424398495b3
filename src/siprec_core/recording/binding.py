"""What the metadata says about a recording: which stream a media line carries, and the JSON of its objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from siprec_core.clock import format_instant
from siprec_core.findings import Finding, finding
from siprec_core.metadata.model import Stream
from siprec_core.metadata.state import MetadataState
from siprec_core.metadata.times import Instant


@dataclass(frozen=True, slots=True)
class Binding:
    """Which stream of the metadata each media line carries."""

    streams: dict[int, Stream]
    """By index of the line; lines that no stream could be found for are absent."""
    findings: tuple[Finding, ...]


def bind_streams(lines: Sequence[tuple[int, str | None]], metadata: MetadataState) -> Binding:
    """Find the stream of each line, given by index and label.

    The label decides (RFC 7865 section 6.7.1). Lines that it does not help take the streams whose label names no line,
    both in order.
    """
    if not metadata.streams:
        return Binding({}, ())
    streams: dict[int, Stream] = {}
    unbound: list[tuple[int, str | None]] = []
    for index, label in lines:
        stream = None if label is None else metadata.stream_for_label(label)
        if stream is None:
            unbound.append((index, label))
        else:
            streams[index] = stream
    labels = {label for _, label in lines}
    left = iter([stream for stream in metadata.streams if stream.label is None or stream.label not in labels])
    findings = []
    for index, label in unbound:
        where = f"stream {index if label is None else label}"
        stream = next(left, None)
        if stream is None:
            findings.append(finding("stream-without-metadata", where))
        else:
            streams[index] = stream
            findings.append(
                finding("stream-by-order", where, f"taken for stream {stream.stream_id[:80]!r} of the metadata")
            )
    return Binding(streams, tuple(findings))


def groups_json(metadata: MetadataState) -> tuple[dict[str, object], ...]:
    """Give the entries of `groups`."""
    return tuple(
        {
            "id": group.group_id,
            "associate_time": _text(group.associate_time),
            "disassociate_time": _text(group.disassociate_time),
        }
        for group in metadata.groups
    )


def sessions_json(metadata: MetadataState) -> tuple[dict[str, object], ...]:
    """Give the entries of `sessions`; times are the peer's own text."""
    return tuple(
        {
            "id": session.session_id,
            "sip_session_ids": list(session.sip_session_ids),
            "start_time": _text(session.start_time),
            "stop_time": _text(session.stop_time),
            "reasons": [
                {"protocol": reason.protocol, "cause": reason.cause, "text": reason.text} for reason in session.reasons
            ],
            "group_id": session.group_ref,
        }
        for session in metadata.sessions
    )


def participants_json(metadata: MetadataState) -> tuple[dict[str, object], ...]:
    """Give the entries of `participants`: everybody who ever took part."""
    return tuple(
        {
            "id": record.participant.participant_id,
            "aors": list(record.participant.aors),
            "names": list(record.participant.names),
            "sends": list(record.sends),
            "receives": list(record.receives),
            "joined_at": _instant(record.joined_ns),
            "left_at": _instant(record.left_ns),
        }
        for record in metadata.participants
    )


def _instant(unix_ns: int | None) -> str | None:
    return None if unix_ns is None else format_instant(unix_ns)


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else instant.text
