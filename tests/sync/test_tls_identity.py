"""Names of certificates by the rules of RFC 5922."""

from pathlib import Path
from typing import Any

import pytest

from siprec_sync.tls import TlsChannel, TlsError, TlsFiles, client_context, server_context
from siprec_sync.tls_identity import identities, is_for
from tests.contract.certificates import make_tls_files
from tests.sync.test_tls import exchange


def certificate(*alternatives: tuple[str, str], common_name: str = "common.example.com") -> dict[str, Any]:
    made: dict[str, Any] = {"subject": ((("countryName", "DE"),), (("commonName", common_name),))}
    if alternatives:
        made["subjectAltName"] = alternatives
    return made


@pytest.mark.requirement("5922-7-a")
@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (certificate(("DNS", "b.example.com"), ("URI", "sip:a.example.com")), ["a.example.com", "b.example.com"]),
        (certificate(("URI", "SIP:a.example.com;transport=tls")), ["a.example.com"]),
        (certificate(("URI", "sip:user@a.example.com"), ("URI", "sips:b.example.com"), ("URI", "https://c/")), []),
        (certificate(("URI", "sip:"), ("email", "a@example.com")), []),
        (certificate(("IP Address", "192.0.2.1")), ["192.0.2.1"]),
        (certificate(), ["common.example.com"]),
        ({}, []),
    ],
)
def test_sip_uris_and_names_of_the_alternatives_else_the_common_name(shown: dict[str, Any], found: list[str]) -> None:
    assert list(identities(shown)) == found


@pytest.mark.requirement("5922-7-a")
@pytest.mark.parametrize(
    ("name", "shown", "expected"),
    [
        ("Recorder.Example.com", certificate(("DNS", "recorder.example.com")), True),
        ("recorder.example.com.", certificate(("DNS", "recorder.example.com")), True),
        ("example.com", certificate(("URI", "sip:example.com"), ("DNS", "host.example.com")), True),
        ("recorder.example.com", certificate(("DNS", "*.example.com")), False),
        ("recorder.example.com", certificate(common_name="*.example.com"), False),
        ("recorder.example.com", certificate(("DNS", "example.com")), False),
        ("common.example.com", certificate(("DNS", "example.com")), False),
        ("common.example.com", certificate(("URI", "sip:user@example.com")), False),
        ("common.example.com", certificate(), True),
        ("2001:db8::1", certificate(("IP Address", "2001:DB8:0:0:0:0:0:1")), True),
        ("192.0.2.1", certificate(("IP Address", "192.0.2.2")), False),
        ("", certificate(("DNS", "")), False),
        ("a", {}, False),
    ],
)
def test_names_are_compared_whole(name: str, shown: dict[str, Any], expected: bool) -> None:
    assert is_for(name, shown) is expected


@pytest.mark.requirement("5922-7-a")
def test_a_wildcard_certificate_is_refused(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path, "*.example.com")
    server = TlsChannel(server_context(TlsFiles(certificate=files.certificate, key=files.key)), server_side=True)
    client = TlsChannel(
        client_context(TlsFiles(authorities=files.authorities)), server_side=False, server_name="recorder.example.com"
    )
    client.start()
    client.send(b"metadata")
    with pytest.raises(TlsError, match=r"certificate refused: it is not for recorder\.example\.com"):
        exchange(client, server)
    assert not client.established
    assert client.waiting_size == len(b"metadata"), "nothing was sent to a stranger"


def test_an_address_is_found_among_the_alternatives(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    server = TlsChannel(server_context(TlsFiles(certificate=files.certificate, key=files.key)), server_side=True)
    context = client_context(TlsFiles(authorities=files.authorities))
    client = TlsChannel(context, server_side=False, server_name="127.0.0.1")
    client.start()
    exchange(client, server)
    assert client.established
