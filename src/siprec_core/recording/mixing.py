"""Which media lines share a channel of the mix."""

from enum import Enum

from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.binding import bind_streams


class Mix(Enum):
    """What `mix.wav` is."""

    CHANNELS = "channels"
    """A channel for each media line."""
    STEREO = "stereo"
    """Left who speaks on the first line, right everybody else."""
    MONO = "mono"
    """All in one channel."""


def groups_of(mix: Mix, account: RecordingAccount | None) -> list[list[int]]:
    """Give the media lines of each channel, by index; lines of one channel are summed."""
    lines = [] if account is None else sorted(account.lines)
    if account is None or not lines or mix is Mix.CHANNELS:
        return [[line] for line in lines]
    if mix is Mix.MONO:
        return [lines]
    senders = _senders(account)
    # Where the metadata does not tell, the first line is one direction of the call and the others are the other one.
    first = senders.get(lines[0])
    left = [line for line in lines if line == lines[0] or (first is not None and senders.get(line) == first)]
    return [left, [line for line in lines if line not in left]]


def _senders(account: RecordingAccount) -> dict[int, str]:
    """Give the participant that speaks on each line, as far as the metadata tells."""
    wanted = [(line.index, line.plan.label) for line in account.lines.values()]
    bound = bind_streams(wanted, account.metadata).streams
    by_stream = {
        stream: record.participant.participant_id for record in account.metadata.participants for stream in record.sends
    }
    return {index: by_stream[stream.stream_id] for index, stream in bound.items() if stream.stream_id in by_stream}
