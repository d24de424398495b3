"""Payload formats of RTP as SDP names them: the static table of RFC 3551, `a=rtpmap` values and negotiated formats."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from siprec_core.errors import LocalProtocolError
from siprec_core.format_parameters import split_parameters


class RtpMap(NamedTuple):
    """What a payload type means: the content of `a=rtpmap` (RFC 8866 section 6.6) or of the static table."""

    encoding: str
    """Encoding name in the letter case it was written in; names compare without regard to case."""
    clock_rate: int
    """RTP timestamp units per second."""
    channels: int = 1
    """Audio channels; for other media the meaning is the payload format's."""

    def __str__(self) -> str:
        channels = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.encoding}/{self.clock_rate}{channels}"

    def same_as(self, other: "RtpMap") -> bool:
        """Tell whether both name one format (encoding names are case-insensitive, RFC 8866 section 6.6)."""
        return self[1:] == other[1:] and self.encoding.upper() == other.encoding.upper()


STATIC_PAYLOAD_TYPES: dict[int, RtpMap] = {
    0: RtpMap("PCMU", 8000),
    # RFC 3551 reserves 2 and 19. Gateways still offer them by number alone, with the meanings of its predecessor.
    2: RtpMap("G726-32", 8000),
    3: RtpMap("GSM", 8000),
    4: RtpMap("G723", 8000),
    5: RtpMap("DVI4", 8000),
    6: RtpMap("DVI4", 16000),
    7: RtpMap("LPC", 8000),
    8: RtpMap("PCMA", 8000),
    9: RtpMap("G722", 8000),  # 16 kHz audio; the clock stays 8000 for history's sake (RFC 3551 section 4.5.2)
    10: RtpMap("L16", 44100, 2),
    11: RtpMap("L16", 44100),
    12: RtpMap("QCELP", 8000),
    13: RtpMap("CN", 8000),
    14: RtpMap("MPA", 90000),
    15: RtpMap("G728", 8000),
    16: RtpMap("DVI4", 11025),
    17: RtpMap("DVI4", 22050),
    18: RtpMap("G729", 8000),
    19: RtpMap("CN", 8000),
    25: RtpMap("CelB", 90000),
    26: RtpMap("JPEG", 90000),
    28: RtpMap("nv", 90000),
    31: RtpMap("H261", 90000),
    32: RtpMap("MPV", 90000),
    33: RtpMap("MP2T", 90000),
    34: RtpMap("H263", 90000),
}
"""Payload types that mean something without `a=rtpmap` (RFC 3551 tables 4 and 5)."""


_PAYLOAD_TYPES = {str(number): number for number in range(128)}
payload_type_of = _PAYLOAD_TYPES.get
"""Read a format of an RTP media line: a payload type from 0 to 127 without leading zeros, else None."""


class RtpMapReading(NamedTuple):
    """An `a=rtpmap` value as far as it could be read."""

    payload_type: int | None
    """None when the value tells nothing usable."""
    rtpmap: RtpMap | None
    """None when the value tells nothing usable."""
    deviation: str | None
    """What had to be tolerated or what is wrong; None for a value by the grammar."""


_RTPMAP = re.compile(r"([0-9]{1,3}) ([^\s/]+)/([0-9]{1,9})(?:/([0-9]{1,3}))?")
_LENIENT_RTPMAP = re.compile(
    r"\s*([0-9]{1,3})\s+([^\s/]+)\s*/\s*([0-9]{1,9})(?![0-9])(?:[^/]{0,32}/\s*([0-9]{1,3})(?![0-9]))?"
)
_ENCODING_ALONE = re.compile(r"\s*([0-9]{1,3})\s+([^\s/]+)\s*/?\s*")
_CACHED_SIZE = 64
"""Longest value that the cache keeps: real ones are shorter, and a peer must not fill memory through it."""


def read_rtpmap(value: str) -> RtpMapReading:
    """Read an `a=rtpmap` value, tolerating blanks, a missing clock rate of a known encoding, and `pcmu/8000a`."""
    return _read_rtpmap_cached(value) if len(value) <= _CACHED_SIZE else _read_rtpmap(value)


