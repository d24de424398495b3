"""Which stream of the metadata a media line carries."""

import pytest

from siprec_core.limits import Limits
from siprec_core.metadata.model import (
    DataMode,
    Group,
    MetadataDocument,
    NameId,
    Participant,
    ParticipantStreamAssociation,
    Reason,
    Session,
    Stream,
)
from siprec_core.metadata.state import MetadataState
from siprec_core.metadata.times import Instant
from siprec_core.recording.binding import bind_streams, groups_json, participants_json, sessions_json, spans_json


def state(*streams: Stream) -> MetadataState:
    metadata = MetadataState(limits=Limits())
    metadata.apply(
        MetadataDocument(
            groups=(Group("g", Instant("then", None)),),
            sessions=(Session("s", ("x;remote=y",), (Reason("moved", 302),), "g", Instant("2026-01-01T00:00:00Z", 0)),),
            participants=(Participant("p", (NameId("sip:a@example.com"),)),),
            streams=streams,
        ),
        7_000,
    )
    return metadata


@pytest.mark.requirement("7865-6.7-b", "7865-6.7-c", "7865-chk-b")
@pytest.mark.parametrize(
    ("lines", "labels", "expected", "codes"),
    [
        (["1", "2"], ["1", "2"], {0: "s0", 1: "s1"}, []),
        (["2", "1"], ["1", "2"], {0: "s1", 1: "s0"}, []),
        ([None, None], ["1", "2"], {0: "s0", 1: "s1"}, ["stream-by-order", "stream-by-order"]),
        (["9", "1"], ["1", "2"], {0: "s1", 1: "s0"}, ["stream-by-order"]),
        (["1", "2", "3"], ["1", "2"], {0: "s0", 1: "s1"}, ["stream-without-metadata"]),
        (["1"], [None, "1"], {0: "s1"}, ["metadata-label-without-line"]),
        (["1"], ["1", "2", "3"], {0: "s0"}, ["metadata-label-without-line"] * 2),
        (["5", "6"], ["1", "2", "3"], {0: "s0", 1: "s1"}, ["stream-by-order"] * 2 + ["metadata-label-without-line"]),
        ([None], [None], {0: "s0"}, ["stream-by-order"]),
        (["1"], [], {}, []),
    ],
)
def test_binding(lines: list[str | None], labels: list[str | None], expected: dict[int, str], codes: list[str]) -> None:
    metadata = state(*(Stream(f"s{n}", "s", label) for n, label in enumerate(labels)))
    binding = bind_streams(list(enumerate(lines)), metadata)
    assert {index: stream.stream_id for index, stream in binding.streams.items()} == expected
    assert [found.code for found in binding.findings] == codes


@pytest.mark.requirement("7866-8.3.2-b")
def test_several_people_may_be_on_the_stream_of_one_line() -> None:
    metadata = state(Stream("mix", "s", "1"))
    flows = tuple(ParticipantStreamAssociation(who, ("mix",), ("mix",)) for who in ("p", "q"))
    people = (Participant("q", (NameId("sip:b@example.com"),)),)
    update = MetadataDocument(datamode=DataMode.PARTIAL, participants=people, participant_stream_associations=flows)
    metadata.apply(update, 9_000)
    assert bind_streams([(0, "1")], metadata).streams[0].stream_id == "mix"
    assert [each["sends"] for each in participants_json(metadata)] == [["mix"], ["mix"]]
    assert [(each["participant_id"], each["kind"], each["since"]) for each in spans_json(metadata)] == [
        (who, kind, "1970-01-01T00:00:00.000009Z") for who in ("p", "q") for kind in ("send", "recv")
    ]
    assert {each["until"] for each in spans_json(metadata)} == {None}


def test_json_of_the_objects() -> None:
    metadata = state()
    assert groups_json(metadata) == ({"id": "g", "associate_time": "then", "disassociate_time": None},)
    (session,) = sessions_json(metadata)
    assert session["reasons"] == [{"protocol": "SIP", "cause": 302, "text": "moved"}]
    assert (session["sip_session_ids"], session["start_time"], session["stop_time"]) == (
        ["x;remote=y"],
        "2026-01-01T00:00:00Z",
        None,
    )
    (participant,) = participants_json(metadata)
    assert (participant["id"], participant["aors"], participant["names"]) == ("p", ["sip:a@example.com"], [])
    assert participant["joined_at"] == "1970-01-01T00:00:00.000007Z"
