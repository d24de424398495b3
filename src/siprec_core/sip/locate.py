"""Where a request goes (RFC 3263): a URI to the places that it may be sent to, in the order in which they are tried.

A `Locator` asks the DNS by `Resolve` and ends with `Located` or `LocationFailed`. There are at most three rounds of
questions: NAPTR and SRV records of the domain, SRV records that the NAPTR records name, addresses of the servers. The
SRV records of the domain are asked for together with its NAPTR records, because most domains have none of those; a
round that takes longer than `Limits.resolve_seconds` goes on with what there is.

A `FailoverList` keeps the place of one request, and gives the next when that fails. Whoever sends the request again
gives it a fresh branch (RFC 3263 section 4.3); ACK to an error response and CANCEL stay where their INVITE went.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from heapq import nsmallest
from itertools import count, islice
from typing import TypeAlias

from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.sip.grammar import read_host_port
from siprec_core.sip.names import (
    ADDRESS_VERSIONS,
    AddressRecord,
    DnsAnswer,
    DnsRecord,
    LookupFailure,
    NaptrRecord,
    QueryId,
    RecordType,
    Resolve,
    SrvRecord,
    declines,
    host_name,
    numeric_host,
    usable_record,
    weighted_order,
)
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Transport

_LARGE_SIZE = 1_300
_MTU_MARGIN = 200
_TRANSPORTS = (Transport.UDP, Transport.TCP, Transport.TLS)
_FAMILIES = (RecordType.A, RecordType.AAAA)
_NAPTR_SERVICES = {"SIP+D2U": Transport.UDP, "SIP+D2T": Transport.TCP, "SIPS+D2T": Transport.TLS}
_SRV_PREFIXES = {Transport.UDP: "_sip._udp.", Transport.TCP: "_sip._tcp.", Transport.TLS: "_sips._tcp."}


def is_large(size: int, *, mtu: int | None = None) -> bool:
    """Tell whether a request of `size` octets must not go over UDP (RFC 3261 section 18.1.1).

    That is so within 200 octets of the path's MTU, and above 1,300 octets when the MTU is not known.
    """
    return size > (_LARGE_SIZE if mtu is None else mtu - _MTU_MARGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The places were found."""

    hops: tuple[Hop, ...]
    """At least one, each once, in the order to be tried."""
    large: bool
    """True when UDP hops only stand in for a TCP hop of the same address: `FailoverList` keeps that."""
    notes: tuple[str, ...]
    """What was asked and answered, for a log."""

    def failover(self) -> "FailoverList":
        """Start to try the places."""
        return FailoverList(self.hops, large=self.large)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationFailed:
    """There is no place to send to."""

    reason: str
    notes: tuple[str, ...]


LocatorOutput: TypeAlias = Resolve | Located | LocationFailed


@dataclass(frozen=True, slots=True)
class _Service:
    """A name whose SRV records tell the servers of one transport."""

    transport: Transport
    name: str


@dataclass(frozen=True, slots=True)
class _Server:
    """A host, by name or address, that takes requests at a port."""

    transport: Transport
    name: str
    port: int


