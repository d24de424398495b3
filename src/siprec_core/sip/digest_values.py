"""Challenges and credentials of the Digest scheme as values (RFC 7616 sections 3.3 and 3.4, RFC 8760).

Of these fields each holds one challenge or one set of credentials: commas separate parameters here, nothing else
(RFC 3261 section 7.3.1). Other schemes are kept apart as `OtherScheme`; Basic is one of them, SIP has no use for it
(RFC 8760 section 2.6).
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Self, TypeVar

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.sip.digest_hash import Algorithm, digest_response
from siprec_core.sip.grammar import BLANKS, QUOTED_STRING, TOKEN_CLASS, is_token, quote, unescape, unquote
from siprec_core.sip.headers import Headers

__all__ = ["Challenge", "Credentials", "OtherScheme", "other_scheme", "read_digest_fields"]

_SCHEME = re.compile(rf"({TOKEN_CLASS}++)(?:[ \t]++(.*))?", re.DOTALL)
_PARAMETER = re.compile(
    rf"({TOKEN_CLASS}++)[ \t]*+=[ \t]*+({QUOTED_STRING}|[^ \t\",]++)[ \t]*+(?:,[ \t,]*+|\Z)", re.DOTALL
)
_UNFIT = re.compile("[\r\n\x00\ud800-\udc7f\udd00-\udfff]")
"""What no field value holds."""
_RESPONSE = re.compile("[0-9a-f]{32}|[0-9a-f]{64}")
_NONCE_COUNT = re.compile("[0-9A-Fa-f]{8}")
_EXTENDED = re.compile(r"UTF-8'[A-Za-z0-9\-]*+'((?:[A-Za-z0-9!#$&+\-.^_`|~]|%[0-9A-Fa-f]{2})*+)", re.IGNORECASE)

_QUOTED_IN_CHALLENGE = frozenset(("realm", "domain", "nonce", "opaque", "qop"))
_BARE_IN_CHALLENGE = frozenset(("stale", "algorithm", "userhash"))
_QUOTED_IN_CREDENTIALS = frozenset(("username", "realm", "nonce", "uri", "response", "cnonce", "opaque"))
_BARE_IN_CREDENTIALS = frozenset(("username*", "algorithm", "qop", "nc", "userhash"))

ValueT = TypeVar("ValueT", "Challenge", "Credentials")
OtherParameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class OtherScheme:
    """A challenge or credentials of a scheme that is not Digest (RFC 4475 section 3.3.7)."""

    scheme: str
    """As written; compares without regard to case."""
    content: str = dataclass_field(repr=False)
    """What stands behind the scheme; it may be a secret and stays out of `repr`."""

    def __str__(self) -> str:
        return f"{self.scheme} {self.content}" if self.content else self.scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What WWW-Authenticate or Proxy-Authenticate asks for (RFC 7616 section 3.3). Values are without quotes."""

    realm: str
    nonce: str
    algorithm: str | None = None
    """As written, known to us or not; None means MD5 (see `Algorithm.named`)."""
    qop: tuple[str, ...] = ()
    """Qualities of protection on offer, as written; empty from a peer of before RFC 2617."""
    opaque: str | None = None
    """To be sent back as it is."""
    stale: bool = False
    """True when only the nonce was refused: the same user and password may be tried again."""
    domain: str | None = None
    """Has no meaning for a user agent server (RFC 3261 section 20.44)."""
    userhash: bool = False
    """True when the user name shall be sent hashed (RFC 7616 section 3.4.4)."""
    others: OtherParameters = ()
    """Parameters that mean nothing to us, in order, values in wire form."""

    @classmethod
    def parse(cls, text: str, *, field: str = "WWW-Authenticate", findings: list[Finding] | None = None) -> Self:
        """Read a challenge. Raises RemoteProtocolError, also for another scheme; see `other_scheme`."""
        known, others = _read(_content(text, field), _QUOTED_IN_CHALLENGE, _BARE_IN_CHALLENGE, field, findings)
        qop = tuple(option for part in known.get("qop", "").split(",") if (option := part.strip(BLANKS)))
        if not all(is_token(option) for option in qop):
            raise RemoteProtocolError("malformed qop", field=field)
        return cls(
            realm=_required(known, "realm", field),
            nonce=_required(known, "nonce", field),
            algorithm=known.get("algorithm"),
            qop=qop,
            opaque=known.get("opaque"),
            stale=_is_true(known, "stale"),
            domain=known.get("domain"),
            userhash=_is_true(known, "userhash"),
            others=others,
        )

    def __str__(self) -> str:
        written = [f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}"]
        if self.domain is not None:
            written.append(f"domain={quote(self.domain)}")
        if self.opaque is not None:
            written.append(f"opaque={quote(self.opaque)}")
        if self.stale:
            written.append("stale=true")
        if self.algorithm is not None:
            written.append(f"algorithm={self.algorithm}")
        if self.qop:
            written.append(f'qop="{",".join(self.qop)}"')
        if self.userhash:
            written.append("userhash=true")
        return _write(written, self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What Authorization or Proxy-Authorization answers (RFC 7616 section 3.4). Values are without quotes.

    What would help to guess the password stays out of `repr`.
    """

    username: str
    """Plain or, with `userhash`, hashed."""
    realm: str
    nonce: str
    uri: str
    """The Request-URI as the client wrote it."""
    response: str = dataclass_field(repr=False)
    """32 or 64 lower-case hexadecimal digits."""
    algorithm: str | None = None
    """As written, known to us or not; None means MD5 (see `Algorithm.named`)."""
    cnonce: str | None = dataclass_field(default=None, repr=False)
    """The client's nonce; there whenever `qop` is."""
    opaque: str | None = None
    qop: str | None = None
    """As written; None from a peer of before RFC 2617."""
    nc: str | None = None
    """Nonce count: eight hexadecimal digits as written; there whenever `qop` is."""
    userhash: bool = False
    others: OtherParameters = ()
    """Parameters that mean nothing to us, in order, values in wire form."""

    @classmethod
    def parse(cls, text: str, *, field: str = "Authorization", findings: list[Finding] | None = None) -> Self:
        """Read credentials. Raises RemoteProtocolError, also for another scheme; see `other_scheme`."""
        known, others = _read(_content(text, field), _QUOTED_IN_CREDENTIALS, _BARE_IN_CREDENTIALS, field, findings)
        made = cls(
            username=_username(known, field),
            realm=_required(known, "realm", field),
            nonce=_required(known, "nonce", field),
            uri=_required(known, "uri", field),
            response=_required(known, "response", field),
            algorithm=known.get("algorithm"),
            cnonce=known.get("cnonce"),
            opaque=known.get("opaque"),
            qop=known.get("qop"),
            nc=known.get("nc"),
            userhash=_is_true(known, "userhash"),
            others=others,
        )
        if _RESPONSE.fullmatch(made.response) is None:
            raise RemoteProtocolError("the response is no hash in lower-case hexadecimal digits", field=field)
        if made.nc is not None and _NONCE_COUNT.fullmatch(made.nc) is None:
            # RFC 7616 3.4: "nc-value = 8LHEX"; digits in upper case do no harm.
            raise RemoteProtocolError("the nonce count is not made of eight hexadecimal digits", field=field)
        if made.qop is not None and (made.nc is None or made.cnonce is None):
            raise RemoteProtocolError("qop without nc or cnonce", field=field)
        return made

    @property
    def nonce_count(self) -> int | None:
        """The number that `nc` writes; None without it."""
        return None if self.nc is None else int(self.nc, 16)

    def expected_response(self, algorithm: Algorithm, ha1: str, *, method: str, body: bytes) -> str:
        """Give the response that a request has with these credentials; `ha1` includes the `-sess` step."""
        return digest_response(
            algorithm,
            ha1,
            nonce=self.nonce,
            method=method,
            uri=self.uri,
            qop=self.qop,
            nc=self.nc,
            cnonce=self.cnonce,
            body=body,
        )

    def __str__(self) -> str:
        written = [f"username={quote(self.username)}", f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}"]
        # RFC 8760 2.6: the value of `uri` is enclosed in quotes; RFC 7616 3.4: those of algorithm, qop and nc are not.
        written += [f"uri={quote(self.uri)}", f"response={quote(self.response)}"]
        if self.algorithm is not None:
            written.append(f"algorithm={self.algorithm}")
        if self.cnonce is not None:
            written.append(f"cnonce={quote(self.cnonce)}")
        if self.opaque is not None:
            written.append(f"opaque={quote(self.opaque)}")
        if self.qop is not None:
            written.append(f"qop={self.qop}")
        if self.nc is not None:
            written.append(f"nc={self.nc}")
        if self.userhash:
            written.append("userhash=true")
        return _write(written, self.others)


def other_scheme(text: str, *, field: str = "Authorization") -> OtherScheme | None:
    """Give what a field value holds when it is not of the Digest scheme, else None.

    Raises RemoteProtocolError when there is no scheme.
    """
    scheme, content = _split(text, field)
    return None if scheme.lower() == "digest" else OtherScheme(scheme, content)


def read_digest_fields(
    kind: type[ValueT], headers: Headers, field: str, findings: list[Finding]
) -> tuple[list[ValueT], bool]:
    """Read all fields of a name; tells too whether one is malformed. Other schemes give findings only."""
    found: list[ValueT] = []
    malformed = False
    for text in headers.get_all(field):
        try:
            if other_scheme(text, field=field) is None:
                found.append(kind.parse(text, field=field, findings=findings))
            else:
                findings.append(finding("digest-other-scheme", field))
        except RemoteProtocolError as error:
            malformed = True
            findings.append(finding("digest-malformed", field, error.message))
    return found, malformed


def _content(text: str, field: str) -> str:
    scheme, content = _split(text, field)
    if scheme.lower() != "digest":
        raise RemoteProtocolError("the scheme is not Digest", field=field)
    return content


def _split(text: str, field: str) -> tuple[str, str]:
    """Give the scheme and what stands behind it."""
    match = _SCHEME.fullmatch(text.strip(BLANKS))
    if match is None or _UNFIT.search(text) is not None:
        raise RemoteProtocolError("no authentication scheme", field=field)
    return match[1], match[2] or ""


def _read(
    text: str, quoted: Collection[str], bare: Collection[str], field: str, findings: list[Finding] | None
) -> tuple[dict[str, str], OtherParameters]:
    """Read `name=value, ...`: the values of known names without quotes, and the rest in wire form."""
    known: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    names: set[str] = set()
    misquoted: list[str] = []
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise RemoteProtocolError("not a parameter", field=field, offset=position)
        position = match.end()
        name, raw = match[1].lower(), match[2]
        if name in names:
            # RFC 7235 2.1: "each parameter name MUST only occur once"; two elements must not read two values.
            raise RemoteProtocolError("a parameter is repeated", field=field, offset=match.start())
        names.add(name)
        if name not in quoted and name not in bare:
            others.append((match[1], raw))
            continue
        value = known[name] = unquote(raw)
        if (raw[0] == '"') != (name in quoted):
            misquoted.append(name)
        if name in bare and name != "username*" and not is_token(value):
            raise RemoteProtocolError(f"the value of {name} is no token", field=field, offset=match.start())
    if misquoted and findings is not None:
        findings.append(finding("digest-quoting", field, f"quotes too many or too few: {', '.join(misquoted)}"))
    return known, tuple(others)


def _required(known: dict[str, str], name: str, field: str) -> str:
    value = known.get(name)
    if value is None:
        raise RemoteProtocolError(f"{name} is missing", field=field)
    return value


def _is_true(known: dict[str, str], name: str) -> bool:
    # RFC 7616 3.3: a flag in any letter case; anything else means false.
    return known.get(name, "").lower() == "true"


def _username(known: dict[str, str], field: str) -> str:
    """Give the user name, of whichever of `username` and the extended notation `username*` there is."""
    extended = known.get("username*")
    if extended is None:
        return _required(known, "username", field)
    match = _EXTENDED.fullmatch(extended)
    # RFC 7616 3.4: one of the two at a time, and the extended notation never for a hashed user name.
    if match is None or "username" in known or _is_true(known, "userhash"):
        raise RemoteProtocolError("malformed or doubled user name", field=field)
    username = unescape(match[1])
    if _UNFIT.search(username) is not None:
        raise RemoteProtocolError("malformed user name", field=field)
    return username


def _write(written: Iterable[str], others: OtherParameters) -> str:
    return "Digest " + ", ".join([*written, *(f"{name}={raw}" for name, raw in others)])
