"""The four transaction machines: every state with every input, and every timer at its instant."""

from collections.abc import Callable, Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.message import Request, Response
from siprec_core.sip.reply import respond
from siprec_core.sip.transaction import (
    LATE_TRYING_DELAY,
    LIFETIME,
    T1,
    T2,
    T4,
    TRYING_DELAY,
    ClientTransaction,
    Input,
    InviteClientTransaction,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    RequestPassed,
    ResponsePassed,
    ServerTransaction,
    State,
    Terminated,
    TimedOut,
    Transaction,
    Transmit,
    TransportFailed,
    ack_to_failure,
)
from tests.core.messages import read, read_response, request, response_to

S, I = State, Input  # noqa: E741 - the names that the tables below are read by
INVITE = request("INVITE", extra=["Route: <sip:p1.example.com;lr>", "Route: <sip:p2.example.com;lr>"])
OPTIONS = request("OPTIONS")

_Expected = dict[tuple[State, Input], tuple[str, State]]

INVITE_SERVER: _Expected = {
    (S.PROCEEDING, I.REQUEST): ("send", S.PROCEEDING),
    (S.PROCEEDING, I.TIMER_TRYING): ("send", S.PROCEEDING),
    (S.PROCEEDING, I.PROVISIONAL): ("send", S.PROCEEDING),
    (S.PROCEEDING, I.SUCCESS): ("send", S.ACCEPTED),
    (S.PROCEEDING, I.FAILURE): ("send", S.COMPLETED),
    (S.PROCEEDING, I.TRANSPORT_ERROR): ("failed", S.PROCEEDING),
    (S.COMPLETED, I.REQUEST): ("send", S.COMPLETED),
    (S.COMPLETED, I.TIMER_G): ("send", S.COMPLETED),
    (S.COMPLETED, I.TIMER_H): ("timeout end", S.TERMINATED),
    (S.COMPLETED, I.ACK): ("", S.CONFIRMED),
    (S.COMPLETED, I.TRANSPORT_ERROR): ("failed", S.COMPLETED),
    (S.CONFIRMED, I.TIMER_I): ("end", S.TERMINATED),
    (S.ACCEPTED, I.SUCCESS): ("send", S.ACCEPTED),
    (S.ACCEPTED, I.ACK): ("request", S.ACCEPTED),
    (S.ACCEPTED, I.TRANSPORT_ERROR): ("failed", S.ACCEPTED),
    (S.ACCEPTED, I.TIMER_L): ("end", S.TERMINATED),
}
"""RFC 6026 figure 5."""
SERVER: _Expected = {
    (S.TRYING, I.TIMER_TRYING): ("send", S.PROCEEDING),
    (S.TRYING, I.PROVISIONAL): ("send", S.PROCEEDING),
    (S.TRYING, I.SUCCESS): ("send", S.COMPLETED),
    (S.TRYING, I.FAILURE): ("send", S.COMPLETED),
    (S.PROCEEDING, I.REQUEST): ("send", S.PROCEEDING),
    (S.PROCEEDING, I.PROVISIONAL): ("send", S.PROCEEDING),
    (S.PROCEEDING, I.SUCCESS): ("send", S.COMPLETED),
    (S.PROCEEDING, I.FAILURE): ("send", S.COMPLETED),
    (S.PROCEEDING, I.TRANSPORT_ERROR): ("failed end", S.TERMINATED),
    (S.COMPLETED, I.REQUEST): ("send", S.COMPLETED),
    (S.COMPLETED, I.TRANSPORT_ERROR): ("failed end", S.TERMINATED),
    (S.COMPLETED, I.TIMER_J): ("end", S.TERMINATED),
}
"""RFC 3261 figure 8, with RFC 4320 section 4.1."""
INVITE_CLIENT: _Expected = {
    (S.CALLING, I.TIMER_A): ("send", S.CALLING),
    (S.CALLING, I.TIMER_B): ("timeout end", S.TERMINATED),
    (S.CALLING, I.TRANSPORT_ERROR): ("failed end", S.TERMINATED),
    (S.CALLING, I.PROVISIONAL): ("response", S.PROCEEDING),
    (S.CALLING, I.SUCCESS): ("response", S.ACCEPTED),
    (S.CALLING, I.FAILURE): ("ack response", S.COMPLETED),
    (S.PROCEEDING, I.PROVISIONAL): ("response", S.PROCEEDING),
    (S.PROCEEDING, I.SUCCESS): ("response", S.ACCEPTED),
    (S.PROCEEDING, I.FAILURE): ("ack response", S.COMPLETED),
    (S.PROCEEDING, I.TIMER_B): ("timeout end", S.TERMINATED),
    (S.COMPLETED, I.FAILURE): ("ack", S.COMPLETED),
    (S.COMPLETED, I.TRANSPORT_ERROR): ("failed end", S.TERMINATED),
    (S.COMPLETED, I.TIMER_D): ("end", S.TERMINATED),
    (S.ACCEPTED, I.SUCCESS): ("response", S.ACCEPTED),
    (S.ACCEPTED, I.TIMER_M): ("end", S.TERMINATED),
}
"""RFC 6026 figure 4; Timer B in Proceeding runs after CANCEL alone (RFC 3261 section 9.1)."""
CLIENT: _Expected = {
    (S.TRYING, I.TIMER_E): ("send", S.TRYING),
    (S.TRYING, I.TIMER_F): ("timeout end", S.TERMINATED),
    (S.TRYING, I.TRANSPORT_ERROR): ("failed end", S.TERMINATED),
    (S.TRYING, I.PROVISIONAL): ("response", S.PROCEEDING),
    (S.TRYING, I.SUCCESS): ("response", S.COMPLETED),
    (S.TRYING, I.FAILURE): ("response", S.COMPLETED),
    (S.PROCEEDING, I.TIMER_E): ("send", S.PROCEEDING),
    (S.PROCEEDING, I.TIMER_F): ("timeout end", S.TERMINATED),
    (S.PROCEEDING, I.TRANSPORT_ERROR): ("failed end", S.TERMINATED),
    (S.PROCEEDING, I.PROVISIONAL): ("response", S.PROCEEDING),
    (S.PROCEEDING, I.SUCCESS): ("response", S.COMPLETED),
    (S.PROCEEDING, I.FAILURE): ("response", S.COMPLETED),
    (S.COMPLETED, I.TIMER_K): ("end", S.TERMINATED),
}
"""RFC 3261 figure 6."""

