"""One listener as the operator writes it: `udp://0.0.0.0:5060?advertise=203.0.113.5`, or a table with such keys."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote

from siprec.kinds import Kind, choice, path, read_address, textual
from siprec_core.errors import ConfigurationError
from siprec_core.types import Transport
from siprec_sync.listeners import Bind
from siprec_sync.tls import TlsFiles

CLIENT_AUTHENTICATION: Final = choice("required", "optional")
"""Whether a client has to show a certificate, where we have authorities for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSetting:
    """An address to listen on, and what is special about it."""

    bind: Bind
    advertise: str | None = None
    """Address that clients of this listener are told, in place of that of the server."""
    digest: str | None = None
    """`off` takes calls here without Digest credentials."""
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    client_auth: str | None = None

    @property
    def is_tls(self) -> bool:
        """True for `tls://`."""
        return self.bind.transport is Transport.TLS

    @property
    def tls(self) -> TlsFiles | None:
        """The certificate of this listener alone, None when it has that of the server."""
        if self.cert is None:
            return None
        return TlsFiles(
            certificate=self.cert,
            key=self.key,
            authorities=self.client_ca,
            client_auth=self.client_auth or "required",
        )

    def __str__(self) -> str:
        query = "&".join(f"{name}={quote(text, safe='/:')}" for name, text in self.specials().items())
        return f"{self.bind}?{query}" if query else str(self.bind)

    def specials(self) -> dict[str, str]:
        """Give the keys besides the address."""
        given = {name: getattr(self, name) for name in _KINDS}
        return {name: str(value) for name, value in given.items() if value is not None}


_KINDS: Final[Mapping[str, Kind]] = {
    "advertise": textual(read_address),
    "digest": choice("on", "off"),
    "cert": path(),
    "key": path(),
    "client_ca": path(),
    "client_auth": CLIENT_AUTHENTICATION,
}


def listener() -> Kind:
    """Make the kind of a listener."""
    return Kind(_read, _take, _plain, _within)


def _read(text: str) -> ListenerSetting:
    uri, mark, query = text.partition("?")
    specials = parse_qsl(query, keep_blank_values=True)
    if mark and (not specials or len(dict(specials)) != len(specials)):
        raise ValueError(f"{text!r}: behind the question mark stand {_known()}, each once, as name=value")
    return _listener(uri, dict(specials))


def _take(value: object) -> ListenerSetting:
    if isinstance(value, str):
        return _read(value)
    if not isinstance(value, dict) or not isinstance(value.get("uri"), str):
        raise ValueError("it has to be a URI such as udp://0.0.0.0:5060, or a table with the key uri")
    return _listener(value["uri"], {name: each for name, each in value.items() if name != "uri"})


def _listener(uri: str, specials: Mapping[str, object]) -> ListenerSetting:
    try:
        found = ListenerSetting(bind=Bind.parse(uri))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    for name, value in specials.items():
        if name not in _KINDS:
            raise ValueError(f"{uri}: {name!r} is unknown; known are {_known()}")
        try:
            found = replace(found, **{name: _KINDS[name].take(value)})
        except ValueError as error:
            raise ValueError(f"{uri}: {name}: {error}") from None
    _check(uri, found)
    return found


def _check(uri: str, found: ListenerSetting) -> None:
    if not found.is_tls and (found.cert or found.key or found.client_ca or found.client_auth):
        raise ValueError(f"{uri}: cert, key, client_ca and client_auth are for tls://")
    if found.cert is None and (found.key or found.client_ca or found.client_auth):
        raise ValueError(f"{uri}: key, client_ca and client_auth need cert")
    if found.client_auth is not None and found.client_ca is None:
        raise ValueError(f"{uri}: client_auth needs client_ca")


def _plain(value: ListenerSetting) -> object:
    specials = value.specials()
    return {"uri": str(value.bind), **specials} if specials else str(value.bind)


def _within(value: ListenerSetting, folder: Path) -> ListenerSetting:
    def placed(file: Path | None) -> Path | None:
        return None if file is None else folder / file

    return replace(value, cert=placed(value.cert), key=placed(value.key), client_ca=placed(value.client_ca))


def _known() -> str:
    return ", ".join(_KINDS)
