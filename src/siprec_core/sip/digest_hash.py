"""The arithmetic of Digest: algorithms, secrets and the response (RFC 7616 section 3.4, RFC 8760 section 2.1)."""

import hashlib
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Self

from siprec_core.errors import ConfigurationError

__all__ = ["Algorithm", "Secret", "digest_response", "octets_of", "session_ha1"]


class Algorithm(Enum):
    """A hash algorithm of RFC 8760 section 2.1; the value is its registered name."""

    SHA_512_256 = "SHA-512-256"
    SHA_512_256_SESS = "SHA-512-256-sess"
    SHA_256 = "SHA-256"
    SHA_256_SESS = "SHA-256-sess"
    MD5 = "MD5"
    MD5_SESS = "MD5-sess"

    @classmethod
    def named(cls, name: str | None) -> "Algorithm | None":
        """Give the algorithm of that name in any letter case; None when this interpreter cannot compute it.

        A challenge or credentials without a name mean MD5 (RFC 7616 section 3.3).
        """
        return cls.MD5 if name is None else _BY_NAME.get(name.lower())

    @property
    def is_session(self) -> bool:
        """True for the `-sess` variants, whose A1 holds the nonce and cnonce too."""
        return self.value.endswith("-sess")

    @property
    def base(self) -> "Algorithm":
        """The algorithm without `-sess`: the one that H(A1) of a stored secret is made with."""
        return Algorithm(self.value.removesuffix("-sess"))

    @property
    def hash_size(self) -> int:
        """Length of its hashes in hexadecimal digits."""
        return 32 if self in (Algorithm.MD5, Algorithm.MD5_SESS) else 64

    def hash(self, data: bytes) -> str:
        """Give H(data) in lower-case hexadecimal digits."""
        return _HASHES[self](data)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha_256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha_512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


_HASHES: dict[Algorithm, Callable[[bytes], str]] = {
    Algorithm.SHA_256: _sha_256,
    Algorithm.SHA_256_SESS: _sha_256,
    Algorithm.MD5: _md5,
    Algorithm.MD5_SESS: _md5,
}
if "sha512_256" in hashlib.algorithms_available:  # not every build of OpenSSL has it
    _HASHES |= {Algorithm.SHA_512_256: _sha_512_256, Algorithm.SHA_512_256_SESS: _sha_512_256}
_BY_NAME = {algorithm.value.lower(): algorithm for algorithm in _HASHES}

_HEXADECIMAL = re.compile("[0-9a-f]+")


class Secret:
    """What proves a user: a password, or H(A1) for some algorithms, so that no password has to be kept.

    It never shows itself: not in `repr`, not in `str`, not in a dataclass that holds it.
    """

    __slots__ = ("_hashes", "_password")

    def __init__(self, password: str) -> None:
        self._password: bytes | None
        self._hashes: Mapping[Algorithm, str] = {}
        try:
            self._password = password.encode("utf-8")
        except UnicodeEncodeError:
            # The cause would show the password.
            raise ConfigurationError("a password holds text that is no Unicode") from None

    @classmethod
    def from_hashes(cls, hashes: Mapping[str, str]) -> Self:
        """Take H(A1), the hash of `user:realm:password`, by the name of its algorithm (no `-sess` variants).

        Such a secret fits one user name and one realm (RFC 7616 section 5.2). Raises ConfigurationError for an
        algorithm that is not known and for a value that is no such hash.
        """
        known: dict[Algorithm, str] = {}
        for name, value in hashes.items():
            algorithm = Algorithm.named(name)
            if algorithm is None or algorithm.is_session:
                raise ConfigurationError(f"{name!r} is no algorithm to keep a digest secret in")
            value = value.lower()
            if len(value) != algorithm.hash_size or _HEXADECIMAL.fullmatch(value) is None:
                raise ConfigurationError(f"a digest secret is no {name} hash")
            known[algorithm] = value
        made = cls.__new__(cls)
        made._password = None  # noqa: SLF001 - an object of this class
        made._hashes = known  # noqa: SLF001
        return made

    def ha1(self, algorithm: Algorithm, username: str, realm: str) -> str | None:
        """Give H(A1) without the `-sess` step; None when only hashes of other algorithms are kept."""
        if self._password is None:
            return self._hashes.get(algorithm.base)
        return algorithm.hash(octets_of(f"{username}:{realm}:") + self._password)

    def __repr__(self) -> str:
        return "Secret(...)"


def octets_of(text: str) -> bytes:
    """Give the octets of a field's text as they were on the wire: these are what is hashed."""
    return text.encode("utf-8", "surrogateescape")


def session_ha1(algorithm: Algorithm, ha1: str, *, nonce: str, cnonce: str) -> str:
    """Give H(A1) of a `-sess` algorithm, made of the nonce and cnonce of its first use (RFC 7616 section 3.4.2)."""
    return algorithm.hash(octets_of(f"{ha1}:{nonce}:{cnonce}"))


def digest_response(
    algorithm: Algorithm,
    ha1: str,
    *,
    nonce: str,
    method: str,
    uri: str,
    qop: str | None = None,
    nc: str | None = None,
    cnonce: str | None = None,
    body: bytes = b"",
) -> str:
    """Give the response of RFC 7616 section 3.4.1; without `qop` that of RFC 2069.

    `ha1` is the final H(A1), the `-sess` step included. `qop`, `nc` and `uri` are hashed as they are written. `body`
    is hashed for auth-int only; an empty one counts as an empty text (RFC 8760 section 2.6).
    """
    a2 = f"{method}:{uri}"
    if qop is None:
        return algorithm.hash(octets_of(f"{ha1}:{nonce}:{algorithm.hash(octets_of(a2))}"))
    if qop.lower() == "auth-int":
        a2 = f"{a2}:{algorithm.hash(body)}"
    return algorithm.hash(octets_of(f"{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{algorithm.hash(octets_of(a2))}"))
