"""The ciphers of SRTP, by pylibsrtp of the extra `srtp`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Final, Protocol

from siprec_core.errors import ConfigurationError
from siprec_core.media.encryption import CryptoContext, CryptoFailure, MasterKey
from siprec_core.recording.call import CallSpec, ClientConfig
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SrtpPolicy

_MISSING: Final = "SRTP is not installed: pip install 'siprec[srtp]'"
_LONGEST: Final = 1_500
"""Octets of the longest packet that pylibsrtp opens."""
_FAILURES: Final = {
    "authentication failure": CryptoFailure.AUTHENTICATION,
    "cipher failure": CryptoFailure.AUTHENTICATION,
    "replay check failed (bad index)": CryptoFailure.REPLAY,
    "replay check failed (index too old)": CryptoFailure.REPLAY,
    "packet index is too old to consider": CryptoFailure.REPLAY,
}


class PylibsrtpProvider:
    """Makes cryptographic contexts with libsrtp. Raises ConfigurationError when pylibsrtp is not installed."""

    def __init__(self) -> None:
        if not is_installed():
            raise ConfigurationError(_MISSING)
        from pylibsrtp import Error, Policy, Session

        self._error = Error
        self._policy = Policy
        self._session = Session
        self._profiles = {
            "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
            "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
            "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
            "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
        }

    @property
    def suites(self) -> tuple[str, ...]:
        """Names of the crypto suites that contexts can be made for."""
        return tuple(self._profiles)

    def context(self, key: MasterKey, *, sending: bool) -> CryptoContext:
        """Make a context, to protect when `sending`, else to unprotect."""
        policy = self._policy(
            key=key.key,
            ssrc_type=self._policy.SSRC_ANY_OUTBOUND if sending else self._policy.SSRC_ANY_INBOUND,
            srtp_profile=self._profiles[key.suite],
        )
        policy.window_size = key.window_size
        return _Context(self._session(policy), self._error)


class _Session(Protocol):
    """What is used of a session of pylibsrtp."""

    def unprotect(self, packet: bytes) -> bytes: ...

    def unprotect_rtcp(self, packet: bytes) -> bytes: ...

    def protect(self, packet: bytes) -> bytes: ...

    def protect_rtcp(self, packet: bytes) -> bytes: ...


class _Context:
    """One libsrtp session: it keeps rollover counters and replay lists by SSRC."""

    __slots__ = ("_error", "_session")

    def __init__(self, session: _Session, error: type[Exception]) -> None:
        self._session = session
        self._error = error

    def unprotect(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the RTP packet within an SRTP packet."""
        return self._call(self._session.unprotect, packet)

    def unprotect_all(self, packets: Sequence[bytes]) -> list[bytes | CryptoFailure]:
        """Give the RTP packets within SRTP packets: what each costs besides libsrtp counts."""
        unprotect = self._session.unprotect
        opened: list[bytes | CryptoFailure] = []
        for packet in packets:
            try:
                opened.append(unprotect(packet))
            except (ValueError, self._error) as error:
                opened.append(_failure(error))
        return opened

    def unprotect_rtcp(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the RTCP packet within an SRTCP packet."""
        return self._call(self._session.unprotect_rtcp, packet)

    def protect(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the SRTP packet for an RTP packet."""
        return self._call(self._session.protect, packet)

    def protect_rtcp(self, packet: bytes) -> bytes | CryptoFailure:
        """Give the SRTCP packet for an RTCP packet."""
        return self._call(self._session.protect_rtcp, packet)

    def _call(self, function: Callable[[bytes], bytes], packet: bytes) -> bytes | CryptoFailure:
        if len(packet) > _LONGEST:
            return CryptoFailure.MALFORMED
        try:
            return function(packet)
        except (ValueError, self._error) as error:
            return _failure(error)


def _failure(error: Exception) -> CryptoFailure:
    # ValueError tells of a packet that is too long.
    return _FAILURES.get(str(error), CryptoFailure.MALFORMED)


def is_installed() -> bool:
    """Tell whether pylibsrtp is there."""
    return find_spec("pylibsrtp") is not None


def with_server_ciphers(config: ServerConfig) -> ServerConfig:
    """Give a configuration the ciphers that it lacks.

    Raises ConfigurationError when it requires encryption and the extra `srtp` is not installed; where it only allows
    encryption, the server refuses encrypted lines with a finding.
    """
    if config.crypto is not None or config.srtp is SrtpPolicy.OFF:
        return config
    if not is_installed() and config.srtp is SrtpPolicy.ALLOW:
        return config
    return replace(config, crypto=PylibsrtpProvider())


def with_client_ciphers(config: ClientConfig, call: CallSpec) -> ClientConfig:
    """Give a configuration the ciphers that a call wants; raises ConfigurationError when they are not installed."""
    if config.crypto is not None or not call.srtp:
        return config
    return replace(config, crypto=PylibsrtpProvider())
