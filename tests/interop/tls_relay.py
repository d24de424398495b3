"""TLS for a program that has none: takes one TCP connection and carries its octets over TLS to a server."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WAIT_SECONDS = 30.0


@contextmanager
def tls_relay(port: int, authority: Path) -> Iterator[int]:
    """Relay to TLS port `port` of 127.0.0.1 during the block; gives the TCP port to connect to."""
    context = ssl.create_default_context(cafile=str(authority))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_WAIT_SECONDS)
        thread = threading.Thread(target=_relay, args=(listener, port, context))
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            # Wakes a thread that still waits for its connection.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _relay(listener: socket.socket, port: int, context: ssl.SSLContext) -> None:
    try:
        near, _ = listener.accept()
    except OSError:
        return
    with (
        near,
        socket.create_connection(("127.0.0.1", port), timeout=_WAIT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as far,
    ):
        near.settimeout(_WAIT_SECONDS)
        back = threading.Thread(target=_carry, args=(far, near))
        back.start()
        _carry(near, far)
        back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    """Carry octets until one side ends."""
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass  # the other side has gone, which ends this one too
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
