"""Calls to come have another configuration; listeners and peers have facts of their own."""

from dataclasses import replace

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.recording.events import SessionRequested
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.sip.advertised import Advertised
from siprec_core.types import Flow, FlowId, Transport
from tests.core.harness import CLIENT, SERVER, TIME_BASE, Pair, entropy
from tests.core.messages import invite, request, status
from tests.core.test_server import answer_to, establish


def test_calls_to_come_have_the_new_configuration() -> None:
    pair = Pair(config=ServerConfig(max_sessions=1))
    first = establish(pair, call_id="a")
    assert status(answer_to(pair, invite(call_id="b"))) == 486
    wanted = ServerConfig(max_sessions=2, rtp_ports=(20_000, 20_003), strict=True)
    assert pair.recorder.reconfigure(wanted, now=pair.now) == ("strict",)
    answer = answer_to(pair, invite(call_id="c"))
    assert status(answer) == 200
    assert b"m=audio 20000 " in answer
    # The call that ran is as it was, and what it had is not taken for the new range.
    assert status(answer_to(pair, request("BYE", to_tag=first, call_id="a", cseq=2))) == 200
    pair.run(1.0)
    assert pair.recorder.config == ServerConfig(max_sessions=2, rtp_ports=(20_000, 20_003))


@pytest.mark.parametrize("wanted", [ServerConfig(max_sessions=0), ServerConfig(rtp_ports=(5, 5))])
def test_a_configuration_that_cannot_be_changes_nothing(wanted: ServerConfig) -> None:
    pair = Pair()
    with pytest.raises(ConfigurationError):
        pair.recorder.reconfigure(wanted, now=pair.now)
    assert pair.recorder.config == ServerConfig()
    assert status(answer_to(pair, invite())) == 200


def test_listeners_tell_addresses_of_their_own() -> None:
    rule = Advertised(transport=Transport.UDP, host=SERVER.host, port=SERVER.port, address="203.0.113.9")
    elsewhere = Advertised(transport=Transport.TCP, host=SERVER.host, port=SERVER.port, address="203.0.113.10")
    config = ServerConfig(advertise="203.0.113.8", advertise_by_listener=(elsewhere, rule))
    answer = answer_to(Pair(config=config), invite())
    assert f"Contact: <sip:203.0.113.9:{SERVER.port}>".encode() in answer
    assert b"c=IN IP4 203.0.113.9\r\n" in answer
    answer = answer_to(Pair(config=replace(config, advertise_by_listener=(elsewhere,))), invite())
    assert b"c=IN IP4 203.0.113.8\r\n" in answer


def test_names_of_the_peers_certificate_are_told() -> None:
    server = RecordingServer(ServerConfig(), time_base=TIME_BASE, entropy=entropy(1))
    flow = Flow(Transport.TLS, SERVER, CLIENT, FlowId(1), peer_names=("client.example",))
    server.flow_opened(flow, now=0.0)
    server.receive_stream(flow, invite(), now=0.0)
    requested = None
    while (output := server.poll_output()) is not None:
        if isinstance(output, SessionRequested):
            requested = output
    assert requested is not None
    assert requested.peer_names == ("client.example",)
