"""TLS between two memory buffers, and the contexts."""

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import ConfigurationError
from siprec_sync.tls import TlsChannel, TlsError, TlsFiles, client_context, server_context
from tests.contract.certificates import make_tls_files

ALERT = b"\x15"
"""First octet of an alert record (RFC 8446 section 5.1)."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def without_authorities(tls: TlsFiles) -> TlsFiles:
    return TlsFiles(certificate=tls.certificate, key=tls.key)


def exchange(one: TlsChannel, other: TlsChannel, piece: int = 100_000) -> tuple[list[bytes], list[bytes]]:
    """Carry ciphertext both ways until there is none; give the plaintext that came out at each end."""
    got: tuple[list[bytes], list[bytes]] = ([], [])
    moved = True
    while moved:
        moved = False
        for source, target, found in ((one, other, got[1]), (other, one, got[0])):
            data = source.outgoing()
            for start in range(0, len(data), piece):
                moved = True
                found += target.receive(data[start : start + piece])
    return got


def channels(tls: TlsFiles, *, mutual: bool = False, name: str = "localhost") -> tuple[TlsChannel, TlsChannel]:
    server = TlsChannel(server_context(tls if mutual else without_authorities(tls)), server_side=True)
    files = tls if mutual else TlsFiles(authorities=tls.authorities)
    client = TlsChannel(client_context(files), server_side=False, server_name=name)
    client.start()
    return client, server


@pytest.mark.requirement("7865-10-a", "7866-12.1-a", "7245-5-b")
@pytest.mark.parametrize("mutual", [False, True])
def test_text_goes_both_ways(tls: TlsFiles, mutual: bool) -> None:
    client, server = channels(tls, mutual=mutual)
    client.send(b"early ")
    assert client.waiting_size == 6
    client.send(b"words")
    got = exchange(client, server)
    assert (b"".join(got[1]), client.waiting_size) == (b"early words", 0)
    server.send(b"answer")
    assert b"".join(exchange(client, server)[0]) == b"answer"
    assert client.established
    assert server.established
    assert (server.peer_certificate is not None) is mutual
    assert client.peer_certificate is not None


@given(st.lists(st.binary(max_size=40_000), max_size=4), st.integers(1, 5_000))
def test_any_split_of_the_ciphertext_gives_the_same_text(texts: list[bytes], piece: int) -> None:
    client, server = channels(FILES[0])
    for text in texts:
        client.send(text)
    assert b"".join(exchange(client, server, piece)[1]) == b"".join(texts)


FILES: list[TlsFiles] = []


@pytest.fixture(scope="module", autouse=True)
def _files_for_properties(tls: TlsFiles) -> None:
    FILES[:] = [tls]


def test_the_end_is_told_once(tls: TlsFiles) -> None:
    client, server = channels(tls)
    exchange(client, server)
    client.send(b"bye")
    client.close()
    assert exchange(client, server)[1] == [b"bye", b""]
    assert server.ended
    assert server.receive(b"") == []


def test_a_cut_connection_ends_the_text(tls: TlsFiles) -> None:
    client, server = channels(tls)
    exchange(client, server)
    assert server.receive(b"") == [b""]


@pytest.mark.requirement("5922-7-a")
def test_a_wrong_name_is_refused(tls: TlsFiles) -> None:
    client, server = channels(tls, name="recorder.example")
    with pytest.raises(TlsError, match="certificate refused"):
        exchange(client, server)


@pytest.mark.requirement("3261-26-a")
def test_an_unknown_authority_is_refused(tls: TlsFiles, tmp_path: Path) -> None:
    other = make_tls_files(tmp_path)
    server = TlsChannel(server_context(without_authorities(other)), server_side=True)
    client = TlsChannel(
        client_context(TlsFiles(authorities=tls.authorities)), server_side=False, server_name="localhost"
    )
    client.start()
    with pytest.raises(TlsError, match="certificate refused"):
        exchange(client, server)


def test_verification_can_be_switched_off(tls: TlsFiles) -> None:
    server = TlsChannel(server_context(without_authorities(tls)), server_side=True)
    client = TlsChannel(client_context(verify=False), server_side=False)
    client.start()
    exchange(client, server)
    assert client.established


@pytest.mark.requirement("7865-10-a", "7866-12.1-a")
def test_a_client_without_certificate_is_refused_where_one_is_demanded(tls: TlsFiles) -> None:
    server = TlsChannel(server_context(tls), server_side=True)
    client = TlsChannel(
        client_context(TlsFiles(authorities=tls.authorities)), server_side=False, server_name="localhost"
    )
    client.start()
    with pytest.raises(TlsError):
        exchange(client, server)
    assert not server.established


@pytest.mark.requirement("7866-12-a")
def test_old_versions_are_refused(tls: TlsFiles) -> None:
    server = TlsChannel(server_context(without_authorities(tls)), server_side=True)
    context = client_context(verify=False)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = TlsChannel(context, server_side=False)
    client.start()
    with pytest.raises(TlsError):
        exchange(client, server)
    assert server.outgoing()[:1] == ALERT


@given(st.binary(min_size=1, max_size=2_000))
def test_garbage_never_becomes_text(data: bytes) -> None:
    server = TlsChannel(server_context(without_authorities(FILES[0])), server_side=True)
    try:
        assert server.receive(data) == []
        server.receive(b"")
    except TlsError:
        pass
    assert not server.established


def test_plain_sip_on_a_tls_port(tls: TlsFiles) -> None:
    server = TlsChannel(server_context(tls), server_side=True)
    with pytest.raises(TlsError):
        server.receive(b"OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n")


def test_bad_files_are_named(tmp_path: Path, tls: TlsFiles) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("not a certificate")
    for files in (
        TlsFiles(certificate=garbage, key=garbage),
        TlsFiles(certificate=garbage),
        TlsFiles(certificate=tls.certificate, key=tls.key, authorities=garbage),
        TlsFiles(certificate=tmp_path / "absent.pem"),
        TlsFiles(),
    ):
        with pytest.raises(ConfigurationError, match="TLS"):
            server_context(files)
    with pytest.raises(ConfigurationError, match="garbage"):
        client_context(TlsFiles(authorities=garbage))
    assert client_context().verify_mode is ssl.CERT_REQUIRED
