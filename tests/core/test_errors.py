"""The exceptions and the places they name."""

import pytest

from siprec_core import errors
from siprec_core.errors import (
    ConfigurationError,
    LocalProtocolError,
    NegotiationError,
    ProtocolError,
    RemoteProtocolError,
    SiprecError,
)


def test_all_come_from_one_base() -> None:
    exceptions = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(exceptions) == 6
    assert all(issubclass(value, SiprecError) for value in exceptions)


def test_the_two_sides_of_a_violation_are_apart() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(ConfigurationError, ProtocolError)
    assert not issubclass(NegotiationError, ProtocolError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RemoteProtocolError("bad"), "bad"),
        (RemoteProtocolError("bad", field="Via"), "Via: bad"),
        (RemoteProtocolError("bad", line=3), "line 3: bad"),
        (RemoteProtocolError("bad", offset=0), "octet 0: bad"),
        (RemoteProtocolError("bad", field="a=label", line=7), "a=label, line 7: bad"),
        (RemoteProtocolError("bad", line=7, offset=90), "line 7: bad"),
    ],
)
def test_a_remote_error_tells_the_place(error: RemoteProtocolError, text: str) -> None:
    assert str(error) == text
    assert error.message == "bad"


def test_a_remote_error_hints_at_400_unless_told() -> None:
    assert RemoteProtocolError("bad").status_hint == 400
    assert RemoteProtocolError("bad", status_hint=416).status_hint == 416


def test_a_failed_negotiation_is_488_with_a_warning_code() -> None:
    assert NegotiationError.status == 488
    assert NegotiationError("no codec").warning_code == 304
    assert NegotiationError("no codec", warning_code=305).warning_code == 305
    assert str(NegotiationError("no codec")) == "no codec"
