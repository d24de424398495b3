"""Putting a driver together, and what can be wrong with its parts."""

import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

import siprec_sync
from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.recording.events import Event
from siprec_core.types import Address
from siprec_sync.assembly import Assembly, DriverSettings, assemble
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.events import ServerHub
from siprec_sync.listeners import Bind, bind_of, open_listeners
from siprec_sync.pump import Storage
from siprec_sync.sinks import MemorySinks, Sinks
from siprec_sync.tls import TlsFiles, server_context
from tests.contract.certificates import make_tls_files
from tests.contract.double import CoreDouble


def assembled(
    *binds: str,
    sinks: Sinks | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
) -> Assembly[Event]:
    core = CoreDouble()
    storage = Storage(sinks or MemorySinks(), core)
    return assemble(core, binds, hub=ServerHub(), storage=storage, limits=Limits(), tls=tls, settings=settings)


def close(assembly: Assembly[Event]) -> None:
    assembly.pump.close()
    assembly.pump.close_sinks()


def test_a_place_that_cannot_be_written_gives_the_port_back(tmp_path: Path) -> None:
    (first,) = open_listeners("tcp://127.0.0.1:0")
    first.socket.close()
    (tmp_path / "file").touch()
    bind = f"tcp://127.0.0.1:{first.address.port}"
    with pytest.raises(ConfigurationError, match="cannot keep recordings"):
        assembled(bind, sinks=DirectorySinks(tmp_path / "file" / "root"))
    close(assembled(bind))


def test_a_tls_listener_needs_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs a certificate"):
        assembled("tls://127.0.0.1:0")
    with pytest.raises(ConfigurationError, match="needs a certificate"):
        assembled("tls://127.0.0.1:0", tls=TlsFiles(authorities=make_tls_files(tmp_path).certificate))


def test_a_certificate_comes_as_files_or_as_context(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    for tls in (files, server_context(files)):
        close(assembled("tls://127.0.0.1:0", tls=tls))


def test_a_wrong_bind_opens_nothing() -> None:
    with pytest.raises(ConfigurationError, match="bind"):
        assembled("udp://127.0.0.1:0", "nonsense")


def certificate_at(address: Address) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(address, timeout=10) as plain, context.wrap_socket(plain) as sock:
        return sock.getpeercert(binary_form=True)


def der(files: TlsFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(str(files.certificate)).read_text(encoding="ascii"))


def test_listeners_have_certificates_of_their_own(tmp_path: Path) -> None:
    shared, own, renewed = (make_tls_files(tmp_path, name) for name in ("shared", "own", "renewed"))
    binds = [Bind.parse("tls://127.0.0.1:0"), replace(Bind.parse("tls://127.0.0.1:0"), tls=own)]
    with siprec_sync.serve(*binds, sinks=DirectorySinks(tmp_path / "recordings"), tls=shared) as server:
        first, second = (listener.address for listener in server.listeners)
        assert (certificate_at(first), certificate_at(second)) == (der(shared), der(own))
        server.renew_tls(shared, [binds[0], replace(binds[1], tls=renewed)])
        assert (certificate_at(first), certificate_at(second)) == (der(shared), der(renewed))
        with pytest.raises(ConfigurationError, match="needs a certificate"):
            server.renew_tls(None, binds)
        assert (certificate_at(first), certificate_at(second)) == (der(shared), der(renewed))


def test_sockets_passed_on_are_closed_when_one_fits_no_listener() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given, socket.socket() as stray:
        given.bind(("127.0.0.1", 0))
        stray.bind(("127.0.0.1", 0))
        port = given.getsockname()[1]
        with pytest.raises(ConfigurationError, match="fits no listener"):
            open_listeners(f"udp://127.0.0.1:{port}", given=(given, stray))
        assert (given.fileno(), stray.fileno()) == (-1, -1)


def test_a_passed_socket_that_takes_both_families_is_refused() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as given:
        given.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        given.bind(("::", 0))
        port = given.getsockname()[1]
        with pytest.raises(ConfigurationError, match="IPv6 only"):
            open_listeners(f"udp://[::]:{port}", given=(given,))


def test_the_bind_of_a_passed_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        given.bind(("127.0.0.1", 0))
        assert str(bind_of(given)) == f"udp://127.0.0.1:{given.getsockname()[1]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, pytest.raises(ConfigurationError, match="neither"):
        bind_of(other)
