"""All commands of the two facades: flows, media and files.

A driver performs commands in order. One that fails comes back as an input of the machine, never as an exception.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from siprec_core.media.commands import BindMedia, CloseMedia, MediaCommand, SendMedia
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.plane import PauseLine, PlaneCommand, RecordLine, SecureLine, UpdateLine
from siprec_core.sip.commands import CloseFlow, FlowCommand, OpenFlow, Resolve, SendDatagram, SendStream, SipCommand
from siprec_core.types import SessionId, SinkId, TapId

__all__ = [
    "AudioCommand",
    "BindMedia",
    "CloseFlow",
    "CloseMedia",
    "CloseSink",
    "Command",
    "DeliverAudio",
    "EndAudio",
    "FlowCommand",
    "MediaCommand",
    "OpenFlow",
    "OpenSink",
    "PauseLine",
    "PlaneCommand",
    "RecordLine",
    "RenderRecording",
    "Resolve",
    "SendDatagram",
    "SendMedia",
    "SecureLine",
    "SendStream",
    "SinkCommand",
    "SinkKind",
    "SipCommand",
    "UpdateLine",
    "WriteSink",
]


class SinkKind(Enum):
    """How a sink keeps its bytes."""

    JOURNAL = "journal"
    """Created new, appended, flushed to disk as the durability setting says; never overwritten."""
    ORPHAN = "orphan"
    """A journal whose writer was lost: cut after its last whole block, then as a journal."""
    DOCUMENT = "document"
    """Written beside and renamed into place when closed: readers see the old or the new content, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSink:
    """Open a file; failure: `sink_failed`."""

    sink: SinkId
    kind: SinkKind
    name: str
    """Relative path with `/` between the parts, made by us, never a peer's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSink:
    """Append bytes (or write them at `offset`); failure: `sink_failed`."""

    sink: SinkId
    data: bytes
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSink:
    """Finish a file: everything written is on disk before anything that follows for the same recording."""

    sink: SinkId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverAudio:
    """Hand live audio to a tap. Never waits: a listener that is slow loses frames, the recording does not."""

    tap: TapId
    frames: tuple[AudioFrame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAudio:
    """Tell a tap that no audio follows."""

    tap: TapId


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRecording:
    """Make the final files of a recording from its journal, off the loop; answer: `rendered` or `render_failed`."""

    session: SessionId
    directory: str
    """Relative path of the recording's folder."""


SinkCommand: TypeAlias = OpenSink | WriteSink | CloseSink | RenderRecording
AudioCommand: TypeAlias = DeliverAudio | EndAudio
Command: TypeAlias = SipCommand | MediaCommand | PlaneCommand | SinkCommand | AudioCommand