_NAMES: dict[type, str] = {
    RequestPassed: "request",
    ResponsePassed: "response",
    TimedOut: "timeout",
    TransportFailed: "failed",
    Terminated: "end",
}


def invite_server(*, reliable: bool = False, now: float = 0.0) -> InviteServerTransaction:
    message = read(INVITE)
    return InviteServerTransaction(message, respond(message, 100), reliable=reliable, now=now)


def server(*, reliable: bool = False, now: float = 0.0) -> NonInviteServerTransaction:
    message = read(OPTIONS)
    return NonInviteServerTransaction(message, respond(message, 100), reliable=reliable, now=now)


def invite_client(*, reliable: bool = False, now: float = 0.0) -> InviteClientTransaction:
    return InviteClientTransaction(read(INVITE), reliable=reliable, now=now)


def client(*, reliable: bool = False, now: float = 0.0) -> NonInviteClientTransaction:
    return NonInviteClientTransaction(read(OPTIONS), reliable=reliable, now=now)


FIGURES: list[tuple[Callable[..., Transaction], _Expected]] = [
    (invite_server, INVITE_SERVER),
    (server, SERVER),
    (invite_client, INVITE_CLIENT),
    (client, CLIENT),
]


def answer(machine: Transaction, status: int) -> Response:
    return respond(machine.request, status, to_tag="srs")


