"""Digits that nobody may read later: each becomes `*` before anything is stored or told.

Keys pressed may be the number of a card. Their packets (RFC 4733) and the bodies of INFO keep their place and length,
so that times and counts of presses stay right. Tones within the audio are not touched.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Final

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.rtp.packet import FIXED_HEADER_SIZE, RtpPacket
from siprec_core.rtp.telephone_event import DIGITS
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sip.info import MEDIA_CONTROL, InfoDigit
from siprec_core.sip.message import Malformed
from siprec_core.sip.parser import find_header_end, parse_head
from siprec_core.sip.uas import METADATA_TYPES
from siprec_core.types import Component, DatagramBatch

MASK: Final = "*"
"""What every digit becomes."""

_MASK_EVENT: Final = DIGITS.index(MASK)
_BLOCK_SIZE: Final = 4
"""Octets of an event within a packet (RFC 4733 section 2.3)."""
_HARMLESS_TYPES: Final = frozenset((*METADATA_TYPES, MEDIA_CONTROL))
"""Bodies of INFO that tell no digits."""
_DURATION: Final = re.compile(rb"\s*Duration\s*=\s*[0-9]{1,6}\s*\Z", re.IGNORECASE)
_SIGNAL: Final = re.compile(rb"\s*Signal\s*=", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9A-Da-d*#]+")


class DigitMask:
    """Masks the digits of one session; does nothing unless it is wanted."""

    __slots__ = ("_limits", "wanted")

    def __init__(self, *, wanted: bool, limits: Limits) -> None:
        self.wanted = wanted
        self._limits = limits

    def media(self, formats: Mapping[int, MediaFormat], batch: DatagramBatch, *, component: Component) -> DatagramBatch:
        """Give the datagrams of a line as they may be stored; `formats` by payload type, earlier ones included."""
        if not self.wanted or component is Component.RTCP:
            return batch
        events = {payload_type for payload_type, agreed in formats.items() if agreed.is_telephone_event}
        return mask_events(batch, events)

    def message(self, data: bytes) -> bytes:
        """Give a SIP message as it may be stored. Never raises."""
        return mask_info(data, limits=self._limits) if self.wanted else data

    def digit(self, told: InfoDigit) -> InfoDigit:
        """Give a digit as it may be told."""
        return replace(told, digit=MASK) if self.wanted else told


def mask_events(batch: DatagramBatch, events: Container[int]) -> DatagramBatch:
    """Mask the digits of packets that came to an RTP port; `events` are the payload types of telephone events."""
    found = [
        index
        for index, data in enumerate(batch.datagrams)
        if len(data) > FIXED_HEADER_SIZE and data[1] & 0x7F in events
    ]
    if not found:
        return batch
    datagrams = list(batch.datagrams)
    for index in found:
        datagrams[index] = _masked_packet(datagrams[index])
    return DatagramBatch(datagrams, batch.sources, batch.arrivals)


def mask_info(data: bytes, *, limits: Limits) -> bytes:
    """Mask the digits in the body of an INFO, whatever else it may hold but its duration; other messages stay."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    end = find_header_end(data, start, len(data)) if data.startswith(b"INFO ", start) else None
    if end is None or _is_harmless(data[start : end[0]], limits):
        return data
    return data[: end[1]] + b"".join(map(_masked_line, data[end[1] :].splitlines(keepends=True)))


def _is_harmless(head: bytes, limits: Limits) -> bool:
    message = parse_head(head, limits=limits, strict=False).message
    try:
        content_type = None if isinstance(message, Malformed) else message.content_type
    except RemoteProtocolError:
        return False
    return content_type is not None and content_type.media_type in _HARMLESS_TYPES


def _masked_line(line: bytes) -> bytes:
    """Mask a line of a body, of the same length."""
    if _DURATION.match(line):
        return line
    name = _SIGNAL.match(line)
    start = 0 if name is None else name.end()
    return line[:start] + _DIGITS.sub(lambda found: MASK.encode("ascii").ljust(len(found[0])), line[start:])


def _masked_packet(data: bytes | memoryview) -> bytes | memoryview:
    """Mask the digits of a packet of telephone events; what is no RTP is refused later and stays."""
    try:
        packet = RtpPacket.parse(data)
    except RemoteProtocolError:
        return data
    start = len(data) - packet.padding_size - len(packet.payload)
    masked = bytearray(data)
    for at in range(start, start + len(packet.payload), _BLOCK_SIZE):
        if masked[at] < len(DIGITS):
            masked[at] = _MASK_EVENT
    return bytes(masked)
