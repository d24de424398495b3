"""Who may ask: holders of the token, or anybody on this machine but pages of others in its browsers."""

import hmac
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from siprec.http.problems import problem

OPEN_PATHS: Final = frozenset(("/livez", "/readyz"))
"""What probes ask without a token: it tells nothing but yes or no."""


class AccessGuard:
    """Lets requests in, or answers them itself."""

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        """Without a token only this machine can reach us."""
        self._app = app
        self._token = None if token is None else token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refuse(scope["path"], Headers(scope=scope))
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refuse(self, path: str, headers: Headers) -> Response | None:
        if path in OPEN_PATHS:
            return None
        if self._token is None:
            # A page in a browser here may send requests to us, and with a name that it points at us read the answers.
            if "origin" in headers or not _is_numeric(headers.get("host", "")):
                return problem(403, "not for pages of others: ask this address by its number or as localhost")
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8"), self._token):
            return None
        return problem(401, "a bearer token is needed", headers={"WWW-Authenticate": 'Bearer realm="siprec"'})


def _is_numeric(host: str) -> bool:
    """Tell whether a Host header field names an address, or `localhost`, which nobody else can point at us."""
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
