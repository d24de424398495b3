"""Our recording client against our recording server, on every frontend."""

import array
import math
import socket
from dataclasses import replace

import pytest
from anyio.from_thread import start_blocking_portal

import siprec_anyio
import siprec_sync
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.recording.call import DEFAULT_FORMATS, TELEPHONE_EVENT, CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.events import Diagnostic, DigitReceived, SessionRequested, StreamsChanged
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.digest import Secret
from siprec_core.sip.names import AddressRecord, LookupFailure, RecordType, SrvRecord
from siprec_core.types import Address, Transport
from siprec_sync.assembly import DriverSettings
from siprec_sync.calls import CallRefusedError
from siprec_sync.resolver import Found
from siprec_sync.tls import TlsFiles
from tests.contract.conftest import ANY, Connect, Running, StartServer, spec
from tests.contract.test_scenarios import report_of


def tone(frequency: int, seconds: float, rate: int) -> bytes:
    count = int(seconds * rate)
    return array.array(
        "h", (int(8_000 * math.sin(2 * math.pi * frequency * index / rate)) for index in range(count))
    ).tobytes()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_recorded_conversation(server: Running, connect: Connect, transport: Transport) -> None:
    call = connect(spec(server.address(transport), transport))
    answer = call.wait_answered()
    assert answer.labels == ("1", "2")
    assert answer.findings == ()
    for label, frequency in (("1", 440), ("2", 880)):
        rate = call.sample_rate(label)
        call.send_audio(label, tone(frequency, 0.5, rate))
        call.finish_audio(label)
    call.wait_sent()
    assert call.stop().reason == "local-bye"
    report = report_of(server, server.ended().directory)
    assert report["findings"] == []
    assert [(each["label"], each["packets_received"]) for each in report["streams"]] == [("1", 25), ("2", 25)]
    assert [each["names"] for each in report["participants"]] == [["Alice"], ["Bob"]]


def test_over_tls(start_server: StartServer, connect: Connect, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=TlsFiles(certificate=tls_files.certificate, key=tls_files.key))
    target = server.address(Transport.TLS)
    call = connect(spec(target, Transport.TLS), tls=TlsFiles(authorities=tls_files.authorities))
    assert call.wait_answered().labels == ("1", "2")
    call.stop()
    assert server.ended().reason == "bye"


def test_a_server_that_is_not_trusted(start_server: StartServer, connect: Connect, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=TlsFiles(certificate=tls_files.certificate, key=tls_files.key))
    call = connect(spec(server.address(Transport.TLS), Transport.TLS))
    with pytest.raises(CallRefusedError) as caught:
        call.wait_answered()
    assert caught.value.status == 503


ASKING = ServerConfig(authentication=(DigestRule(users={"alice": Secret("open sesame")}, realm="recorder"),))


@pytest.mark.requirement("3261-22-a", "3261-22-b")
def test_a_server_that_asks_who_calls(start_server: StartServer, connect: Connect) -> None:
    """Over both transports: INVITE, re-INVITE and BYE have the credentials, and the recording tells the user."""
    server = start_server(config=ASKING)
    config = ClientConfig(credentials=DigestUser(name="alice", secret=Secret("open sesame")))
    for transport in (Transport.UDP, Transport.TCP):
        call = connect(spec(server.address(transport), transport), config=config)
        assert call.wait_answered().findings == ()
        requested: SessionRequested = server.until(SessionRequested)
        assert requested.authenticated_user == "alice"
        call.request(lambda core, now: core.pause("1", now=now))
        server.until(StreamsChanged)
        assert call.stop().reason == "local-bye"
        assert report_of(server, server.ended().directory)["authenticated_user"] == "alice"


def test_a_server_that_asks_somebody_else(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ASKING)
    for credentials in (None, DigestUser(name="alice", secret=Secret("wrong"))):
        call = connect(spec(server.address(Transport.UDP), Transport.UDP), config=ClientConfig(credentials=credentials))
        with pytest.raises(CallRefusedError, match="401"):
            call.wait_answered()
    refused: Diagnostic = server.until(Diagnostic)
    assert refused.code == "digest-refused"


def test_leaving_ends_the_call(server: Running, worker: str) -> None:
    call = spec(server.address(Transport.UDP), Transport.UDP)
    if worker == "sync":
        with siprec_sync.connect(call) as recording:
            recording.wait_answered()
        assert recording.progress.over
    else:
        backend = "trio" if worker == "trio" else "asyncio"
        with start_blocking_portal(backend) as portal:
            with portal.wrap_async_context_manager(siprec_anyio.connect(call)) as other:
                portal.call(other.wait_answered)
            assert other.progress.over
    assert server.ended().reason == "bye"


def test_a_refused_call(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(manual=True))
    call = connect(spec(server.address(Transport.UDP), Transport.UDP))
    server.decisions.reject(server.requested(), 603)
    with pytest.raises(CallRefusedError, match="603") as caught:
        call.wait_answered()
    assert caught.value.status == 603
    with pytest.raises(LocalProtocolError):
        call.send_audio("1", b"")


def test_a_call_given_up_before_the_answer(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(manual=True))
    call = connect(spec(server.address(Transport.UDP), Transport.UDP))
    server.requested()
    assert call.stop() is not None
    with pytest.raises(CallRefusedError, match="487"):
        call.wait_answered()


