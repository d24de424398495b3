"""Who is let in, and how many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import ConfigurationError
from siprec_core.recording.admission import Admission, AdmissionPolicy
from siprec_core.types import SessionId


def admission(
    policy: AdmissionPolicy | None = None, *, most: int | None = None, when_full: str = "busy", retry: int = 7
) -> Admission:
    policy = policy or AdmissionPolicy()
    return Admission(policy, max_sessions=most, when_full=when_full, retry_seconds=retry)


def test_without_limits_everybody_has_room() -> None:
    doors = admission()
    for number in range(50):
        doors.enter(SessionId(str(number)), "192.0.2.1")
    assert doors.has_room("192.0.2.1")
    assert len(doors) == 50


def test_the_limits_count_all_and_each_peer() -> None:
    doors = admission(AdmissionPolicy(max_sessions_per_peer=1), most=2)
    doors.enter(SessionId("a"), "192.0.2.1")
    assert not doors.has_room("192.0.2.1")
    assert doors.has_room("192.0.2.2")
    doors.enter(SessionId("b"), "192.0.2.2")
    assert not doors.has_room("192.0.2.3")
    doors.leave(SessionId("a"))
    doors.leave(SessionId("a"))
    assert doors.has_room("192.0.2.1")
    assert not doors.has_room("192.0.2.2")


@pytest.mark.parametrize(("when_full", "status"), [("busy", 486), ("unavailable", 503), ("queue", 486)])
def test_what_a_call_without_room_gets(when_full: str, status: int) -> None:
    refusal = admission(when_full=when_full).full
    assert refusal.status == status
    assert (("Retry-After", "7") in refusal.headers) is (status == 503)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.0.2.9", None),
        ("::ffff:192.0.2.9", None),
        ("198.51.100.7", None),
        ("198.51.100.8", 403),
        ("2001:db8::1", None),
        ("2001:db9::1", 403),
        ("nonsense", 403),
        ("", 403),
    ],
)
def test_strangers_are_refused_by_network(host: str, status: int | None) -> None:
    doors = admission(AdmissionPolicy(networks=("192.0.2.0/24", "198.51.100.7", "2001:db8::/32")))
    refusal = doors.refuse_stranger(host, None)
    assert (None if refusal is None else refusal.status) == status


def test_strangers_are_refused_by_the_names_of_their_certificate() -> None:
    doors = admission(AdmissionPolicy(peer_names=("SBC1.example.com", "sbc2.example.com.")))
    for good in (("sbc1.example.com",), ("192.0.2.1", "sbc2.EXAMPLE.com")):
        assert doors.refuse_stranger("192.0.2.1", None, good) is None
    for names in ((), ("sbc3.example.com",), ("x.sbc1.example.com",), ("*.example.com",), ("",)):
        refusal = doors.refuse_stranger("192.0.2.1", None, names)
        assert refusal is not None
        assert refusal.status == 403


def test_every_list_has_to_name_a_peer() -> None:
    doors = admission(AdmissionPolicy(networks=("192.0.2.0/24",), users=("sbc",), peer_names=("sbc1",)))
    assert doors.refuse_stranger("192.0.2.1", "sbc", ("sbc1",)) is None
    assert doors.refuse_stranger("198.51.100.1", "sbc", ("sbc1",)) is not None
    assert doors.refuse_stranger("192.0.2.1", None, ("sbc1",)) is not None
    assert doors.refuse_stranger("192.0.2.1", "sbc", ()) is not None


def test_strangers_are_refused_by_user() -> None:
    doors = admission(AdmissionPolicy(users=("sbc",)))
    assert doors.refuse_stranger("192.0.2.1", "sbc") is None
    for user in ("other", None):
        refusal = doors.refuse_stranger("192.0.2.1", user)
        assert refusal is not None
        assert refusal.status == 403


@pytest.mark.parametrize(
    ("policy", "named", "what"),
    [
        (AdmissionPolicy(networks=("192.0.2.1/24",)), {}, "networks"),
        (AdmissionPolicy(networks=("example.com",)), {}, "networks"),
        (AdmissionPolicy(max_sessions_per_peer=0), {}, "max_sessions_per_peer"),
        (AdmissionPolicy(queue_seconds=-1.0), {}, "queue_seconds"),
        (AdmissionPolicy(queue_seconds=float("nan")), {}, "queue_seconds"),
        (AdmissionPolicy(), {"most": 0}, "max_sessions"),
        (AdmissionPolicy(), {"when_full": "shrug"}, "when_full"),
    ],
)
def test_settings_that_cannot_be_are_named(policy: AdmissionPolicy, named: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        admission(policy, **named)  # type: ignore[arg-type]


def test_other_settings_count_for_the_calls_to_come() -> None:
    doors = admission(most=1)
    doors.enter(SessionId("a"), "192.0.2.1")
    doors.configure(AdmissionPolicy(networks=("198.51.100.0/24",)), max_sessions=2, when_full="queue", retry_seconds=1)
    assert doors.queues
    assert doors.has_room("192.0.2.1")
    assert doors.refuse_stranger("192.0.2.1", None) is not None
    with pytest.raises(ConfigurationError):
        doors.configure(AdmissionPolicy(networks=("nonsense",)), max_sessions=2, when_full="busy", retry_seconds=1)
    assert doors.refuse_stranger("198.51.100.1", None) is None, "what cannot be changes nothing"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from("abc")), max_size=60))
def test_the_count_is_that_of_those_who_entered_and_have_not_left(steps: list[tuple[bool, int, str]]) -> None:
    doors = admission(AdmissionPolicy(max_sessions_per_peer=2), most=4)
    inside: dict[int, str] = {}
    for enters, number, host in steps:
        if enters and number not in inside and doors.has_room(host):
            doors.enter(SessionId(str(number)), host)
            inside[number] = host
        elif not enters:
            doors.leave(SessionId(str(number)))
            inside.pop(number, None)
        assert len(doors) == len(inside) <= 4
        for each in "abc":
            of_one = list(inside.values()).count(each)
            assert doors.has_room(each) is (len(inside) < 4 and of_one < 2)
    for number in list(inside):
        doors.leave(SessionId(str(number)))
    assert not doors._counts, "nothing is kept of peers that are gone"
