"""Asking a client for a full snapshot of its metadata (RFC 7866 section 9.2)."""

from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.state import MetadataState
from siprec_core.metadata.writer import write_request_snapshot
from siprec_core.sip.uas import METADATA_TYPES

_MOST_REQUESTS = 3
"""Requests that one recording makes by itself: a client that never mends its metadata must not be asked for ever."""


class SnapshotRequests:
    """Decides when a snapshot is asked for, and in which words."""

    __slots__ = ("_asked", "_pending", "media_type")

    def __init__(self) -> None:
        self._asked = 0
        self._pending = False
        self.media_type = METADATA_TYPES[0]
        """As the client writes it: many know only the name of RFC 7866."""

    def received(self, document: MetadataDocument | None, media_type: str, *, repaired: bool) -> None:
        """Take note of metadata that came; `repaired` tells that the state is whole after it."""
        if media_type in METADATA_TYPES:
            self.media_type = media_type
        if document is not None and (document.is_complete or repaired):
            self._pending = False

    def due(self) -> bool:
        """Tell whether a state that needs repair is to be asked about now, and count that."""
        if self._pending or self._asked >= _MOST_REQUESTS:
            return False
        self._pending = True
        self._asked += 1
        return True

    def failed(self) -> None:
        """Take the refusal of a request: another defect may be asked about."""
        self._pending = False

    @staticmethod
    def write(reason: str | None) -> bytes:
        """Write the request; raises LocalProtocolError for a reason that no XML document can hold."""
        return write_request_snapshot(reason)


def needs_snapshot(document: MetadataDocument, state: MetadataState, findings: tuple[str, ...]) -> bool:
    """Tell whether a document left a state that only a snapshot can repair.

    That is a partial document before any complete one, or one that refers to what was never described; `findings` are
    the codes of what the document was found to have. References across recordings are no error (RFC 7866 9.2), but a
    document's own are meant here.
    """
    if document.is_complete:
        return False
    return not state.had_complete or "metadata-dangling-reference" in findings
