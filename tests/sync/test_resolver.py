"""The resolver: threads, cache, and what the system and dnspython say."""

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from siprec_core.limits import Limits
from siprec_core.sip.names import (
    AddressRecord,
    LookupFailure,
    NaptrRecord,
    QueryId,
    RecordType,
    Resolve,
    SrvRecord,
)
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Transport
from siprec_sync import resolver as module
from siprec_sync.resolver import Found, LocationError, Resolved, Resolver, SystemLookup, locate

PATIENCE = 10.0
"""Seconds after which a test gives up; nothing is asserted about time."""
HERE = (AddressRecord("192.0.2.1"),)


class Names:
    """A lookup that answers from a table, and waits where it is told to."""

    def __init__(self, table: dict[tuple[str, RecordType], Found] | None = None) -> None:
        self.table = table or {}
        self.asked: list[tuple[str, RecordType]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)

    def __call__(self, name: str, kind: RecordType) -> Found:
        self.asked.append((name, kind))
        self.running.release()
        assert self.gate.wait(PATIENCE)
        return self.table.get((name, kind), Found(LookupFailure.NO_SUCH_NAME, 10.0))


class Asker:
    """A resolver with a clock of its own, and somebody who waits for its answers."""

    def __init__(self, lookup: Callable[[str, RecordType], Found], threads: int = 2) -> None:
        self.now = 0.0
        self.resolver = Resolver(lookup, threads=threads, clock=lambda: self.now)
        self.woken = threading.Semaphore(0)
        self.resolver.start(self.woken.release)
        self._last = 0

    def ask(self, name: str, kind: RecordType = RecordType.A) -> QueryId:
        self._last += 1
        self.resolver.resolve(Resolve(query=QueryId(self._last), name=name, type=kind))
        return QueryId(self._last)

    def answers(self, count: int) -> list[Resolved]:
        found: list[Resolved] = []
        while len(found) < count:
            assert self.woken.acquire(timeout=PATIENCE)
            found += self.resolver.take_answers()
        return found


def test_answer_comes_from_a_lookup() -> None:
    names = Names({("a.example", RecordType.A): Found(HERE, 60.0)})
    asker = Asker(names)
    query = asker.ask("a.example")
    assert asker.answers(1) == [Resolved(query=query, answer=HERE)]
    assert names.asked == [("a.example", RecordType.A)]


def test_answer_is_kept_for_its_time() -> None:
    names = Names({("a.example", RecordType.A): Found(HERE, 60.0)})
    asker = Asker(names)
    for asker.now in (0.0, 59.9, 60.0):
        query = asker.ask("a.example")
        assert asker.answers(1) == [Resolved(query=query, answer=HERE)]
    assert len(names.asked) == 2


@pytest.mark.parametrize(("ttl", "kept"), [(1e9, module.LONGEST_TTL_SECONDS), (10.0, 10.0), (0.0, 0.0), (-1.0, 0.0)])
def test_time_to_live_is_bounded(ttl: float, kept: float) -> None:
    names = Names({("a.example", RecordType.A): Found(LookupFailure.NO_RECORDS, ttl)})
    asker = Asker(names)
    asker.ask("a.example")
    asker.answers(1)
    for asker.now, lookups in ((kept - 0.5, 1 if kept else 2), (kept, 2 if kept else 3)):
        asker.ask("a.example")
        asker.answers(1)
        assert len(names.asked) == lookups


def test_questions_for_one_name_share_a_lookup() -> None:
    names = Names({("a.example", RecordType.A): Found(HERE, 0.0)})
    names.gate.clear()
    asker = Asker(names)
    queries = [asker.ask("a.example") for _ in range(3)]
    other = asker.ask("a.example", RecordType.AAAA)
    for _ in range(2):
        assert names.running.acquire(timeout=PATIENCE)
    names.gate.set()
    answers = {answer.query: answer.answer for answer in asker.answers(4)}
    assert answers == {**dict.fromkeys(queries, HERE), other: LookupFailure.NO_SUCH_NAME}
    assert sorted(kind.value for _, kind in names.asked) == ["A", "AAAA"]


