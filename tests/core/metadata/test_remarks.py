"""What a schema allows and the RFC does not mean is told, and stops nothing."""

from base64 import b64encode
from collections.abc import Sequence

import pytest

from siprec_core.findings import Severity
from siprec_core.metadata.reader import read_metadata
from tests.core.metadata.documents import LIMITS, document, uid

P, Q, S, T, U, V = (uid(each) for each in "pqstuv")


def remarks(body: str, mode: str = "complete") -> list[tuple[str, str]]:
    text = document(f"<datamode>{mode}</datamode>{body}")
    found = read_metadata(text.encode(), limits=LIMITS).findings
    assert all(each.severity is not Severity.ERROR and each.line == 1 for each in found)
    return [(each.code, each.where.partition(" ")[0]) for each in found]


def identity(version: int, variant: int, node: int = 0) -> str:
    octets = bytes([1, 2, 3, 4, 5, 6, version << 4 | 7, 8, variant << 6 | 9, 10, node, 11, 12, 13, 14, 15])
    return b64encode(octets).decode()


def people(*aors: str) -> str:
    return "".join(
        f"<participant participant_id='{who}'><nameID aor='{aor}'/></participant>"
        for who, aor in zip((P, Q), aors, strict=False)
    )


def streams(*labels: str, session: Sequence[str] = (S, S)) -> str:
    return "".join(
        f"<stream stream_id='{which}' session_id='{of}'><label>{label}</label></stream>"
        for which, label, of in zip((T, U), labels, session, strict=False)
    )


@pytest.mark.requirement("7865-6.10-a", "7865-6.10-c")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (identity(4, 2), []),
        (identity(5, 2), []),
        (identity(3, 2), []),
        (identity(7, 2), []),
        (identity(1, 2), ["metadata-id-host"]),
        (identity(1, 2, node=1), []),
        (identity(4, 3), ["metadata-id-no-uuid"]),
        (identity(0, 2), ["metadata-id-no-uuid"]),
        (identity(15, 2), ["metadata-id-no-uuid"]),
        ("call-9", ["metadata-id-syntax"]),
    ],
)
def test_form_of_an_id(text: str, expected: list[str]) -> None:
    found = remarks(f"<group group_id='{text}'/>", "partial")
    assert found == [(code, "group@group_id") for code in expected]


@pytest.mark.requirement("7865-6.3-b")
@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("ab" * 16, True),
        (f"{'ab' * 16};remote={'cd' * 16}", True),
        (f"{'ab' * 16};\n  remote={'cd' * 16}", False),
        ("AB" * 16, False),
        ("1234@192.0.2.1", False),
        ("", False),
    ],
)
def test_form_of_a_sip_session_id(text: str, right: bool) -> None:
    body = f"<session session_id='{S}'><sipSessionID>{text}</sipSessionID></session>"
    assert remarks(body) == ([] if right else [("metadata-sip-session-id", "session/sipSessionID")])


@pytest.mark.requirement("7865-6.5-c")
@pytest.mark.parametrize(
    ("aor", "right"),
    [
        ("sip:anna@example.org;user=phone", True),
        ("SIPS:anna@[2001:db8::1]:5061", True),
        ("sip:8638254725", True),
        ("tel:+493055550123", True),
        ("urn:service:sos", True),
        ("example.org", True),
        ("192.0.2.7", True),
        ("[2001:db8::7]", True),
        ("anna@example.org", False),
        ("+493055550123", False),
        ("EE5C7EF0", False),
        ("sip:@example.org", False),
        ("sip:Anna B@example.org", False),
        ("." * 60_000 + "!", False),
    ],
)
def test_form_of_an_address_of_record(aor: str, right: bool) -> None:
    assert remarks(people(aor)) == ([] if right else [("metadata-aor-form", "nameID@aor")])


@pytest.mark.parametrize(("language", "right"), [("en", True), ("de-AT-1996", True), ("", True), ("en_US", False)])
def test_language_of_a_name(language: str, right: bool) -> None:
    name = f"<nameID aor='sip:a@b'><name xml:lang='{language}'>A</name></nameID>"
    body = f"<participant participant_id='{P}'>{name}</participant>"
    assert remarks(body) == ([] if right else [("metadata-language", "nameID/name")])


def test_label_of_two_streams() -> None:
    session = f"<session session_id='{S}'/>"
    assert remarks(session + streams("1", "1")) == [("metadata-label-repeated", "stream/label")]
    assert remarks(session + streams("1", "2")) == []


@pytest.mark.parametrize(
    ("sent", "crossed"), [((U, T), True), ((T, U), False), ((T, T), False), ((U, U), False), ((V, T), False)]
)
def test_send_that_names_what_the_other_one_says(sent: tuple[str, str], crossed: bool) -> None:
    flows = "".join(
        f"<participantstreamassoc participant_id='{who}'><send>{which}</send></participantstreamassoc>"
        for who, which in zip((P, Q), sent, strict=True)
    )
    body = f"<session session_id='{S}'/>" + people("sip:a@b", "sip:c@d") + streams("1", "2") + flows
    found = [each for each in remarks(body) if each[0] != "metadata-dangling-reference"]
    assert found == ([("metadata-send-crossed", "participantstreamassoc/send")] if crossed else [])


def test_session_that_nothing_tells_to_be_recorded() -> None:
    body = f"<session session_id='{S}'/>{people('sip:a@b')}"
    member = f"<participantsessionassoc participant_id='{P}' session_id='{S}'/>"
    assert remarks(body) == []
    assert remarks(body + member) == [("metadata-no-recording-time", "sessionrecordingassoc")]
    assert remarks(body + member, "partial") == []
    assert remarks(f"{body}<sessionrecordingassoc session_id='{S}'/>{member}") == []


def test_one_of_several_sessions_without_stream() -> None:
    other = f"<session session_id='{V}'/>"
    body = f"<session session_id='{S}'/>{other}"
    assert remarks(body + streams("1", "2")) == [("metadata-session-without-stream", "session")]
    assert remarks(body + streams("1", "2", session=(S, V))) == []
    stopped = other.replace("/>", "><stop-time>2024-05-01T10:00:00Z</stop-time></session>")
    assert remarks(body.replace(other, stopped) + streams("1", "2")) == []


def test_call_without_a_session() -> None:
    assert remarks(people("sip:a@b") + f"<stream stream_id='{T}'/>") == [("metadata-no-session", "recording")]
    assert remarks(f"<stream stream_id='{T}'/>") == []