def test_the_server_ends_the_call(server: Running, connect: Connect) -> None:
    call = connect(spec(server.address(Transport.TCP), Transport.TCP))
    session = server.requested()
    call.wait_answered()
    server.decisions.end(session)
    assert call.wait_ended().reason == "bye"
    assert server.ended().reason == "server-bye"


def test_nobody_listens(connect: Connect, server: Running) -> None:
    call = connect(spec(Address("127.0.0.1", 1), Transport.TCP))
    with pytest.raises(CallRefusedError) as caught:
        call.wait_answered()
    assert caught.value.status == 503
    assert call.wait_ended() is not None


def test_an_address_that_is_not_ours(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen"):
        connect(spec(Address("127.0.0.1", 1), Transport.UDP, local=Address("203.0.113.1", 0)))


# servers by name (RFC 3263)


class Names:
    """A pretended DNS: the recorders of example.com, the first one preferred, all of them on this machine."""

    def __init__(self, service: str, *servers: Address) -> None:
        self.service = f"_sip._{service}.example.com"
        self.servers = servers

    def __call__(self, name: str, kind: RecordType) -> Found:
        if name == self.service and kind is RecordType.SRV:
            records = [
                SrvRecord(order, 0, server.port, f"r{order}.example.com") for order, server in enumerate(self.servers)
            ]
            return Found(tuple(records), 60.0)
        if name.startswith("r") and kind is RecordType.A:
            return Found((AddressRecord(self.servers[int(name[1])].host),), 60.0)
        return Found(LookupFailure.NO_RECORDS, 60.0)


def named(lookup: Names) -> dict[str, object]:
    return {"settings": DriverSettings(lookup=lookup)}


def to_a_name(uri: str = "sip:recorder@example.com") -> CallSpec:
    streams = (StreamSpec(label="1", aor="sip:alice@example.com"),)
    return CallSpec(uri=uri, local=ANY, streams=streams)


def nobody() -> Address:
    """Give an address at which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", sock.getsockname()[1])


@pytest.mark.requirement("3263-4-b")
def test_the_second_server_takes_what_the_first_cannot(server: Running, connect: Connect) -> None:
    dead, alive = nobody(), server.address(Transport.TCP)
    call = connect(to_a_name(), **named(Names("tcp", dead, alive)))
    assert call.wait_answered().labels == ("1",)
    assert call.stop().reason == "local-bye"
    assert server.ended().reason == "bye"


def test_a_server_that_is_full_sends_the_call_on(start_server: StartServer, server: Running, connect: Connect) -> None:
    full = start_server(config=ServerConfig(manual=True))
    call = connect(to_a_name(), **named(Names("udp", full.address(Transport.UDP), server.address(Transport.UDP))))
    full.decisions.reject(full.requested(), 503)
    assert call.wait_answered().labels == ("1",)
    call.stop()
    assert server.ended().reason == "bye"


def test_no_server_at_all(connect: Connect) -> None:
    call = connect(to_a_name(), **named(Names("tcp", nobody(), nobody())))
    with pytest.raises(CallRefusedError, match="connection refused") as caught:
        call.wait_answered()
    assert caught.value.status == 503


def test_a_name_that_leads_nowhere(connect: Connect) -> None:
    call = connect(to_a_name(), **named(Names("tcp")))
    with pytest.raises(CallRefusedError, match="no address found"):
        call.wait_answered()


def test_what_is_no_uri_is_misuse(connect: Connect) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be located"):
        connect(to_a_name("recorder"))


@pytest.mark.requirement("3261-18.1.1-a")
@pytest.mark.parametrize("takes_connections", [True, False])
def test_a_large_invite_goes_over_tcp_where_that_is_taken(
    start_server: StartServer, connect: Connect, takes_connections: bool
) -> None:
    port = nobody().port
    binds = [f"udp://127.0.0.1:{port}"] + [f"tcp://127.0.0.1:{port}"] * takes_connections
    server = start_server(*binds)
    call = connect(to_a_name(f"sip:127.0.0.1:{port}"), config=ClientConfig(large_over_tcp=True))
    call.wait_answered()
    call.stop()
    ended = server.ended()
    assert ended.reason == "bye"
    assert report_of(server, ended.directory)["transport"] == ("tcp" if takes_connections else "udp")


# keys


def test_keys_are_told_and_kept(server: Running, connect: Connect) -> None:
    formats = (*DEFAULT_FORMATS, TELEPHONE_EVENT)
    asked = spec(server.address(Transport.UDP), Transport.UDP)
    with_events = replace(asked, streams=tuple(replace(each, formats=formats) for each in asked.streams))
    call = connect(with_events)
    call.wait_answered()
    call.send_digits("2", "19#")
    for label in ("1", "2"):
        call.finish_audio(label)
    assert [server.until(DigitReceived).digit for _ in range(3)] == ["1", "9", "#"]
    call.wait_sent()
    call.stop()
    first, second = report_of(server, server.ended().directory)["streams"]
    assert first["dtmf"] == []
    assert [(each["digit"], each["duration"]) for each in second["dtmf"]] == [("1", 0.1), ("9", 0.1), ("#", 0.1)]
