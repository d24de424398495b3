"""Addresses to listen on."""

import logging
import socket

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.types import Address, Transport
from siprec_sync import listeners
from siprec_sync.facade import DEFAULT_BINDS
from siprec_sync.listeners import Bind, local_host_towards, open_datagram_socket, open_listeners, reason_of


@pytest.mark.requirement("3261-18-a")
@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("udp://0.0.0.0:5062", Bind(Transport.UDP, "0.0.0.0", 5062)),
        ("tcp://127.0.0.1", Bind(Transport.TCP, "127.0.0.1", 5060)),
        ("tls://127.0.0.1", Bind(Transport.TLS, "127.0.0.1", 5061)),
        ("udp://[::1]:0", Bind(Transport.UDP, "::1", 0)),
        ("tcp://localhost:5060/", Bind(Transport.TCP, "localhost", 5060)),
        (" udp://127.0.0.1:1 ", Bind(Transport.UDP, "127.0.0.1", 1)),
    ],
)
def test_binds(text: str, bind: Bind) -> None:
    assert Bind.parse(text) == bind
    assert Bind.parse(str(bind)) == bind


@pytest.mark.requirement("3261-18-a")
def test_udp_and_its_tcp_twin_are_listened_on_by_default() -> None:
    udp, tcp = (Bind.parse(text) for text in DEFAULT_BINDS)
    assert (udp.transport, tcp.transport) == (Transport.UDP, Transport.TCP)
    assert (udp.host, udp.port) == (tcp.host, tcp.port)
    assert udp.port == 5060


@pytest.mark.parametrize(
    "text",
    ["", "5060", "udp://", "udp:127.0.0.1", "sctp://127.0.0.1:1", "udp://127.0.0.1:65536", "udp://127.0.0.1:x",
     "udp://::1:5060", "udp://[::1", "udp://127.0.0.1:5060/path", "udp://127.0.0.1:5060?x", "UDP://127.0.0.1:1"],
)  # fmt: skip
def test_malformed_binds(text: str) -> None:
    with pytest.raises(ConfigurationError, match="bind"):
        Bind.parse(text)


def test_listeners_tell_their_ports() -> None:
    opened = open_listeners("udp://127.0.0.1:0", "tcp://[::1]:0", "tls://localhost:0")
    try:
        assert [listener.transport for listener in opened] == [Transport.UDP, Transport.TCP, Transport.TLS]
        assert all(listener.address.port and not listener.socket.getblocking() for listener in opened)
        assert opened[1].as_json() == {"transport": "tcp", "host": "::1", "port": opened[1].address.port}
    finally:
        for listener in opened:
            listener.socket.close()


def test_all_or_none() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            open_listeners("tcp://127.0.0.1:0", f"udp://127.0.0.1:{port}")
    assert str(caught.value) == f"cannot listen on udp://127.0.0.1:{port}: address already in use"


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on tcp://203\.0\.113\.1:0"):
        open_listeners("tcp://203.0.113.1:0")


def test_a_small_buffer_is_told_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_granted_buffers", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            open_datagram_socket(Address("127.0.0.1", 0), buffer_size=2_000_000_000).close()
    assert caplog.text.count("raise net.core.rmem_max") == 1


def test_the_way_to_a_peer() -> None:
    assert local_host_towards(Address("127.0.0.1", 9)) == "127.0.0.1"
    assert local_host_towards(Address("::1", 9)) == "::1"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "no space left on device"),
        (OSError("Why"), "why"),
        (OSError(), "input/output error"),
    ],
)
def test_reasons(error: OSError, reason: str) -> None:
    assert reason_of(error) == reason