def drain(machine: Transaction) -> list[str]:
    """Give the outputs by name; `ack` is an ACK that is sent, `send` anything else."""
    names = []
    while (output := machine.poll_output()) is not None:
        if isinstance(output, Transmit):
            message = output.message
            names.append("ack" if isinstance(message, Request) and message.method == "ACK" else "send")
        else:
            names.append(_NAMES[type(output)])
    return names


def feed(machine: Transaction, what: Input, now: float) -> None:
    """Let an input happen through the door it has."""
    statuses = {I.PROVISIONAL: 180, I.SUCCESS: 200, I.FAILURE: 486}
    if what in statuses and isinstance(machine, ServerTransaction):
        machine.send(answer(machine, statuses[what]), now=now)
    elif what in statuses and isinstance(machine, ClientTransaction):
        machine.receive_response(answer(machine, statuses[what]), now=now)
    elif what is I.REQUEST and isinstance(machine, ServerTransaction):
        machine.receive_request(machine.request, now=now)
    elif what is I.ACK and isinstance(machine, ServerTransaction):
        machine.receive_request(read(request("ACK")), now=now)
    elif what is I.TRANSPORT_ERROR:
        machine.transport_failed(now=now)
    else:
        machine._advance(what, now)


def at(machine: Transaction, state: State) -> Transaction:
    """Put a machine into a state of which it has sent something."""
    machine.state = state
    machine._keep(machine.request if isinstance(machine, ClientTransaction) else answer(machine, 180))
    return machine


@pytest.mark.requirement("3261-17.1.1-a", "3261-17.1.2-a", "3261-17.2.1-a", "3261-17.2.2-a", "6026-7-a")
@pytest.mark.parametrize(
    ("build", "expected", "state", "what", "reliable"),
    [
        (build, expected, state, what, reliable)
        for (build, expected), state, what, reliable in product(FIGURES, State, Input, (False, True))
    ],
    ids=lambda value: value.__name__ if callable(value) else getattr(value, "name", None),
)
def test_every_state_with_every_input(
    build: Callable[..., Transaction], expected: _Expected, state: State, what: Input, reliable: bool
) -> None:
    machine = at(build(reliable=reliable), state)
    feed(machine, what, 1.0)
    outputs, following = expected.get((state, what), ("", state))
    assert " ".join(drain(machine)) == outputs
    assert machine.state is following
    if following is State.TERMINATED and state is not State.TERMINATED:
        assert machine.next_timeout() is None


@pytest.mark.parametrize(("build", "expected"), FIGURES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_tables_draw_the_figures_and_nothing_else(build: Callable[..., Transaction], expected: _Expected) -> None:
    machine = build()
    assert machine.TABLE.keys() == expected.keys()
    assert machine.state is machine.START
    for actions, _ in machine.TABLE.values():
        for action in actions:
            assert callable(getattr(machine, action))


@pytest.mark.parametrize("build", [build for build, _ in FIGURES])
@given(data=st.data())
def test_any_run_ends_at_most_once_and_stays_silent_then(
    build: Callable[..., Transaction], data: st.DataObject
) -> None:
    machine = build(reliable=data.draw(st.booleans()))
    if isinstance(machine, ClientTransaction):
        machine.start(now=0.0)
    now, ended = 0.0, 0
    for what in data.draw(st.lists(st.sampled_from(Input), max_size=30)):
        now += data.draw(st.sampled_from([0.0, 0.1, 0.5, 5.0, 40.0]))
        machine.handle_timeout(now=now)
        due = machine.next_timeout()
        assert due is None or due > now, "nothing that is due is left"
        if not what.name.startswith("TIMER"):
            feed(machine, what, now)
        outputs = drain(machine)
        assert not (ended and outputs), "a terminated transaction puts nothing out"
        ended += outputs.count("end")
    assert ended == (machine.state is State.TERMINATED)


# timers


def instants(machine: Transaction, until: float) -> Iterator[tuple[float, str]]:
    """Let time pass from deadline to deadline; give when which output came."""
    for name in drain(machine):
        yield 0.0, name
    while (due := machine.next_timeout()) is not None and due <= until:
        machine.handle_timeout(now=due - 0.001)
        assert not drain(machine), "an early wake-up does nothing"
        machine.handle_timeout(now=due)
        for name in drain(machine):
            yield due, name


def sends(*times: float) -> list[tuple[float, str]]:
    return [(time, "send") for time in times]


@pytest.mark.requirement("3261-17-a")
def test_an_invite_is_sent_again_at_doubling_intervals_until_timer_b() -> None:
    machine = invite_client()
    machine.start(now=0.0)
    expected = [*sends(0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5), (32.0, "timeout"), (32.0, "end")]
    assert list(instants(machine, 100.0)) == expected


@pytest.mark.requirement("3261-17-a")
def test_over_a_stream_an_invite_is_sent_once_and_times_out_all_the_same() -> None:
    machine = invite_client(reliable=True)
    machine.start(now=0.0)
    assert list(instants(machine, 100.0)) == [*sends(0), (32.0, "timeout"), (32.0, "end")]


@pytest.mark.parametrize("reliable", [False, True])
def test_after_a_provisional_the_client_waits_without_end(reliable: bool) -> None:
    machine = invite_client(reliable=reliable)
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 180), now=0.3)
    assert machine.next_timeout() is None


