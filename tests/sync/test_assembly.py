"""Putting a driver together, and what can be wrong with its parts."""

import ssl
from pathlib import Path

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.recording.events import Event
from siprec_sync.assembly import Assembly, DriverSettings, assemble, read_clocks
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.events import ServerHub
from siprec_sync.listeners import open_listeners
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


def test_clocks_agree() -> None:
    first, second = read_clocks(), read_clocks()
    assert abs(first.unix_ns_at(second.monotonic) - second.unix_ns) < 1_000_000_000
