"""Recording in the SDP of a communication session: `a=record` tells, `a=recordpref` wishes (RFC 7866 section 7).

Both stand at session level, for all media, or at a medium, which goes before. The recording client or focus tells, the
recording-aware user agents wish. A recording session has neither; who finds one there ignores it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from siprec_core.errors import LocalProtocolError
from siprec_core.sdp.attributes import Attribute
from siprec_core.sdp.model import SessionDescription

_RECORD = "record"
_PREFERENCE = "recordpref"
_PRINTED_PREFERENCE = "a=recordpref"
"""The name that the grammar printed in RFC 7866 section 7.3.2 makes of it, its `a=` twice; read, never written."""


class RecordingState(Enum):
    """What `a=record` tells of a medium (RFC 7866 section 7.1.2)."""

    ON = "on"
    OFF = "off"
    PAUSED = "paused"
    """Recording was begun and is held."""


class RecordingPreference(Enum):
    """What `a=recordpref` wishes for a medium (RFC 7866 section 7.3.2)."""

    ON = "on"
    OFF = "off"
    PAUSE = "pause"
    NO_PREFERENCE = "nopreference"


States: TypeAlias = tuple[RecordingState | None, ...]
"""By media line in order; None where nothing was told."""

_STATES = {state.value: state for state in RecordingState}
_PREFERENCES = {preference.value: preference for preference in RecordingPreference}


def recording_states(description: SessionDescription) -> States:
    """Read `a=record` of each media line: its own, else the session's, else None. Unknown values tell nothing."""
    session = _value(description.attributes, _RECORD)
    own = (_value(media.attributes, _RECORD) for media in description.media)
    return tuple(_STATES.get(value or session or "") for value in own)


def recording_preferences(description: SessionDescription) -> tuple[RecordingPreference, ...]:
    """Read `a=recordpref` of each media line: its own, else the session's, else no preference (RFC 7866 7.3.2)."""
    session = _value(description.attributes, _PREFERENCE, _PRINTED_PREFERENCE)
    own = (_value(media.attributes, _PREFERENCE, _PRINTED_PREFERENCE) for media in description.media)
    return tuple(_PREFERENCES.get(value or session or "", RecordingPreference.NO_PREFERENCE) for value in own)


def with_recording_states(
    description: SessionDescription, states: Sequence[RecordingState | None]
) -> SessionDescription:
    """Give the description with `a=record` as `states` tells, one for each media line and None for no word of it.

    Raises LocalProtocolError when the number of states is not that of the media lines.
    """
    return _with(description, (_RECORD,), [None if state is None else state.value for state in states])


def with_recording_preferences(
    description: SessionDescription, preferences: Sequence[RecordingPreference]
) -> SessionDescription:
    """Give the description with `a=recordpref`; no preference is said by saying nothing (RFC 7866 section 7.3.2).

    Raises LocalProtocolError when the number of preferences is not that of the media lines.
    """
    none = RecordingPreference.NO_PREFERENCE
    values = [None if preference is none else preference.value for preference in preferences]
    return _with(description, (_PREFERENCE, _PRINTED_PREFERENCE), values)


def next_indication(sent: SessionDescription, states: Sequence[RecordingState | None]) -> SessionDescription | None:
    """Give the offer that has to follow `sent`, our last description, now that recording stands as `states` tells.

    None when `sent` says so already. RFC 7866 7.1.2: whenever the indication changes, at the end of recording too, the
    client "MUST" send a re-INVITE or UPDATE with the new `a=record`. Raises LocalProtocolError as
    `with_recording_states`.
    """
    following = with_recording_states(sent, states)
    if recording_states(sent) == recording_states(following):
        return None
    return following.continuing(sent)


def latest_states(known: Sequence[RecordingState | None], received: SessionDescription) -> States:
    """Give what a user agent has to show: by media line, the `a=record` received last (RFC 7866 section 7.3.1).

    `known` is what it showed before `received` came, empty at the start; a line without a word leaves it as it was.
    """
    told = recording_states(received)
    before = [*known, *[None] * len(told)]
    return tuple(now or before[index] for index, now in enumerate(told))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePolicy:
    """Which wishes of a user agent the recording client follows (RFC 7866 section 7.1.3 leaves that to it)."""

    on: bool = False
    """Begin, or go on with, what is not recorded."""
    off: bool = False
    """End a recording."""
    pause: bool = False
    """Hold a recording."""


def follow_preferences(
    states: Sequence[RecordingState],
    preferences: Sequence[RecordingPreference],
    policy: PreferencePolicy,
) -> tuple[RecordingState, ...]:
    """Give the states that wishes lead to, by media line.

    RFC 7866 7.1.3: who changes the state of a recording at a wish "MUST" report it in `a=record` of the answer, or of
    an offer that follows: `with_recording_states` and `next_indication` write them. Lines without a wish stay.
    """
    wished = [*preferences, *[RecordingPreference.NO_PREFERENCE] * len(states)]
    return tuple(_follow(state, wished[index], policy) for index, state in enumerate(states))


def _follow(state: RecordingState, preference: RecordingPreference, policy: PreferencePolicy) -> RecordingState:
    if preference is RecordingPreference.ON and policy.on:
        return RecordingState.ON
    if preference is RecordingPreference.OFF and policy.off:
        return RecordingState.OFF
    if preference is RecordingPreference.PAUSE and policy.pause and state is RecordingState.ON:
        return RecordingState.PAUSED
    return state


def _value(attributes: tuple[Attribute, ...], *names: str) -> str | None:
    for name, value in attributes:
        if name in names and value is not None:
            return value.strip().lower()
    return None


def _with(description: SessionDescription, names: tuple[str, ...], values: Sequence[str | None]) -> SessionDescription:
    """Write an attribute once for all lines where they agree, else at each line that has a value."""
    if len(values) != len(description.media):
        raise LocalProtocolError(f"{len(description.media)} media lines need as many values, not {len(values)}")
    agreed = values[0] if values and values.count(values[0]) == len(values) else None
    media = []
    for line, value in zip(description.media, values, strict=True):
        attributes = _without(line.attributes, names)
        if agreed is None and value is not None:
            attributes += (Attribute(names[0], value),)
        media.append(replace(line, attributes=attributes))
    attributes = _without(description.attributes, names)
    if agreed is not None:
        attributes += (Attribute(names[0], agreed),)
    return replace(description, attributes=attributes, media=tuple(media))


def _without(attributes: tuple[Attribute, ...], names: tuple[str, ...]) -> tuple[Attribute, ...]:
    return tuple(attribute for attribute in attributes if attribute.name not in names)
