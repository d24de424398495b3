"""Credentials on our own requests: INVITE, re-INVITE, UPDATE and BYE that are challenged."""

import pytest

from siprec_core.limits import Limits
from siprec_core.sip.authorisation import DigestUser, authorise, responder_of
from siprec_core.sip.digest import Challenge, Credentials, Secret
from siprec_core.sip.digest_hash import Algorithm
from siprec_core.sip.endpoint_events import CallAnswered, CallChanged, CallEnded, CallGone, CallRefused, ChangeRefused
from siprec_core.sip.invite import UsageId
from tests.core.harness import entropy
from tests.core.messages import field, read, request, response_to, tag
from tests.core.sip.endpoints import HOP, LOCAL, Agent
from tests.core.sip.test_changing import SDP, UPDATE_ALLOWED, change

USER = DigestUser(name="alice", secret=Secret("open sesame"))


@pytest.fixture
def agent() -> Agent:
    return Agent(credentials=USER)


def ask(nonce: str, *, proxy: bool = False, algorithm: str = "SHA-256", stale: bool = False) -> str:
    challenge = Challenge(realm="srs", nonce=nonce, algorithm=algorithm, qop=("auth",), stale=stale)
    return f"{'Proxy-Authenticate' if proxy else 'WWW-Authenticate'}: {challenge}"


def challenged(agent: Agent, sent: bytes, *challenges: str, code: int = 401, to_tag: str | None = "uas") -> list[bytes]:
    """Answer a request with a challenge; give what follows, without the ACK."""
    follows = agent.receive(response_to(sent, code, to_tag=to_tag, extra=list(challenges)))
    return [message for message in follows if not message.startswith(b"ACK ")]


def credentials(message: bytes, name: str = "Authorization") -> Credentials:
    return Credentials.parse(field(message, name))


def established(agent: Agent) -> UsageId:
    """Make a call that was challenged once."""
    usage = agent.call()
    (again,) = challenged(agent, agent.sent[0], ask("one"))
    agent.receive(response_to(again, 200, extra=[UPDATE_ALLOWED]))
    return usage


def right(message: bytes, name: str = "Authorization") -> bool:
    sent, request_ = credentials(message, name), read(message)
    algorithm = Algorithm.named(sent.algorithm)
    assert algorithm is not None
    ha1 = USER.secret.ha1(algorithm, "alice", sent.realm) or ""
    expected = sent.expected_response(algorithm, ha1, method=request_.method, body=request_.body)
    return sent.uri == request_.uri and expected == sent.response


# INVITE


@pytest.mark.parametrize(("code", "proxy"), [(401, False), (407, True)])
@pytest.mark.requirement("3261-22-b")
def test_a_challenged_invite_is_sent_again_with_credentials(agent: Agent, code: int, proxy: bool) -> None:
    usage = agent.call()
    (first,) = agent.sent
    ack, again = agent.receive(response_to(first, code, extra=[ask("one", proxy=proxy)]))
    assert ack.startswith(b"ACK "), "to the 401, by its transaction"
    for name in ("From", "To", "Call-ID", "Contact"):
        assert field(again, name) == field(first, name)
    assert "tag=" not in field(again, "To")
    assert field(again, "CSeq") == "2 INVITE"
    assert field(again, "Via") != field(first, "Via")
    name = "Proxy-Authorization" if proxy else "Authorization"
    assert right(again, name)
    assert (credentials(again, name).nc, credentials(again, name).nonce) == ("00000001", "one")
    (ack,) = agent.receive(response_to(again, 200))
    assert field(ack, "CSeq") == "2 ACK"
    assert field(ack, name) == field(again, name), "RFC 3261 22.1: duplicated, not made anew"
    assert [event.usage for event in agent.of(CallAnswered)] == [usage]


@pytest.mark.requirement("8760-2.4-a", "8760-2.1-a")
def test_the_topmost_challenge_that_we_know_is_answered(agent: Agent) -> None:
    agent.call()
    asked = [ask("a", algorithm="NEW-512"), ask("b", algorithm="SHA-256"), ask("c", algorithm="MD5")]
    (again,) = challenged(agent, agent.sent[0], *asked)
    assert (credentials(again).algorithm, credentials(again).nonce) == ("SHA-256", "b")