@pytest.mark.parametrize("reliable", [False, True])
def test_a_cancelled_invite_waits_64_t1_for_its_final_response(reliable: bool) -> None:
    machine = invite_client(reliable=reliable)
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 180), now=0.3)
    drain(machine)
    machine.cancelled(now=2.0)
    assert list(instants(machine, 100.0)) == [(2.0 + LIFETIME, "timeout"), (2.0 + LIFETIME, "end")]


def test_a_cancel_changes_no_timer_of_a_transaction_that_has_its_answer() -> None:
    machine = invite_client()
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 180), now=0.1)
    machine.cancelled(now=0.2)
    machine.receive_response(answer(machine, 487), now=0.3)
    assert machine.next_timeout() == 0.3 + LIFETIME  # Timer D
    machine.cancelled(now=1.0)
    assert machine.next_timeout() == 0.3 + LIFETIME


@pytest.mark.requirement("3261-17-a", "3261-17.1.1-a")
@pytest.mark.parametrize(("reliable", "seconds"), [(False, 32.0), (True, 0.0)])
def test_timer_d(reliable: bool, seconds: float) -> None:
    machine = invite_client(reliable=reliable)
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 486), now=0.25)
    assert drain(machine) == ["send", "ack", "response"]
    assert machine.next_timeout() == 0.25 + seconds
    machine.receive_response(answer(machine, 486), now=0.25)
    assert drain(machine) == ["ack"], "each repeated failure is acknowledged, none is passed twice"
    machine.handle_timeout(now=0.25 + seconds)
    assert drain(machine) == ["end"]


@pytest.mark.requirement("3261-17-a", "6026-7-a")
@pytest.mark.parametrize("reliable", [False, True])
def test_timer_m_keeps_the_door_open_for_more_2xx(reliable: bool) -> None:
    machine = invite_client(reliable=reliable)
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 200), now=1.0)
    machine.receive_response(answer(machine, 200), now=20.0)
    assert drain(machine) == ["send", "response", "response"]
    assert list(instants(machine, 100.0)) == [(1.0 + LIFETIME, "end")]


@pytest.mark.requirement("3261-17-a", "3261-17.1.2-a")
def test_a_request_is_sent_again_up_to_t2_until_timer_f() -> None:
    machine = client()
    machine.start(now=0.0)
    times = (0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
    assert list(instants(machine, 100.0)) == [*sends(*times), (32.0, "timeout"), (32.0, "end")]


@pytest.mark.requirement("3261-17-a", "3261-17.1.2-a")
def test_in_proceeding_timer_e_runs_at_t2() -> None:
    machine = client()
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 100), now=0.1)
    assert drain(machine) == ["send", "response"]
    times = [0.5, *(0.5 + T2 * count for count in range(1, 8))]
    assert list(instants(machine, 100.0)) == [*sends(*times), (32.0, "timeout"), (32.0, "end")]


