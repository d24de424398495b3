"""What is opened for a call: our addresses towards its servers, and listeners for what may come."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.recording.call import CallSpec, ClientConfig, StreamSpec
from siprec_core.sip.names import AddressRecord, LookupFailure, RecordType
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Listening, Transport
from siprec_sync.calls import local_hosts, prepare_call
from siprec_sync.resolver import Found, Lookup, Resolver

ANY = Address("", 0)
SERVER = Address("127.0.0.1", 5060)


def spec(uri: str = "sip:r@127.0.0.1", *, hop: Hop | None = None, local: Address = ANY) -> CallSpec:
    return CallSpec(uri=uri, hop=hop, local=local, streams=(StreamSpec(label="1", aor="sip:a@example.com"),))


def addresses(*hosts: str) -> Lookup:
    def look_up(name: str, kind: RecordType) -> Found:
        found = tuple(AddressRecord(host) for host in hosts if (":" in host) is (kind is RecordType.AAAA))
        return Found(found if kind in (RecordType.A, RecordType.AAAA) and found else LookupFailure.NO_RECORDS, 60.0)

    return look_up


def hosts_of(call: CallSpec, *found: str) -> tuple[str, ...]:
    return local_hosts(call, resolver=Resolver(addresses(*found)), limits=Limits())


@contextmanager
def prepared(call: CallSpec, *, large_over_tcp: bool = False) -> Iterator[tuple[CallSpec, list[Listening]]]:
    config = ClientConfig(large_over_tcp=large_over_tcp)
    with ExitStack() as stack:
        _, bound, assembly, _ = prepare_call(
            call, ("127.0.0.1",), config=config, tls=None, settings=None, resolver=Resolver(addresses())
        )
        stack.callback(assembly.pump.close)
        yield bound, [Listening(each.transport, each.address) for each in assembly.listeners]


def test_what_the_caller_says_is_taken() -> None:
    assert hosts_of(spec(local=Address("127.0.0.9", 0))) == ("127.0.0.9",)


@pytest.mark.parametrize("uri", ["sip:r@127.0.0.1:5070", "sip:recorder.example.com:5070", "sip:recorder.example.com"])
def test_our_address_is_the_one_that_the_server_is_reached_from(uri: str) -> None:
    assert hosts_of(spec(uri), "127.0.0.1", "127.0.0.2") == ("127.0.0.1",)
    assert hosts_of(spec(uri, hop=Hop(Transport.UDP, SERVER))) == ("127.0.0.1",)


def test_what_leads_nowhere_is_told_by_the_call_itself() -> None:
    assert hosts_of(spec("sip:recorder.example.com")) == ("127.0.0.1",)
    assert hosts_of(spec("nonsense")) == ("127.0.0.1",)


def test_servers_that_no_way_leads_to() -> None:
    # The system lets nobody connect to the broadcast address who did not ask for it.
    with pytest.raises(ConfigurationError, match="no way to"):
        hosts_of(spec("sip:recorder.example.com"), "255.255.255.255")


@pytest.mark.parametrize(
    ("call", "large_over_tcp", "expected"),
    [
        (spec("sip:r@127.0.0.1"), False, [Transport.UDP, Transport.TCP]),
        (spec("sip:r@127.0.0.1;transport=tcp"), False, [Transport.TCP]),
        (spec("sip:r@127.0.0.1;transport=udp"), False, [Transport.UDP]),
        (spec("sip:r@127.0.0.1;transport=udp"), True, [Transport.UDP, Transport.TCP]),
        (spec(hop=Hop(Transport.UDP, SERVER)), False, [Transport.UDP]),
        (spec(hop=Hop(Transport.UDP, SERVER)), True, [Transport.UDP, Transport.TCP]),
        (spec(hop=Hop(Transport.TCP, SERVER)), True, [Transport.TCP]),
        (spec("sips:r@127.0.0.1"), False, []),
    ],
)
def test_listeners_are_for_the_transports_of_the_call(
    call: CallSpec, large_over_tcp: bool, expected: list[Transport]
) -> None:
    with prepared(call, large_over_tcp=large_over_tcp) as (bound, listening):
        assert [each.transport for each in listening] == expected
        assert list(bound.listening) == listening
        assert bound.local == (listening[0].address if listening else Address("127.0.0.1", 5061))
