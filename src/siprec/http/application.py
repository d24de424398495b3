"""The ASGI application: routes from the table of operations, errors, access."""

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from siprec.http.access import AccessGuard
from siprec.http.interface import PROBLEMS, Interface, tell_problem
from siprec.http.operations import OPERATIONS


def make_application(interface: Interface, *, token: str | None) -> ASGIApp:
    """Put the application together."""
    routes = [
        Route(operation.path, interface.endpoint(operation), methods=[operation.method], name=operation.name)
        for operation in OPERATIONS
    ]
    application = Starlette(routes=routes, exception_handlers=dict.fromkeys(PROBLEMS, tell_problem))
    return AccessGuard(application, token=token)
