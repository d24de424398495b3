"""Reason, RAck, RSeq, Session-ID and Expires are read or refused, and what was read is written and read again."""

import sys

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.reasons import Reason, reasons_of
from siprec_core.sip.reliable import RAck, expires_of, rseq_of
from siprec_core.sip.session_id import joined, session_identifier_of

NAMES = ("Reason", "RAck", "RSeq", "Session-ID", "Expires", "Require")


def check(data: bytes) -> None:
    headers = Headers()
    text = data.decode("utf-8", "surrogateescape")
    for name, value in zip(NAMES, (*text.split("\n"), *[text] * len(NAMES)), strict=False):
        try:
            headers.add(name, value)
        except LocalProtocolError:
            continue
    for reason in reasons_of(headers):
        if Reason.parse(str(reason)) != reason:
            raise AssertionError("a reason is not what it was")
    check_rack(headers.get("RAck") or "")
    check_session_id(headers)
    number = rseq_of(Response(183, None, headers))
    if number is not None and not 0 < number < 2**32:
        raise AssertionError("no RSeq is as large")
    seconds = expires_of(Request("INVITE", "sip:localhost", headers))
    if seconds is not None and not 0 < seconds < 2**32:
        raise AssertionError("no one waits so long")


def check_rack(text: str) -> None:
    try:
        rack = RAck.parse(text)
    except RemoteProtocolError:
        return
    if RAck.parse(str(rack)) != rack:
        raise AssertionError("a RAck is not what it was")


def check_session_id(headers: Headers) -> None:
    theirs = session_identifier_of(headers)
    if theirs is None:
        return
    ours = joined(theirs, local_tag="tag")
    for one in (theirs, ours):
        if session_identifier_of(Headers([("Session-ID", str(one))])) != one:
            raise AssertionError("a Session-ID is not what it was")


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