@pytest.mark.requirement("3261-17-a")
@pytest.mark.parametrize(("reliable", "seconds"), [(False, T4), (True, 0.0)])
def test_timer_k(reliable: bool, seconds: float) -> None:
    machine = client(reliable=reliable)
    machine.start(now=0.0)
    machine.receive_response(answer(machine, 200), now=1.0)
    machine.receive_response(answer(machine, 200), now=1.0)
    assert drain(machine) == ["send", "response"]
    assert list(instants(machine, 100.0)) == [(1.0 + seconds, "end")]


@pytest.mark.requirement("3261-17-a", "3261-17.2.1-a")
def test_a_failure_is_sent_again_by_timer_g_until_timer_h() -> None:
    machine = invite_server()
    machine.send(answer(machine, 486), now=0.0)
    times = (0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
    assert list(instants(machine, 100.0)) == [*sends(*times), (32.0, "timeout"), (32.0, "end")]


@pytest.mark.requirement("3261-17-a")
def test_over_a_stream_a_failure_is_sent_once_and_its_ack_waited_for() -> None:
    machine = invite_server(reliable=True)
    machine.send(answer(machine, 486), now=0.0)
    assert list(instants(machine, 100.0)) == [*sends(0), (32.0, "timeout"), (32.0, "end")]


@pytest.mark.requirement("3261-17-a")
@pytest.mark.parametrize(("reliable", "seconds"), [(False, T4), (True, 0.0)])
def test_timer_i_absorbs_more_acks(reliable: bool, seconds: float) -> None:
    machine = invite_server(reliable=reliable)
    machine.send(answer(machine, 486), now=0.0)
    machine.receive_request(read(request("ACK")), now=0.2)
    machine.receive_request(read(request("ACK")), now=0.2)
    assert drain(machine) == ["send"]
    assert list(instants(machine, 100.0)) == [(0.2 + seconds, "end")]


@pytest.mark.requirement("3261-17-a", "6026-7-a")
@pytest.mark.parametrize("reliable", [False, True])
def test_timer_l_absorbs_the_invite_that_comes_again(reliable: bool) -> None:
    machine = invite_server(reliable=reliable)
    machine.send(answer(machine, 200), now=1.0)
    machine.receive_request(machine.request, now=1.5)
    machine.receive_request(read(request("ACK")), now=2.0)
    assert drain(machine) == ["send", "request"]
    assert list(instants(machine, 100.0)) == [(1.0 + LIFETIME, "end")]


@pytest.mark.requirement("3261-17-a", "3261-17.2.2-a")
@pytest.mark.parametrize(("reliable", "seconds"), [(False, LIFETIME), (True, 0.0)])
def test_timer_j(reliable: bool, seconds: float) -> None:
    machine = server(reliable=reliable)
    machine.send(answer(machine, 200), now=1.0)
    machine.receive_request(machine.request, now=1.0)
    assert drain(machine) == ["send", "send"]
    assert list(instants(machine, 100.0)) == [(1.0 + seconds, "end")]


@pytest.mark.requirement("3261-17.2.1-a", "3261-8.2.6-a", "4320-4.1-a")
@pytest.mark.parametrize(
    ("build", "delay"), [(invite_server, TRYING_DELAY), (server, LATE_TRYING_DELAY)], ids=["invite", "other"]
)
@pytest.mark.parametrize("reliable", [False, True])
def test_a_silent_user_is_covered_by_one_100(
    build: Callable[..., ServerTransaction], delay: float, reliable: bool
) -> None:
    machine = build(reliable=reliable)
    machine.receive_request(machine.request, now=0.1)
    assert drain(machine) == [], "nothing was sent that could be sent again"
    machine.handle_timeout(now=delay)
    output = machine.poll_output()
    assert isinstance(output, Transmit)
    assert output.data.startswith(b"SIP/2.0 100 Trying")
    assert b";tag=" not in output.data.split(b"To:")[1].split(b"\r\n")[0]
    machine.receive_request(machine.request, now=delay + 1)
    assert drain(machine) == ["send"]
    machine.send(answer(machine, 200), now=delay + 2)
    machine.send(answer(machine, 486), now=delay + 2)
    assert drain(machine) == ["send"], "the second final response is not sent"
    assert machine.last_response is not None
    assert machine.last_response.status == 200


@pytest.mark.requirement("3261-17.2.1-a", "4320-4.1-a")
@pytest.mark.parametrize("build", [invite_server, server])
@pytest.mark.parametrize("status", [180, 200, 486])
def test_a_user_that_answers_in_time_sends_no_100(build: Callable[..., ServerTransaction], status: int) -> None:
    machine = build()
    machine.send(answer(machine, status), now=0.1)
    drain(machine)
    assert all(not data.startswith(b"SIP/2.0 100") for data in _transmitted(machine, 5.0))


def _transmitted(machine: Transaction, until: float) -> Iterator[bytes]:
    while (due := machine.next_timeout()) is not None and due <= until:
        machine.handle_timeout(now=due)
        while (output := machine.poll_output()) is not None:
            if isinstance(output, Transmit):
                yield output.data


def test_a_late_wake_up_fires_what_is_due_and_cannot_loop() -> None:
    machine = invite_client()
    machine.start(now=0.0)
    drain(machine)
    machine.handle_timeout(now=1e6)
    assert drain(machine) == ["send", "timeout", "end"]
    machine.handle_timeout(now=2e6)
    assert drain(machine) == []


@pytest.mark.requirement("3261-17.1.1-b")
def test_the_ack_to_a_failure_is_the_invites_but_for_method_and_to() -> None:
    invite = read(INVITE)
    ack = ack_to_failure(invite, read_response(response_to(INVITE, 486, to_tag="there")))
    assert (ack.method, ack.uri, ack.call_id, ack.cseq.number, ack.cseq.method) == (
        "ACK",
        invite.uri,
        invite.call_id,
        1,
        "ACK",
    )
    assert [str(via) for via in ack.vias] == [str(invite.top_via)]
    assert ack.headers.get_all("Route") == invite.headers.get_all("Route")
    assert ack.headers.get("From") == invite.headers.get("From")
    assert ack.to.tag == "there"
    assert ack.max_forwards == 70
    assert "Require" not in ack.headers


@pytest.mark.requirement("3261-17-a", "4320-4.1-a")
def test_the_constants_are_those_of_table_4() -> None:
    assert (T1, T2, T4, LIFETIME) == (0.5, 4.0, 5.0, 64 * T1)
    # RFC 4320 4.1: the 100 to a non-INVITE waits until Timer E is reset to T2.
    assert LATE_TRYING_DELAY == T1 + 2 * T1 + 4 * T1


@pytest.mark.requirement("3261-8.2.6-b")
@pytest.mark.parametrize(
    ("stamp", "copied"), [("54.1", "54.1 0.250"), ("54", "54 0.250"), ("54.1 0.3", "54.1 0.3"), ("soon", "soon")]
)
def test_a_100_tells_how_long_it_took(stamp: str, copied: str) -> None:
    message = read(request("INVITE", extra=[f"Timestamp: {stamp}"]))
    machine = InviteServerTransaction(message, respond(message, 100), reliable=False, now=7.0)
    machine.handle_timeout(now=7.25)
    output = machine.poll_output()
    assert isinstance(output, Transmit)
    assert output.message.headers.get_all("Timestamp") == [copied]
