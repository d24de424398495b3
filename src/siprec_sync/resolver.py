"""The DNS for both frontends: questions of the core to blocking lookups in threads, with a cache.

Addresses come from the system (`getaddrinfo`), so `/etc/hosts` and all else that it is set up for counts. SRV and NAPTR
records come from the package dnspython (extra `dns`); without it they are answered as unavailable, and requests go to
the addresses of the domain itself.

How long a question may take is the core's to say (`Limits.resolve_seconds`): an answer that comes later is kept for the
next time. Threads live only while there are questions; they are daemons, because nothing can stop `getaddrinfo`.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import TypeAlias, assert_never

from siprec_core.entropy import Entropy, Ids
from siprec_core.errors import SiprecError
from siprec_core.limits import Limits
from siprec_core.sip.locate import Located, LocationFailed, Locator
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
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Transport

_LOGGER = logging.getLogger("siprec.resolver")

THREADS = 8
"""Lookups that run at a time; one that hangs holds one of them."""
CACHE_ENTRIES = 1_024
"""Answers that are kept."""
MOST_WAITING = 1_000
"""Questions that wait at a time; more are refused at once."""
LOOKUP_SECONDS = 5.0
"""For a lookup of SRV or NAPTR records; a question that has waited so long for a thread is not looked up any more."""
ADDRESS_TTL_SECONDS = 30.0
"""How long addresses are kept: the system does not tell their time to live."""
NEGATIVE_TTL_SECONDS = 10.0
"""How long it is kept that there are no records, or that nobody could tell."""
LONGEST_TTL_SECONDS = 3_600.0
"""Records are kept as long as they say, but no longer than this."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup brought."""

    answer: DnsAnswer
    ttl_seconds: float
    """How long the answer may be kept."""


Lookup: TypeAlias = Callable[[str, RecordType], Found]
"""Looks up one name; it may block, and several threads may call it at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An answer on its way to the core: input `host_resolved`."""

    query: QueryId
    answer: DnsAnswer


class LocationError(SiprecError):
    """No place was found for a URI; the message says why."""


class SystemLookup:
    """Looks up names with what the system and dnspython offer."""

    def __init__(self, *, name_servers: Sequence[Address] = (), seconds: float = LOOKUP_SECONDS) -> None:
        """`name_servers` are asked for SRV and NAPTR records in place of the system's."""
        self._name_servers = tuple(name_servers)
        self._seconds = seconds

    def __call__(self, name: str, kind: RecordType) -> Found:
        """Look up one name. Blocks; never raises for what the DNS says."""
        if kind in (RecordType.A, RecordType.AAAA):
            return _look_up_addresses(name, socket.AF_INET if kind is RecordType.A else socket.AF_INET6)
        return self._look_up_records(name, kind)

    def _look_up_records(self, name: str, kind: RecordType) -> Found:
        try:
            from dns import exception, rdatatype, resolver
            from dns.name import from_text
            from dns.nameserver import Do53Nameserver
        except ImportError:
            _say_absent()
            return Found(LookupFailure.UNAVAILABLE, LONGEST_TTL_SECONDS)
        try:
            # Made anew each time: it is cheap, and the system's name servers may change under us.
            stub = resolver.Resolver(configure=not self._name_servers)
            if self._name_servers:
                stub.nameservers = [Do53Nameserver(server.host, server.port) for server in self._name_servers]
            record_type = rdatatype.from_text(kind.value)
            answer = stub.resolve(from_text(name), record_type, lifetime=self._seconds, search=False)
        except resolver.NXDOMAIN:
            return Found(LookupFailure.NO_SUCH_NAME, NEGATIVE_TTL_SECONDS)
        except resolver.NoAnswer:
            return Found(LookupFailure.NO_RECORDS, NEGATIVE_TTL_SECONDS)
        except exception.Timeout:
            return Found(LookupFailure.NO_ANSWER, NEGATIVE_TTL_SECONDS)
        except (exception.DNSException, OSError, ValueError) as error:
            _LOGGER.info("%s %s: %s", kind.value, name, error)
            return Found(LookupFailure.SERVER_FAILED, NEGATIVE_TTL_SECONDS)
        # An answer that leads through aliases is as old as the shortest-lived of them.
        records = tuple(record for data in answer if (record := _record_of(data)) is not None)
        return Found(records, float(answer.chaining_result.minimum_ttl))


