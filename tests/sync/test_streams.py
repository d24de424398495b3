"""Connections on real sockets."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from siprec_core.types import Address, FlowId, Transport
from siprec_sync.streams import StreamConnection, StreamFailure, StreamState, make_channel, open_connection
from siprec_sync.tls import TlsChannel, TlsError, TlsFiles, client_context, server_context
from tests.contract.certificates import make_tls_files


@pytest.fixture
def peer_and_socket() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection: a blocking one for the test, and the one under test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), timeout=5)
        ours, _ = listener.accept()
        with peer, ours:
            yield peer, ours


def connection_on(sock: socket.socket, tls: TlsChannel | None = None, limit: int = 1_000_000) -> StreamConnection:
    return StreamConnection(
        sock,
        id=FlowId(1),
        transport=Transport.TLS if tls else Transport.TCP,
        remote=Address("127.0.0.1", 1),
        tls=tls,
        outgoing_limit=limit,
    )


def settled(connection: StreamConnection) -> list[bytes]:
    """Read until something comes."""
    while not (pieces := connection.read()):
        pass
    return pieces


def test_a_conversation(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    peer, sock = peer_and_socket
    connection = connection_on(sock)
    assert connection.begin()
    assert connection.flow.local == Address(*sock.getsockname())
    peer.sendall(b"question")
    assert settled(connection) == [b"question"]
    connection.send(b"answer")
    assert peer.recv(100) == b"answer"
    assert connection.wants_read
    assert not connection.wants_write


def test_half_close_still_lets_us_answer(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    peer, sock = peer_and_socket
    connection = connection_on(sock)
    connection.begin()
    peer.sendall(b"question")
    peer.shutdown(socket.SHUT_WR)
    pieces = settled(connection)
    while pieces[-1]:
        pieces += settled(connection)
    assert pieces == [b"question", b""]
    assert not connection.wants_read
    connection.send(b"answer")
    connection.finish()
    assert connection.finished
    assert peer.recv(100) == b"answer"
    assert peer.recv(100) == b""


def test_closing_sends_the_rest_first(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    peer, sock = peer_and_socket
    connection = connection_on(sock, limit=20_000_000)
    connection.begin()
    data = bytes(range(256)) * 40_000
    connection.send(data)
    connection.finish()
    received = bytearray()
    while connection.wants_write:
        received += peer.recv(1_000_000)
        connection.write()
    while piece := peer.recv(1_000_000):
        received += piece
    assert received == data
    peer.sendall(b"ignored")
    peer.close()
    while not connection.finished:
        assert connection.read() == []


def test_a_reset_is_a_failure(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    peer, sock = peer_and_socket
    connection = connection_on(sock)
    connection.begin()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    with pytest.raises(StreamFailure, match="reset"):
        settled(connection)


def test_a_peer_that_does_not_read_is_given_up(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    connection = connection_on(peer_and_socket[1], limit=10_000)
    connection.begin()

    def send_on() -> None:
        for _ in range(10_000):
            connection.send(bytes(8_000))

    with pytest.raises(StreamFailure, match="does not read"):
        send_on()


def test_nothing_is_sent_after_the_end(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    peer, sock = peer_and_socket
    connection = connection_on(sock)
    connection.begin()
    connection.finish()
    connection.send(b"late")
    assert peer.recv(100) == b""


def test_closing_before_opening(peer_and_socket: tuple[socket.socket, socket.socket]) -> None:
    connection = connection_on(peer_and_socket[1])
    with pytest.raises(StreamFailure):
        connection.finish()
    connection.close()
    assert connection.state is StreamState.CLOSED


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def test_tls(peer_and_socket: tuple[socket.socket, socket.socket], tls: TlsFiles) -> None:
    peer, sock = peer_and_socket
    server = connection_on(
        sock,
        make_channel(server_context(TlsFiles(certificate=tls.certificate, key=tls.key)), server_side=True),
    )
    channel = make_channel(
        client_context(TlsFiles(authorities=tls.authorities)), server_side=False, server_name="localhost"
    )
    client = connection_on(peer, channel)
    assert not client.begin()
    assert not server.begin()
    while not (client.state is server.state is StreamState.OPEN):
        assert server.read() == client.read() == []
    client.send(b"question")
    assert settled(server) == [b"question"]
    server.send(b"answer" * 100_000)
    received = b""
    while len(received) < 600_000:
        server.write()
        received += b"".join(client.read())
    client.finish()
    assert settled(server) == [b""]
    server.finish()
    while not (client.finished and server.finished):
        client.read()


def test_plain_text_on_a_tls_connection(peer_and_socket: tuple[socket.socket, socket.socket], tls: TlsFiles) -> None:
    peer, sock = peer_and_socket
    server = connection_on(sock, make_channel(server_context(tls), server_side=True))
    server.begin()
    peer.sendall(b"OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n")
    with pytest.raises(StreamFailure, match="TLS: "):
        settled(server)


def test_connecting_to_nobody() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = Address(*unused.getsockname())
        try:
            sock = open_connection(address)
        except OSError:
            return  # some systems refuse at once
        connection = StreamConnection(
            sock,
            id=FlowId(-1),
            transport=Transport.TCP,
            remote=address,
            tls=None,
            outgoing_limit=1_000,
            connecting=True,
        )
        assert connection.wants_write
        assert not connection.wants_read
        with pytest.raises(StreamFailure, match="refused"):
            connection.begin()
        connection.close()


def test_channels_need_a_context_and_a_name() -> None:
    with pytest.raises(TlsError, match="no TLS context"):
        make_channel(None, server_side=True)
    with pytest.raises(TlsError, match="no name"):
        make_channel(client_context(), server_side=False)
    with pytest.raises(TlsError, match="server name"):
        make_channel(client_context(), server_side=False, server_name="a" * 300)
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    assert not make_channel(unchecked, server_side=False).established
