"""Encrypted calls over real sockets, on every frontend, with the ciphers of pylibsrtp."""

from dataclasses import replace

import pytest

pytest.importorskip("pylibsrtp", reason="the extra srtp is not installed")

from siprec_core.recording.call import ClientConfig
from siprec_core.recording.events import FindingRaised
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.types import Transport
from siprec_sync.calls import CallRefusedError
from siprec_sync.srtp import PylibsrtpProvider
from siprec_sync.tls import TlsFiles
from tests.contract.conftest import Connect, Running, StartServer, spec
from tests.contract.test_calls import tone
from tests.contract.test_scenarios import report_of
from tests.core.ciphers import PretendProvider

SUITES = PylibsrtpProvider().suites


@pytest.mark.requirement("7866-12.2-b", "4568-8-a")
@pytest.mark.parametrize("suite", SUITES)
def test_a_call_over_tls_with_each_suite(
    start_server: StartServer, connect: Connect, tls_files: TlsFiles, suite: str
) -> None:
    server = start_server(
        "tls://127.0.0.1:0",
        config=ServerConfig(srtp=SrtpPolicy.REQUIRE),
        tls=TlsFiles(certificate=tls_files.certificate, key=tls_files.key),
    )
    call = connect(
        replace(spec(server.address(Transport.TLS), Transport.TLS), srtp=(suite,)),
        tls=TlsFiles(authorities=tls_files.authorities),
    )
    answer = call.wait_answered()
    assert (answer.labels, answer.findings) == (("1", "2"), ())
    for label in answer.labels:
        call.send_audio(label, tone(440, 0.3, call.sample_rate(label)))
        call.finish_audio(label)
    call.wait_sent()
    call.stop()
    report = report_of(server, server.ended().directory)
    assert report["findings"] == []
    assert [(each["packets_received"], each["packets_rejected"]) for each in report["streams"]] == [(15, 0)] * 2


def test_a_plain_call_where_encryption_is_required(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(srtp=SrtpPolicy.REQUIRE))
    call = connect(spec(server.address(Transport.TCP), Transport.TCP))
    with pytest.raises(CallRefusedError, match="488"):
        call.wait_answered()


def test_a_client_whose_packets_are_not_authentic(server: Running, connect: Connect) -> None:
    """Its ciphers are other ones than it says: the server tells so at once, and records nothing of it."""
    target = replace(spec(server.address(Transport.TCP), Transport.TCP), srtp=("AES_CM_128_HMAC_SHA1_80",))
    call = connect(target, config=ClientConfig(crypto=PretendProvider()))
    call.wait_answered()
    call.send_audio("1", tone(440, 0.4, call.sample_rate("1")))
    call.finish_audio("1")
    call.finish_audio("2")
    call.wait_sent()
    while True:
        raised: FindingRaised = server.until(FindingRaised)
        if raised.finding.code == "srtp-unauthenticated":
            break
    call.stop()
    report = report_of(server, server.ended().directory)
    assert [(each["packets_received"], each["packets_rejected"]) for each in report["streams"]] == [(0, 20), (0, 0)]