class Locator:
    """Locates the servers of one URI. Whatever the DNS says, it ends, and no input raises."""

    def __init__(
        self,
        uri: SipUri,
        *,
        fraction: Callable[[], float],
        limits: Limits,
        now: float,
        large: bool = False,
        secure: bool = False,
        transports: Sequence[Transport] = _TRANSPORTS,
        families: Sequence[RecordType] = _FAMILIES,
        queries: Iterator[int] | None = None,
    ) -> None:
        """Begin to locate the next hop `uri`: the top Route's URI, else the Request-URI (RFC 3261 section 8.1.2).

        `fraction` gives numbers from 0 up to 1 (`Ids.fraction`). `large` says that the request is too large for UDP
        (`is_large`), `secure` that its Request-URI is a `sips:` one. `transports` are those that can be used, the best
        first where the server leaves the choice; `families` the kinds of addresses that can be reached, the best first.
        `queries` gives ids to the questions; locators that share a driver share it.
        """
        self._uri = uri
        self._fraction = fraction
        self._limits = limits
        # RFC 3261 8.1.2: under a SIPS Request-URI a route "MUST" be resolved "as if the input URI were a SIPS URI".
        self._secure = secure or uri.scheme == "sips"
        self._large = large and Transport.TCP in transports
        self._transports = tuple(transports)
        self._families = tuple(families)
        self._queries = queries if queries is not None else count(1)
        self._outbox: Outbox[LocatorOutput] = Outbox()
        self._asked: dict[tuple[str, RecordType], tuple[DnsRecord, ...] | None] = {}
        self._waiting: dict[QueryId, tuple[str, RecordType]] = {}
        self._failures: list[LookupFailure] = []
        self._notes: list[str] = []
        self._servers: tuple[_Server, ...] = ()
        self._deadline: float | None = None
        self._now = now
        self.finished = False
        """True when `Located` or `LocationFailed` was put out; inputs do nothing then."""
        self._begin()

    # machine

    def poll_output(self) -> LocatorOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which the questions that are open count as unanswered."""
        return self._deadline

    def handle_timeout(self, *, now: float) -> None:
        """Go on without the answers that have not come in time."""
        if self._deadline is None or now < self._deadline:
            return
        self._now = now
        for question in self._waiting.values():
            self._keep(question, LookupFailure.NO_ANSWER)
        self._waiting.clear()
        self._advance()

    def resolved(self, query: QueryId, answer: DnsAnswer, *, now: float) -> None:
        """Take an answer; one that comes late or was not asked for does nothing."""
        question = self._waiting.pop(query, None)
        if question is None:
            return
        self._now = now
        self._keep(question, answer)
        self._advance()

    # steps

    def _begin(self) -> None:
        target = _target(self._uri)
        named = _named_transport(self._uri, secure=self._secure)
        if target is None:
            self._fail(f"{self._uri.host}: neither a host name nor an address")
        elif isinstance(named, str):
            self._fail(f"{self._uri.host}: {named}")
        elif named is not None and named not in self._transports:
            self._fail(f"{self._uri.host}: {named.via_name} cannot be used here")
        elif self._secure and Transport.TLS not in self._transports:
            self._fail(f"{self._uri.host}: TLS, which sips: asks for, cannot be used here")
        elif not self._transports:
            self._fail(f"{self._uri.host}: no transport can be used here")
        else:
            self._target = target
            self._named = named
            self._advance()

    def _advance(self) -> None:
        """Take every step that the answers so far allow."""
        self._servers = self._servers or self._find_servers() or ()
        if not self._servers:
            return
        hops = self._find_hops()
        if hops is None:
            return
        if not hops:
            why = f" ({self._failures[0].value})" if self._failures else ""
            self._fail(f"{self._target}: no address found{why}")
            return
        self._finish(Located(hops=hops, large=self._large, notes=tuple(self._notes)))

    def _find_servers(self) -> tuple[_Server, ...] | None:
        """Choose transport, server and port (RFC 3263 sections 4.1, 4.2); None while answers are missing."""
        target, port = self._target, self._uri.port
        if port is not None or numeric_host(target) is not None or _is_localhost(target):
            # RFC 3263 4.1: a numeric or explicit port "SHOULD" mean UDP for a SIP URI, and TCP (TLS) for a SIPS one.
            transport = self._named or self._default_transport()
            return (_Server(transport, target, transport.default_port if port is None else port),)
        services = [_Service(transport, _SRV_PREFIXES[transport] + target) for transport in self._choices()]
        records = [self._ask(service.name, RecordType.SRV) for service in services]
        if self._named is None:
            naptr = self._ask(target, RecordType.NAPTR)
            found = None if naptr is None else self._servers_of(self._services_of(naptr))
            if found is None or found:
                return found
        if (found := self._servers_of(services)) is None or found:
            return found
        if any(declines(answer) for answer in records if answer is not None):
            self._fail(f"{target}: the domain says that it offers no such service (RFC 2782)")
            return None
        # RFC 3263 4.2: without SRV records the addresses of the domain itself are taken.
        transport = self._named or self._default_transport()
        return (_Server(transport, target, transport.default_port),)

    def _services_of(self, records: Iterable[DnsRecord]) -> tuple[_Service, ...]:
        """Choose among NAPTR records: what both sides can do, of the lowest order only, by preference."""
        usable = [
            (record.order, record.preference, _Service(transport, record.replacement))
            for record in records
            if isinstance(record, NaptrRecord)
            and record.flags.lower() == "s"
            and (transport := _NAPTR_SERVICES.get(record.service.upper())) in self._transports
            and (transport is Transport.TLS or not self._secure)
        ]
        if self._large:
            # This request cannot go over UDP: of what is offered to it that is no part.
            usable = [entry for entry in usable if entry[2].transport.reliable] or usable
        chosen = nsmallest(self._limits.resolve_targets, usable, key=lambda entry: entry[:2])
        # RFC 3403 4.1: once a match is found, the client "MUST NOT consider records with a different Order".
        return tuple(service for order, _, service in chosen if order == chosen[0][0])

    def _servers_of(self, services: Iterable[_Service]) -> tuple[_Server, ...] | None:
        """Give the servers of several services, one service after the other; None while answers are missing."""
        answers = [(service, self._ask(service.name, RecordType.SRV)) for service in services]
        known = [(service, answer) for service, answer in answers if answer is not None]
        if len(known) < len(answers):
            return None
        servers = (
            _Server(service.transport, record.target, record.port)
            for service, answer in known
            for record in weighted_order(self._offers(answer), self._fraction)
        )
        return tuple(islice(servers, self._limits.resolve_targets))

    def _offers(self, records: Iterable[DnsRecord]) -> list[SrvRecord]:
        offers = (record for record in records if isinstance(record, SrvRecord) and record.target)
        return nsmallest(self._limits.resolve_records, offers, key=lambda record: record.priority)

    def _find_hops(self) -> tuple[Hop, ...] | None:
        """Put the addresses of the servers in order; None while answers are missing."""
        addresses = {server.name: self._addresses(server.name) for server in self._servers}
        if None in addresses.values():
            return None
        name = self._uri.host.removesuffix(".")
        hops: dict[Hop, None] = {}
        for server in self._servers:
            for host in addresses[server.name] or ():
                remote = Address(host, server.port)
                if self._large and server.transport is Transport.UDP:
                    # RFC 3261 18.1.1: too large a request "MUST" go over TCP; UDP is for servers that refuse that.
                    hops[Hop(Transport.TCP, remote)] = None
                # RFC 5922 7.3: the certificate is for the domain of the URI, whatever names the DNS leads through.
                hops[Hop(server.transport, remote, name if server.transport is Transport.TLS else None)] = None
                if len(hops) >= self._limits.resolve_hops:
                    return tuple(islice(hops, self._limits.resolve_hops))
        return tuple(hops)

    def _addresses(self, name: str) -> list[str] | None:
        """Give the addresses of a host, family by family; None while answers are missing."""
        numeric = numeric_host(name)
        if numeric is not None:
            return [numeric]
        answers = [self._ask(name, family) for family in self._families]
        if None in answers:
            return None
        return [
            record.host
            for answer in answers
            for record in islice(answer or (), self._limits.resolve_records)
            if isinstance(record, AddressRecord)
        ]

    def _choices(self) -> tuple[Transport, ...]:
        """Give the transports whose SRV records are asked for when no NAPTR record tells, the best first."""
        if self._named is not None:
            return (self._named,)
        if self._secure:
            return (Transport.TLS,)
        plain = [transport for transport in self._transports if transport is not Transport.TLS]
        if self._large:
            plain.sort(key=lambda transport: not transport.reliable)
        return tuple(plain) or (Transport.TLS,)

    def _default_transport(self) -> Transport:
        if self._secure:
            return Transport.TLS
        return Transport.UDP if Transport.UDP in self._transports else self._transports[0]

    # questions

    def _ask(self, name: str, kind: RecordType) -> tuple[DnsRecord, ...] | None:
        """Give the records that a question has brought, None while its answer is missing; ask if that was not done."""
        question = (name.removesuffix(".").lower(), kind)
        if question in self._asked:
            return self._asked[question]
        wire_name = host_name(question[0])
        if wire_name is None:
            self._keep(question, LookupFailure.NO_SUCH_NAME)
            return ()
        query = QueryId(next(self._queries))
        self._asked[question] = None
        self._waiting[query] = question
        self._deadline = self._now + self._limits.resolve_seconds
        self._outbox.put(Resolve(query=query, name=wire_name, type=kind))
        return None

    def _keep(self, question: tuple[str, RecordType], answer: DnsAnswer) -> None:
        name, kind = question
        if not isinstance(answer, LookupFailure) and not answer:
            answer = LookupFailure.NO_RECORDS
        if isinstance(answer, LookupFailure):
            self._asked[question] = ()
            self._notes.append(f"{kind.value} {name}: {answer.value}")
            if kind in ADDRESS_VERSIONS:
                self._failures.append(answer)
            return
        records = tuple(usable for record in answer if (usable := usable_record(record, kind)) is not None)
        self._asked[question] = records
        dropped = f", {len(answer) - len(records)} of them unusable" if len(records) < len(answer) else ""
        self._notes.append(f"{kind.value} {name}: {len(answer)} record{'s' if len(answer) > 1 else ''}{dropped}")

    def _fail(self, reason: str) -> None:
        self._finish(LocationFailed(reason=reason, notes=tuple(self._notes)))

    def _finish(self, output: Located | LocationFailed) -> None:
        self.finished = True
        self._deadline = None
        self._waiting.clear()
        self._outbox.put(output)


def _target(uri: SipUri) -> str | None:
    """Give the name or address to look for: `maddr`, else the host (RFC 3263 section 4); None when it is neither."""
    host = uri.host
    if "maddr" in uri.parameters:
        host_port = read_host_port(uri.parameters.get("maddr") or "")
        if host_port is None:
            return None
        host = host_port[0]
    return numeric_host(host) or host_name(host)


def _named_transport(uri: SipUri, *, secure: bool) -> Transport | str | None:
    """Give the transport that the URI names, None when it leaves the choice, or in words why it cannot be."""
    if "transport" not in uri.parameters:
        return None
    text = (uri.parameters.get("transport") or "").lower()
    try:
        transport = Transport(text)
    except ValueError:
        return f"the transport {text[:40]!r} is not supported"
    if not secure:
        return transport
    # RFC 3261 26.2.2: sips: means TLS; its parameter tells what TLS runs over.
    return "sips: is never sent over UDP (RFC 3261 26.2.2)" if transport is Transport.UDP else Transport.TLS


def _is_localhost(name: str) -> bool:
    """RFC 6761 section 6.3: such names are never asked of the DNS."""
    return name == "localhost" or name.endswith(".localhost")


class HopFailure(Enum):
    """Why a hop did not take a request (RFC 3263 section 4.3)."""

    SERVICE_UNAVAILABLE = auto()
    """It answered 503."""
    NO_RESPONSE = auto()
    """The transaction timed out without any response, provisional ones included."""
    REFUSED = auto()
    """The connection was reset, or ICMP said that the protocol is not supported: there is no TCP there."""
    TRANSPORT_FAILED = auto()
    """Any other failure of the transport: unreachable, not connected in time, certificate not accepted."""


class FailoverList:
    """The places of one request, in order. One transaction, with its ACK and CANCEL, stays at `current`."""

    def __init__(self, hops: Iterable[Hop], *, large: bool = False) -> None:
        """Start at the first hop. `large` keeps UDP for addresses that refused TCP (RFC 3261 section 18.1.1)."""
        self._rest = list(hops)
        self._rest.reverse()
        self._large = large
        self._refused: set[Address] = set()
        self._unavailable: set[Address] = set()
        self._tried: list[tuple[Hop, HopFailure]] = []
        self._current = self._next()

    @property
    def current(self) -> Hop | None:
        """Where the request is, None when no place is left."""
        return self._current

    @property
    def tried(self) -> tuple[tuple[Hop, HopFailure], ...]:
        """The places that failed, in order."""
        return tuple(self._tried)

    def failed(self, failure: HopFailure) -> Hop | None:
        """Give up the current place and go to the next; None when none is left."""
        hop = self._current
        if hop is None:
            return None
        self._tried.append((hop, failure))
        if failure is HopFailure.SERVICE_UNAVAILABLE:
            self._unavailable.add(hop.remote)
        elif failure is HopFailure.REFUSED and hop.transport is Transport.TCP:
            self._refused.add(hop.remote)
        self._current = self._next()
        return self._current

    def _next(self) -> Hop | None:
        while self._rest:
            hop = self._rest.pop()
            if hop.remote in self._unavailable:
                continue  # the same server by another transport has no more room
            if self._large and hop.transport is Transport.UDP and hop.remote not in self._refused:
                continue
            return hop
        return None