def test_lookup_that_hangs_holds_one_thread_only() -> None:
    names = Names()
    names.gate.clear()
    asker = Asker(lambda name, kind: names(name, kind) if name == "slow.example" else Found(HERE, 0.0))
    slow = asker.ask("slow.example")
    assert names.running.acquire(timeout=PATIENCE)
    quick = [asker.ask(f"{n}.example") for n in range(5)]
    assert [answer.query for answer in asker.answers(5)] == quick
    names.gate.set()
    assert asker.answers(1) == [Resolved(query=slow, answer=LookupFailure.NO_SUCH_NAME)]


def test_question_that_waited_too_long_is_not_looked_up() -> None:
    names = Names()
    names.gate.clear()
    asker = Asker(names, threads=1)
    asker.ask("slow.example")
    assert names.running.acquire(timeout=PATIENCE)
    late = asker.ask("late.example")
    asker.now = module.LOOKUP_SECONDS
    fresh = asker.ask("fresh.example")
    names.gate.set()
    assert asker.answers(3)[1:] == [
        Resolved(query=late, answer=LookupFailure.NO_ANSWER),
        Resolved(query=fresh, answer=LookupFailure.NO_SUCH_NAME),
    ]
    assert [name for name, _ in names.asked] == ["slow.example", "fresh.example"]
    asker.ask("late.example")
    asker.answers(1)
    assert len(names.asked) == 3, "an answer for want of time is not kept"


def test_questions_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    names = Names()
    names.gate.clear()
    asker = Asker(names)
    for n in range(3):
        asker.ask(f"{n}.example")
    refused = asker.ask("3.example")
    assert asker.answers(1) == [Resolved(query=refused, answer=LookupFailure.SERVER_FAILED)]
    names.gate.set()
    asker.answers(3)
    asker.ask("3.example")
    assert asker.answers(1)[0].answer is LookupFailure.NO_SUCH_NAME


def test_cache_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_ENTRIES", 2)
    names = Names()
    asker = Asker(names)
    for name in ("a.example", "b.example", "c.example", "b.example", "c.example", "a.example"):
        asker.ask(name)
        asker.answers(1)
    assert [name[0] for name, _ in names.asked] == ["a", "b", "c", "a"]


def test_closed_resolver_is_silent() -> None:
    names = Names()
    names.gate.clear()
    asker = Asker(names, threads=1)
    asker.ask("a.example")
    assert names.running.acquire(timeout=PATIENCE)
    asker.ask("b.example")
    asker.resolver.close()
    names.gate.set()
    assert asker.woken.acquire(timeout=PATIENCE)
    asker.ask("c.example")
    assert asker.resolver.take_answers() == []
    assert [name for name, _ in names.asked] == ["a.example"]


def test_fault_of_a_lookup_stops_neither_question_nor_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: faults.append(arguments.exc_type))
    gate = threading.Event()

    def lookup(name: str, kind: RecordType) -> Found:
        assert gate.wait(PATIENCE)
        if name == "bad.example":
            raise ZeroDivisionError
        return Found(HERE, 1.0)

    asker = Asker(lookup, threads=1)
    bad, good = asker.ask("bad.example"), asker.ask("good.example")
    gate.set()
    assert asker.answers(2) == [
        Resolved(query=bad, answer=LookupFailure.NO_ANSWER),
        Resolved(query=good, answer=HERE),
    ]
    assert faults == [ZeroDivisionError]


def test_system_without_threads_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    asker = Asker(Names())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    first = asker.ask("a.example")
    monkeypatch.setattr(threading.Thread, "start", begin)
    second = asker.ask("a.example")
    assert [answer.query for answer in asker.answers(2)] == [first, second]


def test_threads_live_only_while_there_are_questions() -> None:
    asker = Asker(Names())
    for n in range(20):
        asker.ask(f"{n}.example")
    asker.answers(20)
    mine = [thread for thread in threading.enumerate() if thread.name == "siprec-resolver"]
    for thread in mine:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in mine)


# addresses


