"""When a snapshot is asked for (7866-9.2-h), and in which words."""

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.model import DataMode, MetadataDocument, RequestSnapshot
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.state import MetadataState
from siprec_core.recording.snapshots import SnapshotRequests, needs_snapshot

COMPLETE = MetadataDocument(datamode=DataMode.COMPLETE)
PARTIAL = MetadataDocument(datamode=DataMode.PARTIAL)


def test_one_request_at_a_time_and_three_at_most() -> None:
    requests = SnapshotRequests()
    asked = []
    for _ in range(6):
        asked.append(requests.due())
        assert not requests.due(), "one is under way"
        requests.received(COMPLETE, "application/rs-metadata", repaired=True)
    assert asked == [True, True, True, False, False, False]


def test_a_partial_document_that_repairs_nothing_leaves_the_request_open() -> None:
    requests = SnapshotRequests()
    assert requests.due()
    requests.received(PARTIAL, "application/rs-metadata", repaired=False)
    requests.received(None, "application/rs-metadata", repaired=False)
    assert not requests.due()
    requests.failed()
    assert requests.due()


def test_the_request_is_named_as_the_client_names_metadata() -> None:
    requests = SnapshotRequests()
    assert requests.media_type == "application/rs-metadata+xml"
    requests.received(PARTIAL, "application/rs-metadata", repaired=True)
    assert requests.media_type == "application/rs-metadata"
    requests.received(PARTIAL, "text/html", repaired=True)
    assert requests.media_type == "application/rs-metadata"


@pytest.mark.requirement("7866-9.2-f")
def test_the_request_is_a_requestsnapshot_document() -> None:
    document = read_metadata(SnapshotRequests.write("why & <how>"), limits=Limits()).document
    assert isinstance(document, RequestSnapshot)
    assert document.reason is not None
    assert document.reason.text == "why & <how>"
    with pytest.raises(LocalProtocolError):
        SnapshotRequests.write("\0")


@pytest.mark.requirement("7866-9.2-h")
def test_what_needs_a_snapshot() -> None:
    state = MetadataState(limits=Limits())
    assert needs_snapshot(PARTIAL, state, ())
    state.apply(COMPLETE, 0)
    assert not needs_snapshot(COMPLETE, state, ("metadata-dangling-reference",))
    assert not needs_snapshot(PARTIAL, state, ("metadata-id-syntax",))
    assert needs_snapshot(PARTIAL, state, ("metadata-dangling-reference",))
