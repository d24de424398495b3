"""How many new requests one source may make: buckets of tokens for each address.

What is over the rate is refused, and the refusals have a rate of their own, so that a flood meets silence while as many
requests as are allowed still pass.
"""

from collections import OrderedDict
from enum import Enum, auto


class Verdict(Enum):
    """What becomes of a new request."""

    PASS = auto()
    REFUSE = auto()
    """Over the rate: 503 with Retry-After."""
    DROP = auto()
    """Far over the rate: no answer, which would only be more load (RFC 3261 section 21.5.4 allows that)."""


class SourceRates:
    """Token buckets by source address. A bounded number is remembered, the least recently heard forgotten first."""

    __slots__ = ("_buckets", "_burst", "_rate", "_sources")

    def __init__(self, *, rate: float, burst: int, sources: int) -> None:
        """`rate` requests a second with bursts of `burst`; `rate` 0 is without limit. `sources` are remembered."""
        self._rate = rate
        self._burst = burst
        self._sources = sources
        self._buckets: OrderedDict[str, tuple[float, float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: str, *, now: float) -> Verdict:
        """Count one request of `source`."""
        if not self._rate:
            return Verdict.PASS
        burst = float(self._burst)
        tokens, refusals, since = self._buckets.get(source, (burst, burst, now))
        gained = max(0.0, now - since) * self._rate
        tokens, refusals = min(burst, tokens + gained), min(burst, refusals + gained)
        if tokens >= 1:
            verdict, tokens = Verdict.PASS, tokens - 1
        elif refusals >= 1:
            verdict, refusals = Verdict.REFUSE, refusals - 1
        else:
            verdict = Verdict.DROP
        self._buckets[source] = (tokens, refusals, now)
        self._buckets.move_to_end(source)
        if len(self._buckets) > self._sources:
            self._buckets.popitem(last=False)
        return verdict
