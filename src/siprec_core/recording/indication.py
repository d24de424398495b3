"""How a recording client tells the people of a call that they are recorded (RFC 7866 section 6.1.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.record import RecordingState, with_recording_states
from siprec_core.sip.message import Request, Response
from siprec_core.sip.record_aware import is_record_aware


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingIndication:
    """What one participant is to be told by."""

    description: SessionDescription
    """The SDP to send to it."""
    other_means: bool
    """It has to hear of the recording in another way: a tone or an announcement."""


def recording_indication(
    participant: Request | Response, description: SessionDescription, states: Sequence[RecordingState]
) -> RecordingIndication:
    """Decide how a participant of the communication session is told; `states` has one for each media line.

    `participant` is its INVITE, or its response to ours; `description` is what we are about to send to it. RFC 7866
    6.1.2: the client "MUST" use `a=record` for who listed `record-aware`, and "MUST" use other means for who did not.
    Raises LocalProtocolError when the number of states is not that of the media lines.
    """
    if is_record_aware(participant):
        return RecordingIndication(description=with_recording_states(description, states), other_means=False)
    return RecordingIndication(description=description, other_means=RecordingState.ON in states)
