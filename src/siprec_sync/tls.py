"""TLS: contexts that follow RFC 9325, and a channel that turns ciphertext into plaintext without doing I/O.

RFC 7866 section 12 wants SIP over TLS; RFC 5922 says whose name the certificate must show.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from siprec_core.errors import ConfigurationError, SiprecError
from siprec_sync.tls_identity import DomainContext, identities, is_for

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and authenticated encryption only (RFC 9325 section 4.2); TLS 1.3 suites are always on."""
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_READ_SIZE = 64 * 1024


class TlsError(SiprecError):
    """The TLS layer of one connection failed; the connection is of no further use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The PEM files of a TLS endpoint."""

    certificate: Path | str | None = None
    """Our certificate and its chain."""
    key: Path | str | None = None
    """Its private key; None when it stands in the certificate's file."""
    authorities: Path | str | None = None
    """Certificates that we trust: a server then demands a certificate of its clients (RFC 7866 section 12.1); a client
    trusts these instead of the system's."""
    client_auth: str = "required"
    """`required`, or `optional`: clients may come without a certificate, but one that they show has to be good."""
    min_version: str = "1.2"
    """Oldest version of TLS that is spoken, `1.2` or `1.3`."""


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context of a TLS listener. Raises ConfigurationError that names the file."""
    if files.certificate is None:
        raise ConfigurationError("a TLS listener needs a certificate and its key")
    if files.client_auth not in ("required", "optional"):
        raise ConfigurationError(f"client_auth: {files.client_auth!r} is neither required nor optional")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, files)
    _load_certificate(context, files)
    if files.authorities is not None:
        _load_authorities(context, files.authorities)
        context.verify_mode = ssl.CERT_REQUIRED if files.client_auth == "required" else ssl.CERT_OPTIONAL
    return context


def client_context(files: TlsFiles | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """Make the context for connections of ours. Raises ConfigurationError that names the file.

    `verify=False` takes any certificate: for trying things out, never for calls that matter.
    """
    files = files or TlsFiles()
    context = DomainContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, files)
    # The check of the ssl module lets wildcards match and knows no sip URIs: `TlsChannel` has that of RFC 5922.
    context.check_hostname = False
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    elif files.authorities is not None:
        _load_authorities(context, files.authorities)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if files.certificate is not None:
        _load_certificate(context, files)
    return context


def _harden(context: ssl.SSLContext, files: TlsFiles) -> None:
    version = _VERSIONS.get(files.min_version)
    if version is None:
        raise ConfigurationError(f"min_version: {files.min_version!r} is neither 1.2 nor 1.3")
    context.minimum_version = version
    context.set_ciphers(_CIPHERS)
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        try:
            context.keylog_filename = key_log
        except OSError as error:
            raise ConfigurationError(f"SSLKEYLOGFILE {key_log}: {_phrase(error)}") from error
    # Renegotiation lets a peer make us do the expensive half of a handshake again and again.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    try:
        # A function for the password keeps OpenSSL from asking on the terminal.
        context.load_cert_chain(str(files.certificate), None if files.key is None else str(files.key), _no_password)
    except (OSError, ValueError) as error:
        named = f"{files.certificate}" if files.key is None else f"{files.certificate}, {files.key}"
        raise ConfigurationError(f"TLS certificate and key ({named}): {_phrase(error)}") from error


def _load_authorities(context: ssl.SSLContext, authorities: Path | str) -> None:
    try:
        context.load_verify_locations(str(authorities))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TLS authorities ({authorities}): {_phrase(error)}") from error


def _no_password() -> str:
    raise ValueError("the key is protected by a password: give a key without one")


def _phrase(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


class TlsChannel:
    """One end of a TLS connection between two memory buffers.

    Give it what the socket received, send what `outgoing` gives. Text written before the handshake is complete waits.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=None if server_side else server_name,
        )
        checked = isinstance(context, DomainContext) and context.verify_mode is not ssl.CERT_NONE
        self._expected = (server_name or "") if checked and not server_side else None
        self._waiting = bytearray()
        self.established = False
        """True from the end of the handshake on."""
        self.ended = False
        """True when the peer will send nothing more."""

    def start(self) -> None:
        """Begin the handshake (a client speaks first). Raises TlsError."""
        self._shake_hands()

    def receive(self, data: bytes) -> list[bytes]:
        """Take ciphertext (empty: the peer closed) and give the plaintext it completes, with `b""` at its end.

        Raises TlsError; what `outgoing` still gives then, an alert, should be sent.
        """
        if self.ended:
            return []
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        if not self.established:
            self._shake_hands()
        return self._read() if self.established else []

    def send(self, data: bytes) -> None:
        """Encrypt plaintext. Raises TlsError."""
        if not self.established:
            self._waiting += data
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise TlsError(_reason(error)) from error

    def close(self) -> None:
        """Say that we send nothing more (close_notify)."""
        if not self.established:
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # we do not wait for the peer's close_notify (RFC 8446 section 6.1)

    def outgoing(self) -> bytes:
        """Take the ciphertext to send."""
        return self._outgoing.read()

    @property
    def waiting_size(self) -> int:
        """Octets written before the handshake was complete."""
        return len(self._waiting)

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER), None when it gave none or the handshake is not complete."""
        return self._tls.getpeercert(binary_form=True) if self.established else None

    @property
    def peer_names(self) -> tuple[str, ...]:
        """Whom the peer's certificate names (RFC 5922 section 7.1), where one was demanded, shown and found good."""
        return tuple(identities(self._tls.getpeercert() or {})) if self.established else ()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise TlsError(_reason(error)) from error
        if self._expected is not None and not is_for(self._expected, self._tls.getpeercert() or {}):
            self._outgoing.read()  # with our Finished unsent the peer does not take the handshake for done (TLS 1.3)
            raise TlsError(f"certificate refused: it is not for {self._expected} (RFC 5922)")
        self.established = True
        if self._waiting:
            waiting, self._waiting = bytes(self._waiting), bytearray()
            self.send(waiting)

    def _read(self) -> list[bytes]:
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                return pieces
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # Cut without close_notify is an end too: SIP's Content-Length shows a message that was cut short.
                piece = b""
            except ssl.SSLError as error:
                raise TlsError(_reason(error)) from error
            pieces.append(piece)
            if not piece:
                self.ended = True
                return pieces


def _reason(error: ssl.SSLError) -> str:
    """Give the reason as a phrase without OpenSSL's file names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "connection closed during the handshake"
    return (error.reason or "unknown error").replace("_", " ").lower()
