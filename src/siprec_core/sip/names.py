"""Questions to the DNS and their answers, as far as locating a SIP server needs them (RFC 3263)."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import ip_address
from itertools import accumulate
from typing import NewType, TypeAlias

QueryId = NewType("QueryId", int)
"""Id of one question, given by the core."""

_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile("0[xX][0-9A-Fa-f]*|[0-9]+")
_MOST_CHARACTERS = 253
"""Of a name without its final dot (RFC 1035 section 2.3.4: 255 octets on the wire)."""


class RecordType(Enum):
    """Types of records that are asked for."""

    NAPTR = "NAPTR"
    SRV = "SRV"
    A = "A"
    AAAA = "AAAA"


class LookupFailure(Enum):
    """Why there are no records; the value says it in words."""

    NO_SUCH_NAME = "the name does not exist"
    NO_RECORDS = "the name has no such records"
    NO_ANSWER = "no name server answered in time"
    SERVER_FAILED = "the name servers could not tell"
    UNAVAILABLE = "such records cannot be looked up here"


ADDRESS_VERSIONS = {RecordType.A: 4, RecordType.AAAA: 6}
"""The types of records that are addresses, with their IP versions."""


@dataclass(frozen=True, slots=True)
class NaptrRecord:
    """A transport that a domain offers (RFC 3263 section 4.1, RFC 3403 section 4)."""

    order: int
    preference: int
    flags: str
    """`s`: the replacement names SRV records."""
    service: str
    """`SIP+D2U`, `SIP+D2T`, `SIPS+D2T` and others."""
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """A server of a service (RFC 2782)."""

    priority: int
    """The lowest is tried first."""
    weight: int
    """Share of the requests among servers of one priority."""
    port: int
    target: str
    """Name of the server; `.` or empty says that the service is not offered."""


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """An address of a host: an A record or an AAAA record."""

    host: str
    """IPv4 dotted or IPv6 without brackets."""


DnsRecord: TypeAlias = NaptrRecord | SrvRecord | AddressRecord
DnsAnswer: TypeAlias = tuple[DnsRecord, ...] | LookupFailure
"""Records of the type that was asked for, aliases (CNAME) followed, or why there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Command: look up records; answer: `host_resolved`."""

    query: QueryId
    name: str
    """Absolute, lower case, without the final dot: what `host_name` gives."""
    type: RecordType


def host_name(text: str) -> str | None:
    """Give a name in lower case without its final dot; None when it is no name that may be asked for.

    Underscores are taken: service names have them (RFC 2782), and hosts of private networks do. Numbers are not, though
    systems read `127.1` and `0x7f000001` as addresses: RFC 3261 section 25.1 has no such host.
    """
    name = text.removesuffix(".")
    if len(name) > _MOST_CHARACTERS or _NAME.fullmatch(name) is None:
        return None
    if _NUMBER.fullmatch(name.rpartition(".")[2]) is not None:
        return None
    return name.lower()


def numeric_host(host: str) -> str | None:
    """Give an address in its usual form, None for a name."""
    try:
        return str(ip_address(host.removesuffix(".")))
    except ValueError:
        return None


def usable_record(record: DnsRecord, kind: RecordType) -> DnsRecord | None:
    """Give a record of type `kind` in its usual form; None when it cannot be used or is of another type.

    An SRV record whose target is the root comes back with an empty target.
    """
    match record:
        case NaptrRecord() if kind is RecordType.NAPTR:
            name = host_name(record.replacement)
            return None if name is None or record.regexp else replace(record, replacement=name)
        case SrvRecord() if kind is RecordType.SRV:
            if record.target in ("", "."):
                return replace(record, target="")
            # An address in place of a name is against RFC 2782, but says what is meant.
            target = numeric_host(record.target) or host_name(record.target)
            return None if target is None or not 0 < record.port <= 65_535 else replace(record, target=target)
        case AddressRecord():
            return _usable_address(record.host, kind)
        case _:
            return None


def _usable_address(host: str, kind: RecordType) -> AddressRecord | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if address.version != ADDRESS_VERSIONS.get(kind) or address.is_unspecified:
        return None  # 0.0.0.0 is how filters say no; connecting to it would reach ourselves
    return AddressRecord(str(address))


def declines(records: Iterable[DnsRecord]) -> bool:
    """Tell whether a domain says that it has no such service.

    RFC 2782: "A Target of "." means that the service is decidedly not available at this domain."
    """
    targets = [record.target for record in records if isinstance(record, SrvRecord)]
    return bool(targets) and not any(targets)


def weighted_order(records: Iterable[SrvRecord], fraction: Callable[[], float]) -> Iterator[SrvRecord]:
    """Give SRV records in the order to be tried: by priority, within one by chance in proportion to the weights.

    This is the algorithm of RFC 2782 ("Usage rules"); each step of it draws one `fraction` from 0 up to 1.
    """
    groups: dict[int, list[SrvRecord]] = {}
    for record in records:
        groups.setdefault(record.priority, []).append(record)
    for priority in sorted(groups):
        # RFC 2782: records of weight 0 stand first, so that they have "a very small chance of being selected".
        rest = sorted(groups[priority], key=lambda record: record.weight > 0)
        total = sum(max(0, record.weight) for record in rest)
        while rest:
            drawn = int(fraction() * (total + 1))
            sums = accumulate(max(0, record.weight) for record in rest)
            index = next((index for index, running in enumerate(sums) if running >= drawn), -1)
            chosen = rest.pop(index)
            total -= max(0, chosen.weight)
            yield chosen