@pytest.mark.parametrize(
    "challenge",
    [
        "WWW-Authenticate: Basic realm=srs",
        "WWW-Authenticate: Digest garbage",
        'WWW-Authenticate: Digest realm="srs", nonce="x", algorithm=SHA-1',
        "X-Nothing: here",
    ],
)
@pytest.mark.requirement("8760-2.6-a", "8760-2.4-a")
def test_what_cannot_be_answered_refuses_the_call(agent: Agent, challenge: str) -> None:
    usage = agent.call()
    assert challenged(agent, agent.sent[0], challenge) == []
    assert [(event.usage, event.status) for event in agent.of(CallRefused)] == [(usage, 401)]
    agent.run(70.0)
    assert agent.empty()


def test_without_credentials_a_challenge_is_a_refusal() -> None:
    agent = Agent()
    agent.call()
    assert challenged(agent, agent.sent[0], ask("one")) == []
    assert [event.status for event in agent.of(CallRefused)] == [401]


@pytest.mark.requirement("3261-22-b")
def test_a_second_refusal_of_the_same_credentials_is_the_end(agent: Agent) -> None:
    agent.call()
    (again,) = challenged(agent, agent.sent[0], ask("one"))
    assert challenged(agent, again, ask("two")) == []
    assert [event.status for event in agent.of(CallRefused)] == [401]


@pytest.mark.requirement("3261-22-b")
def test_a_stale_nonce_is_answered_once(agent: Agent) -> None:
    agent.call()
    (second,) = challenged(agent, agent.sent[0], ask("one"))
    (third,) = challenged(agent, second, ask("two", stale=True))
    assert (field(third, "CSeq"), credentials(third).nonce, credentials(third).nc) == ("3 INVITE", "two", "00000001")
    assert challenged(agent, third, ask("three", stale=True)) == []
    assert [event.status for event in agent.of(CallRefused)] == [401]


def test_challenges_without_end_come_to_an_end(agent: Agent) -> None:
    agent.call()
    sent = agent.sent
    for number in range(100):
        asked = f'WWW-Authenticate: Digest realm="r{number}", nonce="{number}", qop="auth"'
        sent = challenged(agent, sent[-1], asked)
        if not sent:
            break
    assert 0 < number <= Limits().digest_realms
    assert [event.status for event in agent.of(CallRefused)] == [401]


def test_a_proxy_and_the_server_may_both_ask(agent: Agent) -> None:
    agent.call()
    (second,) = challenged(agent, agent.sent[0], ask("p", proxy=True), code=407)
    (third,) = challenged(agent, second, ask("s"))
    assert right(third)
    assert right(third, "Proxy-Authorization")
    (ack,) = agent.receive(response_to(third, 200))
    assert field(ack, "Proxy-Authorization") == field(third, "Proxy-Authorization")


def test_a_session_interval_that_is_too_short_keeps_the_credentials(agent: Agent) -> None:
    """401, then 422 (RFC 4028 7.3): the third INVITE counts the nonce on."""
    message = read(request("INVITE", contact=None, call_id="ours", extra=["Session-Expires: 100"]))
    message.headers.remove("Via")
    agent.endpoint.call(message, HOP, local=LOCAL, now=0.0)
    agent.drain()
    (second,) = challenged(agent, agent.sent[0], ask("one"))
    (third,) = challenged(agent, second, "Min-SE: 1800", code=422)
    assert right(third)
    assert (field(third, "CSeq"), credentials(third).nc) == ("3 INVITE", "00000002")


def test_a_call_given_up_while_challenged_is_not_sent_again(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 100))
    (cancel,) = agent.hang_up(usage)
    assert cancel.startswith(b"CANCEL ")
    assert challenged(agent, agent.sent[0], ask("one")) == []
    assert [event.reason for event in agent.of(CallEnded)] == ["cancelled"]


@pytest.mark.requirement("3261-9.1-a")
def test_the_progress_of_a_refused_invite_does_not_count_for_the_next(agent: Agent) -> None:
    """RFC 3261 9.1: a CANCEL waits for a 1xx to the INVITE that it cancels."""
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 100))
    (again,) = challenged(agent, agent.sent[0], ask("one"))
    assert agent.hang_up(usage) == []
    (cancel,) = agent.receive(response_to(again, 100))
    assert (cancel.split(b" ")[0], field(cancel, "CSeq")) == (b"CANCEL", "2 CANCEL")
    assert "Authorization" not in cancel.decode()


