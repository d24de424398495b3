"""INFO bodies (6086-4-a): which are taken, and the digits they tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.info import InfoDigit, read_digit, refuse_info
from siprec_core.sip.uas import Refusal
from tests.core.messages import read, request


def info(body: str, kind: str = "application/dtmf-relay") -> bytes:
    return request("INFO", body=body, content_type=kind)


@pytest.mark.requirement("6086-4-a")
@pytest.mark.parametrize(
    "kind",
    [
        "application/dtmf-relay",
        "application/DTMF",
        "application/rs-metadata+xml",
        "application/rs-metadata",
        "application/media_control+xml",
    ],
)
def test_known_bodies_and_empty_ones_pass(kind: str) -> None:
    assert refuse_info(read(info("Signal=1", kind))) is None
    assert refuse_info(read(request("INFO"))) is None


@pytest.mark.requirement("6086-4-a")
@pytest.mark.parametrize("kind", ["text/plain", "application/sdp", ""])
def test_other_bodies_are_415_with_accept(kind: str) -> None:
    refusal = refuse_info(read(info("x", kind)))
    assert refusal is not None
    assert refusal.status == 415
    assert "application/dtmf-relay" in dict(refusal.headers)["Accept"]


@pytest.mark.parametrize(("encoding", "passes"), [("gzip", False), ("Identity", True)])
def test_an_encoding_that_is_not_known_is_415_with_accept_encoding(encoding: str, passes: bool) -> None:
    extra = [f"Content-Encoding: {encoding}"]
    refusal = refuse_info(read(request("INFO", body="x", content_type="application/dtmf", extra=extra)))
    assert refusal == (None if passes else Refusal(415, headers=(("Accept-Encoding", "identity"),)))


@pytest.mark.requirement("6086-4-a")
def test_packages_are_469_with_an_empty_recv_info() -> None:
    refusal = refuse_info(read(request("INFO", extra=["Info-Package: nothing-we-know"])))
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (469, (("Recv-Info", ""),))


@pytest.mark.parametrize(
    ("body", "digit"),
    [
        ("Signal=5\r\nDuration=160\r\n", InfoDigit("5", 0.16)),
        ("Signal= *\nDuration = 250", InfoDigit("*", 0.25)),
        ("signal=#", InfoDigit("#", None)),
        ("Signal=d\r\n", InfoDigit("D", None)),
        ("Signal=11\r\nDuration=100", InfoDigit("#", 0.1)),
        ("Signal=16", None),
        ("Signal=", None),
        ("Signal=55555", None),
        ("Duration=100", None),
        ("", None),
        ("9", InfoDigit("9", None)),
    ],
)
def test_digits(body: str, digit: InfoDigit | None) -> None:
    assert read_digit(read(info(body))) == digit


def test_only_digit_bodies_tell_digits() -> None:
    assert read_digit(read(info("Signal=5", "application/media_control+xml"))) is None
    assert read_digit(read(info("5", "application/dtmf"))) == InfoDigit("5", None)
    assert read_digit(read(info("5" + " " * 600))) is None
    assert read_digit(read(info("5", "nonsense"))) is None


@given(st.text())
def test_no_body_raises(body: str) -> None:
    digit = read_digit(read(info(body)))
    assert digit is None or digit.digit in "0123456789*#ABCD"
