"""Keys of SRTP in session descriptions: `a=crypto` (RFC 4568), read, chosen, checked and written.

Nothing here encrypts, and nothing here makes a key: keys are given by the caller. They never stand in a message or in
the `repr` of a value.
"""

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from siprec_core.errors import LocalProtocolError


class SrtpPolicy(Enum):
    """Whether media may, must or must not be encrypted."""

    OFF = "off"
    """Lines of a secure profile are refused."""
    ALLOW = "allow"
    """Each line as it is offered."""
    REQUIRE = "require"
    """Lines without encryption are refused."""


class CryptoSuite(NamedTuple):
    """A crypto suite: what it is called and how long its keys are."""

    name: str
    key_size: int
    """Octets of the master key."""
    salt_size: int
    """Octets of the master salt, which follows the key in `inline:`."""

    @property
    def size(self) -> int:
        """Octets of master key and salt together."""
        return self.key_size + self.salt_size


SUITES: Final = {
    suite.name: suite
    for suite in (
        CryptoSuite("AEAD_AES_256_GCM", 32, 12),
        CryptoSuite("AEAD_AES_128_GCM", 16, 12),
        CryptoSuite("AES_256_CM_HMAC_SHA1_80", 32, 14),
        CryptoSuite("AES_192_CM_HMAC_SHA1_80", 24, 14),
        CryptoSuite("AES_CM_128_HMAC_SHA1_80", 16, 14),
        CryptoSuite("AES_256_CM_HMAC_SHA1_32", 32, 14),
        CryptoSuite("AES_192_CM_HMAC_SHA1_32", 24, 14),
        CryptoSuite("AES_CM_128_HMAC_SHA1_32", 16, 14),
        CryptoSuite("F8_128_HMAC_SHA1_80", 16, 14),
    )
}
"""The suites of RFC 4568 section 6.2, RFC 6188 section 4 and RFC 7714 section 14, strongest first."""
PREFERRED_SUITES: Final = tuple(name for name in SUITES if not name.startswith("F8_"))
"""What is chosen among unless the caller says otherwise, most wanted first."""


@dataclass(frozen=True, slots=True)
class InlineKey:
    """One `inline:` key (RFC 4568 section 6.1)."""

    key: bytes = field(repr=False)
    """Master key and master salt, one behind the other."""
    lifetime: int | None = None
    """Packets that the key may protect; None means the most that the suite allows."""
    mki: int | None = None
    """Master key identifier that the packets carry, None when they carry none."""
    mki_size: int = 0
    """Octets of the identifier in a packet, 1 to 128; 0 without one."""

    def __str__(self) -> str:
        lifetime = "" if self.lifetime is None else f"|{_lifetime_text(self.lifetime)}"
        mki = "" if self.mki is None else f"|{self.mki}:{self.mki_size}"
        return f"inline:{b64encode(self.key).decode('ascii')}{lifetime}{mki}"


@dataclass(frozen=True, slots=True)
class CryptoAttribute:
    """The value of one `a=crypto` (RFC 4568 section 4)."""

    tag: int
    """Names the attribute within its media section; an answer repeats the tag that it accepts."""
    suite: str
    """Name of the crypto suite; `SUITES` has the known ones."""
    keys: tuple[InlineKey, ...]
    """At least one; several only with identifiers (RFC 4568 section 6.1)."""
    parameters: tuple[str, ...] = field(default=(), repr=False)
    """Session parameters as written, for example `WSH=64` (RFC 4568 section 6.3); `FEC_KEY` holds a key too."""

    def __str__(self) -> str:
        return " ".join((str(self.tag), self.suite, ";".join(map(str, self.keys)), *self.parameters))

    def parameter(self, name: str) -> str | None:
        """Give what stands behind the `=` of a session parameter, empty without one; None when it is not there."""
        for text in self.parameters:
            key, _, value = text.partition("=")
            if key == name:
                return value
        return None

    @property
    def window_size(self) -> int:
        """Packets that the sender wants its receiver to remember against replay (`WSH`), at least 64."""
        return int(self.parameter("WSH") or _LEAST_WINDOW)

    @property
    def key_derivation_rate(self) -> int:
        """Packets after which session keys are derived anew (`KDR`), a power of two; 0 means once."""
        rate = self.parameter("KDR")
        return 0 if not rate or rate == "0" else 1 << int(rate)

    @property
    def is_weakened(self) -> bool:
        """True when encryption or authentication is switched off (RFC 4568 section 6.3.2)."""
        return any(self.parameter(name) is not None for name in _WEAKENING)

    def same_keying(self, other: "CryptoAttribute | None") -> bool:
        """Tell whether suite, keys and parameters are equal: a context then goes on, whatever the tag."""
        return other is not None and (self.suite, self.keys, self.parameters) == (
            other.suite,
            other.keys,
            other.parameters,
        )


