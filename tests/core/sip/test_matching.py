"""Keys of transactions: what is the same transaction and what is not."""

from collections.abc import Callable

import pytest

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.matching import client_key, merge_key, server_key
from tests.core.messages import invite, read, read_response, request, response_to

COOKIE = "z9hG4bK-1"


def old(data: bytes, branch: str = "") -> bytes:
    """Make the request one of RFC 2543: a branch without the cookie, or none."""
    return data.replace(f";branch={COOKIE}".encode(), f";branch={branch}".encode() if branch else b"")


def key(data: bytes) -> tuple[str, ...]:
    return server_key(read(data))


@pytest.mark.requirement("3261-17.2.3-a")
@pytest.mark.parametrize(
    "change",
    [lambda data: data, old, lambda data: old(data, "1"), lambda data: old(data, "z9hG4bK")],
    ids=["cookie", "no branch", "old branch", "bare cookie"],
)
def test_an_ack_belongs_to_its_invite(change: Callable[[bytes], bytes]) -> None:
    first = change(request("INVITE", branch=COOKIE))
    assert key(first) == key(change(request("ACK", branch=COOKIE)))
    assert key(first) == key(first)


@pytest.mark.requirement("3261-17.2.3-a")
def test_with_the_cookie_branch_sent_by_and_method_decide() -> None:
    first = request("INVITE", branch=COOKIE)
    assert key(first) == key(request("INVITE", branch=COOKIE, call_id="other", cseq=9, uri="sip:x@example.com"))
    assert key(first) != key(request("INVITE", branch=COOKIE + "x"))
    assert key(first) != key(request("OPTIONS", branch=COOKIE))
    assert key(first) != key(first.replace(b"192.0.2.2:5070;branch", b"192.0.2.2:5071;branch"))
    assert key(first) != key(first.replace(b"192.0.2.2:5070;branch", b"192.0.2.3:5070;branch"))


def test_a_cancel_finds_its_invite() -> None:
    cancel = read(request("CANCEL", branch=COOKIE))
    assert server_key(cancel, method="INVITE") == key(request("INVITE", branch=COOKIE))
    assert server_key(cancel) != server_key(cancel, method="INVITE")


@pytest.mark.requirement("3261-17.2.3-a")
@pytest.mark.parametrize(
    "other",
    [
        {"uri": "sip:else@192.0.2.1"},
        {"from_tag": "else"},
        {"call_id": "else"},
        {"cseq": 2},
    ],
    ids=lambda value: next(iter(value)),
)
def test_without_the_cookie_more_has_to_agree(other: dict[str, str]) -> None:
    assert key(old(request("INVITE", branch=COOKIE))) != key(old(request("INVITE", branch=COOKIE, **other)))  # type: ignore[arg-type]


@pytest.mark.requirement("3261-17.2.3-a", "4475-3.2-a")
def test_without_the_cookie_the_whole_top_via_has_to_agree() -> None:
    first = old(request("INVITE", branch=COOKIE))
    assert key(first) != key(old(request("INVITE", branch=COOKIE), "1"))
    assert key(first) != key(first.replace(b"Via: SIP/2.0/UDP 192.0.2.2", b"Via: SIP/2.0/UDP 192.0.2.9"))


def test_the_two_kinds_of_key_never_meet() -> None:
    assert len(key(request("INVITE", branch=COOKIE))) != len(key(old(request("INVITE", branch=COOKIE))))


@pytest.mark.requirement("3261-17.1.3-a")
def test_a_response_belongs_to_the_request_of_its_branch_and_cseq_method() -> None:
    data = request("INVITE", branch=COOKIE)
    assert client_key(read(data)) == client_key(read_response(response_to(data, 200))) == (COOKIE, "INVITE")
    cancel = request("CANCEL", branch=COOKIE)
    assert client_key(read(cancel)) != client_key(read(data))


def test_copies_of_one_request_have_one_merge_key() -> None:
    assert merge_key(read(invite(branch=COOKIE))) == merge_key(read(invite(branch=COOKIE + "x")))
    assert merge_key(read(invite())) != merge_key(read(invite(cseq=2)))
    assert merge_key(read(invite())) != merge_key(read(invite(method="UPDATE")))
    assert merge_key(read(request("INVITE"))) != merge_key(read(request("INVITE", from_tag="else")))


def test_what_has_no_key_says_which_field() -> None:
    message = read(old(request("INVITE", branch=COOKIE)))
    message.headers.set("CSeq", "x INVITE")
    with pytest.raises(RemoteProtocolError) as caught:
        server_key(message)
    assert caught.value.field == "CSeq"
