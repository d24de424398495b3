"""What a recording client has described, and what it still wants to change: holds, metadata, snapshots.

Changes are sent one at a time. Each is put together when its turn comes, from what holds then: an offer made before the
server's own would be made from what no longer holds.
"""

from collections import deque
from dataclasses import dataclass, replace

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.draft_writer import write_document
from siprec_core.metadata.model import Dialect, MetadataDocument
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.state import MetadataState
from siprec_core.recording.call import ChangeOutcome
from siprec_core.recording.call_events import ChangeConcluded
from siprec_core.recording.hold import directed, with_directions
from siprec_core.sdp.model import Direction, MediaDescription, SessionDescription
from siprec_core.sdp.offer import NegotiatedAnswer, read_answer

_MOST_WAITING = 32
"""Changes that may wait for their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One change that waits or is under way."""

    number: int = 0
    """Names a change of the application's, from 1."""
    metadata: bytes | None = None
    """A document to send; None changes directions only."""
    snapshot: bool = False
    """Send the full snapshot as it is when the turn comes (RFC 7866 section 9.1)."""


class ClientState:
    """The description of a client's session, its metadata and its wishes."""

    __slots__ = (
        "_accepted",
        "_last_number",
        "_limits",
        "_metadata",
        "_wishes",
        "current",
        "dialect",
        "last_change",
        "ours",
        "paused",
        "theirs",
    )

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._metadata = MetadataState(limits=limits)
        self._wishes: deque[Wish] = deque()
        self._last_number = 0
        self.last_change: ChangeOutcome | None = None
        """How the server took the latest change; None before the first was concluded."""
        self.current: Wish | None = None
        """The change under way."""
        self.ours: SessionDescription | None = None
        """What we described last, and the server took."""
        self._accepted: dict[str, str] = {}
        self.theirs: SessionDescription | None = None
        """What the server described last."""
        self.dialect = Dialect.RFC7865
        """The format of what is written for the server."""
        self.paused: set[str] = set()
        """Labels that we hold."""

    # wishes

    def want(self, wish: Wish) -> None:
        """Add a change; raises LocalProtocolError when too many wait."""
        if len(self._wishes) >= _MOST_WAITING:
            raise LocalProtocolError("too many changes wait for the server")
        if wish.snapshot and wish in self._wishes:
            return
        self._wishes.append(wish)

    def want_own(self, metadata: bytes | None = None) -> int:
        """Add a change of the application's and give its number; raises LocalProtocolError when too many wait."""
        self.want(Wish(number=self._last_number + 1, metadata=metadata))
        self._last_number += 1
        return self._last_number

    def next_wish(self) -> Wish | None:
        """Begin the next change; None while one is under way or when nothing is wanted."""
        if self.current is not None or not self._wishes:
            return None
        self.current = self._wishes.popleft()
        return self.current

    def again(self) -> None:
        """Put the change under way back to the front: the server's own offer came first."""
        if self.current is not None:
            self._wishes.appendleft(self.current)
            self.current = None

    def conclude(self, outcome: ChangeOutcome) -> tuple[ChangeConcluded, ...]:
        """End the change under way; one that was refused leaves held what the server took (RFC 3261 14.1)."""
        concluded, self.current = self.current, None
        if concluded is None:
            return ()
        self.last_change = outcome
        if not outcome.taken and self.ours is not None and not self._wishes:
            self.paused = {
                line.label for line in self.ours.media if line.label is not None and line.direction == "inactive"
            } & self.paused
        return (ChangeConcluded(change=concluded.number, outcome=outcome),)

    def abandon(self) -> tuple[ChangeConcluded, ...]:
        """Give up every change that is not answered yet, in order: the call is over."""
        outcome = ChangeOutcome(status=481, reason="the call has ended", local=True)
        given_up: tuple[ChangeConcluded, ...] = ()
        while self.current is not None or self.next_wish() is not None:
            given_up += self.conclude(outcome)
        return given_up

    @property
    def waiting(self) -> int:
        """Changes that are not answered yet."""
        return len(self._wishes) + (self.current is not None)

    # metadata

    def told(self, metadata: bytes, *, unix_ns: int) -> None:
        """Take note of a document that the server has."""
        document = read_metadata(metadata, limits=self._limits).document
        if isinstance(document, MetadataDocument):
            self._metadata.apply(document, unix_ns)

    def snapshot(self) -> bytes:
        """Write everything that the server was told, as one complete document."""
        return write_document(self._metadata.snapshot(), self.dialect)

    def needs_offer(self, metadata: bytes) -> bool:
        """Tell whether a document refers to labels: their offer then travels with it (RFC 7866 section 9.1)."""
        document = read_metadata(metadata, limits=self._limits).document
        return isinstance(document, MetadataDocument) and any(each.label for each in document.streams)

    # descriptions

    def offer(self) -> SessionDescription:
        """Give our description with the directions that we want now; raises LocalProtocolError before the first."""
        if self.ours is None:
            raise LocalProtocolError("the client has not offered anything yet")
        settled = replace(self.ours, media=tuple(map(self._settled, self.ours.media)))
        return with_directions(settled, self._wanted).continuing(self.ours)

    def answer(self, offer: SessionDescription) -> SessionDescription | None:
        """Answer an offer of the server's; None for one that has fewer lines than the session (RFC 3264 section 8).

        A line that it adds is refused: a recorder "MUST NOT" add streams (RFC 7866 section 7.2).
        """
        if self.ours is None or len(offer.media) < len(self.ours.media):
            return None
        known = zip(self.ours.media, offer.media, strict=False)
        lines = [self._answered(ours, theirs, offer) for ours, theirs in known]
        added = offer.media[len(lines) :]
        lines += [MediaDescription(line.media, 0, line.protocol, line.formats, ()) for line in added]
        return replace(self.ours, media=tuple(lines)).continuing(self.ours)

    def agree(self, ours: SessionDescription, theirs: SessionDescription) -> NegotiatedAnswer:
        """Take both descriptions of an exchange that is complete, whoever offered."""
        previous, self.ours, self.theirs = self.theirs, ours, theirs
        agreed = read_answer(ours, theirs, previous=previous)
        for line in agreed.lines:
            if line.crypto is not None:
                self._accepted[line.label or ""] = str(line.crypto)
        return agreed

    def _wanted(self, _index: int, line: MediaDescription) -> Direction:
        return "inactive" if line.label in self.paused else "sendonly"

    def _answered(
        self, ours: MediaDescription, theirs: MediaDescription, offer: SessionDescription
    ) -> MediaDescription:
        if theirs.port == 0 or ours.port == 0:
            label = tuple(attribute for attribute in ours.attributes if attribute.name == "label")
            return MediaDescription(theirs.media, 0, theirs.protocol, theirs.formats, label)
        receives = offer.direction_of(theirs) in ("recvonly", "sendrecv") and ours.label not in self.paused
        direction: Direction = "sendonly" if receives else "inactive"
        return directed(self._settled(ours), direction)

    def _settled(self, line: MediaDescription) -> MediaDescription:
        """Give a line of ours with the one key that the server accepted, in place of all that were offered."""
        accepted = self._accepted.get(line.label or "")
        if accepted is None:
            return line
        kept = [each for each in line.attributes if each.name != "crypto" or each.value == accepted]
        return replace(line, attributes=tuple(kept))