def test_address_of_this_host() -> None:
    found = SystemLookup()("localhost", RecordType.A)
    assert found == Found((AddressRecord("127.0.0.1"),), module.ADDRESS_TTL_SECONDS)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), LookupFailure.NO_SUCH_NAME),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), LookupFailure.NO_ANSWER),
        (socket.gaierror(socket.EAI_FAIL, "Failure"), LookupFailure.SERVER_FAILED),
        (OSError(24, "Too many open files"), LookupFailure.SERVER_FAILED),
        (UnicodeError("label too long"), LookupFailure.SERVER_FAILED),
    ],
)
def test_addresses_that_are_not_found(
    monkeypatch: pytest.MonkeyPatch, error: Exception, failure: LookupFailure
) -> None:
    def getaddrinfo(*arguments: object, **named: object) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert SystemLookup()("a.example", RecordType.AAAA) == Found(failure, module.NEGATIVE_TTL_SECONDS)


def test_addresses_come_once_each_in_the_order_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    families = []

    def getaddrinfo(host: str, port: object, *, family: int, type: int) -> list[Any]:  # noqa: A002 - its name
        families.append(family)
        return [(family, type, 6, "", (address, 0, 0, 0)) for address in ("2001:db8::2", "2001:db8::1", "2001:db8::2")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = SystemLookup()("a.example", RecordType.AAAA)
    assert found.answer == (AddressRecord("2001:db8::2"), AddressRecord("2001:db8::1"))
    assert families == [socket.AF_INET6]


# SRV and NAPTR


def test_without_dnspython_services_are_unavailable_and_the_log_says_it_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "dns", None)
    module._say_absent.cache_clear()
    with caplog.at_level(logging.WARNING, "siprec.resolver"):
        for kind in (RecordType.SRV, RecordType.NAPTR):
            assert SystemLookup()("example.com", kind).answer is LookupFailure.UNAVAILABLE
    assert [record.message for record in caplog.records] == [
        "SRV and NAPTR records are not looked up: the package dnspython is not installed (extra dns)"
    ]


ZONE = """
$ORIGIN example.com.
@               300 IN SOA   ns hostmaster 1 2 3 4 5
@               300 IN NAPTR 50 60 "s" "SIP+D2T" "" _sip._tcp
_sip._tcp       120 IN SRV   10 20 5070 Srs
_sip._tcp       120 IN SRV   20 0 5070 192.0.2.9.
_sip._udp       300 IN CNAME _alias._udp
_alias._udp      60 IN SRV   1 2 5060 srs
_loop._udp      300 IN CNAME _loop2._udp
_loop2._udp     300 IN CNAME _loop._udp
srs             300 IN A     192.0.2.1
"""


@contextmanager
def name_server(*, dumb: bool = False) -> Iterator[Address]:
    """Answer questions about `ZONE` on loopback; a dumb one sends rubbish."""
    dns = pytest.importorskip("dns")
    pytest.importorskip("dns.zone")
    pytest.importorskip("dns.flags")
    zone = dns.zone.from_text(ZONE, relativize=False, check_origin=False)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def answer(octets: bytes) -> bytes:
        query = dns.message.from_wire(octets)
        response = dns.message.make_response(query)
        question = query.question[0]
        name = question.name
        if zone.get_node(name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        for _ in range(4):
            for kind in (question.rdtype, dns.rdatatype.CNAME):
                rrset = zone.get_rrset(name, kind)
                if rrset is not None and rrset not in response.answer:
                    response.answer.append(rrset)
                if rrset is not None and kind == dns.rdatatype.CNAME:
                    name = rrset[0].target
        return bytes(response.to_wire())

    def serve() -> None:
        while True:
            octets, source = sock.recvfrom(65_535)
            if octets == b"stop":
                return
            sock.sendto(b"\0" * 5 if dumb else answer(octets), source)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Address("127.0.0.1", sock.getsockname()[1])
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", sock.getsockname())
        thread.join(PATIENCE)
        sock.close()


def test_records_of_a_name_server() -> None:
    with name_server() as server:
        lookup = SystemLookup(name_servers=[server])
        found = lookup("example.com", RecordType.NAPTR)
        assert found == Found((NaptrRecord(50, 60, "s", "SIP+D2T", "", "_sip._tcp.example.com."),), 300.0)
        found = lookup("_sip._tcp.example.com", RecordType.SRV)
        assert found.ttl_seconds == 120.0
        assert not isinstance(found.answer, LookupFailure)
        assert set(found.answer) == {SrvRecord(10, 20, 5070, "Srs.example.com."), SrvRecord(20, 0, 5070, "192.0.2.9.")}


def test_aliases_are_followed_and_live_as_long_as_the_shortest() -> None:
    with name_server() as server:
        found = SystemLookup(name_servers=[server])("_sip._udp.example.com", RecordType.SRV)
    assert found == Found((SrvRecord(1, 2, 5060, "srs.example.com."),), 60.0)


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("nobody.example.com", LookupFailure.NO_SUCH_NAME),
        ("srs.example.com", LookupFailure.NO_RECORDS),
        ("_loop._udp.example.com", LookupFailure.SERVER_FAILED),
        ("a..b", LookupFailure.SERVER_FAILED),
    ],
)
def test_records_that_are_not_found(name: str, failure: LookupFailure) -> None:
    with name_server() as server:
        found = SystemLookup(name_servers=[server])(name, RecordType.SRV)
    assert found == Found(failure, module.NEGATIVE_TTL_SECONDS)


