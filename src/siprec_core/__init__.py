"""The session recording protocol (RFC 7866, RFC 7865) without I/O: bytes and time in, commands and events out.

`RecordingServer` records, `RecordingClient` has something recorded; the parsers and values below them work alone too.
"""

from siprec_core.client import ClientOutput, RecordingClient
from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import CodecProvider, Codecs
from siprec_core.entropy import Entropy
from siprec_core.errors import (
    ConfigurationError,
    LocalProtocolError,
    NegotiationError,
    ProtocolError,
    RemoteProtocolError,
    SiprecError,
)
from siprec_core.findings import Finding, FindingCode, Severity
from siprec_core.limits import Limits
from siprec_core.media.listener import AudioFrame
from siprec_core.metadata.builder import MetadataBuilder
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot
from siprec_core.metadata.reader import ParsedMetadata, read_metadata
from siprec_core.metadata.writer import write_metadata, write_request_snapshot
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig, ListenSpec, StreamSpec
from siprec_core.recording.call_events import (
    AudioFinished,
    CallEvent,
    ChangeConcluded,
    RecordingAnswered,
    RecordingAttempted,
    RecordingEnded,
    RecordingProceeding,
    RecordingRefused,
    ServerFailed,
)
from siprec_core.recording.commands import (
    BindMedia,
    CloseFlow,
    CloseMedia,
    CloseSink,
    Command,
    DeliverAudio,
    EndAudio,
    OpenFlow,
    OpenSink,
    PauseLine,
    RecordLine,
    RenderRecording,
    Resolve,
    SecureLine,
    SendDatagram,
    SendMedia,
    SendStream,
    SinkKind,
    UpdateLine,
    WriteSink,
)
from siprec_core.recording.decision import Decision, PolicyRequest
from siprec_core.recording.events import (
    Diagnostic,
    DigitReceived,
    Event,
    FindingRaised,
    MetadataUpdated,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    SourceFound,
    StreamsChanged,
    StreamStalled,
)
from siprec_core.recording.line_recorder import LineRecorder
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.plane import LineReport
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.ports import PortCounts
from siprec_core.recording.server_status import ServerStatus
from siprec_core.recording.servers import ServerMemory
from siprec_core.recording.session_info import ParticipantInfo, SessionInfo, SessionStatus, StreamInfo
from siprec_core.recording.totals import MediaCounts
from siprec_core.rtp.packet import RtpPacket
from siprec_core.sdp.model import MediaDescription, SessionDescription
from siprec_core.sdp.parser import ParsedSdp, parse_sdp
from siprec_core.server import RecordingServer, ServerOutput
from siprec_core.sip.advertised import Advertised
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.body_reader import ArrivingPart, BodyReader
from siprec_core.sip.digest import Secret
from siprec_core.sip.framing import KeepAlive, MessageFramer
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.multipart import parse_body, write_multipart
from siprec_core.sip.names import AddressRecord, DnsAnswer, LookupFailure, NaptrRecord, QueryId, RecordType, SrvRecord
from siprec_core.sip.parser import parse_datagram
from siprec_core.sip.transport import Hop
from siprec_core.types import (
    Address,
    Component,
    DatagramBatch,
    Flow,
    FlowId,
    Listening,
    MediaId,
    SessionId,
    SinkId,
    TapId,
    Transport,
)
from siprec_core.waiting_client import WaitingClient

__all__ = [
    "ArrivingPart",
    "PolicyRequest",
    "Decision",
    "StreamInfo",
    "SessionStatus",
    "ParticipantInfo",
    "AdmissionPolicy",
    # the facades
    "LineRecorder",
    "LineReport",
    "Advertised",
    "CallSpec",
    "ChangeConcluded",
    "ChangeOutcome",
    "ClientConfig",
    "ClientOutput",
    "DigestRule",
    "DigestUser",
    "Hop",
    "ListenSpec",
    "RecordingClient",
    "RecordingServer",
    "RecordSpec",
    "Secret",
    "ServerConfig",
    "ServerMemory",
    "ServerOutput",
    "SessionInfo",
    "ServerStatus",
    "MediaCounts",
    "PortCounts",
    "StreamSpec",
    "WaitingClient",
    # commands
    "PauseLine",
    "RecordLine",
    "SecureLine",
    "UpdateLine",
    "BindMedia",
    "CloseFlow",
    "CloseMedia",
    "CloseSink",
    "Command",
    "DeliverAudio",
    "EndAudio",
    "OpenFlow",
    "OpenSink",
    "RenderRecording",
    "Resolve",
    "SendDatagram",
    "SendMedia",
    "SendStream",
    "SinkKind",
    "WriteSink",
    # events of the server
    "Diagnostic",
    "DigitReceived",
    "Event",
    "FindingRaised",
    "MetadataUpdated",
    "ServerDrained",
    "SessionEnded",
    "SessionEstablished",
    "SessionRefused",
    "SessionRequested",
    "SourceFound",
    "StreamStalled",
    "StreamsChanged",
    # events of the client
    "AudioFinished",
    "CallEvent",
    "RecordingAnswered",
    "RecordingAttempted",
    "RecordingEnded",
    "RecordingProceeding",
    "RecordingRefused",
    "ServerFailed",
    # values and seams
    "Address",
    "AddressRecord",
    "AudioFrame",
    "CodecProvider",
    "Codecs",
    "Component",
    "DatagramBatch",
    "DnsAnswer",
    "Entropy",
    "Flow",
    "FlowId",
    "Limits",
    "Listening",
    "LookupFailure",
    "MediaId",
    "NaptrRecord",
    "QueryId",
    "RecordType",
    "SessionId",
    "SinkId",
    "SrvRecord",
    "TapId",
    "TimeBase",
    "Transport",
    # findings and errors
    "ConfigurationError",
    "Finding",
    "FindingCode",
    "LocalProtocolError",
    "NegotiationError",
    "ProtocolError",
    "RemoteProtocolError",
    "Severity",
    "SiprecError",
    # SIP
    "BodyPart",
    "BodyReader",
    "Headers",
    "KeepAlive",
    "Malformed",
    "MessageFramer",
    "parse_body",
    "parse_datagram",
    "ParsedBody",
    "Request",
    "Response",
    "write_multipart",
    # SDP, metadata, RTP
    "MediaDescription",
    "MetadataBuilder",
    "MetadataDocument",
    "parse_sdp",
    "ParsedMetadata",
    "ParsedSdp",
    "read_metadata",
    "RequestSnapshot",
    "RtpPacket",
    "SessionDescription",
    "write_metadata",
    "write_request_snapshot",
]
