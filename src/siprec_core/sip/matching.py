"""Which transaction a message belongs to (RFC 3261 17.1.3 and 17.2.3), and which request was merged (8.2.2.2)."""

from typing import TypeAlias

from siprec_core.sip.message import Request, Response

TransactionKey: TypeAlias = tuple[str, ...]

_COOKIE = "z9hG4bK"


def server_key(request: Request, *, method: str | None = None) -> TransactionKey:
    """Give the key of the server transaction that a request starts or repeats; an ACK has that of its INVITE.

    `method` overrides the method: a CANCEL looks for its INVITE (RFC 3261 9.2). Raises RemoteProtocolError for a
    request without readable Via, CSeq, From or Call-ID.
    """
    if method is None:
        method = "INVITE" if request.method == "ACK" else request.method
    via = request.top_via
    branch = via.branch
    if branch is not None and branch.startswith(_COOKIE) and len(branch) > len(_COOKIE):
        return branch, via.host, str(via.port or 0), method
    # RFC 3261 17.2.3, peers of RFC 2543: Request-URI, From tag, Call-ID, CSeq number and top Via.
    return (
        "",
        request.uri,
        request.from_.tag or "",
        request.call_id,
        str(request.cseq.number),
        f"{via.transport} {via.host} {via.port or 0} {branch or ''}",
        method,
    )


def client_key(message: Request | Response) -> TransactionKey:
    """Give the key of a client transaction: branch of the top Via and CSeq method."""
    return message.top_via.branch or "", message.cseq.method


def merge_key(request: Request) -> TransactionKey:
    """Give what is equal in two copies of one request that took different paths (RFC 3261 8.2.2.2)."""
    return request.from_.tag or "", request.call_id, str(request.cseq.number), request.method
