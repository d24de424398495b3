"""Calls at the door of a server: refused, in line, let in."""

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.events import ServerDrained, SessionEnded, SessionRefused, SessionRequested
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address
from tests.core.harness import Pair
from tests.core.messages import field, invite, request, status, tag


def queueing(*, most: int = 1, seconds: float = 3.0, waiting: int = 100) -> Pair:
    admission = AdmissionPolicy(queue_seconds=seconds)
    limits = Limits(waiting_calls=waiting)
    return Pair(config=ServerConfig(max_sessions=most, when_full="queue", admission=admission, limits=limits))


def first_call(pair: Pair) -> str:
    pair.inject(invite(call_id="first"))
    assert status(pair.server.sent[-1]) == 200
    server_tag = tag(pair.server.sent[-1])
    pair.inject(request("ACK", call_id="first", to_tag=server_tag, branch="z9hG4bK-ack"))
    return server_tag


def statuses(pair: Pair, call_id: str) -> list[int]:
    """Give what the INVITE of a call was answered, without repetitions."""
    answers = [data for data in pair.server.sent if data.startswith(b"SIP/2.0") and field(data, "Call-ID") == call_id]
    of_invite = [status(data) for data in answers if field(data, "CSeq").endswith("INVITE")]
    return list(dict.fromkeys(of_invite))


def test_a_call_waits_with_100_until_another_ends() -> None:
    pair = queueing()
    server_tag = first_call(pair)
    pair.inject(invite(call_id="a"))
    assert statuses(pair, "a") == [100], "at once"
    pair.run(1.0)
    pair.inject(invite(call_id="b"))
    assert len(pair.recorder.sessions()) == 1, "nothing is allocated for those who wait"
    pair.inject(request("BYE", call_id="first", to_tag=server_tag, cseq=2))
    pair.run(0.1)
    assert statuses(pair, "a") == [100, 200]
    assert statuses(pair, "b") == [100]
    assert [event.call_id for event in pair.server.of(SessionRequested)] == ["first", "a"]
    pair.run(3.0)
    assert statuses(pair, "b") == [100, 486]
    (refused,) = pair.server.of(SessionRefused)
    assert (refused.call_id, refused.status) == ("b", 486)


def test_the_caller_gives_up_while_it_waits() -> None:
    pair = queueing()
    server_tag = first_call(pair)
    pair.inject(invite(call_id="a"))
    pair.inject(invite(call_id="b"))
    cancelled = invite(call_id="a")
    branch = field(cancelled, "Via").partition("branch=")[2]
    pair.inject(request("CANCEL", call_id="a", cseq=1, branch=branch, contact=None))
    assert statuses(pair, "a") == [100, 487]
    assert [(event.call_id, event.status) for event in pair.server.of(SessionRefused)] == [("a", 487)]
    pair.inject(request("BYE", call_id="first", to_tag=server_tag, cseq=2))
    pair.run(0.1)
    assert statuses(pair, "b") == [100, 200]
    assert statuses(pair, "a") == [100, 487]


def test_the_line_is_bounded_and_options_say_what_an_invite_would_get() -> None:
    pair = queueing(waiting=1)
    first_call(pair)
    pair.inject(request("OPTIONS", call_id="o1"))
    assert status(pair.server.sent[-1]) == 200, "there is room to wait"
    pair.inject(invite(call_id="a"))
    pair.inject(request("OPTIONS", call_id="o2"))
    assert status(pair.server.sent[-1]) == 486
    pair.inject(invite(call_id="b"))
    assert statuses(pair, "b") == [486]


def test_a_server_that_drains_refuses_those_who_wait() -> None:
    pair = queueing()
    first_call(pair)
    pair.inject(invite(call_id="a"))
    pair.recorder.shut_down(drain_seconds=0.0, now=pair.now)
    pair.settle()
    assert statuses(pair, "a") == [100, 503]
    pair.run(40.0)
    assert pair.server.of(ServerDrained)


def test_many_who_wait_get_their_turn_in_order_however_each_call_ends() -> None:
    pair = queueing(seconds=100.0)
    server_tag = first_call(pair)
    names = [f"w{number}" for number in range(60)]
    for name in names:
        pair.inject(invite(call_id=name))
    # None of them is ever acknowledged: each ends by a BYE of ours 32 s after its answer, or loses patience before.
    pair.inject(request("BYE", call_id="first", to_tag=server_tag, cseq=2))
    pair.run(200.0)
    order = [event.call_id for event in pair.server.of(SessionRequested)]
    assert order == ["first", *names[: len(order) - 1]]
    assert len(order) >= 3
    # A minute of waiting is told by 183 (RFC 3261 13.3.1.1).
    assert all(statuses(pair, name) == [100, 183, 486] for name in names[len(order) - 1 :])
    assert len(pair.recorder._waiting) == 0
    assert len(pair.recorder._admission) == 0
    assert len(pair.server.of(SessionEnded)) == len(order)


def test_many_who_are_refused_at_their_turn_do_not_nest() -> None:
    pair = queueing()
    server_tag = first_call(pair)
    for number in range(100):
        pair.inject(invite(call_id=f"w{number}", offer=NO_CODEC))
    pair.inject(request("BYE", call_id="first", to_tag=server_tag, cseq=2))
    pair.run(0.1)
    assert all(statuses(pair, f"w{number}") == [100, 488] for number in range(100))


NO_CODEC = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 99\r\na=rtpmap:99 G719/48000\r\na=sendonly\r\na=label:1\r\n"
)


@pytest.mark.parametrize(("policy", "expected"), [(AdmissionPolicy(networks=("198.51.100.0/24",)), 403)])
def test_options_and_invite_of_a_stranger_agree(policy: AdmissionPolicy, expected: int) -> None:
    pair = Pair(config=ServerConfig(admission=policy))
    pair.inject(request("OPTIONS", call_id="o"))
    assert status(pair.server.sent[-1]) == expected
    pair.inject(invite(call_id="a"))
    assert statuses(pair, "a") == [expected]
    near = Address("198.51.100.7", 5070)
    pair.inject(invite(call_id="b"), source=near)
    assert statuses(pair, "b")[-1] == 200


@pytest.mark.parametrize(("when_full", "expected"), [("busy", 486), ("unavailable", 503)])
def test_one_peer_cannot_take_all_the_room(when_full: str, expected: int) -> None:
    admission = AdmissionPolicy(max_sessions_per_peer=1)
    pair = Pair(config=ServerConfig(max_sessions=2, when_full=when_full, admission=admission))
    first_call(pair)
    pair.inject(invite(call_id="a"))
    assert statuses(pair, "a") == [expected]
    pair.inject(invite(call_id="b"), source=Address("192.0.2.77", 5070))
    assert statuses(pair, "b") == [200]
