"""Challenges and credentials survive writing; no credentials that we did not sign authenticate; nothing raises."""

import sys

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.digest import Challenger, Responder, Secret, Unauthenticated, set_credentials
from siprec_core.sip.digest_values import Challenge, Credentials, other_scheme
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response

URI = "sip:srs@recorder.example"


def check(data: bytes) -> None:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for text in lines:
        survives(text)
    refused(lines)
    ends(lines)


def survives(text: str) -> None:
    for kind in (Challenge, Credentials):
        try:
            value: Challenge | Credentials = kind.parse(text)
        except RemoteProtocolError:
            continue
        if kind.parse(str(value)) != value:
            raise AssertionError("what is written is read as something else")
        if other_scheme(text) is not None:
            raise AssertionError("a value of another scheme was read")


def refused(lines: list[str]) -> None:
    server = Challenger(
        "recorder.example",
        users={"alice": Secret("open sesame")},
        key=bytes(16),
        entropy=bytes,
        algorithms=("SHA-256", "MD5", "MD5-sess"),
        qop=("auth", "auth-int"),
        allow_no_qop=True,
        allow_any_uri=True,
    )
    request = Request("INVITE", URI, Headers.from_parsed([("Authorization", text) for text in lines]))
    # Without real randomness the nonces are the same in each run, so that a corpus can hold them.
    if not isinstance(server.check(request, now=0.0), Unauthenticated):
        raise AssertionError("credentials that we did not sign authenticate")


def ends(lines: list[str]) -> None:
    client = Responder("alice", "open sesame", entropy=bytes)
    response = Response(401, None, Headers.from_parsed([("WWW-Authenticate", text) for text in lines]))
    rejected = Request("INVITE", URI, Headers())
    for _ in range(3):
        fields = client.answer(response, rejected)
        if fields is None:
            return
        set_credentials(rejected.headers, fields)
        for _, value in fields:
            Credentials.parse(value)
    raise AssertionError("the same challenges are answered for ever")


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
