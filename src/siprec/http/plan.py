"""Where the operations interface listens and whom it lets in, from the settings."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from siprec.outcome import CommandError, unreadable
from siprec.settings import ServeSettings
from siprec_core.types import Address

_PACKAGES: Final = ("starlette", "hypercorn", "prometheus_client")
"""What the extra `server` installs."""
_SHORTEST_TOKEN: Final = 16
"""Characters; a shorter token could be guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPlan:
    """An operations interface that is wanted."""

    bind: Address
    """Port 0 takes any free one."""
    token: str | None = field(default=None, repr=False)
    """What clients have to show (RFC 6750); None where only this machine can ask."""


def make_http_plan(settings: ServeSettings) -> HttpPlan | None:
    """Tell what is wanted; None without `--http`. Raises CommandError for what would be open to everybody."""
    if settings.http is None:
        if settings.http_token_file is not None:
            raise CommandError("--http-token-file is for --http, which is not given")
        return None
    if any(find_spec(package) is None for package in _PACKAGES):
        raise CommandError("--http needs the extra server: pip install 'siprec[server]'")
    token = None if settings.http_token_file is None else read_token(settings.http_token_file)
    if token is None and not _is_loopback(settings.http.host):
        raise CommandError(
            f"--http {settings.http}: other machines could ask: give --http-token-file, or listen on 127.0.0.1"
        )
    return HttpPlan(bind=settings.http, token=token)


def read_token(path: Path) -> str:
    """Read the token from the file that holds nothing else. Raises CommandError."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError:
        token = ""
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise CommandError(f"{path}: a token is one line of {_SHORTEST_TOKEN} or more ASCII characters without blanks")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
