"""Session timers: what is asked, what is granted, when something is due (4028-7-a, 4028-9-a, 4028-10-a)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.headers import Headers
from siprec_core.sip.session_timer import (
    LEAST_MIN_SE,
    Refresher,
    SessionExpires,
    SessionTimer,
    TimerDue,
    TimerPolicy,
    grant,
    grant_headers,
    min_se_of,
    refuse_interval,
    session_expires_of,
    supports_timer,
)
from tests.core.messages import read, read_response, request, response_to

POLICY = TimerPolicy()
ABLE = "Supported: timer"


def granted(*extra: str, policy: TimerPolicy = POLICY, timer: SessionTimer | None = None) -> str | None:
    answer = grant(read(request("INVITE", extra=extra)), policy, timer or SessionTimer())
    return None if answer is None else str(answer)


@pytest.mark.parametrize(
    ("text", "seconds", "refresher"),
    [
        ("1800", 1800, None),
        (" 1800 ; Refresher=UAS", 1800, Refresher.UAS),
        ("90;refresher=uac;x=y", 90, Refresher.UAC),
        ("90;refresher=me", 90, None),
        ("9" * 5000, 2**31 - 1, None),
    ],
)
def test_values_are_read(text: str, seconds: int, refresher: Refresher | None) -> None:
    assert SessionExpires.parse(text) == SessionExpires(seconds, refresher)


@pytest.mark.parametrize("text", ["", "-1", "1800.5", "soon", ";refresher=uac", "\u0661"])
def test_values_that_are_no_number_are_refused_and_ignored_in_messages(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        SessionExpires.parse(text)
    headers = Headers()
    headers.add("Session-Expires", text)
    assert session_expires_of(headers) is None


@given(st.integers(0, 2**31 - 1), st.sampled_from([None, *Refresher]))
def test_values_survive(seconds: int, refresher: Refresher | None) -> None:
    value = SessionExpires(seconds, refresher)
    assert SessionExpires.parse(str(value)) == value


@given(st.text(max_size=40))
def test_reading_never_raises_in_messages(text: str) -> None:
    headers = Headers()
    headers.add("Session-Expires", "".join(each for each in text if each.isprintable()))
    headers.add("Min-SE", "".join(each for each in text if each.isprintable()))
    value = session_expires_of(headers)
    assert value is None or 0 <= value.seconds < 2**31
    assert min_se_of(headers) >= LEAST_MIN_SE


def test_without_a_header_there_is_no_timer_unless_we_want_one() -> None:
    assert granted() is None
    assert granted(ABLE) is None
    assert granted(policy=TimerPolicy(wanted=True, session_expires=600)) == "600;refresher=uas"


@pytest.mark.requirement("4028-9-a")
@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ([ABLE, "Session-Expires: 1800"], "1800;refresher=uac"),
        ([ABLE, "Session-Expires: 1800;refresher=uas"], "1800;refresher=uas"),
        ([ABLE, "x: 90;refresher=uac"], "90;refresher=uac"),
        # 4028-9-a: lowered, but not below the Min-SE that the request brings; never raised
        ([ABLE, "Session-Expires: 7200"], "1800;refresher=uac"),
        ([ABLE, "Session-Expires: 7200", "Min-SE: 3600"], "3600;refresher=uac"),
        ([ABLE, "Session-Expires: 200"], "200;refresher=uac"),
        # a proxy asked; the peer cannot refresh
        (["Session-Expires: 600"], "600;refresher=uas"),
        (["Session-Expires: 600;refresher=uac"], "600;refresher=uas"),
        (["Session-Expires: 5"], "90;refresher=uas"),
    ],
)
def test_what_is_granted(asked: list[str], answer: str) -> None:
    assert granted(*asked) == answer


@pytest.mark.requirement("4028-9-a", "3261-8.2.4-a")
def test_require_stands_in_the_2xx_that_makes_the_caller_refresh() -> None:
    able = read(request("INVITE", extra=[ABLE]))
    unable = read(request("INVITE"))
    uac, uas = SessionExpires(90, Refresher.UAC), SessionExpires(90, Refresher.UAS)
    assert ("Require", "timer") in grant_headers(uac, able)
    assert grant_headers(uas, unable) == (("Session-Expires", "90;refresher=uas"),)
    assert grant_headers(None, able) == ()


@pytest.mark.requirement("4028-9-a")
@pytest.mark.parametrize(
    ("extra", "refused"),
    [
        ([ABLE, "Session-Expires: 89"], True),
        ([ABLE, "Session-Expires: 0"], True),
        ([ABLE, "Session-Expires: 90"], False),
        (["Session-Expires: 30"], False),
        ([ABLE], False),
    ],
)
def test_short_intervals_are_422(extra: list[str], refused: bool) -> None:
    refusal = refuse_interval(read(request("INVITE", extra=extra)), POLICY)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert (refusal.status, refusal.headers) == (422, (("Min-SE", "90"),))


def test_our_own_min_se_counts() -> None:
    refusal = refuse_interval(read(request("INVITE", extra=[ABLE, "x: 300"])), TimerPolicy(min_se=600))
    assert refusal is not None
    assert refusal.headers == (("Min-SE", "600"),)


def test_support_is_read_from_supported_and_require() -> None:
    assert supports_timer(read(request("INVITE", extra=["k: 100rel, Timer"])))
    assert supports_timer(read(request("INVITE", extra=["Require: timer"])))
    assert not supports_timer(read(request("INVITE")))


@pytest.mark.requirement("4028-10-a")
def test_the_refresher_refreshes_at_half_and_the_other_side_gives_up_before_the_end() -> None:
    ours, theirs = SessionTimer(), SessionTimer()
    ours.start(1800, ours=True, now=100.0)
    theirs.start(90, ours=False, now=100.0)
    assert ours.next_timeout() == 1000.0
    assert ours.due(999.0) is None
    assert ours.due(1000.0) is TimerDue.REFRESH
    assert theirs.next_timeout() == 160.0, "90 - min(32, 30) seconds"
    assert theirs.due(160.0) is TimerDue.EXPIRED
    assert theirs.next_timeout() is None


def test_a_refresh_without_success_comes_again_and_ends() -> None:
    timer = SessionTimer()
    timer.start(90, ours=True, now=0.0)
    seen = []
    while (due := timer.next_timeout()) is not None:
        seen.append(timer.due(due))
        assert len(seen) < 100
    assert seen[-1] is TimerDue.EXPIRED
    assert 2 <= seen.count(TimerDue.REFRESH) <= 10


@given(st.integers(0, 10**9), st.booleans())
def test_every_timer_comes_to_its_end(interval: int, ours: bool) -> None:
    timer = SessionTimer()
    timer.start(interval, ours=ours, now=0.0)
    for _ in range(100):
        due = timer.next_timeout()
        if due is None:
            return
        timer.due(due)
    raise AssertionError("the timer never ends")


def test_answers_start_and_stop_the_timer() -> None:
    invite = request("INVITE")
    timer = SessionTimer()
    timer.answered(read_response(response_to(invite, 200, extra=["Session-Expires: 600;refresher=uac"])), now=0.0)
    assert (timer.interval, timer.ours) == (600, True)
    timer.answered(read_response(response_to(invite, 200, extra=["Session-Expires: 600;refresher=uas"])), now=0.0)
    assert not timer.ours
    timer.answered(read_response(response_to(invite, 200, extra=["Session-Expires: 1;refresher=uac"])), now=0.0)
    assert timer.interval == LEAST_MIN_SE, "no peer makes us refresh without end"
    timer.answered(read_response(response_to(invite, 200)), now=0.0)
    assert timer.next_timeout() is None


def test_requests_of_ours_name_the_refresher_that_is() -> None:
    timer = SessionTimer()
    assert timer.request_headers(POLICY) == ()
    assert timer.request_headers(TimerPolicy(wanted=True)) == (("Session-Expires", "1800"),)
    timer.start(600, ours=True, now=0.0)
    assert timer.request_headers(POLICY) == (("Session-Expires", "600;refresher=uac"),)
    timer.start(600, ours=False, now=0.0)
    assert timer.request_headers(POLICY) == (("Session-Expires", "600;refresher=uas"),)
    refused = read_response(response_to(request("UPDATE"), 422, extra=["Min-SE: 900"]))
    assert timer.too_short(refused)
    assert timer.request_headers(POLICY) == (("Session-Expires", "900;refresher=uas"), ("Min-SE", "900"))
