"""What is wrong gets the right answer, and the server goes on; the octets are a raw socket's."""

from dataclasses import dataclass

import pytest

from siprec_core.recording.events import Diagnostic, SessionEnded, SessionRefused
from siprec_core.types import Transport
from tests.contract.conftest import Running
from tests.contract.peer import Answer, Peer
from tests.core.messages import METADATA, OFFER, invite, request

ONLY_G729 = OFFER.replace("RTP/AVP 0 8", "RTP/AVP 18")
NO_AUDIO_AT_ALL = OFFER.replace("m=audio", "m=message").replace("RTP/AVP 0 8", "TCP/MSRP *")


@dataclass(frozen=True)
class Wrong:
    """A request that is not to be taken."""

    name: str
    data: bytes
    """As over UDP; Call-ID and branch hold the name."""
    status: int
    header: str = ""
    """A header field of the answer."""
    value: str = ""
    """What that holds."""
    malformed: bool = False
    """It shows in the log of malformed messages."""


def _call(name: str, **parts: str | None) -> bytes:
    return invite(call_id=name, **parts)  # type: ignore[arg-type]


def _without(data: bytes, field: bytes) -> bytes:
    lines = data.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(field + b":"))


WRONG = [
    Wrong("bad-cseq", _call("bad-cseq").replace(b"CSeq: 1 ", b"CSeq: one "), 400, malformed=True),
    Wrong("cseq-of-another", request("OPTIONS", call_id="cseq-of-another", cseq_method="BYE"), 400, malformed=True),
    Wrong("no-from", _without(_call("no-from"), b"From"), 400, malformed=True),
    Wrong("version", _call("version").replace(b" SIP/2.0\r\nVia", b" SIP/7.0\r\nVia"), 505, malformed=True),
    Wrong("scheme", request("OPTIONS", call_id="scheme", uri="http://example.com/"), 416),
    Wrong("unknown-method", request("FROBNICATE", call_id="unknown-method"), 501),
    Wrong("known-method", request("SUBSCRIBE", call_id="known-method"), 405, "Allow", "INVITE"),
    Wrong("no-such-call", request("BYE", call_id="no-such-call", to_tag="nobody", cseq=7), 481),
    Wrong("extension", _call("extension", require="siprec, teleport"), 420, "Unsupported", "teleport"),
    Wrong("no-sdp", request("INVITE", call_id="no-sdp", extra=["Require: siprec"]), 400),
    Wrong("only-metadata", _call("only-metadata", offer=None), 400),
    Wrong("broken-sdp", _call("broken-sdp", offer="v=0\r\nthis is no SDP\r\n"), 400),
    Wrong("no-codec", _call("no-codec", offer=ONLY_G729), 488, "Warning", "305 "),
    Wrong("no-audio", _call("no-audio", offer=NO_AUDIO_AT_ALL), 488, "Warning", "30"),
    Wrong(
        "body-type",
        request("INVITE", call_id="body-type", body="x", content_type="text/x", extra=["Require: siprec"]),
        415,
        "Accept",
        "application/sdp",
    ),
    Wrong(
        "no-recording",
        _call("no-recording", require=None, metadata=None, contact="<sip:a@192.0.2.2>"),
        421,
        "Require",
        "siprec",
    ),
]


def answer_to(peer: Peer, name: str, data: bytes) -> Answer:
    """Send a request and give its final response, passing over what belongs to others."""
    peer.send(data)
    while (answer := peer.receive()).status < 200 or answer.header("Call-ID") != name:
        pass
    return answer


def goes_on(server: Running, peer: Peer) -> None:
    """Make a whole call."""
    (port,) = peer.establish()
    peer.talk(port, 5)
    assert peer.request("BYE", 2).status == 200
    assert server.ended().status == "completed"


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=lambda each: each.value)
def test_each_gets_its_answer(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer:
        for wrong in WRONG:
            data = wrong.data.replace(b"SIP/2.0/UDP", f"SIP/2.0/{transport.via_name}".encode())
            answer = answer_to(peer, wrong.name, data)
            assert answer.status == wrong.status, wrong.name
            assert wrong.value in answer.header(wrong.header or "Via"), wrong.name
            assert answer.header("Content-Length") == "0"
            if data.startswith(b"INVITE") and not wrong.malformed:  # what is malformed is answered once
                peer.send(_acknowledgement(answer))
        goes_on(server, peer)
    told = [event.detail for event in server.events if isinstance(event, Diagnostic)]
    assert len(told) == sum(wrong.malformed for wrong in WRONG), told
    calls = {event.call_id for event in server.events if isinstance(event, SessionRefused)}
    assert {"no-sdp", "no-codec", "no-recording"} <= calls
    assert sum(isinstance(event, SessionEnded) for event in server.events) == 1


def _acknowledgement(answer: Answer) -> bytes:
    """Write the ACK to a refusal (RFC 3261 section 17.1.1.3)."""
    lines = [
        "ACK sip:recorder@192.0.2.1:5060 SIP/2.0",
        f"Via: {answer.header('Via')}",
        f"From: {answer.header('From')}",
        f"To: {answer.header('To')}",
        f"Call-ID: {answer.header('Call-ID')}",
        "CSeq: 1 ACK",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_datagram_that_is_cut_off(server: Running) -> None:
    """RFC 3261 section 18.3: a body shorter than Content-Length says gets 400."""
    with server.peer() as peer:
        assert answer_to(peer, "cut", invite(call_id="cut")[:-20]).status == 400
        goes_on(server, peer)


def test_a_stream_that_lost_its_framing(server: Running) -> None:
    """Behind two different Content-Length fields nothing can be read: 400, and that connection ends, no other."""
    with server.peer(Transport.TCP) as peer, server.peer(Transport.TCP) as other:
        broken = invite(call_id="lengths", transport="TCP")
        broken = broken.replace(b"Content-Length:", b"Content-Length: 3\r\nContent-Length:", 1)
        assert answer_to(peer, "lengths", broken).status == 400
        while peer.socket.recv(65_536):
            pass
        goes_on(server, other)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=lambda each: each.value)
def test_broken_metadata_does_not_cost_the_recording(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer:
        broken = METADATA.replace("</recording>", "")
        data = invite(call_id="broken", metadata=broken, transport=transport.via_name)
        answer = answer_to(peer, "broken", data)
        assert answer.status == 200
        for method, cseq in (("ACK", 1), ("BYE", 2)):
            peer.send(request(method, call_id="broken", to_tag=answer.to_tag, cseq=cseq, transport=transport.via_name))
        assert peer.final().status == 200
        assert server.ended().status == "completed"