@cache
def _say_absent() -> None:
    _LOGGER.warning("SRV and NAPTR records are not looked up: the package dnspython is not installed (extra dns)")


def _record_of(data: object) -> DnsRecord | None:
    """Turn what dnspython read into a value. Called only where dnspython is installed."""
    from dns.rdtypes.IN.NAPTR import NAPTR
    from dns.rdtypes.IN.SRV import SRV

    if isinstance(data, SRV):
        return SrvRecord(data.priority, data.weight, data.port, data.target.to_text())
    if isinstance(data, NAPTR):
        flags, service, regexp = (text.decode("ascii", "replace") for text in (data.flags, data.service, data.regexp))
        return NaptrRecord(data.order, data.preference, flags, service, regexp, data.replacement.to_text())
    return None


_NAME_UNKNOWN = {
    getattr(socket, code) for code in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, code)
}


def _look_up_addresses(name: str, family: socket.AddressFamily) -> Found:
    try:
        found = socket.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NAME_UNKNOWN:
            failure = LookupFailure.NO_SUCH_NAME if error.errno == socket.EAI_NONAME else LookupFailure.NO_RECORDS
        else:
            failure = LookupFailure.NO_ANSWER if error.errno == socket.EAI_AGAIN else LookupFailure.SERVER_FAILED
        return Found(failure, NEGATIVE_TTL_SECONDS)
    except (OSError, ValueError) as error:  # no descriptor left; a label that no codec takes
        _LOGGER.info("address of %s: %s", name, error)
        return Found(LookupFailure.SERVER_FAILED, NEGATIVE_TTL_SECONDS)
    hosts = dict.fromkeys(str(entry[4][0]) for entry in found)
    return Found(tuple(AddressRecord(host) for host in hosts), ADDRESS_TTL_SECONDS)


@dataclass(slots=True)
class _Question:
    """A lookup that waits for a thread or runs, with everybody who waits for it."""

    name: str
    kind: RecordType
    asked_at: float
    queries: list[QueryId] = field(default_factory=list)