def test_name_server_that_sends_rubbish_or_nothing() -> None:
    with name_server(dumb=True) as server:
        found = SystemLookup(name_servers=[server], seconds=0.3)("example.com", RecordType.SRV)
    assert found.answer in (LookupFailure.NO_ANSWER, LookupFailure.SERVER_FAILED)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent = SystemLookup(name_servers=[Address(*deaf.getsockname())], seconds=0.2)
        assert silent("example.com", RecordType.SRV).answer is LookupFailure.NO_ANSWER


# all together


def test_places_of_a_domain() -> None:
    names = Names(
        {
            ("_sip._tcp.example.com", RecordType.SRV): Found((SrvRecord(0, 0, 5070, "srs.example.com."),), 60.0),
            ("srs.example.com", RecordType.A): Found(HERE, 60.0),
        }
    )
    located = locate(SipUri.parse("sip:example.com"), lookup=names, large=True)
    assert located.hops == (Hop(Transport.TCP, Address("192.0.2.1", 5070)),)
    assert "SRV _sip._tcp.example.com: 1 record" in located.notes


def test_place_that_needs_no_lookup() -> None:
    located = locate(SipUri.parse("sip:192.0.2.1:5070"), lookup=Names())
    assert located.hops == (Hop(Transport.UDP, Address("192.0.2.1", 5070)),)


def test_a_resolver_that_has_been_used_remembers_and_mixes_no_answers_up() -> None:
    names = Names({("srs.example.com", RecordType.A): Found(HERE, 60.0)})
    resolver = Resolver(names)
    located = locate(SipUri.parse("sip:srs.example.com"), resolver=resolver, families=[RecordType.A])
    assert located.hops == (Hop(Transport.UDP, Address("192.0.2.1", 5060)),)
    asked = len(names.asked)
    woken = threading.Event()
    resolver.start(woken.set)
    resolver.resolve(Resolve(query=QueryId(1), name="srs.example.com", type=RecordType.A))
    assert woken.wait(PATIENCE)
    assert [each for each in resolver.take_answers() if each.query > 0] == [Resolved(query=QueryId(1), answer=HERE)]
    assert len(names.asked) == asked
    resolver.close()


def test_domain_without_a_place() -> None:
    with pytest.raises(LocationError, match=r"^example.com: no address found \(the name does not exist\)$"):
        locate(SipUri.parse("sip:example.com"), lookup=Names())


def test_lookups_that_hang_do_not_hold_the_caller() -> None:
    names = Names()
    names.gate.clear()
    try:
        with pytest.raises(LocationError, match="no name server answered in time"):
            locate(SipUri.parse("sip:example.com"), lookup=names, limits=Limits(resolve_seconds=0.05))
    finally:
        names.gate.set()


def test_places_by_a_real_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    system = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: system("127.0.0.7" if host == "srs.example.com" else host, *a, **k),
    )
    with name_server() as server:
        located = locate(
            SipUri.parse("sip:example.com"),
            lookup=SystemLookup(name_servers=[server]),
            families=[RecordType.A],
        )
    assert located.hops == (
        Hop(Transport.TCP, Address("127.0.0.7", 5070)),
        Hop(Transport.TCP, Address("192.0.2.9", 5070)),
    )
