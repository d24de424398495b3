"""Who has to say who they are: rules by listener, and what a request without good credentials gets (RFC 3261 22.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from siprec_core.entropy import Entropy
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.sip import digest
from siprec_core.sip.digest import Authenticated, Challenger, Unauthenticated, Users, may_challenge
from siprec_core.sip.message import Request
from siprec_core.sip.uas import Refusal
from siprec_core.types import Flow, Transport

__all__ = ["Denied", "DigestRule", "Gate"]

_KEY_SIZE = 32
_ANY_HOST = {"0.0.0.0": False, "::": True}
"""Wildcard addresses: whether they stand for those with colons, IPv6."""
_EXPECTED = frozenset((digest.Refusal.NO_CREDENTIALS, digest.Refusal.NONCE))
"""Refusals that every good client meets: its first request, and a nonce that has grown old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRule:
    """Asks for Digest credentials on some listeners, or on all of them.

    A rule fits a request when all of `transport`, `host` and `port` do that it names.
    """

    users: Users | None
    """Secrets by user name, or what looks one up; None takes every request on these listeners without credentials."""
    realm: str = "siprec"
    """Names to the user which password is asked for; part of every stored hash."""
    transport: Transport | None = None
    host: str | None = None
    """The local address that requests come to; `0.0.0.0` is any of IPv4 and `::` any of IPv6."""
    port: int | None = None
    """The local port that requests come to."""
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    """Offered in this order (RFC 8760 section 2.3)."""
    qop: tuple[str, ...] = ("auth",)
    """Qualities of protection on offer: `auth`, and `auth-int`, which protects bodies too."""
    nonce_seconds: float = 300.0
    """How long a nonce is good for."""
    allow_no_qop: bool = False
    """Take answers in the form of RFC 2069, which old clients give."""
    allow_any_uri: bool = False
    """Take credentials for another Request-URI: proxies on the way rewrite it."""

    def fits(self, flow: Flow) -> bool:
        """Tell whether the rule is for requests that come along `flow`."""
        local = flow.local
        return (
            self.transport in (None, flow.transport)
            and self.port in (None, local.port)
            and (self.host in (None, local.host) or _ANY_HOST.get(self.host or "") is (":" in local.host))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A request may not go on."""

    refusal: Refusal
    """What to answer: the challenges with 401, or 400 for credentials that are improper."""
    reason: str
    told: bool
    """False for what every good client meets: its owner need not hear of it."""
    findings: tuple[Finding, ...]


class Gate:
    """Checks requests by the first rule that fits their flow; without one they need no credentials."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[DigestRule], *, entropy: Entropy, limits: Limits) -> None:
        """Raises ConfigurationError for a rule that cannot be."""
        self._rules = tuple((rule, _challenger(rule, entropy, limits)) for rule in rules)

    def check(self, request: Request, flow: Flow, *, now: float) -> Authenticated | Denied | None:
        """Tell who sent a new request, or what it gets; None when nobody asks. Call it once for each request."""
        challenger = next((challenger for rule, challenger in self._rules if rule.fits(flow)), None)
        if challenger is None or not may_challenge(request.method):
            return None
        checked = challenger.check(request, now=now)
        return checked if isinstance(checked, Authenticated) else _deny(challenger, checked, now)


def _challenger(rule: DigestRule, entropy: Entropy, limits: Limits) -> Challenger | None:
    if rule.users is None:
        return None
    return Challenger(
        rule.realm,
        users=rule.users,
        key=entropy(_KEY_SIZE),
        entropy=entropy,
        algorithms=rule.algorithms,
        qop=rule.qop,
        nonce_seconds=rule.nonce_seconds,
        allow_no_qop=rule.allow_no_qop,
        allow_any_uri=rule.allow_any_uri,
        limits=limits,
    )


def _deny(challenger: Challenger, unauthenticated: Unauthenticated, now: float) -> Denied:
    reason = unauthenticated.reason
    if unauthenticated.status == 401:
        challenges = challenger.challenges(stale=unauthenticated.stale, now=now)
        # RFC 3261 7.3.1: challenges are not put together in one field.
        refusal = Refusal(401, headers=tuple(("WWW-Authenticate", str(challenge)) for challenge in challenges))
    else:
        refusal = Refusal(unauthenticated.status, f"Bad Request - {reason.value}")
    findings = unauthenticated.findings
    told = reason not in _EXPECTED or bool(findings)
    return Denied(refusal=refusal, reason=reason.value, told=told, findings=findings)
