"""Location of servers: the steps of RFC 3263, their bounds, and fail-over."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sip.locate import (
    FailoverList,
    HopFailure,
    Located,
    LocationFailed,
    Locator,
    is_large,
)
from siprec_core.sip.names import (
    AddressRecord,
    DnsAnswer,
    DnsRecord,
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

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
LIMITS = Limits()
Zone = Mapping[str, DnsAnswer]
"""Answers by `TYPE name`; what is not there does not exist."""


def a(*hosts: str) -> DnsAnswer:
    return tuple(AddressRecord(host) for host in hosts)


def srv(*records: tuple[int, int, int, str]) -> DnsAnswer:
    return tuple(SrvRecord(*record) for record in records)


def naptr(*records: tuple[int, int, str, str]) -> DnsAnswer:
    return tuple(NaptrRecord(order, preference, "s", service, "", to) for order, preference, service, to in records)


@dataclass
class Run:
    """A locator that is answered from a zone."""

    locator: Locator
    zone: Zone
    asked: list[str] = field(default_factory=list)
    rounds: list[list[str]] = field(default_factory=list)
    end: Located | LocationFailed | None = None

    def drain(self) -> list[Resolve]:
        questions = []
        while (output := self.locator.poll_output()) is not None:
            if isinstance(output, Resolve):
                questions.append(output)
                self.asked.append(f"{output.type.value} {output.name}")
            else:
                assert self.end is None
                self.end = output
        return questions

    def finish(self) -> "Run":
        waiting = self.drain()
        while waiting:
            self.rounds.append([f"{question.type.value} {question.name}" for question in waiting])
            for question in waiting:
                answer = self.zone.get(f"{question.type.value} {question.name}", LookupFailure.NO_SUCH_NAME)
                self.locator.resolved(question.query, answer, now=0.0)
            waiting = self.drain()
        return self

    @property
    def hops(self) -> list[Hop]:
        assert isinstance(self.end, Located), self.end
        return list(self.end.hops)

    @property
    def reason(self) -> str:
        assert isinstance(self.end, LocationFailed), self.end
        return self.end.reason


def start(
    uri: str,
    zone: Zone | None = None,
    *,
    large: bool = False,
    secure: bool = False,
    transports: Sequence[Transport] = (UDP, TCP, TLS),
    families: Sequence[RecordType] = (RecordType.A,),
    limits: Limits = LIMITS,
    queries: Iterator[int] | None = None,
) -> Run:
    locator = Locator(
        SipUri.parse(uri),
        fraction=lambda: 0.5,
        limits=limits,
        now=0.0,
        large=large,
        secure=secure,
        transports=transports,
        families=families,
        queries=queries,
    )
    return Run(locator, zone or {})


def hop(transport: Transport, host: str, port: int, name: str | None = None) -> Hop:
    return Hop(transport, Address(host, port), name)


# what needs no name server (RFC 3263 4.1, requirement 3263-4-a)


@pytest.mark.requirement("3263-4-a")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.1", hop(UDP, "192.0.2.1", 5060)),
        ("sip:192.0.2.1:5070", hop(UDP, "192.0.2.1", 5070)),
        ("sip:192.0.2.1;transport=tcp", hop(TCP, "192.0.2.1", 5060)),
        ("sip:192.0.2.1;transport=UDP", hop(UDP, "192.0.2.1", 5060)),
        ("sip:192.0.2.1;transport=tls", hop(TLS, "192.0.2.1", 5061, "192.0.2.1")),
        ("sips:192.0.2.1", hop(TLS, "192.0.2.1", 5061, "192.0.2.1")),
        ("sips:192.0.2.1:5071;transport=tcp", hop(TLS, "192.0.2.1", 5071, "192.0.2.1")),
        ("sip:[2001:DB8:0::1]:5070", hop(UDP, "2001:db8::1", 5070)),
        ("sip:a@example.com;maddr=192.0.2.9", hop(UDP, "192.0.2.9", 5060)),
        ("sips:a@example.com:5062;maddr=[2001:db8::9]", hop(TLS, "2001:db8::9", 5062, "example.com")),
    ],
)
def test_address_needs_no_question(uri: str, expected: Hop) -> None:
    run = start(uri).finish()
    assert run.hops == [expected]
    assert run.asked == []


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sip:example.com;transport=sctp", "example.com: the transport 'sctp' is not supported"),
        ("sip:example.com;transport", "example.com: the transport '' is not supported"),
        ("sips:example.com;transport=udp", "example.com: sips: is never sent over UDP (RFC 3261 26.2.2)"),
        ("sip:127.1", "127.1: neither a host name nor an address"),
        ("sip:example.com;maddr=a..b", "example.com: neither a host name nor an address"),
        ("sip:example.com;maddr", "example.com: neither a host name nor an address"),
    ],
)
def test_uri_that_leads_nowhere(uri: str, reason: str) -> None:
    run = start(uri).finish()
    assert run.reason == reason
    assert run.locator.finished


@pytest.mark.parametrize(
    ("uri", "transports", "reason"),
    [
        ("sip:example.com;transport=tcp", (UDP,), "example.com: TCP cannot be used here"),
        ("sips:example.com", (UDP, TCP), "example.com: TLS, which sips: asks for, cannot be used here"),
        ("sip:example.com", (), "example.com: no transport can be used here"),
    ],
)
def test_transport_that_we_lack(uri: str, transports: Sequence[Transport], reason: str) -> None:
    assert start(uri, transports=transports).finish().reason == reason


def test_without_udp_the_first_transport_of_ours_is_the_default() -> None:
    assert start("sip:192.0.2.1", transports=(TCP, TLS)).finish().hops == [hop(TCP, "192.0.2.1", 5060)]
    assert start("sip:192.0.2.1", transports=(TLS,)).finish().hops == [hop(TLS, "192.0.2.1", 5061, "192.0.2.1")]


def test_secure_request_uri_rules_over_the_route() -> None:
    assert start("sip:192.0.2.1;lr", secure=True).finish().hops == [hop(TLS, "192.0.2.1", 5061, "192.0.2.1")]


# addresses (RFC 3263 4.2)


def test_explicit_port_asks_for_addresses_only() -> None:
    zone = {"A srs.example.com": a("192.0.2.1", "192.0.2.2"), "AAAA srs.example.com": a("2001:db8::1")}
    run = start("sip:Srs.example.com.:5070", zone, families=(RecordType.AAAA, RecordType.A)).finish()
    assert run.rounds == [["AAAA srs.example.com", "A srs.example.com"]]
    assert run.hops == [hop(UDP, "2001:db8::1", 5070), hop(UDP, "192.0.2.1", 5070), hop(UDP, "192.0.2.2", 5070)]


def test_localhost_is_not_asked_of_the_dns() -> None:
    for name in ("localhost", "srs.localhost"):
        run = start(f"sip:{name}", {f"A {name}": a("127.0.0.1")}).finish()
        assert run.asked == [f"A {name}"]
        assert run.hops == [hop(UDP, "127.0.0.1", 5060)]


@pytest.mark.parametrize("failure", LookupFailure)
def test_no_address_says_why(failure: LookupFailure) -> None:
    run = start("sip:srs.example.com:5070", {"A srs.example.com": failure}).finish()
    assert run.reason == f"srs.example.com: no address found ({failure.value})"
    assert isinstance(run.end, LocationFailed)
    assert run.end.notes == (f"A srs.example.com: {failure.value}",)


def test_addresses_that_cannot_be_used_are_told() -> None:
    run = start("sip:srs.example.com:5070", {"A srs.example.com": a("0.0.0.0", "2001:db8::1")}).finish()
    assert run.reason == "srs.example.com: no address found"
    assert isinstance(run.end, LocationFailed)
    assert run.end.notes == ("A srs.example.com: 2 records, 2 of them unusable",)


# services (RFC 3263 4.1, RFC 2782)


@pytest.mark.requirement("3263-4-a")
def test_named_transport_asks_for_its_service_only() -> None:
    zone = {
        "SRV _sip._tcp.example.com": srv((20, 0, 5062, "b.example.com"), (10, 0, 5061, "a.example.com.")),
        "A a.example.com": a("192.0.2.1"),
        "A b.example.com": a("192.0.2.2"),
    }
    run = start("sip:example.com;transport=tcp", zone).finish()
    assert run.rounds == [["SRV _sip._tcp.example.com"], ["A a.example.com", "A b.example.com"]]
    assert run.hops == [hop(TCP, "192.0.2.1", 5061), hop(TCP, "192.0.2.2", 5062)]


def test_sips_without_naptr_asks_for_its_own_service() -> None:
    zone = {"SRV _sips._tcp.example.com": srv((1, 0, 5071, "a.hosts.example")), "A a.hosts.example": a("192.0.2.1")}
    run = start("sips:example.com", zone).finish()
    assert run.rounds[0] == ["SRV _sips._tcp.example.com", "NAPTR example.com"]
    # The name for the certificate is the domain of the URI (RFC 5922).
    assert run.hops == [hop(TLS, "192.0.2.1", 5071, "example.com")]


NAPTR_ZONE = {
    "NAPTR example.com": naptr(
        (50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
        (90, 50, "SIP+D2T", "_sip._tcp.example.com."),
        (100, 50, "sip+d2u", "_sip._udp.voip.example."),
        (10, 50, "SIP+D2S", "_sip._sctp.example.com."),
    ),
    "SRV _sips._tcp.example.com": srv((0, 1, 5061, "s.example.com")),
    "SRV _sip._tcp.example.com": srv((0, 1, 5060, "t.example.com")),
    "SRV _sip._udp.voip.example": srv((0, 1, 5066, "u.example.com")),
    "A s.example.com": a("192.0.2.1"),
    "A t.example.com": a("192.0.2.2"),
    "A u.example.com": a("192.0.2.3"),
}


@pytest.mark.requirement("3263-4-a")
@pytest.mark.parametrize(
    ("transports", "expected"),
    [
        ((UDP, TCP, TLS), hop(TLS, "192.0.2.1", 5061, "example.com")),
        ((UDP, TCP), hop(TCP, "192.0.2.2", 5060)),
        ((UDP,), hop(UDP, "192.0.2.3", 5066)),
    ],
)
def test_naptr_chooses_the_best_that_both_can_do(transports: Sequence[Transport], expected: Hop) -> None:
    assert start("sip:example.com", NAPTR_ZONE, transports=transports).finish().hops == [expected]


def test_sips_discards_naptr_without_sips() -> None:
    zone = {key: value for key, value in NAPTR_ZONE.items() if "sips" not in key}
    zone["NAPTR example.com"] = naptr((90, 50, "SIP+D2T", "_sip._tcp.example.com."))
    zone["A example.com"] = a("192.0.2.7")
    assert start("sips:example.com", zone).finish().hops == [hop(TLS, "192.0.2.7", 5061, "example.com")]


def test_naptr_of_one_order_go_by_preference() -> None:
    zone = {
        "NAPTR example.com": naptr(
            (1, 30, "SIP+D2U", "u.example"), (1, 20, "SIP+D2T", "t.example"), (2, 1, "SIP+D2T", "later.example")
        ),
        "SRV u.example": srv((0, 0, 5060, "a.example")),
        "SRV t.example": srv((0, 0, 5070, "a.example")),
        "A a.example": a("192.0.2.1"),
    }
    run = start("sip:example.com", zone).finish()
    assert run.hops == [hop(TCP, "192.0.2.1", 5070), hop(UDP, "192.0.2.1", 5060)]
    assert "SRV later.example" not in run.asked


@pytest.mark.parametrize(
    "record",
    [
        NaptrRecord(1, 1, "u", "SIP+D2T", "", "x.example"),
        NaptrRecord(1, 1, "s", "E2U+sip", "", "x.example"),
        NaptrRecord(1, 1, "s", "SIP+D2T", "!.*!sip:x!", "x.example"),
        NaptrRecord(1, 1, "s", "SIP+D2T", "", "."),
        NaptrRecord(1, 1, "s", "SIP+D2T", "", "no records.example"),
        NaptrRecord(1, 1, "s", "SIP+D2T", "", "nothing.example"),
    ],
)
def test_naptr_that_leads_nowhere_leaves_the_services_of_the_domain(record: NaptrRecord) -> None:
    zone: dict[str, DnsAnswer] = {
        "NAPTR example.com": (record,),
        "SRV _sip._udp.example.com": srv((0, 0, 5066, "a.example")),
        "A a.example": a("192.0.2.1"),
    }
    assert start("sip:example.com", zone).finish().hops == [hop(UDP, "192.0.2.1", 5066)]


@pytest.mark.requirement("3263-4-a")
def test_services_in_the_order_of_our_transports() -> None:
    zone = {
        "SRV _sip._udp.example.com": srv((0, 0, 5060, "u.example")),
        "SRV _sip._tcp.example.com": srv((9, 0, 5060, "t.example")),
        "A u.example": a("192.0.2.1"),
        "A t.example": a("192.0.2.2"),
    }
    run = start("sip:example.com", zone).finish()
    assert run.rounds[0] == ["SRV _sip._udp.example.com", "SRV _sip._tcp.example.com", "NAPTR example.com"]
    assert [found.transport for found in run.hops] == [UDP, TCP]
    assert [found.transport for found in start("sip:example.com", zone, transports=(TCP, UDP)).finish().hops] == [
        TCP,
        UDP,
    ]


def test_without_services_the_domain_itself_is_the_host() -> None:
    run = start("sip:example.com", {"A example.com": a("192.0.2.1")}).finish()
    assert run.hops == [hop(UDP, "192.0.2.1", 5060)]
    assert isinstance(run.end, Located)
    assert run.end.notes == (
        "SRV _sip._udp.example.com: the name does not exist",
        "SRV _sip._tcp.example.com: the name does not exist",
        "NAPTR example.com: the name does not exist",
        "A example.com: 1 record",
    )


def test_domain_that_declines_is_not_tried() -> None:
    zone = {"SRV _sip._tcp.example.com": srv((0, 0, 0, ".")), "A example.com": a("192.0.2.1")}
    run = start("sip:example.com;transport=tcp", zone).finish()
    assert run.reason == "example.com: the domain says that it offers no such service (RFC 2782)"
    assert "A example.com" not in run.asked


def test_target_that_is_an_address_is_taken() -> None:
    run = start("sip:example.com", {"SRV _sip._udp.example.com": srv((0, 0, 5060, "192.0.2.1."))}).finish()
    assert run.hops == [hop(UDP, "192.0.2.1", 5060)]


def test_server_without_address_is_left_out() -> None:
    zone = {
        "SRV _sip._udp.example.com": srv((1, 0, 5060, "gone.example"), (2, 0, 5060, "a.example")),
        "A a.example": a("192.0.2.1"),
    }
    assert start("sip:example.com", zone).finish().hops == [hop(UDP, "192.0.2.1", 5060)]


def test_a_place_that_is_named_twice_is_tried_once() -> None:
    zone = {
        "SRV _sip._udp.example.com": srv((1, 0, 5060, "a.example"), (2, 0, 5060, "b.example")),
        "A a.example": a("192.0.2.1"),
        "A b.example": a("192.0.2.1"),
    }
    assert start("sip:example.com", zone).finish().hops == [hop(UDP, "192.0.2.1", 5060)]


def test_name_too_long_for_a_service_is_a_host_all_the_same() -> None:
    name = "a." * 120 + "example"
    run = start(f"sip:{name}", {f"A {name}": a("192.0.2.1")}).finish()
    assert run.asked == [f"NAPTR {name}", f"A {name}"]
    assert run.hops == [hop(UDP, "192.0.2.1", 5060)]


# large requests (RFC 3261 18.1.1, requirement 3261-18.1.1-a)


@pytest.mark.parametrize(
    ("size", "mtu", "large"),
    [(1_300, None, False), (1_301, None, True), (8_800, 9_000, False), (8_801, 9_000, True), (301, 500, True)],
)
def test_size_from_which_udp_is_not_for_a_request(size: int, mtu: int | None, *, large: bool) -> None:
    assert is_large(size, mtu=mtu) is large


def test_large_request_goes_over_tcp_with_udp_behind_it() -> None:
    zone = {"A srs.example.com": a("192.0.2.1", "192.0.2.2")}
    run = start("sip:srs.example.com:5070;transport=udp", zone, large=True).finish()
    assert run.hops == [hop(transport, host, 5070) for host in ("192.0.2.1", "192.0.2.2") for transport in (TCP, UDP)]
    assert isinstance(run.end, Located)
    assert run.end.large


def test_large_request_prefers_services_of_tcp() -> None:
    zone = {
        "SRV _sip._udp.example.com": srv((0, 0, 5060, "a.example")),
        "SRV _sip._tcp.example.com": srv((0, 0, 5062, "a.example")),
        "A a.example": a("192.0.2.1"),
    }
    run = start("sip:example.com", zone, large=True).finish()
    assert run.hops == [hop(TCP, "192.0.2.1", 5062), hop(TCP, "192.0.2.1", 5060), hop(UDP, "192.0.2.1", 5060)]


def test_large_request_passes_over_naptr_of_udp() -> None:
    records = naptr((1, 1, "SIP+D2U", "_sip._udp.example.com"), (2, 1, "SIP+D2T", "_sip._tcp.example.com"))
    zone = {**NAPTR_ZONE, "NAPTR example.com": records}
    assert start("sip:example.com", zone, large=True).finish().hops == [hop(TCP, "192.0.2.2", 5060)]
    alone = {
        "NAPTR example.com": naptr((1, 1, "SIP+D2U", "u.example")),
        "SRV u.example": srv((0, 0, 5060, "192.0.2.1")),
    }
    assert start("sip:example.com", alone, large=True).finish().hops == [
        hop(TCP, "192.0.2.1", 5060),
        hop(UDP, "192.0.2.1", 5060),
    ]


def test_large_request_without_tcp_of_ours_goes_over_udp() -> None:
    run = start("sip:192.0.2.1", large=True, transports=(UDP,)).finish()
    assert run.hops == [hop(UDP, "192.0.2.1", 5060)]
    assert isinstance(run.end, Located)
    assert run.end.failover().current == hop(UDP, "192.0.2.1", 5060)


# time and answers out of turn


def test_silent_name_server_holds_each_round_only_so_long() -> None:
    run = start("sip:example.com")
    assert len(run.drain()) == 3
    assert run.locator.next_timeout() == LIMITS.resolve_seconds
    run.locator.handle_timeout(now=LIMITS.resolve_seconds - 0.1)
    assert run.drain() == []
    run.locator.handle_timeout(now=LIMITS.resolve_seconds)
    (question,) = run.drain()
    assert (question.type, question.name) == (RecordType.A, "example.com")
    assert run.locator.next_timeout() == 2 * LIMITS.resolve_seconds
    run.locator.handle_timeout(now=2 * LIMITS.resolve_seconds)
    run.drain()
    assert run.reason == "example.com: no address found (no name server answered in time)"
    assert run.locator.next_timeout() is None
    run.locator.handle_timeout(now=100.0)
    assert run.drain() == []


def test_answers_of_no_question_and_late_ones_do_nothing() -> None:
    run = start("sip:srs.example.com:5070")
    (question,) = run.drain()
    run.locator.resolved(QueryId(question.query + 1), a("192.0.2.66"), now=0.0)
    assert run.end is None
    run.locator.resolved(question.query, a("192.0.2.1"), now=0.0)
    run.locator.resolved(question.query, a("192.0.2.67"), now=0.0)
    run.drain()
    assert run.hops == [hop(UDP, "192.0.2.1", 5070)]


def test_services_of_the_domain_are_not_waited_for_when_naptr_leads_on() -> None:
    run = start("sip:example.com", NAPTR_ZONE, transports=(UDP,))
    service, order = run.drain()
    run.locator.resolved(order.query, NAPTR_ZONE["NAPTR example.com"], now=1.0)
    (led,) = run.drain()
    assert led.name == "_sip._udp.voip.example"
    run.locator.resolved(led.query, NAPTR_ZONE["SRV _sip._udp.voip.example"], now=2.0)
    (host,) = run.drain()
    run.locator.resolved(service.query, srv((0, 0, 5060, "other.example")), now=2.5)
    assert run.drain() == []
    run.locator.resolved(host.query, a("192.0.2.3"), now=3.0)
    run.drain()
    assert run.hops == [hop(UDP, "192.0.2.3", 5066)]


def test_locators_share_one_row_of_query_ids() -> None:
    queries = count(7)
    first, second = (start("sip:example.com:5060", queries=queries).drain() for _ in range(2))
    assert [question.query for question in (*first, *second)] == [7, 8]


# bounds


def test_thousands_of_records_are_looked_at_but_not_followed() -> None:
    many = 5_000
    zone: dict[str, DnsAnswer] = {
        "NAPTR example.com": naptr(*((1, n, "SIP+D2U", f"s{n}.example") for n in range(many))),
        "SRV s0.example": srv(*((many - n, n, 5060, f"h{n}.example") for n in range(many))),
        "A h4999.example": a(*(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(many))),
    }
    both = (RecordType.A, RecordType.AAAA)
    run = start("sip:example.com", zone, families=both).finish()
    assert len(run.asked) <= 3 + LIMITS.resolve_targets + 2 * LIMITS.resolve_targets
    assert run.hops == [hop(UDP, f"10.0.0.{n + 1}", 5060) for n in range(LIMITS.resolve_hops)]


def test_bounds_are_those_of_the_limits() -> None:
    zone: dict[str, DnsAnswer] = {
        "SRV _sip._udp.example.com": srv(*((n, 0, 5060, f"h{n}.example") for n in range(9))),
        **{f"A h{n}.example": a(f"192.0.2.{n + 1}", f"198.51.100.{n + 1}") for n in range(9)},
    }
    limits = Limits(resolve_targets=3, resolve_hops=5)
    run = start("sip:example.com", zone, limits=limits).finish()
    assert run.rounds[1] == ["A h0.example", "A h1.example", "A h2.example"]
    assert len(run.hops) == 5
    few = start("sip:example.com", zone, limits=Limits(resolve_records=1)).finish()
    assert few.hops == [hop(UDP, "192.0.2.1", 5060)]


NAMES = st.sampled_from(
    ["example.com", "_sip._udp.example.com", "_sip._tcp.example.com", "_sips._tcp.example.com", "a.example", ".", ""]
) | st.text(max_size=8)
RECORDS: st.SearchStrategy[DnsRecord] = st.one_of(
    st.builds(
        NaptrRecord,
        st.integers(-1, 2),
        st.integers(0, 2),
        st.sampled_from(["s", "S", "u", ""]),
        st.sampled_from(["SIP+D2U", "SIP+D2T", "SIPS+D2T", "SIP+D2W", ""]),
        st.sampled_from(["", "", "!.*!x!"]),
        NAMES,
    ),
    st.builds(SrvRecord, st.integers(-1, 2), st.integers(-1, 9), st.integers(-1, 70_000), NAMES),
    st.builds(AddressRecord, st.ip_addresses().map(str) | st.text(max_size=8)),
)
ANSWERS = st.sampled_from(LookupFailure) | st.lists(RECORDS, max_size=30).map(tuple)
URIS = st.sampled_from(
    ["sip:example.com", "sips:example.com", "sip:example.com;transport=tcp", "sip:example.com:5070", "sip:a.example"]
)


@given(st.data(), URIS, st.booleans())
def test_any_tree_of_records_ends(data: st.DataObject, uri: str, large: bool) -> None:
    """Whatever is answered, in any order, or never: it ends in three rounds, within the bounds, without a raise."""
    limits = Limits(resolve_targets=4, resolve_hops=6, resolve_records=8)
    run = start(uri, large=large, families=(RecordType.A, RecordType.AAAA), limits=limits)
    waiting: deque[Resolve] = deque(run.drain())
    now, timeouts = 0.0, 0
    while run.end is None:
        if waiting and data.draw(st.integers(0, 9), label="0: silence") > 0:
            waiting.rotate(data.draw(st.integers(0, 60)))
            run.locator.resolved(waiting.popleft().query, data.draw(ANSWERS), now=now)
        else:
            due = run.locator.next_timeout()
            assert due is not None
            now = due
            timeouts += 1
            run.locator.handle_timeout(now=now)
        waiting.extend(run.drain())
    assert timeouts <= 3
    assert now <= 3 * limits.resolve_seconds
    assert len(run.asked) == len(set(run.asked)) <= 3 + limits.resolve_targets + 2 * limits.resolve_targets
    assert run.locator.next_timeout() is None
    if isinstance(run.end, Located):
        hops = run.end.hops
        assert 0 < len(hops) == len(set(hops)) <= limits.resolve_hops
        assert run.end.failover().current == hops[0]
        assert all((found.server_name is not None) == (found.transport is TLS) for found in hops)
        assert all(0 < found.remote.port <= 65_535 for found in hops)
        if uri.startswith("sips:"):
            assert {found.transport for found in hops} == {TLS}
    else:
        assert run.end.reason


# fail-over (RFC 3263 4.3, requirement 3263-4-b)

A_UDP, A_TCP, B_UDP, B_TCP = (hop(t, h, 5060) for h in ("192.0.2.1", "192.0.2.2") for t in (UDP, TCP))


def test_failover_goes_down_the_list_and_ends() -> None:
    places = FailoverList([A_UDP, B_UDP])
    assert [places.current, places.current] == [A_UDP, A_UDP], "a transaction stays where it is"
    assert places.failed(HopFailure.NO_RESPONSE) == B_UDP
    assert places.failed(HopFailure.TRANSPORT_FAILED) is None
    assert places.failed(HopFailure.NO_RESPONSE) is None
    assert places.current is None
    assert places.tried == ((A_UDP, HopFailure.NO_RESPONSE), (B_UDP, HopFailure.TRANSPORT_FAILED))


def test_server_that_is_overloaded_is_not_asked_by_another_transport() -> None:
    assert FailoverList([A_UDP, A_TCP, B_UDP]).failed(HopFailure.SERVICE_UNAVAILABLE) == B_UDP
    assert FailoverList([A_UDP, A_TCP, B_UDP]).failed(HopFailure.NO_RESPONSE) == A_TCP


@pytest.mark.parametrize(
    ("failure", "following"),
    [
        (HopFailure.REFUSED, A_UDP),
        (HopFailure.NO_RESPONSE, B_TCP),
        (HopFailure.TRANSPORT_FAILED, B_TCP),
        (HopFailure.SERVICE_UNAVAILABLE, B_TCP),
    ],
)
def test_large_request_falls_back_to_udp_only_where_there_is_no_tcp(failure: HopFailure, following: Hop) -> None:
    places = FailoverList([A_TCP, A_UDP, B_TCP, B_UDP], large=True)
    assert places.failed(failure) == following


def test_no_place_at_all() -> None:
    assert FailoverList([]).current is None
    assert FailoverList([A_UDP], large=True).current is None


@given(st.lists(st.sampled_from([A_UDP, A_TCP, B_UDP, B_TCP]), unique=True), st.booleans(), st.data())
def test_failover_gives_each_place_once_and_in_order(hops: list[Hop], large: bool, data: st.DataObject) -> None:
    places = FailoverList(hops, large=large)
    given_out = []
    while (current := places.current) is not None:
        given_out.append(current)
        assert len(given_out) <= len(hops)
        places.failed(data.draw(st.sampled_from(HopFailure)))
    positions = [hops.index(place) for place in given_out]
    assert positions == sorted(set(positions))
    assert [place for place, _ in places.tried] == given_out
