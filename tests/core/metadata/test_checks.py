import pytest

from siprec_core.metadata.reader import read_metadata
from tests.core.metadata.documents import LIMITS, document, load, uid

A, B = uid("a"), uid("b")
NAME = "<nameID aor='sip:a@b'/>"
EARLY, LATE = "2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z"


def findings(body: str, mode: str = "complete") -> list[tuple[str, str, int | None]]:
    text = document(f"\n<datamode>{mode}</datamode>{body}")
    found = read_metadata(text.encode(), limits=LIMITS).findings
    return [(each.code, each.where.partition(" ")[0], each.line) for each in found]


@pytest.mark.requirement("7865-chk-a")
@pytest.mark.parametrize(
    ("body", "where"),
    [
        (f"<session session_id='{A}'>\n<group-ref>{B}</group-ref></session>", "session/group-ref"),
        (f"<stream stream_id='{A}' session_id='{B}'/>", "stream@session_id"),
        (f"<sessionrecordingassoc session_id='{B}'/>", "sessionrecordingassoc@session_id"),
        (
            f"<session session_id='{A}'/><sessionrecordingassoc session_id='{A}'/>"
            f"<participantsessionassoc participant_id='{B}' session_id='{A}'/>",
            "participantsessionassoc@participant_id",
        ),
        (
            f"<participant participant_id='{A}'>{NAME}</participant>"
            f"<participantsessionassoc participant_id='{A}' session_id='{B}'/>",
            "participantsessionassoc@session_id",
        ),
        (f"<participantstreamassoc participant_id='{B}'/>", "participantstreamassoc@participant_id"),
        (
            f"<participant participant_id='{A}'>{NAME}</participant>"
            f"<participantstreamassoc participant_id='{A}'><send>{B}</send></participantstreamassoc>",
            "participantstreamassoc/send",
        ),
        (
            f"<participant participant_id='{A}'>{NAME}</participant>"
            f"<participantstreamassoc participant_id='{A}'><recv>{B}</recv></participantstreamassoc>",
            "participantstreamassoc/recv",
        ),
    ],
)
def test_dangling_reference_of_a_complete_document(body: str, where: str) -> None:
    assert findings(body) == [("metadata-dangling-reference", where, 2)]
    assert findings(body, "partial") == []


def test_reference_in_another_spelling_is_found() -> None:
    spelt = A[:5] + "\n " + A[5:]
    assert findings(f"<session session_id='{A}'/><stream stream_id='{B}' session_id='{spelt}'/>") == []


@pytest.mark.requirement("7865-chk-e")
def test_same_id_of_two_objects_of_a_kind() -> None:
    assert findings(f"<stream stream_id='{A}'/>\n<stream stream_id='{A}'/>") == [("metadata-duplicate-id", "stream", 3)]


@pytest.mark.requirement("7865-6.10-e")
def test_same_id_of_two_kinds() -> None:
    assert findings(f"<session session_id='{A}'/><stream stream_id='{A}'/>") == [("metadata-id-reused", "stream", 2)]


@pytest.mark.requirement("7865-chk-d")
@pytest.mark.parametrize(
    ("body", "where"),
    [
        (
            f"<session session_id='{A}'><start-time>{LATE}</start-time><stop-time>{EARLY}</stop-time></session>",
            "session",
        ),
        (
            f"<group group_id='{A}'><associate-time>{LATE}</associate-time>"
            f"<disassociate-time>{EARLY}</disassociate-time></group>",
            "group",
        ),
        (
            f"<session session_id='{A}'/><sessionrecordingassoc session_id='{A}'>"
            f"<associate-time>{LATE}</associate-time>"
            f"<disassociate-time>{EARLY}</disassociate-time></sessionrecordingassoc>",
            "sessionrecordingassoc",
        ),
    ],
)
def test_end_before_its_beginning(body: str, where: str) -> None:
    assert findings(body) == [("metadata-time-order", where, 2)]
    assert findings(body.replace(LATE, EARLY)) == []


def test_separate_stream_with_one_sender_is_right() -> None:
    data = load("seed").replace(b"<send>call-9</send>", b"", 1)
    assert "mode-separate-but-shared" not in [each.code for each in read_metadata(data, limits=LIMITS).findings]


def test_mixed_stream_with_several_senders_is_right() -> None:
    data = load("seed").replace(b">separate<", b">mixed<")
    assert "mode-separate-but-shared" not in [each.code for each in read_metadata(data, limits=LIMITS).findings]


@pytest.mark.requirement("7865-chk-d")
def test_participant_who_joins_before_the_session_begins() -> None:
    def body(since: str, start: str) -> str:
        return (
            f"<session session_id='{A}'><start-time>{start}</start-time></session>"
            f"<participant participant_id='{B}'>{NAME}</participant><sessionrecordingassoc session_id='{A}'/>"
            f"<participantsessionassoc participant_id='{B}' session_id='{A}'>"
            f"<associate-time>{since}</associate-time></participantsessionassoc>"
        )

    where = "participantsessionassoc/associate-time"
    assert findings(body(EARLY, "2024-05-01T10:05:00Z")) == [("metadata-time-before-session", where, 2)]
    # The same instant with and without fractions is no contradiction.
    assert findings(body(EARLY, "2024-05-01T10:00:00.250Z")) == []
    assert findings(body(LATE, EARLY)) == []
