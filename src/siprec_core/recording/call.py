"""What a recording client (SRC) calls with: the streams, the people, the metadata document that tells of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from siprec_core.clock import format_instant
from siprec_core.codecs.registry import Codecs
from siprec_core.entropy import Ids
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.media.commands import SendMedia
from siprec_core.media.encryption import CryptoProvider
from siprec_core.metadata.draft_writer import write_document
from siprec_core.metadata.model import (
    DataMode,
    Dialect,
    MetadataDocument,
    Name,
    NameId,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.times import Instant
from siprec_core.recording.servers import ServerMemory
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.parameters import Parameters
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Listening

DEFAULT_FORMATS = (MediaFormat(0, "PCMU", 8000), MediaFormat(8, "PCMA", 8000))
"""G.711 in both laws (RFC 3551)."""
_ANY_ADDRESS = Address("", 0)


TELEPHONE_EVENT = MediaFormat(101, "telephone-event", 8000, 1, "0-15")
"""Key presses (RFC 4733) beside audio of 8,000 Hz; a stream offers it in its `formats`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Settings of a recording client."""

    rtp_ports: tuple[int, int] = (40_000, 49_999)
    """Lowest and highest UDP port for media."""
    media_host: str | None = None
    """Address to send media from; None takes the signalling address."""
    advertise: str | None = None
    """Address for SDP, Via and Contact in place of the local one (NAT)."""
    product: str = "siprec"
    """Text of the User-Agent header field."""
    session_expires: int = 1800
    """The longest session interval in seconds that we grant, and the one that we ask for (RFC 4028)."""
    min_se: int = 90
    """The shortest session interval in seconds that we take (RFC 4028 section 5)."""
    session_timer: bool = False
    """Ask the server for a session timer."""
    credentials: DigestUser | None = None
    """Who we are when the server or a proxy challenges us (RFC 3261 section 22)."""
    large_over_tcp: bool = False
    """Send requests of more than 1,300 octets over TCP where UDP was chosen (RFC 3261 section 18.1.1).

    They go over UDP after all when no connection can be made.
    """
    silence_seconds: float = 4.0
    """How long a server may say nothing at all before the next of `CallSpec.alternatives` is asked."""
    answer_seconds: float = 20.0
    """How long a server that has said 100 or the like may take to answer before the next one is asked."""
    servers: ServerMemory | None = None
    """What calls learn of servers: one object for all whose calls shall know. None keeps it for one call."""
    rewrite: Callable[[bytes], bytes] | None = None
    """Gives what is sent in place of each SIP message: to imitate another client towards a recorder under test."""
    media_path: Callable[[SendMedia], Iterable[SendMedia]] | None = None
    """Gives what leaves in place of each media packet: to imitate a bad network towards a recorder under test."""
    crypto: CryptoProvider | None = None
    """The ciphers of SRTP; the frontends supply them where the extra `srtp` is installed."""
    codecs: Codecs | None = None
    """What audio can be encoded; None takes the core's codecs, to which the frontends add those of installed extras."""
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """One stream to be recorded: what one participant says."""

    label: str
    """SDP label (RFC 4574), a token unique within the call."""
    aor: str
    """Address of record of the participant who sends it."""
    name: str | None = None
    """The participant's display name."""
    formats: tuple[MediaFormat, ...] = DEFAULT_FORMATS
    ptime: int = 20
    """Milliseconds of audio in a packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """One recording session to be set up."""

    uri: str
    """Request-URI: the recording server's."""
    alternatives: tuple[str, ...] = ()
    """URIs of other recording servers, asked in this order when the one before does not take the call: whatever it
    refuses with (but for 6xx and `final_statuses`), when it cannot be reached, or says nothing in time."""
    final_statuses: frozenset[int] = frozenset()
    """Refusals after which no other server is asked."""
    hop: Hop | None = None
    """Where to send: transport, numeric address, TLS name. None locates the servers of `uri`, and tries one after the
    other (RFC 3263)."""
    local: Address = _ANY_ADDRESS
    """Our signalling address: what Via and Contact name and datagrams leave from. The frontends take an empty host for
    the address from which the servers are reached, and port 0 for any."""
    listening: tuple[Listening, ...] = ()
    """Where we listen, the best first: what Via and Contact name over each transport, and which transports and kinds of
    addresses servers are looked for with. Empty: `local` counts for all transports."""
    streams: tuple[StreamSpec, ...]
    from_uri: str = "sip:siprec@localhost"
    """Address of the recording client."""
    metadata: bytes | None = None
    """A document to send as it is; None builds one from `streams`."""
    srtp: tuple[str, ...] = ()
    """Crypto suites to encrypt the media with, most wanted first: each line is offered as RTP/SAVP with an own key for
    each. Empty sends plain RTP."""
    dialect: Dialect = Dialect.RFC7865
    """The format of the documents that are built; an older one (`draft-recording`, `draft-siprec`) for a recorder that
    reads nothing else."""


def first_metadata(spec: CallSpec, *, ids: Ids, unix_ns: int) -> bytes:
    """Give the document of the first INVITE; raises LocalProtocolError for a dialect or text that cannot be written."""
    if spec.metadata is not None:
        return spec.metadata
    return write_document(metadata_of(spec, ids=ids, unix_ns=unix_ns), spec.dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """How the server took a change: metadata, a hold or a resumption."""

    status: int
    """2xx, or why the session is as it was (RFC 3261 14.1); 481 when the call ended first."""
    reason: str
    findings: tuple[Finding, ...] = ()
    """Each rule that the server's answer breaks."""
    local: bool = False
    """True when no response of the server's says so: silence (408), no way to it (503), the end of the call (481)."""

    @property
    def taken(self) -> bool:
        """True when the server took the change."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSpec:
    """One recording session that a recording server may ask for."""

    streams: tuple[StreamSpec, ...]
    metadata: bytes | None = None
    """A document to send as it is; None builds one from `streams`."""


def metadata_of(spec: CallSpec, *, ids: Ids, unix_ns: int) -> MetadataDocument:
    """Build the full snapshot of a call in which everybody hears everybody else (RFC 7865, RFC 8068 section 3.2.1)."""
    session_id = ids.unique_id()
    now = Instant(format_instant(unix_ns), unix_ns)
    people = [(stream, ids.unique_id(), ids.unique_id()) for stream in spec.streams]
    names = {
        person: NameId(stream.aor, None if stream.name is None else Name(stream.name)) for stream, person, _ in people
    }
    return MetadataDocument(
        datamode=DataMode.COMPLETE,
        sessions=(Session(session_id, start_time=now),),
        participants=tuple(Participant(person, (names[person],)) for _, person, _ in people),
        streams=tuple(Stream(stream_id, session_id, stream.label) for stream, _, stream_id in people),
        session_recording_associations=(SessionRecordingAssociation(session_id, now),),
        participant_session_associations=tuple(
            ParticipantSessionAssociation(person, session_id, now) for _, person, _ in people
        ),
        participant_stream_associations=tuple(
            ParticipantStreamAssociation(
                person, (sent,), tuple(other for _, _, other in people if other != sent), associate_time=now
            )
            for _, person, sent in people
        ),
    )


def address_of_record(uri: str) -> str:
    """Give a URI without what RFC 3261 section 19.1.1 forbids in To: port, transport and the like."""
    try:
        parsed = SipUri.parse(uri)
    except RemoteProtocolError:
        return uri
    return str(replace(parsed, port=None, parameters=Parameters(), headers=None))
