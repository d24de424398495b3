"""Rules by listener, the challenges of a called endpoint, and what comes without good credentials."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.sip.authentication import Denied, DigestRule, Gate
from siprec_core.sip.digest import Authenticated, Challenge, Credentials, Responder, Secret, set_credentials
from siprec_core.sip.endpoint_events import (
    CredentialsChecked,
    InviteReceived,
    OfferReceived,
    OptionsReceived,
)
from siprec_core.sip.message import Response
from siprec_core.types import Address, Flow, Transport
from tests.core.harness import entropy
from tests.core.messages import field, invite, read, read_response, request, status, tag
from tests.core.sip.endpoints import LOCAL, REMOTE, TCP, UDP, Agent, is_empty

RULE = DigestRule(users={"alice": Secret("open sesame"), "bob": Secret("hush")}, realm="recorder")
URI = "sip:recorder@192.0.2.1:5060"


def fields_of(message: bytes, name: str) -> list[str]:
    return read_response(message).headers.get_all(name)


class Phone:
    """Sends requests and answers challenges as a user."""

    def __init__(self, agent: Agent, name: str = "alice", password: str = "open sesame") -> None:
        self.agent = agent
        self.responder = Responder(name, password, entropy=entropy(9))
        self.cseq = 0
        self.answer: tuple[tuple[str, str], ...] | None = None
        """Credentials for the next attempt of the request that was challenged."""

    def send(self, method: str, *, to_tag: str = "", call_id: str = "call-1", flow: Flow = UDP) -> list[bytes]:
        """Send a new request with the credentials that are known."""
        self.cseq += 1
        write = invite if method in ("INVITE", "UPDATE") else request
        plain = write(method=method, cseq=self.cseq, to_tag=to_tag, call_id=call_id)
        signed = read(plain)
        fields, self.answer = self.answer, None
        set_credentials(signed.headers, fields or self.responder.authorise(method, signed.uri, signed.body))
        self.last = signed.to_bytes()
        return self.agent.receive(self.last, flow=flow)

    def learn(self, challenged: bytes) -> bool:
        """Take a 401; tell whether it may be answered."""
        self.answer = self.responder.answer(read_response(challenged), read(self.last))
        return self.answer is not None

    def call(self, method: str = "INVITE", *, to_tag: str = "", flow: Flow = UDP) -> list[bytes]:
        """Send a request, and again when it is challenged."""
        first = self.send(method, to_tag=to_tag, flow=flow)
        assert [status(message) for message in first] == [401]
        assert self.learn(first[0])
        return self.send(method, to_tag=to_tag, flow=flow)


@pytest.fixture
def agent() -> Agent:
    return Agent(authentication=(RULE,))


def established(agent: Agent) -> tuple[Phone, str]:
    """Give alice with her call and our tag."""
    phone = Phone(agent)
    assert phone.call() == []
    ours = tag(agent.accept(agent.of(InviteReceived)[-1].usage))
    agent.receive(request("ACK", cseq=phone.cseq, to_tag=ours, branch="z9hG4bK-ack"))
    return phone, ours


# rules


@pytest.mark.parametrize(
    ("named", "fits"),
    [
        ({}, True),
        ({"transport": Transport.UDP}, True),
        ({"transport": Transport.TCP}, False),
        ({"port": 5060}, True),
        ({"port": 5061}, False),
        ({"host": "192.0.2.1"}, True),
        ({"host": "192.0.2.9"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, False),
        ({"transport": Transport.UDP, "host": "0.0.0.0", "port": 5060}, True),
        ({"transport": Transport.UDP, "host": "0.0.0.0", "port": 1}, False),
    ],
)
def test_a_rule_fits_when_all_that_it_names_does(named: dict[str, object], fits: bool) -> None:
    assert replace(RULE, **named).fits(UDP) is fits  # type: ignore[arg-type]


@pytest.mark.parametrize(("host", "fits"), [("::", True), ("0.0.0.0", False), (None, True), ("2001:db8::1", True)])
def test_wildcards_stand_for_their_family(host: str | None, fits: bool) -> None:
    flow = Flow(Transport.UDP, Address("2001:db8::1", 5060), Address("2001:db8::2", 5060))
    assert replace(RULE, host=host).fits(flow) is fits


def test_the_first_rule_that_fits_counts() -> None:
    inside = DigestRule(users=None, transport=Transport.TCP)
    gate = Gate((inside, RULE), entropy=entropy(1), limits=Limits())
    message = read(invite())
    assert gate.check(message, TCP, now=0.0) is None
    assert isinstance(gate.check(message, UDP, now=0.0), Denied)
    assert Gate((), entropy=entropy(1), limits=Limits()).check(message, UDP, now=0.0) is None


def test_each_rule_has_a_key_of_its_own() -> None:
    """A nonce that one listener issued is worth nothing at another, even with the same realm."""
    rules = (replace(RULE, port=1), RULE)
    gate = Gate(rules, entropy=entropy(1), limits=Limits())
    message = read(invite())
    denied = gate.check(message, Flow(Transport.UDP, Address(LOCAL.host, 1), REMOTE), now=0.0)
    assert isinstance(denied, Denied)
    responder = Responder("alice", "open sesame", entropy=entropy(2))
    challenged = Response(401, "Unauthorized", message.headers.copy())
    for name, value in denied.refusal.headers:
        challenged.headers.add(name, value)
    fields = responder.answer(challenged, message)
    assert fields is not None
    set_credentials(message.headers, fields)
    elsewhere = gate.check(message, UDP, now=0.0)
    assert isinstance(elsewhere, Denied)
    assert "stale=true" in elsewhere.refusal.headers[0][1]
    there = gate.check(message, Flow(Transport.UDP, Address(LOCAL.host, 1), REMOTE), now=0.0)
    assert isinstance(there, Authenticated)


@pytest.mark.parametrize(
    "wrong", [{"realm": 'a"b'}, {"algorithms": ("SHA-1",)}, {"algorithms": ()}, {"qop": ()}, {"nonce_seconds": 0.0}]
)
def test_rules_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Gate((replace(RULE, **wrong),), entropy=entropy(1), limits=Limits())  # type: ignore[arg-type]


def test_secrets_never_show_in_a_rule() -> None:
    assert "sesame" not in repr(RULE)


# challenges


@pytest.mark.requirement("3261-22-a", "8760-2.1-a", "8760-2.6-b", "3261-7.3.1-b")
def test_a_request_without_credentials_is_challenged_once_for_each_algorithm(agent: Agent) -> None:
    (refused,) = agent.receive(invite())
    assert status(refused) == 401
    challenges = [Challenge.parse(text) for text in fields_of(refused, "WWW-Authenticate")]
    assert [challenge.algorithm for challenge in challenges] == ["SHA-256", "MD5"]
    assert {challenge.realm for challenge in challenges} == {"recorder"}
    assert [challenge.qop for challenge in challenges] == [("auth",)] * 2
    assert len({challenge.nonce for challenge in challenges}) == 2
    assert not any(challenge.stale for challenge in challenges)
    assert agent.events == []


def test_a_challenge_keeps_nothing(agent: Agent) -> None:
    """RFC 3261 26.3.2.4: neither a dialog nor a transaction, so a flood of them costs no memory."""
    for number in range(50):
        (refused,) = agent.receive(invite(call_id=f"call-{number}"))
        agent.receive(request("ACK", call_id=f"call-{number}", to_tag=tag(refused)))
    assert is_empty(agent.endpoint)
    assert agent.run(70.0) == []


def test_a_repeated_request_is_challenged_again_with_the_same_tag(agent: Agent) -> None:
    """RFC 3261 8.2.7."""
    (first,), (again,) = agent.receive(invite()), agent.receive(invite())
    assert status(again) == 401
    assert tag(first) == tag(again)


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.requirement("3261-22-a")
def test_the_right_password_lets_a_call_in(agent: Agent, flow: Flow) -> None:
    if flow.id is not None:
        agent.endpoint.flow_opened(flow, now=0.0)
    assert Phone(agent).call(flow=flow) == []
    (event,) = agent.events
    assert isinstance(event, InviteReceived)
    assert event.authenticated_user == "alice"


def test_a_retransmission_is_not_checked_again(agent: Agent) -> None:
    phone = Phone(agent)
    phone.call()
    agent.receive(phone.last)
    agent.accept(agent.of(InviteReceived)[0].usage)
    assert len(agent.events) == 1


@pytest.mark.parametrize("method", ["OPTIONS", "BYE", "UPDATE", "INFO", "PRACK", "REGISTER", "FOO"])
@pytest.mark.requirement("3261-8.2-a")
def test_authentication_comes_before_every_other_check(agent: Agent, method: str) -> None:
    unreadable = request(method, to_tag="nobody", extra=["Require: nothing-we-know"])
    assert [status(message) for message in agent.receive(unreadable)] == [401]
    assert agent.events == []


@pytest.mark.requirement("3261-22-a")
def test_ack_and_cancel_are_never_challenged(agent: Agent) -> None:
    phone = Phone(agent)
    phone.call()
    cancel = request("CANCEL", cseq=phone.cseq, branch=f"z9hG4bK-INVITE-{phone.cseq}-call-1", contact=None)
    assert [status(message) for message in agent.receive(cancel)] == [200, 487]
    assert agent.receive(request("ACK", cseq=phone.cseq, branch=f"z9hG4bK-INVITE-{phone.cseq}-call-1")) == []
    assert agent.receive(request("CANCEL", call_id="other"))[0].startswith(b"SIP/2.0 481")
    assert agent.receive(request("ACK", call_id="other", to_tag="x")) == []


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("mallory", "open sesame")])
def test_a_wrong_password_and_a_wrong_name_look_the_same(agent: Agent, name: str, password: str) -> None:
    phone = Phone(agent, name, password)
    (refused,) = phone.call()
    assert status(refused) == 401
    assert not any(Challenge.parse(text).stale for text in fields_of(refused, "WWW-Authenticate"))
    assert not phone.learn(refused), "a good client gives up"
    assert [(event.reason, event.method) for event in agent.of(CredentialsChecked)] == [
        ("wrong user or password", "INVITE")
    ]
    assert is_empty(agent.endpoint)


@pytest.mark.requirement("7616-5-a", "3261-22-b")
def test_an_old_nonce_is_stale_and_the_client_goes_on(agent: Agent) -> None:
    phone = Phone(agent)
    (first,) = phone.send("INVITE")
    assert phone.learn(first)
    agent.run(301.0)
    (stale,) = phone.send("INVITE")
    assert [Challenge.parse(text).stale for text in fields_of(stale, "WWW-Authenticate")] == [True, True]
    assert phone.learn(stale)
    assert phone.send("INVITE") == []
    assert agent.of(InviteReceived)[0].authenticated_user == "alice"
    assert not agent.of(CredentialsChecked), "nothing is wrong with it"


@pytest.mark.requirement("7616-3.4-a")
def test_credentials_pass_once(agent: Agent) -> None:
    phone = Phone(agent)
    phone.call()
    spied = field(phone.last, "Authorization")
    replayed = invite(call_id="mallory", cseq=9, extra=[f"Authorization: {spied}"])
    assert [status(message) for message in agent.receive(replayed)] == [401]
    (event,) = agent.of(CredentialsChecked)
    assert [found.code for found in event.findings] == ["digest-replay"]
    assert len(agent.of(InviteReceived)) == 1


@pytest.mark.requirement("8760-2.6-c")
def test_auth_int_protects_the_body() -> None:
    agent = Agent(authentication=(replace(RULE, qop=("auth-int",)),))
    phone = Phone(agent)
    phone.learn(phone.send("INVITE")[0])
    phone.cseq += 1
    signed = read(invite(cseq=phone.cseq))
    set_credentials(signed.headers, phone.responder.authorise("INVITE", signed.uri, signed.body))
    assert Credentials.parse(signed.headers.get("Authorization") or "").qop == "auth-int"
    signed.body = signed.body.replace(b"41000", b"42000")
    assert [status(message) for message in agent.receive(signed.to_bytes())] == [401]
    phone.send("INVITE")
    assert [event.authenticated_user for event in agent.of(InviteReceived)] == ["alice"]


def test_credentials_for_another_uri_are_improper(agent: Agent) -> None:
    phone = Phone(agent)
    phone.learn(phone.send("INVITE")[0])
    fields = phone.responder.authorise("INVITE", "sip:somebody@else.example")
    (refused,) = agent.receive(invite(cseq=5, extra=[f"{name}: {value}" for name, value in fields]))
    assert refused.startswith(b"SIP/2.0 400 Bad Request - credentials for another Request-URI\r\n")


def test_what_is_tolerated_is_told() -> None:
    agent = Agent(authentication=(replace(RULE, allow_any_uri=True),))
    phone = Phone(agent)
    phone.learn(phone.send("INVITE")[0])
    fields = phone.responder.authorise("INVITE", "sip:somebody@else.example")
    assert agent.receive(invite(cseq=5, extra=[f"{name}: {value}" for name, value in fields])) == []
    (told,) = agent.of(CredentialsChecked)
    assert (told.reason, [found.code for found in told.findings]) == (None, ["digest-other-uri"])


def test_a_scheme_that_is_not_digest_is_told(agent: Agent) -> None:
    (refused,) = agent.receive(invite(extra=["Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU="]))
    assert status(refused) == 401
    (told,) = agent.of(CredentialsChecked)
    assert [found.code for found in told.findings] == ["digest-other-scheme"]
    assert "YWxp" not in repr(told)


# within dialogs


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE", "INFO", "OPTIONS"])
def test_requests_within_a_call_are_challenged_too(agent: Agent, method: str) -> None:
    phone, ours = established(agent)
    before = len(agent.events)
    naked = invite(method=method, cseq=7, to_tag=ours)
    (refused,) = agent.receive(naked)
    assert (status(refused), tag(refused)) == (401, ours)
    assert agent.receive(naked) == [refused], "its transaction repeats it"
    assert len(agent.events) == before
    answers = phone.send(method, to_tag=ours)
    if method in ("BYE", "INFO"):
        assert [status(message) for message in answers] == [200]
    else:
        assert len(agent.of(OptionsReceived if method == "OPTIONS" else OfferReceived)) == 1


def test_a_refused_request_leaves_the_dialog_as_it_was(agent: Agent) -> None:
    """RFC 3261 8.2: its CSeq number is not counted, nor is the path that it came along followed."""
    phone, ours = established(agent)
    elsewhere = Flow(Transport.UDP, LOCAL, Address("203.0.113.66", 5060))
    agent.receive(request("BYE", cseq=4_000, to_tag=ours), flow=elsewhere)
    assert [status(message) for message in phone.send("BYE", to_tag=ours)] == [200]


def test_only_who_began_a_call_may_change_it(agent: Agent) -> None:
    _, ours = established(agent)
    other = Phone(agent, "bob", "hush")
    other.cseq = 10
    (refused,) = other.call("BYE", to_tag=ours)
    assert status(refused) == 403
    assert [event.reason for event in agent.of(CredentialsChecked)] == ["not the user who began the call"]
    assert agent.endpoint.calls == 1


# hostile peers


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        "Digest ,,,,",
        "Basic YWxpY2U6b3BlbiBzZXNhbWU=",
        'Digest username="alice", realm="recorder"',
        f'Digest username="alice", realm="recorder", nonce="x", uri="{URI}", response="0123"',
        f'Digest username="alice", realm="recorder", nonce="x", uri="{URI}", response="{"0" * 64}"',
        'Digest username="alice", username="bob", realm="recorder", nonce="", uri="", response=""',
        'Digest realm="recorder", nonce="' + "A" * 7_000 + '"',
        "Digest " + "a=b," * 1_500,
    ],
)  # fmt: skip
@pytest.mark.requirement("8760-2.6-a")
def test_garbage_authenticates_nobody(agent: Agent, value: str) -> None:
    (refused,) = agent.receive(invite(extra=[f"Authorization: {value}"]))
    assert status(refused) in (400, 401)
    assert not agent.of(InviteReceived)
    assert is_empty(agent.endpoint)


@given(values=st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF)), min_size=1, max_size=4))
def test_whatever_stands_there_authenticates_nobody(values: Sequence[str]) -> None:
    agent = Agent(authentication=(RULE,))
    written = invite(extra=[f"Authorization: Digest {value}" for value in values])
    agent.receive(written)
    assert not agent.of(InviteReceived)
    assert is_empty(agent.endpoint)