def _read_rtpmap(value: str) -> RtpMapReading:
    match = _RTPMAP.fullmatch(value)
    deviation = None
    if match is None:
        match = _LENIENT_RTPMAP.match(value)
        deviation = "blanks or stray characters in rtpmap"
    if match is None:
        return _read_encoding_alone(value)
    payload_type, encoding, clock_rate, channels = match.groups()
    number = int(payload_type)
    if number > 127:
        return RtpMapReading(None, None, "payload type out of range")
    if int(clock_rate) == 0:
        return RtpMapReading(None, None, "clock rate 0 in rtpmap")
    return RtpMapReading(number, RtpMap(encoding, int(clock_rate), int(channels or 1) or 1), deviation)


_read_rtpmap_cached = lru_cache(maxsize=512)(_read_rtpmap)
"""The same few values come with every call: reading one again costs a look-up."""


def _read_encoding_alone(value: str) -> RtpMapReading:
    """Guess the clock rate that an rtpmap leaves out: the static table's, 8000 for telephone-event."""
    match = _ENCODING_ALONE.fullmatch(value)
    if match is not None:
        payload_type, encoding = int(match[1]), match[2]
        clock_rate = _CLOCK_RATES.get(encoding.upper())
        if payload_type <= 127 and clock_rate is not None:
            return RtpMapReading(payload_type, RtpMap(encoding, clock_rate), f"no clock rate: {clock_rate} taken")
    return RtpMapReading(None, None, "malformed rtpmap")


_CLOCK_RATES = {
    rtpmap.encoding.upper(): rtpmap.clock_rate
    for rtpmap in reversed(STATIC_PAYLOAD_TYPES.values())
    if rtpmap.encoding != "L16"
} | {"TELEPHONE-EVENT": 8000, "OPUS": 48000}


class MediaFormat(NamedTuple):
    """One payload format of a media line: what the line's packets of one payload type carry."""

    payload_type: int
    """RTP payload type, 0 to 127."""
    encoding: str
    """Encoding name in the letter case it was written in."""
    clock_rate: int
    """RTP timestamp units per second."""
    channels: int = 1
    fmtp: str | None = None
    """Format parameters (`a=fmtp`, RFC 8866 section 6.15) without the payload type; their syntax is the format's."""

    @property
    def rtpmap(self) -> RtpMap:
        """The meaning of the payload type without its parameters."""
        return RtpMap(self.encoding, self.clock_rate, self.channels)

    @property
    def name(self) -> str:
        """Encoding, clock rate and channels in one, for example `PCMU/8000` or `opus/48000/2`."""
        return str(self.rtpmap)

    @property
    def parameters(self) -> dict[str, str | None]:
        """The format parameters by name in lower case, where they are of the usual form `name=value; name`."""
        return split_parameters(self.fmtp)

    @property
    def is_telephone_event(self) -> bool:
        """True for named telephone events (RFC 4733)."""
        return self.encoding.lower() == "telephone-event"

    @property
    def is_comfort_noise(self) -> bool:
        """True for comfort noise (RFC 3389)."""
        return self.encoding.upper() == "CN"


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as an operator lists it: what may be negotiated."""

    encoding: str
    """Encoding name; compared without regard to letter case."""
    clock_rate: int
    channels: int = 1

    @classmethod
    def parse(cls, text: str) -> "Codec":
        """Read `PCMU/8000` or `opus/48000/2`. Raises LocalProtocolError for anything else."""
        match = _CODEC.fullmatch(text)
        if match is None or int(match[2]) == 0 or match[3] == "0":
            raise LocalProtocolError(f"codec {text!r} is not of the form ENCODING/CLOCK-RATE[/CHANNELS]")
        return cls(match[1], int(match[2]), int(match[3] or 1))

    def __str__(self) -> str:
        return str(RtpMap(self.encoding, self.clock_rate, self.channels))

    def matches(self, rtpmap: RtpMap) -> bool:
        """Tell whether `rtpmap` names this codec."""
        return (
            self.clock_rate == rtpmap.clock_rate
            and self.channels == rtpmap.channels
            and self.encoding.upper() == rtpmap.encoding.upper()
        )


_CODEC = re.compile(r"([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)/([0-9]{1,9})(?:/([0-9]{1,2}))?")
