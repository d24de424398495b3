"""The exceptions of the core.

What a peer sends never raises out of a machine's input. `RemoteProtocolError` is raised by the value parsers
(`Via.parse` and its like) and carried inside results such as `sip.message.Malformed`; the machines translate it into an
answer and a finding. Time-outs and BYE are events, not errors.
"""


class SiprecError(Exception):
    """Base of all exceptions that siprec raises on purpose."""


class ProtocolError(SiprecError):
    """Base of the two sides of a protocol violation; never raised itself."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the state or the protocol forbids (our bug, not the peer's)."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes break a rule.

    `status_hint` is the SIP status that fits an answer (RFC 3261 section 21). The place is told by whichever of `field`
    (a header field or element name), `line` and `column` (from 1) and `offset` (octets from 0) is known.
    """

    def __init__(
        self,
        message: str,
        *,
        status_hint: int = 400,
        field: str | None = None,
        line: int | None = None,
        column: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_hint = status_hint
        self.field = field
        self.line = line
        self.column = column
        self.offset = offset

    def __str__(self) -> str:
        where = [self.field] if self.field else []
        if self.line is not None:
            where.append(f"line {self.line}")
        elif self.offset is not None:
            where.append(f"octet {self.offset}")
        return f"{', '.join(where)}: {self.message}" if where else self.message


class NegotiationError(SiprecError):
    """No media line of the offer can be recorded (488 Not Acceptable Here, RFC 3261 section 21.4.26).

    `warning_code` is a value of RFC 3261 section 20.43: 304 media type not available, 305 incompatible media format,
    302 incompatible transport protocol, 399 anything else.
    """

    status = 488

    def __init__(self, message: str, *, warning_code: int = 304) -> None:
        super().__init__(message)
        self.message = message
        self.warning_code = warning_code


class ConfigurationError(SiprecError):
    """A setting is wrong; the message names the setting and the rule it breaks."""
