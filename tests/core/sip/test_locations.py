"""Locators side by side: whose answer is whose, time, and that nothing is left."""

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.sip.locate import Located, LocationFailed
from siprec_core.sip.locations import Locations
from siprec_core.sip.names import AddressRecord, DnsAnswer, LookupFailure, QueryId, RecordType, Resolve
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Transport

SECONDS = Limits().resolve_seconds


class Bench:
    """The locations with what they ask."""

    def __init__(self) -> None:
        self.outbox: Outbox[Resolve] = Outbox()
        self.locations = Locations(self.outbox, fraction=lambda: 0.5, limits=Limits())

    def locate(self, owner: int, uri: str, *, now: float = 0.0) -> list[Resolve]:
        self.locations.locate(owner, SipUri.parse(uri), transports=(Transport.UDP,), families=(RecordType.A,), now=now)
        return self.asked()

    def asked(self) -> list[Resolve]:
        asked = []
        while (output := self.outbox.poll()) is not None:
            asked.append(output)
        return asked

    def answer(self, query: Resolve, answer: DnsAnswer, *, now: float = 0.0) -> list[Resolve]:
        self.locations.resolved(query.query, answer, now=now)
        return self.asked()

    def taken(self) -> list[tuple[int, Located | LocationFailed]]:
        taken = []
        while (found := self.locations.take()) is not None:
            taken.append(found)
        return taken


def hop(host: str) -> Hop:
    return Hop(Transport.UDP, Address(host, 5070))


def test_an_address_is_found_at_once() -> None:
    bench = Bench()
    assert bench.locate(1, "sip:192.0.2.1:5070") == []
    assert 1 in bench.locations
    ((owner, found),) = bench.taken()
    assert isinstance(found, Located)
    assert (owner, found.hops) == (1, (hop("192.0.2.1"),))
    assert 1 not in bench.locations
    assert len(bench.locations) == 0


def test_each_owner_gets_its_own_answer() -> None:
    bench = Bench()
    (one,) = bench.locate(1, "sip:a.example.com:5070")
    (two,) = bench.locate(2, "sip:b.example.com:5070")
    assert one.query != two.query
    bench.answer(two, (AddressRecord("192.0.2.2"),))
    bench.answer(one, (AddressRecord("192.0.2.1"),))
    found = {owner: outcome.hops for owner, outcome in bench.taken() if isinstance(outcome, Located)}
    assert found == {1: (hop("192.0.2.1"),), 2: (hop("192.0.2.2"),)}
    assert len(bench.locations) == 0
    assert bench.locations.next_timeout() is None


def test_silence_of_the_name_servers_ends_it() -> None:
    bench = Bench()
    bench.locate(1, "sip:a.example.com:5070", now=3.0)
    assert bench.locations.next_timeout() == 3.0 + SECONDS
    bench.locations.handle_timeout(now=3.0 + SECONDS)
    ((_, outcome),) = bench.taken()
    assert isinstance(outcome, LocationFailed)
    assert "no name server answered" in outcome.reason
    assert len(bench.locations) == 0


def test_what_is_cancelled_or_replaced_gets_no_answer() -> None:
    bench = Bench()
    (old,) = bench.locate(1, "sip:a.example.com:5070")
    (new,) = bench.locate(1, "sip:b.example.com:5070")
    bench.answer(old, (AddressRecord("192.0.2.1"),))
    assert bench.taken() == []
    bench.answer(new, (AddressRecord("192.0.2.2"),))
    bench.locations.cancel(1)
    assert bench.taken() == []
    bench.locations.cancel(1)
    assert len(bench.locations) == 0
    assert bench.locations.next_timeout() is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 20)), max_size=40))
def test_nothing_that_happens_raises_or_stays(steps: list[tuple[int, int]]) -> None:
    bench, now = Bench(), 0.0
    for act, number in steps:
        now += 0.7
        if act == 0:
            bench.locate(number % 3, "sip:a.example.com", now=now)
        elif act == 1:
            bench.locations.resolved(QueryId(number), (AddressRecord("192.0.2.1"),), now=now)
        elif act == 2:
            bench.locations.resolved(QueryId(number), LookupFailure.NO_RECORDS, now=now)
        elif act == 3:
            bench.locations.cancel(number % 3)
        else:
            bench.locations.handle_timeout(now=now)
    for _ in range(9):
        due = bench.locations.next_timeout()
        if due is not None:
            bench.locations.handle_timeout(now=due)
    bench.taken()
    assert len(bench.locations) == 0
    assert bench.locations.next_timeout() is None
