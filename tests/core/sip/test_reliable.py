"""Reliable 1xx and the wait for an answer: every state with every input, the times, and the header fields."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip import reliable
from siprec_core.sip.message import Response
from siprec_core.sip.reliable import (
    ProvisionalInput,
    Provisionals,
    ProvisionalState,
    RAck,
    expires_of,
    rack_of,
    requires_reliable,
    rseq_of,
)
from siprec_core.sip.transaction import LIFETIME
from tests.core.messages import read, read_response, request, response_to

S, I = ProvisionalState, ProvisionalInput  # noqa: E741 - the names that the table below is read by
FIRST = 4_711

FIGURE: dict[tuple[ProvisionalState, ProvisionalInput], tuple[str, ProvisionalState]] = {
    (S.QUIET, I.EXTEND): ("send", S.QUIET),
    (S.QUIET, I.EXTEND_RELIABLY): ("send", S.UNACKNOWLEDGED),
    (S.QUIET, I.FINAL): ("", S.ANSWERED),
    (S.QUIET, I.EXPIRE): ("expired", S.FAILED),
    (S.UNACKNOWLEDGED, I.REPEAT): ("send", S.UNACKNOWLEDGED),
    (S.UNACKNOWLEDGED, I.PRACK): ("", S.QUIET),
    (S.UNACKNOWLEDGED, I.GIVE_UP): ("lost", S.FAILED),
    (S.UNACKNOWLEDGED, I.FINAL): ("", S.ANSWERED_UNACKNOWLEDGED),
    (S.UNACKNOWLEDGED, I.EXPIRE): ("expired", S.FAILED),
    (S.ANSWERED_UNACKNOWLEDGED, I.PRACK): ("", S.ANSWERED),
}
_NAMES = {reliable.SendProvisional: "send", reliable.ProvisionalLost: "lost", reliable.Expired: "expired"}


def build(*extra: str, first: int = FIRST) -> Provisionals:
    return Provisionals(read(request("INVITE", cseq=7, extra=extra)), first_number=first, now=0.0)


def drain(provisionals: Provisionals) -> list[str]:
    names = []
    while (output := provisionals.poll_output()) is not None:
        number = output.number if isinstance(output, reliable.SendProvisional) else None
        names.append(_NAMES[type(output)] + (f" {number}" if number is not None else ""))
    return names


def run(provisionals: Provisionals, until: float) -> list[tuple[float, str]]:
    events = []
    while (due := provisionals.next_timeout()) is not None and due <= until:
        provisionals.handle_timeout(now=due - 0.001)
        assert drain(provisionals) == []
        provisionals.handle_timeout(now=due)
        events += [(due, name) for name in drain(provisionals)]
    return events


@pytest.mark.parametrize(("state", "what"), list(product(S, I)), ids=lambda value: value.name)
def test_every_state_with_every_input(state: ProvisionalState, what: ProvisionalInput) -> None:
    provisionals = build()
    provisionals.state = state
    assert provisionals.advance(what, now=1.0) is ((state, what) in FIGURE)
    outputs, following = FIGURE.get((state, what), ("", state))
    assert drain(provisionals) == ([outputs] if outputs else [])
    assert provisionals.state is following


def test_the_table_draws_the_figure_and_nothing_else() -> None:
    assert Provisionals.TABLE.keys() == FIGURE.keys()


@pytest.mark.requirement("3261-13.3.1-b")
def test_a_plain_1xx_goes_out_every_minute_until_the_answer() -> None:
    provisionals = build("Supported: 100rel")
    assert run(provisionals, 200.0) == [(60.0, "send"), (120.0, "send"), (180.0, "send")]
    provisionals.answered(now=200.0)
    assert run(provisionals, 500.0) == []
    assert provisionals.next_timeout() is None


@pytest.mark.requirement("3262-3-b")
def test_a_reliable_1xx_is_repeated_doubling_without_bound_and_lost_after_64_t1() -> None:
    provisionals = build("Require: 100rel")
    sent = run(provisionals, 60.0 + LIFETIME - 0.1)
    # T1 doubling: T2 does not bound it.
    assert [at - 60.0 for at, _ in sent] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert {name for _, name in sent} == {f"send {FIRST}"}
    assert run(provisionals, 500.0) == [(60.0 + LIFETIME, "lost")]
    assert provisionals.next_timeout() is None


@pytest.mark.requirement("3262-3-b")
def test_after_the_prack_the_next_number_follows_a_minute_later() -> None:
    provisionals = build("Require: siprec, 100rel")
    run(provisionals, 60.0)
    assert provisionals.acknowledge(RAck(FIRST, 7, "INVITE"), now=61.0)
    assert run(provisionals, 120.9) == []
    assert run(provisionals, 121.0) == [(121.0, f"send {FIRST + 1}")]


@pytest.mark.parametrize("rack", [RAck(FIRST + 1, 7, "INVITE"), RAck(FIRST, 8, "INVITE"), RAck(FIRST, 7, "UPDATE")])
def test_a_prack_for_another_response_matches_nothing(rack: RAck) -> None:
    provisionals = build("Require: 100rel")
    run(provisionals, 60.0)
    assert not provisionals.acknowledge(rack, now=60.0)
    assert provisionals.acknowledge(RAck(FIRST, 7, "INVITE"), now=60.0)
    assert not provisionals.acknowledge(RAck(FIRST, 7, "INVITE"), now=60.0), "it was acknowledged before"


def test_a_prack_before_any_reliable_1xx_matches_nothing() -> None:
    provisionals = build("Require: 100rel", first=1)
    assert not provisionals.acknowledge(RAck(0, 7, "INVITE"), now=0.0)


def test_a_prack_behind_the_final_response_is_taken_once() -> None:
    provisionals = build("Require: 100rel")
    run(provisionals, 60.0)
    provisionals.answered(now=60.1)
    assert run(provisionals, 500.0) == []
    assert provisionals.acknowledge(RAck(FIRST, 7, "INVITE"), now=61.0)
    assert not provisionals.acknowledge(RAck(FIRST, 7, "INVITE"), now=61.0)


@pytest.mark.requirement("3261-13.3.1-a")
@pytest.mark.parametrize("require", ["siprec", "100rel"])
def test_the_time_of_expires_ends_the_wait(require: str) -> None:
    provisionals = build("Expires: 75", f"Require: {require}")
    assert run(provisionals, 500.0)[-1] == (75.0, "expired")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), (" 5 ", 5), ("0", 1), ("9" * 30, None), ("-1", None), ("Thu, 01 Dec 1994", None), ("", None)],
)
def test_expires_is_a_number_of_seconds_or_no_limit(value: str, seconds: int | None) -> None:
    assert expires_of(read(request("INVITE", extra=[f"Expires: {value}"]))) == seconds
    assert expires_of(read(request("INVITE"))) is None


@given(st.lists(st.tuples(st.sampled_from(I), st.floats(0, 100)), max_size=30), st.booleans())
def test_any_run_tells_one_end_and_then_waits_for_nothing(
    steps: list[tuple[ProvisionalInput, float]], required: bool
) -> None:
    provisionals = build("Require: 100rel" if required else "Supported: 100rel")
    now, told = 0.0, list[str]()
    for what, seconds in steps:
        now += seconds
        provisionals.advance(what, now=now)
        provisionals.handle_timeout(now=now)
        told += drain(provisionals)
    assert len([name for name in told if not name.startswith("send")]) <= 1
    if provisionals.state in (S.ANSWERED, S.ANSWERED_UNACKNOWLEDGED, S.FAILED):
        assert provisionals.next_timeout() is None


# header fields


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from(["INVITE", "UPDATE", "x-y.z"]))
def test_a_rack_is_read_as_it_was_written(response: int, sequence: int, method: str) -> None:
    rack = RAck(response, sequence, method)
    assert RAck.parse(str(rack)) == rack


@pytest.mark.parametrize(
    "text", ["", "1", "1 2", "1 2 3 4", "x 1 INVITE", f"{2**32} 1 INVITE", "1 2 IN VITE", "-1 2 A"]
)
def test_what_is_no_rack_is_400(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        RAck.parse(text)
    assert (raised.value.status_hint, raised.value.field) == (400, "RAck")


@given(st.text(max_size=40))
def test_any_text_is_a_rack_or_refused(text: str) -> None:
    try:
        rack = RAck.parse(text)
    except RemoteProtocolError:
        return
    assert RAck.parse(str(rack)) == rack


def test_a_prack_without_rack_is_400() -> None:
    with pytest.raises(RemoteProtocolError):
        rack_of(read(request("PRACK")))
    assert rack_of(read(request("PRACK", extra=["RAck: 1 2 INVITE"]))) == RAck(1, 2, "INVITE")


def test_reliability_is_a_matter_of_require() -> None:
    assert requires_reliable(read(request("INVITE", extra=["Require: siprec", "Require: 100Rel"])))
    assert not requires_reliable(read(request("INVITE", extra=["Supported: 100rel"])))


def progress(code: int, *extra: str) -> Response:
    return read_response(response_to(request("INVITE"), code, extra=extra))


@pytest.mark.parametrize(
    ("response", "number"),
    [
        (progress(183, "Require: 100rel", "RSeq: 988789"), 988_789),
        (progress(180, "Require: timer, 100REL", "RSeq: 1"), 1),
        (progress(183, "RSeq: 1"), None),
        (progress(183, "Require: 100rel"), None),
        (progress(183, "Require: 100rel", "RSeq: 0"), None),
        (progress(183, "Require: 100rel", "RSeq: x"), None),
        (progress(183, "Require: 100rel", f"RSeq: {2**32}"), None),
        (progress(100, "Require: 100rel", "RSeq: 1"), None),
        (progress(200, "Require: 100rel", "RSeq: 1"), None),
    ],
)
def test_which_1xx_are_reliable(response: Response, number: int | None) -> None:
    assert rseq_of(response) == number
