"""Digest authentication without I/O: the side that challenges and the side that answers.

A user agent server keeps a `Challenger`, a user agent client one `Responder` for each pair of user and server
(RFC 3261 section 22, RFC 7616, RFC 8760).
"""

import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Final, TypeAlias

from siprec_core.entropy import Entropy
from siprec_core.errors import ConfigurationError, RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.sip.digest_hash import Algorithm, Secret, octets_of, session_ha1
from siprec_core.sip.digest_nonce import Nonce, Nonces
from siprec_core.sip.digest_values import Challenge, Credentials, read_digest_fields
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.uri import SipUri, same_uri

__all__ = [
    "ALGORITHMS",
    "Authenticated",
    "Authentication",
    "Challenge",
    "Challenger",
    "Credentials",
    "Refusal",
    "Responder",
    "Secret",
    "Unauthenticated",
    "Users",
    "may_challenge",
    "set_credentials",
]

Users: TypeAlias = Mapping[str, Secret] | Callable[[str], Secret | None]
"""Secrets by user name, or what looks one up; the name comes from a peer."""

ALGORITHMS: Final = tuple(algorithm.value for algorithm in Algorithm if Algorithm.named(algorithm.value))
"""What this interpreter can compute, the strongest first."""
_QOPS: Final = ("auth", "auth-int")
_KEY_SIZE: Final = 16
_REALM: Final = re.compile(r'[^"\\\x00-\x1f\x7f\ud800-\udfff]+')
_NOBODY: Final = Secret("")
"""Computed with in place of a secret that is not there: an unknown user costs what a known one does."""


