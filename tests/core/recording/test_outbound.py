"""What a server calls with: the INVITE without offer, what an answer has to be, the answer that refuses all."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.recording.outbound import RecordSpec, agent_of, decline, invite_without_offer, refuse_answer
from siprec_core.recording.request import RecordingResponse, read_answer_of_client
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.transport import Hop
from siprec_core.types import Transport
from tests.core.harness import CLIENT, SERVER, entropy
from tests.core.messages import METADATA, OFFER, read, read_response, request, response_to

SPEC = RecordSpec(uri="sip:phone@192.0.2.2:5070", hop=Hop(Transport.UDP, CLIENT), local=SERVER)
SRC = "<sip:phone@192.0.2.2:5070>;+sip.src"


def answered(offer: str = OFFER, *, contact: str = SRC, kind: str = "") -> RecordingResponse:
    data = response_to(request("INVITE"), 200, contact=contact, body=offer)
    if kind:
        data = data.replace(b"application/sdp", kind.encode(), 1)
    return read_answer_of_client(read_response(data), limits=Limits(), strict=False)


def test_the_invite_can_be_read_again_and_ids_differ() -> None:
    ids = Ids(entropy(1))
    first, second = (invite_without_offer(SPEC, ids=ids) for _ in range(2))
    assert (first.require, first.body) == (("siprec",), b"")
    assert first.from_.uri == "sip:siprec@localhost"
    assert first.to.tag is None
    assert first.call_id != second.call_id
    assert first.from_.tag != second.from_.tag


@pytest.mark.parametrize(
    "spec",
    [
        RecordSpec(uri=uri, hop=SPEC.hop, local=SERVER, from_uri=from_uri)
        for uri, from_uri in (("http://x", "sip:a@b"), ("sip:x y", "sip:a@b"), ("sip:x", "sip:a@b\r\nX: y"))
    ],
)
def test_uris_that_cannot_be_written(spec: RecordSpec) -> None:
    with pytest.raises(LocalProtocolError):
        invite_without_offer(spec, ids=Ids(entropy(1)))


@pytest.mark.parametrize(
    ("contact", "strict", "taken"),
    [
        (SRC, True, True),
        ("<sip:x@h>;src", False, True),
        ("<sip:x@h>;src", True, False),
        ("<sip:x@h>", False, False),
        ("<sip:x@h>;+sip.srs", False, False),
        ("<sip:x@h>;+sip.src;+sip.srs", False, False),
    ],
)
def test_which_answers_are_a_recording_clients(contact: str, strict: bool, taken: bool) -> None:
    assert (refuse_answer(answered(contact=contact), strict=strict) is None) is taken


def test_metadata_shows_a_client_outside_strict_mode() -> None:
    body = (
        f"--b\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--b\r\nContent-Type: application/rs-metadata+xml\r\n"
        f"Content-Disposition: recording-session\r\n\r\n{METADATA}\r\n--b--\r\n"
    )
    read_ = answered(body, contact="<sip:x@h>", kind="multipart/mixed;boundary=b")
    assert refuse_answer(read_, strict=False) is None
    assert refuse_answer(read_, strict=True) is not None
    codes = [found.code for found in read_.findings]
    assert "siprec-no-feature-tag" in codes
    assert "siprec-no-metadata" not in codes
    assert read_.metadata is not None


@pytest.mark.parametrize("body", ["", "v=1\r\n", "garbage"])
def test_an_answer_without_an_offer_begins_nothing(body: str) -> None:
    assert "offer" in (refuse_answer(answered(body), strict=False) or "") or "read" in (
        refuse_answer(answered(body), strict=False) or ""
    )


def test_the_refusing_answer_has_every_line_with_port_0_and_its_label() -> None:
    response = response_to(request("INVITE"), 200, body=OFFER)
    data = decline(read_response(response), "192.0.2.1", ids=Ids(entropy(1)), limits=Limits())
    description = parse_sdp(data, limits=Limits()).description
    assert description is not None
    assert [(line.media, line.port, line.protocol, line.label) for line in description.media] == [
        ("audio", 0, "RTP/AVP", "1"),
        ("audio", 0, "RTP/AVP", "2"),
    ]
    assert description.media[0].formats == ("0", "8")


@given(st.text(max_size=200))
def test_any_body_is_declined_or_has_no_answer(text: str) -> None:
    response = read_response(response_to(request("INVITE"), 200, body=text.encode("utf-8", "ignore").decode()))
    answer = partial(decline, ids=Ids(entropy(1)), limits=Limits())(response, "2001:db8::1")
    assert answer == b"" or parse_sdp(answer, limits=Limits()).description is not None


def test_the_agent_is_server_in_responses_and_user_agent_in_requests() -> None:
    both = ("Server: a", "User-Agent: b")
    assert agent_of(read_response(response_to(request("INVITE"), 200, extra=both))) == "a"
    assert agent_of(read_response(response_to(request("INVITE"), 200, extra=both[1:]))) == "b"
    assert agent_of(read(request("INVITE", extra=both))) == "b"
    assert agent_of(read(request("INVITE"))) is None
