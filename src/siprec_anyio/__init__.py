"""Frontend of siprec for asyncio and trio."""

from siprec_anyio.client import Call, connect, listen
from siprec_anyio.group import RecordingGroup, connect_all
from siprec_anyio.server import AudioStream, Server, Session, serve
from siprec_anyio.waiting import EventStream
from siprec_core.media.listener import AudioFrame
from siprec_sync.assembly import DriverSettings
from siprec_sync.calls import CallRefusedError, ChangeRefusedError
from siprec_sync.captured_calls import render_calls
from siprec_sync.directory_sinks import DirectorySinks, Durability, SinkSettings
from siprec_sync.events import SlowReaderError
from siprec_sync.groups import GroupEvent, GroupMember
from siprec_sync.listeners import Bind
from siprec_sync.pump import DriverFailedError
from siprec_sync.rendering import render_capture, render_recording
from siprec_sync.sinks import MemorySinks, Sinks
from siprec_sync.space import DiskReserve
from siprec_sync.tls import TlsFiles

__all__ = [
    "AudioFrame",
    "AudioStream",
    "Bind",
    "Call",
    "CallRefusedError",
    "ChangeRefusedError",
    "connect",
    "connect_all",
    "DirectorySinks",
    "DiskReserve",
    "DriverFailedError",
    "DriverSettings",
    "Durability",
    "EventStream",
    "GroupEvent",
    "GroupMember",
    "listen",
    "MemorySinks",
    "render_calls",
    "RecordingGroup",
    "render_capture",
    "render_recording",
    "serve",
    "Server",
    "Session",
    "Sinks",
    "SinkSettings",
    "SlowReaderError",
    "TlsFiles",
]
