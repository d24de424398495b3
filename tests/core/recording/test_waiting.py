"""Calls that wait for room."""

from siprec_core.limits import Limits
from siprec_core.recording.admission import Admission, AdmissionPolicy
from siprec_core.recording.request import read_request
from siprec_core.recording.waiting import WaitingCall, WaitingCalls
from siprec_core.sip.endpoint_events import InviteReceived
from siprec_core.sip.invite import UsageId
from siprec_core.sip.message import Request
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Address, Flow, SessionId, Transport
from tests.core.harness import SERVER
from tests.core.messages import invite

HOST = "192.0.2.2"


def waiting_call(number: int, until: float, host: str = HOST) -> WaitingCall:
    raw = invite(call_id=str(number))
    message = parse_datagram(raw, limits=Limits())
    assert isinstance(message, Request)
    flow = Flow(Transport.UDP, SERVER, Address(host, 5070))
    invited = InviteReceived(usage=UsageId(number), request=message, flow=flow, local_tag="t", raw=(raw,))
    return WaitingCall(invited, read_request(message, limits=Limits(), strict=False), until)


def test_the_first_comes_first_in_room_and_in_time() -> None:
    line = WaitingCalls(3)
    assert line.next_deadline() is None
    assert line.pop() is None
    calls = [waiting_call(number, 10.0 + number) for number in (1, 2, 3)]
    for call in calls:
        assert not line.is_full
        line.add(call)
    assert line.is_full
    assert line.pop_due(10.9) is None
    assert line.pop_due(11.0) is calls[0]
    assert line.next_deadline() == 12.0
    assert line.remove(UsageId(2)) is calls[1]
    assert line.remove(UsageId(2)) is None
    assert line.pop() is calls[2]
    assert not len(line)


def test_a_full_peer_holds_up_no_other() -> None:
    admission = Admission(
        AdmissionPolicy(max_sessions_per_peer=1), max_sessions=None, when_full="queue", retry_seconds=1
    )
    admission.enter(SessionId("a"), HOST)
    line = WaitingCalls(9)
    line.add(waiting_call(1, 5.0))
    assert line.pop_for(admission) is None
    line.add(waiting_call(2, 5.0, "192.0.2.3"))
    other = line.pop_for(admission)
    assert other is not None
    assert other.host == "192.0.2.3"
    admission.leave(SessionId("a"))
    assert line.pop_for(admission) is not None
