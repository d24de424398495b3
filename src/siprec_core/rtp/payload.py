"""Payload formats: what a payload type number stands for (RFC 3551 section 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """One payload type of a media line, as `rtpmap` and `fmtp` give it (RFC 8866 section 6.6)."""

    payload_type: int
    """0 to 127."""
    encoding: str
    """Encoding name in upper case, for example `PCMU`."""
    clock_rate: int
    """Hz of the RTP timestamp, which need not be the sampling rate (G722)."""
    channels: int = 1
    parameters: str = ""
    """Raw text of the `fmtp` attribute behind the payload type."""

    @property
    def name(self) -> str:
        """`ENCODING/rate`, and `/channels` when there is more than one: the text of an `rtpmap`."""
        name = f"{self.encoding}/{self.clock_rate}"
        return name if self.channels == 1 else f"{name}/{self.channels}"

    @property
    def is_event(self) -> bool:
        """True for named telephone events (RFC 4733), whose packets share the timestamp of the event's start."""
        return self.encoding == "TELEPHONE-EVENT"

    @property
    def is_comfort_noise(self) -> bool:
        """True for comfort noise (RFC 3389)."""
        return self.encoding == "CN"


_STATIC = (
    PayloadFormat(0, "PCMU", 8_000),
    PayloadFormat(3, "GSM", 8_000),
    PayloadFormat(4, "G723", 8_000),
    PayloadFormat(5, "DVI4", 8_000),
    PayloadFormat(6, "DVI4", 16_000),
    PayloadFormat(7, "LPC", 8_000),
    PayloadFormat(8, "PCMA", 8_000),
    # RFC 3551 4.5.2: G722 samples at 16,000 Hz but its RTP clock rate stays 8,000 Hz.
    PayloadFormat(9, "G722", 8_000),
    PayloadFormat(10, "L16", 44_100, 2),
    PayloadFormat(11, "L16", 44_100),
    PayloadFormat(12, "QCELP", 8_000),
    PayloadFormat(13, "CN", 8_000),
    PayloadFormat(14, "MPA", 90_000),
    PayloadFormat(15, "G728", 8_000),
    PayloadFormat(16, "DVI4", 11_025),
    PayloadFormat(17, "DVI4", 22_050),
    PayloadFormat(18, "G729", 8_000),
    PayloadFormat(25, "CELB", 90_000),
    PayloadFormat(26, "JPEG", 90_000),
    PayloadFormat(28, "NV", 90_000),
    PayloadFormat(31, "H261", 90_000),
    PayloadFormat(32, "MPV", 90_000),
    PayloadFormat(33, "MP2T", 90_000),
    PayloadFormat(34, "H263", 90_000),
)

STATIC_FORMATS: Mapping[int, PayloadFormat] = MappingProxyType({entry.payload_type: entry for entry in _STATIC})
"""The static assignments of RFC 3551 tables 4 and 5, by payload type."""


def static_format(payload_type: int) -> PayloadFormat | None:
    """Give the static format of a payload type, None for dynamic, reserved and unassigned ones."""
    return STATIC_FORMATS.get(payload_type)
