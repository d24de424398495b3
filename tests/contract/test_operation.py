"""What operators do to a server that runs: other limits, other certificates; and whom it knows by certificate."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.decision import Decision, PolicyRequest
from siprec_core.recording.events import SessionRequested
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.types import Transport
from siprec_sync.tls import TlsFiles
from tests.contract.certificates import make_tls_files
from tests.contract.conftest import Running, StartServer
from tests.contract.peer import Peer
from tests.contract.test_scenarios import report_of


def facade(server: Running) -> Any:  # noqa: ANN401 - of either frontend
    return server.decisions


def context_for(server: TlsFiles, client: TlsFiles | None = None) -> ssl.SSLContext:
    """Make a client's context that trusts a server, with a certificate or without."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    if client is not None:
        context.load_cert_chain(str(client.certificate), str(client.key))
    return context


@pytest.fixture
def client_files(tmp_path: Path) -> TlsFiles:
    return make_tls_files(tmp_path, "client.example")


@pytest.fixture
def serve_mutual(start_server: StartServer, tls_files: TlsFiles, client_files: TlsFiles) -> Callable[[str], Running]:
    """Starts a server that wants certificates of clients."""

    def start(client_auth: str) -> Running:
        files = replace(tls_files, authorities=client_files.certificate, client_auth=client_auth)
        return start_server("tls://127.0.0.1:0", tls=files)

    return start


@pytest.mark.parametrize("client_auth", ["required", "optional"])
def test_a_client_is_known_by_its_certificate(
    serve_mutual: Callable[[str], Running], tls_files: TlsFiles, client_files: TlsFiles, client_auth: str
) -> None:
    server = serve_mutual(client_auth)
    context = context_for(tls_files, client_files)
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context) as peer:
        peer.establish()
        requested: SessionRequested = server.until(SessionRequested)
        assert requested.peer_names == ("client.example", "127.0.0.1")
        assert peer.request("BYE", 2).status == 200
        ended = server.ended()
    assert report_of(server, ended.directory)["peer_names"] == ["client.example", "127.0.0.1"]


def test_without_a_certificate_nobody_calls_where_one_is_required(
    serve_mutual: Callable[[str], Running], tls_files: TlsFiles, client_files: TlsFiles
) -> None:
    server = serve_mutual("required")
    for context in (context_for(tls_files), context_for(tls_files, tls_files)):
        # In TLS 1.3 a client learns only from its first reading that its certificate was refused.
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            Peer(Transport.TLS, server.address(Transport.TLS), context=context) as peer,
        ):
            peer.establish()
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context_for(tls_files, client_files)) as peer:
        peer.establish()


def test_where_one_is_optional_only_a_good_one_counts(
    serve_mutual: Callable[[str], Running], tls_files: TlsFiles
) -> None:
    server = serve_mutual("optional")
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context_for(tls_files)) as peer:
        peer.establish()
        assert server.until(SessionRequested).peer_names == ()
        assert peer.request("BYE", 2).status == 200
        ended = server.ended()
    assert report_of(server, ended.directory)["peer_names"] == []
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        Peer(Transport.TLS, server.address(Transport.TLS), context=context_for(tls_files, tls_files)) as peer,
    ):
        peer.establish()


def test_only_clients_with_a_certificate_of_a_certain_name_are_recorded(
    start_server: StartServer, tls_files: TlsFiles, client_files: TlsFiles
) -> None:
    files = replace(tls_files, authorities=client_files.certificate, client_auth="optional")
    asked: list[tuple[str, ...]] = []

    def decide(request: PolicyRequest) -> Decision:
        asked.append(request.peer_names)
        return Decision()

    config = ServerConfig(admission=AdmissionPolicy(peer_names=("Client.Example",)))
    server = start_server("tls://127.0.0.1:0", tls=files, config=config, policy_hook=decide)
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context_for(tls_files)) as peer:
        assert peer.request("OPTIONS", 1).status == 403
        peer.send(peer.invite())
        assert peer.final().status == 403
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context_for(tls_files, client_files)) as peer:
        assert peer.request("OPTIONS", 1).status == 200
        peer.establish()
    assert asked == [("client.example", "127.0.0.1")]


def test_tls_1_3_alone(start_server: StartServer, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=replace(tls_files, authorities=None, min_version="1.3"))
    old = context_for(tls_files)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        Peer(Transport.TLS, server.address(Transport.TLS), context=old)
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context_for(tls_files)) as peer:
        peer.establish()


def test_certificates_are_renewed_while_a_call_goes_on(
    start_server: StartServer, tls_files: TlsFiles, tmp_path: Path
) -> None:
    server = start_server("tls://127.0.0.1:0", tls=replace(tls_files, authorities=None))
    address = server.address(Transport.TLS)
    fresh = replace(make_tls_files(tmp_path), authorities=None)
    with Peer(Transport.TLS, address, context=context_for(tls_files)) as first:
        first.establish()
        (tmp_path / "garbage.pem").write_bytes(b"garbage")
        with pytest.raises(ConfigurationError, match=r"garbage\.pem"):
            facade(server).renew_tls(replace(fresh, certificate=tmp_path / "garbage.pem"))
        with Peer(Transport.TLS, address, context=context_for(tls_files)) as second:
            second.establish()
        facade(server).renew_tls(fresh)
        with pytest.raises(ssl.SSLError):
            Peer(Transport.TLS, address, context=context_for(tls_files))
        with Peer(Transport.TLS, address, context=context_for(fresh)) as third:
            third.establish()
        assert first.request("BYE", 2).status == 200


def test_limits_change_while_a_call_goes_on(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(max_sessions=1))

    def allow(core: RecordingServer, now: float) -> tuple[str, ...]:
        return core.reconfigure(replace(core.config, max_sessions=2, strict=True), now=now)

    with server.peer() as first, server.peer() as second:
        first.establish()
        second.send(second.invite())
        assert second.final().status == 486
        assert facade(server).request(allow) == ("strict",)
        with server.peer() as third:
            third.establish()
            assert third.request("BYE", 2).status == 200
        assert first.request("BYE", 2).status == 200