def test_what_is_wrong_with_a_challenge_is_told(agent: Agent) -> None:
    agent.call()
    loose = 'WWW-Authenticate: Digest realm=srs, nonce="n", qop="auth", algorithm="MD5"'
    (again,) = challenged(agent, agent.sent[0], loose)
    agent.receive(response_to(again, 200))
    (event,) = agent.of(CallAnswered)
    assert [found.code for found in event.findings] == ["digest-quoting"]


# requests within the call


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.requirement("3261-22-b")
def test_a_change_has_credentials_at_once(agent: Agent, method: str) -> None:
    sent = change(agent, established(agent), method=method)
    assert right(sent)
    assert credentials(sent).nc == "00000002"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_challenged_change_is_sent_again(agent: Agent, method: str) -> None:
    first = change(agent, established(agent), method=method)
    (again,) = challenged(agent, first, ask("two", stale=True), to_tag=None)
    assert again.startswith(method.encode())
    assert (field(first, "CSeq"), field(again, "CSeq")) == (f"3 {method}", f"4 {method}")
    assert right(again)
    assert (credentials(again).nonce, credentials(again).nc) == ("two", "00000001")
    assert field(again, "Content-Type") == "application/sdp"
    follows = agent.receive(response_to(again, 200, to_tag=None, body=SDP))
    assert [message.split(b" ")[0] for message in follows] == ([b"ACK"] if method == "INVITE" else [])
    for ack in follows:
        assert field(ack, "Authorization") == field(again, "Authorization")
    assert len(agent.of(CallChanged)) == 1


def test_a_change_whose_credentials_are_refused_leaves_the_call(agent: Agent) -> None:
    first = change(agent, established(agent), method="UPDATE")
    (again,) = challenged(agent, first, ask("two", stale=True), to_tag=None)
    assert challenged(agent, again, ask("three"), to_tag=None) == []
    assert [event.status for event in agent.of(ChangeRefused)] == [401]
    assert not agent.of(CallEnded)


def test_a_number_that_another_request_took_is_not_used_again(agent: Agent) -> None:
    """A BYE overtakes a re-INVITE: its number is higher, and the re-INVITE is not tried again."""
    usage = established(agent)
    first = change(agent, usage)
    (bye,) = agent.hang_up(usage)
    assert (field(first, "CSeq"), field(bye, "CSeq")) == ("3 INVITE", "4 BYE")
    assert challenged(agent, first, ask("two", stale=True), to_tag=None) == []


def test_a_challenged_bye_is_sent_again(agent: Agent) -> None:
    usage = established(agent)
    (bye,) = agent.hang_up(usage)
    assert right(bye)
    (again,) = challenged(agent, bye, ask("two", stale=True), to_tag=None)
    assert (field(bye, "CSeq"), field(again, "CSeq")) == ("3 BYE", "4 BYE")
    assert right(again)
    assert not agent.of(CallGone)
    agent.receive(response_to(again, 200, to_tag=None))
    assert agent.of(CallGone)
    agent.run(70.0)
    assert agent.empty()


def test_a_bye_that_is_refused_twice_ends_the_call_all_the_same(agent: Agent) -> None:
    (bye,) = agent.hang_up(established(agent))
    (again,) = challenged(agent, bye, ask("two", stale=True), to_tag=None)
    assert challenged(agent, again, ask("three"), to_tag=None) == []
    assert agent.of(CallGone)


def test_the_called_side_answers_challenges_too(agent: Agent) -> None:
    usage, _ = agent.established()
    (bye,) = agent.hang_up(usage)
    assert field(bye, "Authorization") == ""
    (again,) = challenged(agent, bye, ask("one"), to_tag=None)
    assert right(again)
    agent.receive(response_to(again, 200, to_tag=None))
    assert agent.of(CallGone)


def test_a_later_fork_is_ended_with_credentials(agent: Agent) -> None:
    established(agent)
    ack, bye = agent.receive(response_to(agent.sent[2], 200, to_tag="fork"))
    assert (tag(ack), tag(bye)) == ("fork", "fork")
    assert right(bye)


# functions


def test_nobody_gives_no_credentials() -> None:
    message = read(request("BYE"))
    authorise(message, responder_of(None, entropy=entropy(1), limits=Limits()))
    assert message.headers.get("Authorization") is None


def test_a_realm_that_is_not_ours_is_not_answered() -> None:
    agent = Agent(credentials=DigestUser(name="alice", secret=Secret("open sesame"), realm="other"))
    agent.call()
    assert challenged(agent, agent.sent[0], ask("one")) == []


def test_secrets_never_show() -> None:
    assert "sesame" not in repr(USER)