class CryptoReading(NamedTuple):
    """An `a=crypto` value as far as it could be read."""

    attribute: CryptoAttribute | None
    """None when RFC 4568 makes the attribute invalid: it is then as if it were not there."""
    deviation: str | None
    """What is wrong or had to be tolerated, without any part of a key."""
    tag: str | None = None
    """The tag as written, None when there is none."""


SECURE_RTP: Final = frozenset(("RTP/SAVP", "RTP/SAVPF"))
"""The transport protocols, in capitals, whose keys are in `a=crypto` (RFC 4568 section 1, RFC 5124)."""
_LEAST_WINDOW: Final = 64
_WEAKENING: Final = ("UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP")
_UNSUPPORTED: Final = ("FEC_ORDER", "FEC_KEY")
_LONGEST_LIFETIME: Final = 1 << 48
"""Packets under one master key (RFC 3711 section 9.2)."""
_CRYPTO = re.compile(r"\s*([0-9]{1,9})\s+([A-Za-z0-9_]{1,64})\s+(\S+)\s*(.*)", re.DOTALL)
_LIFETIME = re.compile(r"2\^([0-9]{1,2})|([0-9]{1,15})")
_MKI = re.compile(r"([0-9]{1,20}):([0-9]{1,3})")
_SESSION_PARAMETER = re.compile(
    r"KDR=(?:[0-9]|1[0-9]|2[0-4])|UNENCRYPTED_SRTCP|UNENCRYPTED_SRTP|UNAUTHENTICATED_SRTP"
    r"|FEC_ORDER=(?:FEC_SRTP|SRTP_FEC)|FEC_KEY=inline:\S+|WSH=[0-9]{2,9}|-\S+"
)
_NAME = re.compile(r"[A-Z_]{1,32}")
"""What is told of a malformed parameter: anything longer or in small letters could be part of a key."""
_KEYS: Final = 16
"""Keys of one attribute that are read."""


def read_crypto(value: str) -> CryptoReading:
    """Read an `a=crypto` value; never raises. A line that RFC 4568 section 6.1 makes invalid gives no attribute."""
    match = _CRYPTO.fullmatch(value)
    if match is None:
        return CryptoReading(None, "not <tag> <suite> inline:<key>")
    tag, suite, key_text, rest = match.groups()
    parameters = tuple(rest.split())
    known = SUITES.get(suite)
    keys: list[InlineKey] = []
    tolerated: str | None = None
    texts = key_text.split(";")
    if len(texts) > _KEYS:
        return CryptoReading(None, f"more than {_KEYS} keys", tag)
    for text in texts:
        key, deviation = _read_key(text, known)
        if key is None:
            return CryptoReading(None, deviation, tag)
        tolerated = tolerated or deviation
        keys.append(key)
    deviation = _keys_deviation(keys) or _parameters_deviation(parameters)
    if deviation is not None:
        return CryptoReading(None, deviation, tag)
    return CryptoReading(CryptoAttribute(int(tag), suite, tuple(keys), parameters), tolerated, tag)


def read_crypto_lines(values: Iterable[str]) -> tuple[CryptoAttribute, ...]:
    """Give the valid attributes of a media section in their order, each tag once (RFC 4568 section 5.1.1)."""
    attributes: dict[int, CryptoAttribute] = {}
    for value in values:
        attribute = read_crypto(value).attribute
        if attribute is not None:
            attributes.setdefault(attribute.tag, attribute)
    return tuple(attributes.values())


def _read_key(text: str, suite: CryptoSuite | None) -> tuple[InlineKey | None, str | None]:
    """Read one `inline:<key||salt>["|" lifetime]["|" MKI ":" length]`; no key when it is invalid."""
    method, _, info = text.partition(":")
    if method != "inline":
        return None, "no inline: in front of the key"
    encoded, *rest = info.split("|")
    missing = -len(encoded) % 4
    tolerated = "the padding of the key is missing" if missing else None
    try:
        key = a2b_base64(encoded + "=" * missing, strict_mode=True)
    except (Base64Error, ValueError):
        return None, "the key is not base64"
    if not key or (suite is not None and len(key) != suite.size):
        # RFC 4568 6.1: "the length ... MUST be ... the length required by the crypto-suite", else the line is invalid.
        return None, f"the key has {len(key)} octets" + ("" if suite is None else f", {suite.name} wants {suite.size}")
    lifetime: int | None = None
    if rest and ":" not in rest[0]:
        lifetime = _read_lifetime(rest.pop(0))
        if lifetime is None:
            return None, "malformed key lifetime"
    if not rest:
        return InlineKey(key, lifetime), tolerated
    match = _MKI.fullmatch(rest[0])
    if len(rest) > 1 or match is None or not 0 < int(match[2]) <= 128 or int(match[1]) >= 1 << (8 * int(match[2])):
        return None, "malformed key identifier"
    return InlineKey(key, lifetime, int(match[1]), int(match[2])), tolerated


