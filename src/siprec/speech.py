"""What the streams of a call of ours say, and the codecs that they offer for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from siprec.outcome import CommandError, unreadable
from siprec.tones import tone
from siprec_core.codecs.registry import extra_for
from siprec_core.containers.wav import read_wav
from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.media.mixer import downmix
from siprec_core.recording.call import DEFAULT_FORMATS, TELEPHONE_EVENT
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, Codec, MediaFormat
from siprec_sync.codecs import installed_codecs, resampled

_FIRST_DYNAMIC = 96


class Speech(Protocol):
    """Audio of one channel that can be had at any rate."""

    @property
    def seconds(self) -> float:
        """How long it is."""

    def at(self, sample_rate: int) -> bytes:
        """Give it as 16-bit little-endian PCM with so many samples a second."""


@dataclass(frozen=True, slots=True)
class Tone:
    """A sine tone."""

    frequency: int
    """Hertz."""
    seconds: float

    def at(self, sample_rate: int) -> bytes:
        """Make it."""
        return tone(self.frequency, self.seconds, sample_rate)


@dataclass(frozen=True, slots=True)
class Clip:
    """Audio that somebody recorded."""

    pcm: bytes
    """16-bit little-endian, one channel."""
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.pcm) / (2 * self.sample_rate)

    def at(self, sample_rate: int) -> bytes:
        """Give it at another rate."""
        return resampled(self.pcm, self.sample_rate, sample_rate)

    def first(self, seconds: float) -> "Clip":
        """Give its beginning, all of it when it is shorter."""
        return Clip(self.pcm[: 2 * round(seconds * self.sample_rate)], self.sample_rate)


def read_clip(path: Path) -> Clip:
    """Read a WAV file of any rate; several channels become one. Raises CommandError."""
    try:
        wav_format, pcm = read_wav(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except RemoteProtocolError as error:
        raise CommandError(f"{path}: {error.message}") from error
    if not pcm:
        raise CommandError(f"{path}: no audio in it")
    return Clip(downmix(pcm, wav_format.channels), wav_format.sample_rate)


def offered_formats(names: Sequence[str], *, with_events: bool) -> tuple[MediaFormat, ...]:
    """Give the payload formats of codecs such as `G722/8000`, in their order; without any it is G.711 in both laws.

    `with_events` adds telephone events for each of their clock rates (RFC 4733 section 2.4.1). Raises CommandError for
    what cannot be encoded here.
    """
    codecs = [_encodable(name) for name in names]
    dynamic = iter(number for number in range(_FIRST_DYNAMIC, 128) if number != TELEPHONE_EVENT.payload_type)
    static = {rtpmap: number for number, rtpmap in reversed(STATIC_PAYLOAD_TYPES.items())}
    formats: list[MediaFormat] = [] if codecs else list(DEFAULT_FORMATS)
    for codec in codecs:
        found = next((number for rtpmap, number in static.items() if codec.matches(rtpmap)), None)
        number = next(dynamic) if found is None else found
        formats.append(MediaFormat(number, codec.encoding, codec.clock_rate))
    rates = dict.fromkeys(each.clock_rate for each in formats) if with_events else {}
    for rate in rates:
        number = TELEPHONE_EVENT.payload_type if rate == TELEPHONE_EVENT.clock_rate else next(dynamic)
        formats.append(TELEPHONE_EVENT._replace(payload_type=number, clock_rate=rate))
    return tuple(formats)


def _encodable(name: str) -> Codec:
    try:
        codec = Codec.parse(name)
    except LocalProtocolError as error:
        raise CommandError(f"--codecs: {error}") from error
    if codec.channels > 1:
        raise CommandError(f"--codecs {name}: a stream has one channel")
    if installed_codecs().encoder(codec.encoding, codec.clock_rate) is None:
        extra = extra_for(codec.encoding)
        remedy = f"; pip install 'siprec[{extra}]'" if extra == "audio" else ""
        raise CommandError(f"--codecs {name}: cannot be encoded here{remedy}")
    return codec