class Resolver:
    """Answers the core's questions from a cache or by lookups in threads. Every method returns at once.

    Questions for what is being looked up already wait for that lookup.
    """

    def __init__(
        self,
        lookup: Lookup | None = None,
        *,
        threads: int = THREADS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup if lookup is not None else SystemLookup()
        self._most_threads = threads
        self._clock = clock
        self._wake: Callable[[], None] = _nothing
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, RecordType], tuple[float, DnsAnswer]] = {}
        self._questions: dict[tuple[str, RecordType], _Question] = {}
        self._queue: deque[_Question] = deque()
        self._waiting = 0
        self._threads = 0
        self._answers: list[Resolved] = []
        self._closed = False

    def start(self, wake: Callable[[], None]) -> None:
        """Remember whom to wake, from any thread, when there are answers."""
        self._wake = wake

    def resolve(self, command: Resolve) -> None:
        """Take a question; its answer comes by `take_answers`."""
        now = self._clock()
        with self._lock:
            if self._closed:
                return
            answered = self._ask(command, now)
        if answered:
            self._wake()

    def take_answers(self) -> list[Resolved]:
        """Give the answers that came since the last call."""
        with self._lock:
            answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """Answer no more. A lookup that runs is not waited for."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._questions.clear()
            self._answers.clear()

    # under the lock

    def _ask(self, command: Resolve, now: float) -> bool:
        """Answer from the cache, else see to a lookup; tell whether the question is answered."""
        key = (command.name, command.type)
        expires, answer = self._cache.get(key, (now, LookupFailure.SERVER_FAILED))
        if now < expires:
            self._answers.append(Resolved(query=command.query, answer=answer))
            return True
        if self._waiting >= MOST_WAITING:
            self._answers.append(Resolved(query=command.query, answer=LookupFailure.SERVER_FAILED))
            return True
        self._waiting += 1
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = _Question(command.name, command.type, now)
            self._queue.append(question)
        question.queries.append(command.query)
        self._employ()
        return False

    def _employ(self) -> None:
        """Start a thread if there is work for one more."""
        if not self._queue or self._threads >= self._most_threads:
            return
        try:
            threading.Thread(target=self._work, name="siprec-resolver", daemon=True).start()
        except RuntimeError as error:
            # The system has no thread left. The questions wait: for the next one, which tries again, or for their end.
            _LOGGER.error("names are not looked up: %s", error)
        else:
            self._threads += 1

    def _settle(self, question: _Question, found: Found, now: float) -> None:
        """Answer everybody who waits for a lookup, and keep what it brought."""
        self._waiting -= len(question.queries)
        if self._closed:
            return
        key = (question.name, question.kind)
        del self._questions[key]
        self._answers.extend(Resolved(query=query, answer=found.answer) for query in question.queries)
        self._cache.pop(key, None)
        if found.ttl_seconds > 0:
            while len(self._cache) >= CACHE_ENTRIES:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = (now + min(found.ttl_seconds, LONGEST_TTL_SECONDS), found.answer)

    # threads

    def _work(self) -> None:
        while (question := self._next_question()) is not None:
            found = Found(LookupFailure.NO_ANSWER, 0.0)
            complete = False
            try:
                # Whoever asked so long ago waits no more; a queue of such questions must not hold up the later ones.
                if self._clock() < question.asked_at + LOOKUP_SECONDS:
                    found = self._lookup(question.name, question.kind)
                complete = True
            finally:
                # A fault of the lookup ends this thread, with its trace, but neither the question nor the resolver.
                with self._lock:
                    self._settle(question, found, self._clock())
                    if not complete:
                        self._threads -= 1
                        self._employ()
                self._wake()

    def _next_question(self) -> _Question | None:
        """Give a thread its next lookup; None ends it."""
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            self._threads -= 1
            return None


def locate(
    uri: SipUri,
    *,
    lookup: Lookup | None = None,
    resolver: Resolver | None = None,
    entropy: Entropy = os.urandom,
    limits: Limits | None = None,
    large: bool = False,
    transports: Sequence[Transport] = tuple(Transport),
    families: Sequence[RecordType] = (RecordType.A, RecordType.AAAA),
) -> Located:
    """Find the places that a request to `uri` may be sent to (RFC 3263), waiting for the DNS.

    `resolver` is one that nothing else uses meanwhile; it goes on to be open, and remembers what it was told. Without
    it names are looked up by `lookup`. The other arguments are those of `Locator`. Raises LocationError.
    """
    own = resolver or Resolver(lookup)
    locator = Locator(
        uri,
        fraction=Ids(entropy).fraction,
        limits=limits or Limits(),
        now=time.monotonic(),
        large=large,
        transports=transports,
        families=families,
        # What is answered too late must not pass for an answer to whoever uses the resolver next.
        queries=count(-1, -1),
    )
    answered = threading.Event()
    own.start(answered.set)
    try:
        while True:
            while (output := locator.poll_output()) is not None:
                match output:
                    case Resolve():
                        own.resolve(output)
                    case Located():
                        return output
                    case LocationFailed():
                        raise LocationError(output.reason)
                    case _:
                        assert_never(output)
            due = locator.next_timeout()
            answered.wait(None if due is None else max(0.0, due - time.monotonic()))
            answered.clear()
            now = time.monotonic()
            for answer in own.take_answers():
                locator.resolved(answer.query, answer.answer, now=now)
            locator.handle_timeout(now=now)
    finally:
        if resolver is None:
            own.close()


def _nothing() -> None:
    """Wake nobody: not started yet."""
