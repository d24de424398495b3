"""What every message of ours has, in one long conversation between our client and our server."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from siprec_core.limits import Limits
from siprec_core.metadata.model import DataMode, MetadataDocument, Participant, Session
from siprec_core.recording.call import ClientConfig
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.body import BodyPart
from siprec_core.sip.message import Request, Response
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Transport
from tests.core.harness import Node, Pair, Wire
from tests.core.messages import METADATA, request

LIMITS = Limits()
MANDATORY = ("Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq")
PARTIAL = MetadataDocument(
    datamode=DataMode.PARTIAL,
    sessions=(Session("c2Vzc2lvbi1vbmUtaWQ="),),
    participants=(Participant("cGFydGljaXBhbnQtMg=="),),
)


@dataclass(frozen=True)
class Said:
    """One message that one side sent."""

    data: bytes
    message: Request | Response
    by_server: bool

    @property
    def method(self) -> str:
        return self.message.cseq.method

    @property
    def kind(self) -> str:
        """The method of a request, or status and method of a response."""
        return self.method if isinstance(self.message, Request) else f"{self.message.status} {self.method}"

    @property
    def parts(self) -> list[BodyPart]:
        return list(parse_body(self.message, limits=LIMITS).leaves())


def said(node: Node, *, by_server: bool) -> Iterator[Said]:
    for data in node.sent:
        message = parse_datagram(data, limits=LIMITS, strict=True)
        assert isinstance(message, Request | Response), data
        assert message.findings == (), data
        yield Said(data, message, by_server)


def of(pair: Pair) -> list[Said]:
    return [*said(pair.client, by_server=False), *said(pair.server, by_server=True)]


def whole_call(transport: Transport) -> Pair:
    """A call with changes from both sides, refreshes and a BYE of the client's, over a wire that loses."""
    wire = Wire(seed=7)
    config = ClientConfig(session_timer=True, session_expires=300)
    pair = Pair(transport=transport, wire=wire, client_config=config)
    pair.call("1", "2")
    pair.run(1.0)
    (session,) = pair.recorder.sessions()
    wire.loss = 0.3 if transport is Transport.UDP else 0.0
    pair.recorder.pause(session, now=pair.now)
    pair.run(30.0)
    pair.recorder.resume(session, now=pair.now)
    pair.run(30.0)
    pair.caller.pause("1", now=pair.now)
    pair.run(30.0)
    pair.recorder.request_snapshot(session, now=pair.now)
    pair.run(30.0)
    pair.caller.update_metadata(METADATA.encode(), now=pair.now)
    pair.caller.update_metadata(PARTIAL, now=pair.now)
    wire.loss = 0.0
    pair.run(600.0)
    pair.inject(request("OPTIONS", call_id="asked"))
    pair.caller.stop(now=pair.now)
    pair.run(60.0)
    return pair


def ended_by_server() -> Pair:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    (session,) = pair.recorder.sessions()
    pair.recorder.end(session, now=pair.now)
    pair.run(60.0)
    return pair


def cancelled() -> Pair:
    pair = Pair(config=ServerConfig(manual=True))
    pair.call("1")
    pair.run(1.0)
    pair.caller.stop(now=pair.now)
    pair.run(60.0)
    return pair


@cache
def conversations() -> tuple[tuple[Said, ...], ...]:
    pairs = [*(whole_call(transport) for transport in Transport), ended_by_server(), cancelled()]
    return tuple(tuple(of(pair)) for pair in pairs)


def everything() -> list[Said]:
    return [each for conversation in conversations() for each in conversation]


def requests() -> list[Said]:
    return [each for each in everything() if isinstance(each.message, Request)]


def test_the_conversation_holds_what_the_tests_below_speak_of() -> None:
    kinds = {(each.kind, each.by_server) for each in everything()}
    assert kinds >= {
        *(
            (kind, False)
            for kind in ("INVITE", "ACK", "UPDATE", "BYE", "CANCEL", "200 INVITE", "200 UPDATE", "200 BYE")
        ),
        *((kind, True) for kind in ("INVITE", "ACK", "UPDATE", "BYE", "100 INVITE", "200 INVITE", "200 UPDATE")),
        *((kind, True) for kind in ("200 BYE", "200 CANCEL", "200 OPTIONS", "487 INVITE")),
    }
    repeated = [each.data for each in conversations()[0]]
    assert len(set(repeated)) < len(repeated), "some were lost and sent again"


@pytest.mark.requirement("3261-7-a", "3261-7.1-a")
def test_lines_and_version_are_written_as_the_grammar_wants() -> None:
    for each in everything():
        head, _, _ = each.data.partition(b"\r\n\r\n")
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", head)
        first = head.split(b"\r\n")[0]
        if isinstance(each.message, Request):
            assert re.fullmatch(rb"[A-Z]+ sips?:\S+ SIP/2\.0", first)
        else:
            assert re.fullmatch(rb"SIP/2\.0 \d{3} [ -~]+", first)