class Refusal(Enum):
    """Why credentials were not accepted. A wrong user and a wrong password are never told apart."""

    NO_CREDENTIALS = "no digest credentials for the realm"
    MALFORMED = "malformed credentials"
    ALGORITHM = "an algorithm that was not offered"
    QOP = "a quality of protection that was not offered"
    URI = "credentials for another Request-URI"
    NONCE = "a nonce that is not ours or has expired"
    WRONG = "wrong user or password"
    REPLAYED = "a nonce count that was used before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """The request comes from this user."""

    user: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthenticated:
    """Nobody is known to have sent the request."""

    reason: Refusal
    stale: bool
    """To be written into the new challenges: the client may try again by itself."""
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> int:
        """The status to answer with: 400 for credentials that are improper (RFC 7616 section 3.4), else 401."""
        return 400 if self.reason in (Refusal.MALFORMED, Refusal.URI) else 401


Authentication: TypeAlias = Authenticated | Unauthenticated


def may_challenge(method: str) -> bool:
    """Tell whether a request of that method may be challenged.

    RFC 3261 22.1: "servers MUST NOT attempt to challenge an ACK", nor a CANCEL, which cannot be sent again. An ACK
    carries the credentials of its INVITE, so there is nothing to check either.
    """
    return method not in ("ACK", "CANCEL")


class Challenger:
    """Challenges requests for one realm and checks their credentials (RFC 3261 section 22.2)."""

    __slots__ = ("_algorithms", "_any_uri", "_legacy", "_lookup", "_nonces", "_qop", "_realm")

    def __init__(
        self,
        realm: str,
        *,
        users: Users,
        key: bytes,
        entropy: Entropy,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        qop: Sequence[str] = ("auth",),
        nonce_seconds: float = 300.0,
        allow_no_qop: bool = False,
        allow_any_uri: bool = False,
        limits: Limits = Limits(),
    ) -> None:
        """Set the terms.

        `key`, at least 16 random octets, makes the nonces unguessable; each challenger takes a new one at each start,
        because only itself knows which counts were used. `algorithms` and `qop` are offered in this order, most
        preferred first. `allow_no_qop` takes answers in the form of RFC 2069, one for each nonce. `allow_any_uri` takes
        credentials whose uri is not the Request-URI, which proxies on the way may have rewritten. Raises
        ConfigurationError.
        """
        self._realm = _checked_realm(realm)
        self._algorithms = _checked_algorithms(algorithms)
        if not qop or not set(qop) <= set(_QOPS):
            raise ConfigurationError("qop: name auth, auth-int or both")
        if len(key) < _KEY_SIZE:
            raise ConfigurationError(f"key: needs at least {_KEY_SIZE} octets")
        if not 0 < nonce_seconds < inf:
            raise ConfigurationError("nonce_seconds: has to be above 0 and to end")
        self._qop = tuple(qop)
        self._lookup = users if callable(users) else users.get
        self._legacy = allow_no_qop
        self._any_uri = allow_any_uri
        limit = limits.digest_nonces
        self._nonces = Nonces(realm, key=key, entropy=entropy, lifetime=nonce_seconds, limit=limit)

    def challenges(self, *, stale: bool = False, now: float) -> tuple[Challenge, ...]:
        """Give the challenges of a 401, each to become a WWW-Authenticate field of its own, in this order.

        RFC 8760 2.3: one for each algorithm, the most preferred topmost. RFC 8760 2.6: qop is always there.
        """
        return tuple(
            Challenge(
                realm=self._realm,
                nonce=self._nonces.issue(algorithm, now=now),
                algorithm=algorithm.value,
                qop=self._qop,
                stale=stale,
            )
            for algorithm in self._algorithms
        )

    def check(self, request: Request, *, now: float) -> Authentication:
        """Tell who sent a request; never call it for one that may not be challenged.

        Credentials are used up by it: ask once for each request.
        """
        findings: list[Finding] = []
        credentials = self._choose(request.headers, findings)
        if isinstance(credentials, Refusal):
            return _refused(credentials, findings)
        refusal = self._judge(credentials, request, findings, now)
        if refusal is not None:
            return _refused(refusal, findings)
        return Authenticated(user=credentials.username, findings=tuple(findings))

    def _choose(self, headers: Headers, findings: list[Finding]) -> Credentials | Refusal:
        """Give the first credentials for our realm, those with an algorithm of ours before others.

        There is never more than one response to compute, however many fields a request holds.
        """
        read, malformed = read_digest_fields(Credentials, headers, "Authorization", findings)
        ours = [credentials for credentials in read if credentials.realm == self._realm]
        if not ours:
            return Refusal.MALFORMED if malformed else Refusal.NO_CREDENTIALS
        return next((known for known in ours if Algorithm.named(known.algorithm) in self._algorithms), ours[0])

    def _judge(self, credentials: Credentials, request: Request, findings: list[Finding], now: float) -> Refusal | None:
        algorithm = Algorithm.named(credentials.algorithm)
        if algorithm is None or algorithm not in self._algorithms:
            return Refusal.ALGORITHM
        refusal = self._judge_form(credentials, algorithm, request.uri, findings)
        if refusal is not None:
            return refusal
        nonce = self._nonces.read(credentials.nonce, algorithm, now=now)
        if nonce is None:
            return Refusal.NONCE
        secret = self._lookup(credentials.username)
        ha1 = self._ha1(_NOBODY if secret is None else secret, credentials, algorithm, nonce)
        expected = credentials.expected_response(algorithm, ha1 or "", method=request.method, body=request.body)
        right = hmac.compare_digest(expected, credentials.response)
        if not right or secret is None or ha1 is None or credentials.userhash:
            return Refusal.WRONG
        first_ha1 = ha1 if algorithm.is_session else None
        count = None if credentials.qop is None else credentials.nonce_count
        if not self._nonces.spend(nonce, count, username=credentials.username, session_ha1=first_ha1, now=now):
            findings.append(finding("digest-replay", "Authorization"))
            return Refusal.REPLAYED
        return None

    def _judge_form(
        self, credentials: Credentials, algorithm: Algorithm, uri: str, findings: list[Finding]
    ) -> Refusal | None:
        if credentials.qop is None:
            findings.append(finding("digest-no-qop", "Authorization"))
            if not self._legacy:
                return Refusal.QOP
            if algorithm.is_session and credentials.cnonce is None:
                return Refusal.MALFORMED
        elif credentials.qop.lower() not in self._qop:
            return Refusal.QOP
        if not _is_same_uri(credentials.uri, uri):
            findings.append(finding("digest-other-uri", "Authorization"))
            if not self._any_uri:
                return Refusal.URI
        return None

    def _ha1(self, secret: Secret, credentials: Credentials, algorithm: Algorithm, nonce: Nonce) -> str | None:
        if algorithm.is_session:
            known = self._nonces.session_ha1(nonce, credentials.username)
            if known is not None:
                return known
        ha1 = secret.ha1(algorithm, credentials.username, self._realm)
        if ha1 is None or not algorithm.is_session:
            return ha1
        return session_ha1(algorithm, ha1, nonce=credentials.nonce, cnonce=credentials.cnonce or "")


def _refused(reason: Refusal, findings: list[Finding]) -> Unauthenticated:
    # RFC 7616 3.3: stale is for an invalid nonce only. One with a used count is invalid too: a client that always sends
    # the first count goes on with a new nonce, and whoever replays has no use for one.
    stale = reason in (Refusal.NONCE, Refusal.REPLAYED)
    return Unauthenticated(reason=reason, stale=stale, findings=tuple(findings))


@dataclass(slots=True)
class _Answered:
    """A challenge that is being answered."""

    challenge: Challenge
    algorithm: Algorithm
    ha1: str
    """Final, the `-sess` step included."""
    cnonce: str
    """One for the life of the nonce, as the `-sess` algorithms need it."""
    count: int = 0
    """Requests that were sent with the nonce."""


class Responder:
    """Answers challenges for one user (RFC 3261 sections 22.2 and 22.3), and later requests before they are challenged.

    What it has learnt belongs to one server: keep one for each dialog or each target.
    """

    __slots__ = ("_algorithms", "_answered", "_entropy", "_limit", "_realm", "_secret", "_username")

    def __init__(
        self,
        username: str,
        password: str | Secret,
        *,
        entropy: Entropy,
        realm: str | None = None,
        algorithms: Sequence[str] = ALGORITHMS,
        limits: Limits = Limits(),
    ) -> None:
        """Take who to be. With `realm` no other realm is answered; a secret that was made of hashes fits one only.

        Challenges with other than these `algorithms` are passed over. Raises ConfigurationError for an algorithm that
        is not known.
        """
        self._username = username
        self._secret = password if isinstance(password, Secret) else Secret(password)
        self._entropy = entropy
        self._realm = realm
        self._algorithms = frozenset(_checked_algorithms(algorithms))
        self._limit = limits.digest_realms
        self._answered: dict[tuple[str, str], _Answered] = {}

    def answer(
        self, response: Response, rejected: Request, *, findings: list[Finding] | None = None
    ) -> tuple[tuple[str, str], ...] | None:
        """Answer the challenges of a 401 or 407 to a request; None: give up.

        Gives the Authorization and Proxy-Authorization fields of the next attempt, which has the same method,
        Request-URI and body, and a CSeq that is one higher (RFC 3261 section 22.2); `set_credentials` writes them. The
        attempts for one request come to an end: there are at most two answers to one realm, and few realms.
        """
        if response.status not in (401, 407):
            return None
        found = [] if findings is None else findings
        learnt: dict[tuple[str, str], _Answered] = {}
        for asking, field in (("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization")):
            sent = {old.realm: old for old in read_digest_fields(Credentials, rejected.headers, field, [])[0]}
            for challenge, algorithm, ha1 in self._chosen(response.headers, asking, found):
                key = (field, challenge.realm)
                if not _may_retry(sent.get(challenge.realm), self._answered.get(key), challenge):
                    # RFC 3261 22.1: a client "MUST NOT re-attempt requests with the credentials that have just been
                    # rejected (though the request may be retried if the nonce was stale)".
                    self._answered.pop(key, None)
                    return None
                learnt[key] = self._begin(key, challenge, algorithm, ha1)
        if not learnt or len(self._answered.keys() | learnt.keys()) > self._limit:
            # A server with a new realm for each attempt would have the attempts go on for ever.
            return None
        self._answered |= learnt
        return self.authorise(rejected.method, rejected.uri, rejected.body)

    def authorise(self, method: str, uri: str, body: bytes = b"") -> tuple[tuple[str, str], ...]:
        """Give the credentials of a new request from all challenges that are known; empty before the first one."""
        return tuple(
            (field, str(self._credentials(answered, method, uri, body)))
            for (field, _), answered in self._answered.items()
        )

    def _chosen(
        self, headers: Headers, asking: str, findings: list[Finding]
    ) -> Iterator[tuple[Challenge, Algorithm, str]]:
        """Give for each realm the topmost challenge that we can answer (RFC 8760 section 2.4) with its H(A1)."""
        realms: set[str] = set()
        for challenge in read_digest_fields(Challenge, headers, asking, findings)[0]:
            algorithm = Algorithm.named(challenge.algorithm)
            if algorithm is None or algorithm not in self._algorithms:
                continue
            if challenge.realm in realms or self._realm not in (None, challenge.realm):
                continue
            if challenge.qop and _preferred_qop(challenge) is None:
                continue
            ha1 = self._secret.ha1(algorithm, self._username, challenge.realm)
            if ha1 is not None:
                realms.add(challenge.realm)
                yield challenge, algorithm, ha1

    def _begin(self, key: tuple[str, str], challenge: Challenge, algorithm: Algorithm, ha1: str) -> _Answered:
        known = self._answered.get(key)
        if known is not None and known.challenge.nonce == challenge.nonce and known.algorithm is algorithm:
            # RFC 7616 3.4: the nonce count goes on for as long as the nonce does.
            known.challenge = challenge
            return known
        cnonce = self._entropy(12).hex()
        if algorithm.is_session:
            ha1 = session_ha1(algorithm, ha1, nonce=challenge.nonce, cnonce=cnonce)
        return _Answered(challenge, algorithm, ha1, cnonce)

    def _credentials(self, answered: _Answered, method: str, uri: str, body: bytes) -> Credentials:
        challenge, algorithm = answered.challenge, answered.algorithm
        answered.count += 1
        qop = _preferred_qop(challenge)
        username = self._username
        if challenge.userhash:
            username = algorithm.hash(octets_of(f"{username}:{challenge.realm}"))
        unsigned = Credentials(
            username=username,
            realm=challenge.realm,
            nonce=challenge.nonce,
            uri=uri,
            response="",
            algorithm=challenge.algorithm,
            # RFC 2617 3.2.2: cnonce and nc "MUST NOT be specified" without qop; the -sess algorithms need a cnonce.
            cnonce=answered.cnonce if qop is not None or algorithm.is_session else None,
            opaque=challenge.opaque,
            qop=qop,
            nc=None if qop is None else f"{answered.count:08x}",
            userhash=challenge.userhash,
        )
        response = unsigned.expected_response(algorithm, answered.ha1, method=method, body=body)
        return replace(unsigned, response=response)


def set_credentials(headers: Headers, fields: Sequence[tuple[str, str]]) -> None:
    """Replace all credentials of a request by these."""
    for name in ("Authorization", "Proxy-Authorization"):
        headers.set_all(name, [value for field, value in fields if field == name])


def _may_retry(sent: Credentials | None, known: _Answered | None, challenge: Challenge) -> bool:
    """Tell whether a challenge deserves an answer, `sent` being the credentials that it rejects."""
    if sent is None:
        return True
    if sent.nonce == challenge.nonce or (known is not None and known.challenge.nonce == challenge.nonce):
        return False
    if sent.nonce_count is not None and sent.nonce_count > 1:
        # The nonce was accepted before: servers whose nonces are good for one request do not all say stale.
        return True
    # A nonce that is stale on its first use may have waited too long; a second one in a row has not.
    return challenge.stale and (known is None or not known.challenge.stale)


def _preferred_qop(challenge: Challenge) -> str | None:
    """Give `auth`, else `auth-int`, as far as offered; None when neither is."""
    offered = {option.lower() for option in challenge.qop}
    return next((option for option in _QOPS if option in offered), None)


def _checked_realm(realm: str) -> str:
    if _REALM.fullmatch(realm) is None:
        raise ConfigurationError("realm: has to be text without quotes, backslashes and control characters")
    return realm


def _checked_algorithms(names: Sequence[str]) -> tuple[Algorithm, ...]:
    known: list[Algorithm] = []
    for name in names:
        algorithm = Algorithm.named(name)
        if algorithm is None:
            raise ConfigurationError(f"algorithms: {name!r} is not known")
        known.append(algorithm)
    # RFC 8760 2.3: the challenges for one realm differ in their algorithms.
    if not known or len(set(known)) != len(known):
        raise ConfigurationError("algorithms: name at least one, and each once")
    return tuple(known)


def _is_same_uri(a: str, b: str) -> bool:
    """Compare as text, else by RFC 3261 section 19.1.4."""
    if a == b:
        return True
    try:
        return same_uri(SipUri.parse(a), SipUri.parse(b))
    except RemoteProtocolError:
        return False
