"""A recording client that has to authenticate: from its INVITE to the files of the recording."""

import json
from dataclasses import replace

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.call import ClientConfig
from siprec_core.recording.call_events import RecordingAnswered, RecordingEnded, RecordingRefused
from siprec_core.recording.events import (
    Diagnostic,
    MetadataUpdated,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    StreamsChanged,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.replay import Replay
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.digest import Credentials, Secret
from siprec_core.types import Transport
from tests.core.harness import Pair, Wire
from tests.core.messages import METADATA, field, invite, request, status
from tests.core.sip.endpoints import is_empty

RULE = DigestRule(users={"alice": Secret("open sesame")}, realm="recorder")
ALICE = DigestUser(name="alice", secret=Secret("open sesame"))
LIAR = DigestUser(name="alice", secret=Secret("wrong"))


def pair(
    user: DigestUser | None = ALICE,
    *,
    rule: DigestRule = RULE,
    wire: Wire | None = None,
    transport: Transport = Transport.UDP,
    session_timer: bool = False,
) -> Pair:
    return Pair(
        config=ServerConfig(authentication=(rule,), session_expires=600),
        client_config=ClientConfig(credentials=user, session_timer=session_timer, session_expires=600),
        wire=wire,
        transport=transport,
    )


def starts(messages: list[bytes]) -> list[str]:
    """Give the method or status of each message."""
    return [message.split(b" ")[1 if message.startswith(b"SIP/2.0") else 0].decode() for message in messages]


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.requirement("3261-22-a", "3261-22-b")
def test_a_call_with_the_right_password_is_recorded(transport: Transport) -> None:
    both = pair(transport=transport)
    both.call()
    both.run(1.0)
    (answered,) = both.client.of(RecordingAnswered)
    assert answered.findings == ()
    (requested,) = both.server.of(SessionRequested)
    assert requested.authenticated_user == "alice"
    (info,) = both.recorder.sessions().values()
    assert info.authenticated_user == "alice"
    both.caller.stop(now=both.now)
    both.run(40.0)
    assert starts(both.client.sent) == ["INVITE", "ACK", "INVITE", "ACK", "BYE"]
    assert starts(both.server.sent) == ["401", "200", "200"], "the BYE needs no challenge of its own"
    assert [event.reason for event in both.client.of(RecordingEnded)] == ["local-bye"]
    assert [event.reason for event in both.server.of(SessionEnded)] == ["bye"]
    assert not both.server.of(Diagnostic)
    assert not both.server.of(SessionRefused)
    assert is_empty(both.recorder._endpoint)


@pytest.mark.parametrize("user", [None, LIAR], ids=["nobody", "liar"])
def test_a_call_without_it_is_refused(user: DigestUser | None) -> None:
    both = pair(user)
    both.call()
    both.run(40.0)
    assert [event.status for event in both.client.of(RecordingRefused)] == [401]
    assert both.client.of(RecordingEnded)
    assert not both.server.of(SessionRequested)
    told = [(event.code, event.detail) for event in both.server.of(Diagnostic)]
    wrong = ("digest-refused", "INVITE from 192.0.2.2:5070: wrong user or password")
    assert told == ([] if user is None else [wrong])
    assert is_empty(both.recorder._endpoint)


def test_a_server_that_does_not_ask_gets_no_credentials() -> None:
    both = Pair(client_config=ClientConfig(credentials=ALICE))
    both.call()
    both.run(1.0)
    assert both.client.of(RecordingAnswered)
    assert both.server.of(SessionRequested)[0].authenticated_user is None
    assert not any(field(message, "Authorization") for message in both.client.sent)


def test_a_listener_may_be_left_out() -> None:
    both = Pair(config=ServerConfig(authentication=(DigestRule(users=None, port=5060), RULE)))
    both.call()
    both.run(1.0)
    assert both.client.of(RecordingAnswered)


@pytest.mark.parametrize("seed", range(4))
def test_challenges_stand_loss_and_duplicates(seed: int) -> None:
    both = pair(wire=Wire(loss=0.2, duplicate=0.3, jitter=0.3, seed=seed))
    both.call()
    both.run(40.0)
    assert both.client.of(RecordingAnswered)
    both.caller.stop(now=both.now)
    both.run(80.0)
    assert both.client.of(RecordingEnded)
    assert len(both.server.of(SessionRequested)) == 1
    assert not [event for event in both.server.of(Diagnostic) if event.code != "digest-replay"]


@pytest.mark.parametrize("algorithm", ["SHA-512-256", "SHA-256", "MD5", "SHA-256-sess", "MD5-sess"])
@pytest.mark.requirement("8760-2.1-a", "7616-3.4-a")
def test_every_algorithm_lets_a_call_in(algorithm: str) -> None:
    both = pair(rule=replace(RULE, algorithms=(algorithm,)))
    both.call()
    both.run(1.0)
    both.caller.update_metadata(METADATA.encode(), now=both.now)
    both.run(1.0)
    assert both.client.of(RecordingAnswered)
    assert len(both.server.of(MetadataUpdated)) == 2
    sent = [Credentials.parse(value) for data in both.client.sent if (value := field(data, "Authorization"))]
    assert {credentials.algorithm for credentials in sent} == {algorithm}


@pytest.mark.requirement("8760-2.1-a", "8760-2.4-a")
def test_the_stronger_algorithm_stands_first_and_is_taken() -> None:
    both = pair()
    both.call()
    both.run(1.0)
    assert "algorithm=SHA-256," in field(both.server.sent[0], "WWW-Authenticate")
    assert Credentials.parse(field(both.client.sent[2], "Authorization")).algorithm == "SHA-256"


def test_a_stored_hash_serves_as_well_as_a_password() -> None:
    ha1 = "8e7ba1ca4c3c7b8a1f1ae7ee7c1ad9ee"
    rule = replace(RULE, users={"alice": Secret.from_hashes({"MD5": ha1})}, algorithms=("MD5",))
    both = pair(DigestUser(name="alice", secret=Secret.from_hashes({"MD5": ha1}), realm="recorder"), rule=rule)
    both.call()
    both.run(1.0)
    assert both.client.of(RecordingAnswered)


@pytest.mark.requirement("8760-2.6-c")
def test_auth_int() -> None:
    both = pair(rule=replace(RULE, qop=("auth-int",)))
    both.call()
    both.run(1.0)
    both.caller.pause("1", now=both.now)
    both.run(1.0)
    assert both.client.of(RecordingAnswered)
    assert both.server.of(StreamsChanged)


@pytest.mark.requirement("3261-22-b", "7616-5-a")
def test_a_long_call_outlives_its_nonces() -> None:
    """Refreshes of the session timer, a hold and the BYE each meet a nonce that is too old, and go on."""
    both = pair(rule=replace(RULE, nonce_seconds=60.0), session_timer=True)
    both.call()
    both.run(2_000.0)
    assert not both.client.of(RecordingEnded)
    both.caller.pause("1", now=both.now)
    both.run(100.0)
    assert both.server.of(StreamsChanged)
    assert both.caller.last_change is not None
    assert both.caller.last_change.status == 200
    both.caller.stop(now=both.now)
    both.run(1.0)
    assert [event.reason for event in both.server.of(SessionEnded)] == ["bye"]
    refused = both.server.messages(b"SIP/2.0 401")
    assert sum("stale=true" in field(message, "WWW-Authenticate") for message in refused) >= 4
    assert not both.server.of(Diagnostic)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE"])
def test_a_stranger_who_knows_the_dialog_changes_nothing(method: str) -> None:
    both = pair()
    both.call()
    both.run(1.0)
    (session,) = both.server.of(SessionEstablished)
    ours, theirs = field(both.server.sent[-1], "To"), field(both.server.sent[-1], "From")
    forged = invite(
        method=method, to_tag=ours.partition("tag=")[2], call_id=field(both.server.sent[-1], "Call-ID"), cseq=99
    ).replace(b"tag=abc", theirs.partition("tag=")[2].join(("tag=", "")).encode())
    both.inject(forged)
    assert status(both.server.sent[-1]) == 401
    both.run(1.0)
    assert not both.server.of(StreamsChanged)
    assert not both.server.of(SessionEnded)
    assert both.recorder.sessions()[session.session].state == "active"


def test_a_flood_without_credentials_opens_nothing() -> None:
    both = pair(None)
    for number in range(300):
        both.inject(invite(call_id=f"flood-{number}"))
    assert both.recorder.sessions() == {}
    assert is_empty(both.recorder._endpoint)
    assert both.server.events == []


@pytest.mark.parametrize("method", ["OPTIONS", "INVITE"])
def test_garbage_credentials_are_told(method: str) -> None:
    both = pair(None)
    both.inject(request(method, extra=["Authorization: Digest ==="]))
    assert status(both.server.sent[-1]) == 400
    assert [event.code for event in both.server.of(Diagnostic)] == ["digest-malformed", "digest-refused"]


def recorded() -> tuple[bytes, dict[str, object]]:
    """Give journal and report of a call that was challenged."""
    both = pair()
    both.call()
    both.run(1.0)
    both.caller.stop(now=both.now)
    both.run(1.0)
    (ended,) = both.server.of(SessionEnded)
    report = json.loads(both.server.files[f"{ended.directory}/recording.json"])
    return both.server.files[f"{ended.directory}/journal.pcapng"], report


def test_the_files_tell_the_user_and_never_the_credentials() -> None:
    journal, report = recorded()
    assert report["authenticated_user"] == "alice"
    assert b"Authorization:" in journal, "the field itself is kept"
    for secret in (b"response=", b"nonce=", b"cnonce=", b"username="):
        assert secret not in journal.lower()


def test_a_second_rendering_knows_the_user_too() -> None:
    journal, _ = recorded()
    replay = Replay(limits=Limits())
    replay.receive(journal)
    replay.end_of_file()
    while replay.poll() is not None:
        pass
    assert replay.account is not None
    assert replay.account.report("completed").authenticated_user == "alice"
    assert replay.findings == []