@pytest.mark.requirement("3261-8.1.1-a", "3261-8.1.1-c", "3261-8.1.1-d")
def test_every_request_has_its_fields_once() -> None:
    for each in requests():
        headers = each.message.headers
        assert [name for name in MANDATORY if len(headers.values(name)) != 1] == []
        assert each.message.cseq.number < 2**31
        assert headers.get("Max-Forwards") == "70"
        if each.method in ("INVITE", "UPDATE"):
            (contact,) = each.message.contacts
            assert contact.sip_uri().host


@pytest.mark.requirement("3261-8.1.1-b")
def test_tags_are_where_they_belong() -> None:
    for conversation in conversations():
        outside = [each for each in conversation if each.message.cseq.number == 1 and not each.by_server]
        for each in conversation:
            if isinstance(each.message, Request):
                assert re.fullmatch("[0-9a-f]{16}", each.message.from_.tag or "")
                first = each in outside and each.method in ("INVITE", "CANCEL")
                assert (each.message.to.tag is None) is first


@pytest.mark.requirement("3261-8.1.1-e")
def test_branches_are_fresh_but_for_what_rfc_3261_lets_share_them() -> None:
    by_branch: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
    for number, conversation in enumerate(conversations()):
        for each in conversation:
            if isinstance(each.message, Request):
                branch = each.message.top_via.branch
                assert branch is not None
                assert branch.startswith("z9hG4bK")
                by_branch[f"{number} {branch}"].add((each.method, each.data))
    shared = [sorted(method for method, _ in sent) for sent in by_branch.values() if len(sent) > 1]
    assert shared == [["ACK", "CANCEL", "INVITE"]], "a CANCEL and the ACK to a failure alone have that of their INVITE"


@pytest.mark.requirement("3261-12.2.1-a")
def test_sequence_numbers_of_each_side_rise_by_one() -> None:
    for conversation in conversations():
        for by_server in (False, True):
            sent = [each.message for each in conversation if each.by_server is by_server]
            numbers = [m.cseq.number for m in sent if isinstance(m, Request) and m.method not in ("ACK", "CANCEL")]
            fresh = list(dict.fromkeys(numbers))
            assert fresh == list(range(1, len(fresh) + 1))


@pytest.mark.requirement("3261-7.4.1-a", "3261-7.4.2-a", "5621-3-a", "5621-4-b")
def test_bodies_are_typed_binary_and_never_nested() -> None:
    for each in everything():
        headers, body = each.message.headers, each.message.body
        assert ("Content-Type" in headers) is bool(body)
        assert "Transfer-Encoding" not in headers
        assert "Content-Encoding" not in headers
        assert len(each.data.partition(b"\r\n\r\n")[2]) == int(headers.get("Content-Length") or "-1")
        root = parse_body(each.message, limits=LIMITS).root
        if root is not None:
            assert [part for part in root.parts if part.content_type.type == "multipart"] == []
        for part in each.parts:
            assert "Content-Transfer-Encoding" not in part.headers


@pytest.mark.requirement("3261-7.4.1-a")
def test_descriptions_that_answer_are_never_multipart() -> None:
    types = {each.message.headers.get("Content-Type") for each in everything() if isinstance(each.message, Response)}
    assert types == {None, "application/sdp"}


@pytest.mark.requirement("7866-6.1.1-a", "7866-6.1.1-g", "7866-6.2-b")
def test_every_contact_has_the_feature_tag_of_its_side() -> None:
    told = [each for each in everything() if "Contact" in each.message.headers]
    assert {each.kind for each in told} >= {"INVITE", "UPDATE", "200 INVITE", "200 UPDATE"}
    for each in told:
        expected = "+sip.srs" if each.by_server else "+sip.src"
        (contact,) = each.message.contacts
        assert [name for name, _ in contact.parameters] == [expected]
    for each in everything():
        if each.kind in ("INVITE", "UPDATE", "200 INVITE", "200 UPDATE"):
            assert each in told


@pytest.mark.requirement("7866-6.1.1-b", "7866-6.1.1-e", "7866-6.2-f")
def test_the_client_demands_siprec_of_the_server_it_names() -> None:
    for conversation in conversations():
        invite = conversation[0].message
        assert isinstance(invite, Request)
        assert invite.require == ("siprec",)
        assert invite.to.sip_uri().host == "192.0.2.1"
        assert invite.from_.sip_uri().user == "siprec"
    for each in everything():
        assert "siprec" not in each.message.supported


@pytest.mark.requirement("3261-8.1.1-g", "3311-4-a")
def test_what_is_allowed_is_told_where_a_dialog_begins_or_changes() -> None:
    for each in everything():
        if each.kind in ("INVITE", "UPDATE", "200 INVITE", "200 UPDATE", "200 OPTIONS"):
            assert {"UPDATE", "INFO", "BYE", "ACK"} <= set(each.message.allow)
            assert "application/sdp" in each.message.headers.values("Accept")


@pytest.mark.requirement("4028-7-a")
def test_session_timers_are_supported_in_every_request_but_ack() -> None:
    for each in requests():
        assert ("timer" in each.message.supported) is (each.method != "ACK"), each.kind
