"""Descriptions of ours that hold or resume media, and what the peer's answers to them mean.

A recorder that holds says `a=inactive` on its lines, one that goes on `a=recvonly` (RFC 7866 section 7.2). It never
offers a line that the client did not offer first.
"""

from collections.abc import Callable
from dataclasses import replace

from siprec_core.recording.signalling import plan_of
from siprec_core.sdp.attributes import DIRECTIONS, Attribute
from siprec_core.sdp.model import Direction, MediaDescription, SessionDescription
from siprec_core.sdp.negotiation import AnswerPlan


def with_directions(
    description: SessionDescription, choose: Callable[[int, MediaDescription], Direction]
) -> SessionDescription:
    """Give a description of ours with other directions, its version raised exactly when that changes it.

    `choose` gives the direction of each line by index; lines with port 0 stay as they are.
    """
    media = tuple(
        line if line.port == 0 else directed(line, choose(index, line)) for index, line in enumerate(description.media)
    )
    return replace(description, media=media).continuing(description)


def offer_of_recorder(description: SessionDescription, *, paused: bool) -> SessionDescription:
    """Offer exactly the lines that are negotiated (RFC 7866 section 7.2), all of them held or all of them wanted."""
    direction: Direction = "inactive" if paused else "recvonly"
    return with_directions(description, lambda _index, _line: direction)


def held(plan: AnswerPlan) -> AnswerPlan:
    """Give a plan in which every accepted line is held: we are paused, whatever the peer offers."""
    lines = tuple(replace(line, direction="inactive") if line.accepted else line for line in plan.lines)
    return replace(plan, lines=lines)


def plan_of_counterpart(ours: SessionDescription, theirs: SessionDescription) -> AnswerPlan | None:
    """Give what an offer of ours and the client's answer leave; None when the answer has not the lines of the offer.

    A line keeps its label: the answerer need not repeat it (RFC 4574 section 5).
    """
    if len(ours.media) != len(theirs.media):
        return None
    plan = plan_of(theirs, ours)
    lines = tuple(replace(line, label=ours.media[line.index].label or line.label) for line in plan.lines)
    return replace(plan, lines=lines)


def directed(line: MediaDescription, direction: Direction) -> MediaDescription:
    """Give a media line with another direction, at the place of the one it has."""
    if line.direction == direction:
        return line
    attributes = [attribute for attribute in line.attributes if attribute.name not in DIRECTIONS]
    place = next((at for at, attribute in enumerate(line.attributes) if attribute.name in DIRECTIONS), len(attributes))
    attributes.insert(place, Attribute(direction))
    return replace(line, attributes=tuple(attributes))
