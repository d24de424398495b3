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

    The label decides (RFC 7865 section 6.7.1); `media_label` of some clients has become the label when the document was
    read. Lines that it does not help take the streams whose label names no line, both in order, with a finding. More
    lines than streams stay without one; of more streams than lines the rest are told, for RFC 7865 section 6.7.1 lets a
    client describe streams that it does not deliver.
    """
    if not metadata.streams:
        return Binding({}, ())
    streams: dict[int, Stream] = {}
    unbound: list[tuple[int, str | None]] = []
    findings = []
    for index, label in lines:
        stream = None if label is None else metadata.stream_for_label(label)
        if stream is None:
            unbound.append((index, label))
        else:
            streams[index] = stream
    labels = {label for _, label in lines}
    rest = [stream for stream in metadata.streams if stream.label is None or stream.label not in labels]
    left = iter(rest)
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
    for stream in left:
        message = (
            "no media line was left for it" if stream.label is None else f"no line has the label {stream.label[:80]!r}"
        )
        findings.append(finding("metadata-label-without-line", f"stream {stream.stream_id[:80]!r}", message))
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


def spans_json(metadata: MetadataState) -> tuple[dict[str, object], ...]:
    """Give the entries of `contributions`: who was on which stream from when to when."""
    return tuple(
        {
            "participant_id": span.participant_id,
            "stream_id": span.stream_id,
            "kind": "send" if span.sends else "recv",
            "since": _instant(span.since_ns),
            "until": _instant(span.until_ns),
        }
        for span in metadata.spans
    )


def _instant(unix_ns: int | None) -> str | None:
    return None if unix_ns is None else format_instant(unix_ns)


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else instant.text
