import json

import pytest

from siprec_core.metadata.model import (
    RFC7865_NAMESPACE,
    DataMode,
    Dialect,
    Element,
    Group,
    MetadataDocument,
    Name,
    NameId,
    Participant,
    RequestSnapshot,
    Stream,
)
from tests.core.metadata.documents import load, read

FOREIGN = Element("urn:example", "note", children=(Element("urn:example", "inner"),))
OWN = Element(RFC7865_NAMESPACE, "extensiondata", children=(FOREIGN, FOREIGN))


@pytest.mark.requirement("7865-5.1.2-b")
def test_document_is_complete_unless_it_says_otherwise() -> None:
    assert MetadataDocument().is_complete
    assert MetadataDocument(datamode=DataMode.COMPLETE).is_complete
    assert not MetadataDocument(datamode=DataMode.PARTIAL).is_complete


def test_extensions_are_counted_at_their_outermost_foreign_element() -> None:
    document = MetadataDocument(groups=(Group("g", extensions=(FOREIGN, OWN)),), extensions=(FOREIGN,))
    assert document.extension_count == 4


def test_elements_of_the_dialect_are_not_foreign() -> None:
    mode = Element("urn:ietf:params:xml:ns:siprec", "mode", text="separate")
    streams = (Stream("s", extensions=(mode,)),)
    assert MetadataDocument(dialect=Dialect.SEED, namespace=mode.namespace, streams=streams).extension_count == 0
    assert MetadataDocument(streams=streams).extension_count == 1


def test_names_leave_blank_ones_out() -> None:
    name_ids = (NameId("sip:a@b", Name(" ")), NameId(None, Name("Ben")), NameId("tel:1"))
    participant = Participant("p", name_ids)
    assert participant.aors == ("sip:a@b", "tel:1")
    assert participant.names == ("Ben",)


def test_mode_is_read_from_the_recording_namespaces_only() -> None:
    assert Stream("s", extensions=(Element("urn:example", "mode", text="mixed"),)).mode is None
    assert Stream("s", extensions=(Element(None, "mode", text=" mixed "),)).mode == "mixed"


def test_json_of_a_document() -> None:
    fields = read(load("complete")).as_json()
    assert json.loads(json.dumps(fields)) == fields
    assert list(fields) == [
        "dialect",
        "datamode",
        "groups",
        "sessions",
        "participants",
        "streams",
        "participant_streams",
        "extensions",
    ]
    assert fields["dialect"] == "rfc7865"
    assert fields["datamode"] == "complete"
    assert fields["groups"] == ["AAECAwQFRgeICQoLDA0ODw=="]
    assert fields["sessions"] == [
        {
            "id": "EBESExQVRheYGRobHB0eHw==",
            "start_time": "2024-05-01T12:00:00.250+02:00",
            "stop_time": None,
            "sip_session_ids": ["0123456789abcdef0123456789abcdef;remote=fedcba9876543210fedcba9876543210"],
        }
    ]
    assert fields["participants"] == [
        {
            "id": "ICEiIyQlRieoKSorLC0uLw==",
            "aors": ["sip:anna@example.org", "tel:+4930555001"],
            "names": ["Anna Groß"],
        },
        {"id": "MDEyMzQ1Rje4OTo7PD0+Pw==", "aors": ["sip:ben@example.net"], "names": []},
    ]
    assert fields["extensions"] == 2


def test_json_of_a_request() -> None:
    assert RequestSnapshot(reason=Name("lost")).as_json()["reason"] == "lost"
    assert RequestSnapshot().as_json() == {
        "dialect": "rfc7865",
        "datamode": None,
        "request_snapshot": True,
        "reason": None,
    }
