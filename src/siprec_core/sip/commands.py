"""Commands of the SIP layers: what they ask a driver to do with datagrams, connections and the DNS.

A driver performs commands in order. One that fails comes back as an input of the machine, never as an exception.
"""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.sip.names import Resolve
from siprec_core.types import Address, Flow, FlowId, Transport

__all__ = ["CloseFlow", "FlowCommand", "OpenFlow", "Resolve", "SendDatagram", "SendStream", "SipCommand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDatagram:
    """Send one UDP datagram from `flow.local` to `flow.remote`; failure: `flow_failed`."""

    flow: Flow
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFlow:
    """Connect a stream to `remote`; answer: `flow_opened` with a flow that carries `id`, or `flow_failed`."""

    id: FlowId
    """Negative: chosen by the core. Drivers give positive ids to the connections they accept."""
    transport: Transport
    remote: Address
    server_name: str | None
    """Name to check the certificate against (TLS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendStream:
    """Write to a connection, in order and whole; failure: `flow_failed`."""

    flow: Flow
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseFlow:
    """Close a connection after what was written to it has gone out."""

    flow: Flow


FlowCommand: TypeAlias = SendDatagram | OpenFlow | SendStream | CloseFlow
SipCommand: TypeAlias = FlowCommand | Resolve