def _read_lifetime(text: str) -> int | None:
    match = _LIFETIME.fullmatch(text)
    if match is None:
        return None
    packets = 1 << int(match[1]) if match[1] else int(match[2])
    return packets if 0 < packets <= _LONGEST_LIFETIME else None


def _lifetime_text(packets: int) -> str:
    exponent = packets.bit_length() - 1
    return f"2^{exponent}" if packets == 1 << exponent else str(packets)


def _keys_deviation(keys: Sequence[InlineKey]) -> str | None:
    """Several keys are told apart by their identifiers, which are all of one length (RFC 4568 section 6.1)."""
    if len(keys) == 1:
        return None
    if any(key.mki is None for key in keys) or len({key.mki for key in keys}) < len(keys):
        return "several keys without identifiers of their own"
    return None if len({key.mki_size for key in keys}) == 1 else "key identifiers of different lengths"


def _parameters_deviation(parameters: tuple[str, ...]) -> str | None:
    for text in parameters:
        name = text.partition("=")[0]
        if _SESSION_PARAMETER.fullmatch(text) is None:
            # RFC 4568 6.3.7: an unknown parameter without "-" in front makes the attribute invalid.
            return "unknown or malformed session parameter" + (f" {name}" if _NAME.fullmatch(name) else "")
        if name == "WSH" and int(text.partition("=")[2]) < _LEAST_WINDOW:
            return f"a window of fewer than {_LEAST_WINDOW} packets"
    names = [text.partition("=")[0] for text in parameters if text[0] != "-"]
    return None if len(set(names)) == len(names) else "a session parameter stands twice"


def choose_crypto(
    attributes: Iterable[CryptoAttribute], *, suites: Sequence[str] = PREFERRED_SUITES
) -> CryptoAttribute | None:
    """Choose one offered attribute (RFC 4568 section 5.1.2): the first of `suites` that is offered; None without one.

    Attributes that switch protection off, derive keys anew or mix in forward error correction are passed over.
    """
    usable: dict[str, CryptoAttribute] = {}
    for attribute in attributes:
        unsupported = any(attribute.parameter(name) is not None for name in _UNSUPPORTED)
        if attribute.suite in SUITES and not (attribute.is_weakened or attribute.key_derivation_rate or unsupported):
            usable.setdefault(attribute.suite, attribute)
    return next((usable[name] for name in suites if name in usable), None)


def answer_crypto(offered: CryptoAttribute, key: InlineKey) -> CryptoAttribute:
    """Give the attribute that accepts `offered` with a key of ours.

    RFC 4568 5.1.2: the answer has the tag and the suite of the accepted attribute and "its own" key. Raises
    LocalProtocolError for a key of another length than the suite's, and for the offerer's key.
    """
    if any(key.key == other.key for other in offered.keys):
        raise LocalProtocolError("the key of an answer must not be that of the offer")
    answer = CryptoAttribute(offered.tag, offered.suite, (key,))
    check_crypto(answer)
    return answer


def offer_crypto(keys: Sequence[tuple[str, InlineKey]]) -> tuple[CryptoAttribute, ...]:
    """Give the attributes of an offered line from suites and keys, most wanted first; tags count from 1.

    Raises LocalProtocolError for a suite that is not known and for a key of the wrong length.
    """
    attributes = tuple(CryptoAttribute(tag, suite, (key,)) for tag, (suite, key) in enumerate(keys, 1))
    for attribute in attributes:
        check_crypto(attribute)
    return attributes


def check_crypto(attribute: CryptoAttribute) -> None:
    """Check an attribute of ours before it is written. Raises LocalProtocolError for one that would be invalid."""
    if attribute.suite not in SUITES:
        raise LocalProtocolError(f"unknown crypto suite {attribute.suite!r}")
    deviation = read_crypto(str(attribute)).deviation
    if deviation is not None:
        raise LocalProtocolError(f"a=crypto: {deviation}")


def check_fresh_keys(lines: Iterable[Collection[CryptoAttribute]]) -> None:
    """Check that no master key stands in two places (RFC 3711 section 9.1: no two-time pad).

    Raises LocalProtocolError for a key that does.
    """
    keys = [key.key for attributes in lines for attribute in attributes for key in attribute.keys]
    if len(set(keys)) < len(keys):
        raise LocalProtocolError("a master key is used twice")


def accepted_crypto(offered: Iterable[CryptoAttribute], answered: Sequence[CryptoAttribute]) -> CryptoAttribute | None:
    """Give the one offered attribute that an answer accepts by tag and suite, None when it accepts none or several.

    RFC 4568 5.1.3: an answer whose tag or suite was not offered makes the negotiation fail.
    """
    if len(answered) != 1:
        return None
    (answer,) = answered
    return next((each for each in offered if (each.tag, each.suite) == (answer.tag, answer.suite)), None)
