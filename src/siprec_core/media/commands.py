"""Commands of the media plane: bind, send, close.

A driver performs commands in order. One that fails comes back as an input of the machine, never as an exception.
"""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.types import Address, Component, MediaId


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMedia:
    """Bind UDP sockets for one media line; answer: `media_bound` or `media_failed`."""

    media: MediaId
    rtp: Address
    rtcp: Address | None
    """None with rtcp-mux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMedia:
    """Send one RTP or RTCP datagram from a bound port. Loss is not reported: RTP expects it."""

    media: MediaId
    component: Component
    to: Address
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseMedia:
    """Hand over what still waits in the sockets of `media` (`receive_media`), close them, then say `media_closed`."""

    media: MediaId


MediaCommand: TypeAlias = BindMedia | SendMedia | CloseMedia
