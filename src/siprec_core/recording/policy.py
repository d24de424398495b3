"""What a recording server is and whom it records: configuration, the marks of a recording session, admission."""

import re
from dataclasses import dataclass

from siprec_core.errors import ConfigurationError, RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.media.encryption import CryptoProvider
from siprec_core.metadata.privacy import MetadataFilter
from siprec_core.recording.admission import UNDECIDED, AdmissionPolicy, check_admission
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.sip import uas
from siprec_core.sip.advertised import Advertised, advertised
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.body import ParsedBody
from siprec_core.sip.message import Request, Response
from siprec_core.sip.session_timer import LEAST_MIN_SE
from siprec_core.sip.uas import Refusal
from siprec_core.types import Flow

METADATA_TYPES = frozenset(uas.METADATA_TYPES)
"""Media types of metadata: RFC 9806 section 2, and the name of RFC 7866 that most clients still send."""
UNDERSTOOD = frozenset(("siprec", "100rel", "timer"))
"""Option tags that a client may require. With 100rel every 1xx of ours but 100 is reliable (RFC 3262 section 3)."""
_RUN_TOGETHER = "100relsiprec"
"""Seen in the field: a comma or a line end was lost between two option tags. Nobody defines a tag of this name."""

_SOURCE_TAGS = frozenset(("+sip.src", "src", "+sip-src"))
"""`+sip.src`, `;src` (BroadWorks, Webex, AudioCodes), `+sip-src` (NG9-1-1 clients)."""
_SERVER_TAG = "+sip.srs"
_MISPLACED_TAG = re.compile(r";\s*(?:\+sip[.-]src(?:\s*=\s*\"?true\"?)?|src)\s*(?=[;,>]|$)", re.IGNORECASE)
"""A tag inside the brackets (Avaya) or behind a bracket that is never closed (Metaswitch)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Settings of a recording server."""

    rtp_ports: tuple[int, int] = (30_000, 39_999)
    """Lowest and highest UDP port for media."""
    rtp_ports_expansion: tuple[int, int] | None = None
    """A second range for bursts: used while no port of `rtp_ports` is free and has rested its 30 seconds."""
    media_host: str | None = None
    """Address to receive media on; None takes the one that the INVITE came to."""
    advertise: str | None = None
    """Address for SDP, Via and Contact in place of the local one (NAT)."""
    advertise_by_listener: tuple[Advertised, ...] = ()
    """The same for the calls of single listeners, before `advertise`; the first that fits counts."""
    max_sessions: int | None = None
    """Recordings at a time; None is without limit."""
    when_full: str = "busy"
    """`busy` answers 486, `unavailable` 503 with Retry-After: clients then fail over (RFC 3261 section 21.5.4).

    `queue` answers 100 and lets the call wait for `admission.queue_seconds`, then 486; `Limits.waiting_calls` wait at a
    time.
    """
    admission: AdmissionPolicy = AdmissionPolicy()
    """Whose calls are taken, and how many of one peer."""
    codecs: tuple[str, ...] = ("PCMU/8000", "PCMA/8000", "L16/8000", "L16/16000")
    """Codecs that may be negotiated, as `ENCODING/CLOCK-RATE` with `/CHANNELS` behind it where there are several, most
    wanted first.

    One that cannot be decoded here is kept in the journal all the same, and rendered where it can be.
    """
    prefer_own_codecs: bool = False
    """Take the first of `codecs` that is offered instead of the first of the offer that is among them."""
    srtp: SrtpPolicy = SrtpPolicy.ALLOW
    """Whether encrypted media (RFC 4568) is refused, answered where it is offered, or required."""
    media_apart: bool = False
    """Media and journals are another process's: commands of the media plane (`plane`) say what to do with them, and
    `media_reported` what came. Live audio is not to be had then."""
    crypto: CryptoProvider | None = None
    """The ciphers of SRTP. Without them encrypted media is refused with a finding; the frontends supply them where the
    extra `srtp` is installed."""
    strict: bool = False
    """Refuse what RFC 7866 does not allow instead of recording it with a finding."""
    manual: bool = False
    """Wait for `accept` or `reject` of the application before answering.

    The client hears 183 every minute, reliably if it requires 100rel. It gets 487 when the time of its Expires is over.
    """
    decision_seconds: float = 0.0
    """With `manual`, how long a decision may take; 0 waits for ever."""
    undecided: str = "accept"
    """What becomes of a call without a decision in time: `accept` or `reject` (503)."""
    session_expires: int = 1800
    """The longest session interval in seconds that we grant, and the one that we ask for (RFC 4028)."""
    min_se: int = 90
    """The shortest session interval in seconds that we take; 422 for a shorter one (RFC 4028 section 5)."""
    session_timer: bool = False
    """Time sessions also where the client does not ask for it."""
    authentication: tuple[DigestRule, ...] = ()
    """Who has to authenticate (RFC 3261 section 22): the first rule that fits a request's listener counts.

    A request that no rule fits needs no credentials; without rules none does.
    """
    credentials: DigestUser | None = None
    """Who we are when a request of ours is challenged."""
    retry_seconds: int = 10
    """Retry-After of 503 answers."""
    metadata_filter: MetadataFilter | None = None
    """What of the metadata may be stored (RFC 7865 section 10); None keeps everything. It also rules what the
    application is told: events and reports show the filtered metadata."""
    mask_digits: bool = False
    """Turn every digit that telephone events (RFC 4733) or INFO tell into `*`, in journal, report and events: keys
    pressed may be the number of a card. Tones within the audio are not touched."""
    product: str = "siprec"
    """Text of the Server header field, and the application named in journals."""
    limits: Limits = Limits()

    def media_address(self, flow: Flow) -> str:
        """Give the address that the SDP of a call along `flow` names."""
        told = advertised(self.advertise_by_listener, flow.transport, flow.local) or self.advertise
        return told or self.media_host or flow.local.host


def check_config(config: ServerConfig) -> None:
    """Raise ConfigurationError for settings that cannot be."""
    check_admission(config.admission, max_sessions=config.max_sessions, when_full=config.when_full)
    if config.undecided not in UNDECIDED:
        raise ConfigurationError(f"undecided: {config.undecided!r} is neither accept nor reject")
    if config.min_se < LEAST_MIN_SE or config.session_expires < config.min_se:
        raise ConfigurationError("min_se: at least 90 seconds and not above session_expires (RFC 4028)")
    if config.srtp is SrtpPolicy.REQUIRE and config.crypto is None:
        raise ConfigurationError("srtp: encrypted media is required, and there are no ciphers for it")


@dataclass(frozen=True, slots=True)
class SiprecMarks:
    """The signs by which one message shows that it belongs to a recording session (RFC 7866 sections 6.1.1, 6.2, 9)."""

    require: bool
    """`siprec` in Require, in any spelling seen in the field."""
    feature_tag: bool
    """`+sip.src` on the Contact, in any spelling seen in the field."""
    standard_tag: bool
    """The feature tag stands as RFC 7866 wants it."""
    metadata: bool
    """A metadata body part."""
    server_tag: bool = False
    """`+sip.srs` on the Contact: the sender is a recording server, whose INVITE only a recording client takes."""
    run_together: bool = False
    """Require has `siprec` within another tag only."""

    @property
    def any(self) -> bool:
        """True when there is at least one mark: the only safe test in the field."""
        return self.require or self.feature_tag or self.metadata

    @property
    def strict(self) -> bool:
        """True when both marks of RFC 7866 section 6.2 are there."""
        return self.require and self.standard_tag and not self.run_together


def marks_of(request: Request | Response, body: ParsedBody) -> SiprecMarks:
    """Read the marks of a message; header fields that cannot be read show none."""
    try:
        tags = request.require
    except RemoteProtocolError:
        tags = ()
    require = any("siprec" in tag for tag in tags)
    standard, loose, server = _feature_tags(request)
    metadata = any(part.content_type.media_type in METADATA_TYPES for part in body.leaves())
    return SiprecMarks(require, standard or loose, standard, metadata, server, require and "siprec" not in tags)


def mark_findings(marks: SiprecMarks) -> tuple[Finding, ...]:
    """Tell which marks the first INVITE of a recording session lacks."""
    found = []
    if not marks.require:
        found.append(finding("siprec-no-require", "Require"))
    elif marks.run_together:
        message = "Require has siprec run together with another option tag"
        found.append(finding("siprec-no-require", "Require", message))
    if not marks.feature_tag:
        found.append(finding("siprec-no-feature-tag", "Contact"))
    elif not marks.standard_tag:
        found.append(finding("siprec-feature-tag-form", "Contact"))
    if not marks.metadata:
        found.append(finding("siprec-no-metadata", "body"))
    return tuple(found)


def _feature_tags(message: Request | Response) -> tuple[bool, bool, bool]:
    """Tell whether a client's tag stands as it should, whether in any other way, and whether there is a server's."""
    tags = _contact_tags(message)
    standard, server = "+sip.src" in tags, _SERVER_TAG in tags
    loose = not _SOURCE_TAGS.isdisjoint(tags)
    if not standard:
        loose = loose or any(_MISPLACED_TAG.search(raw) is not None for raw in message.headers.get_all("Contact"))
    return standard, loose, server


def is_from_server(message: Request | Response) -> bool:
    """Tell whether a message's Contact has the feature tag of a recording server, `+sip.srs` (RFC 7866 section 6.2)."""
    return _SERVER_TAG in _contact_tags(message)


def _contact_tags(message: Request | Response) -> frozenset[str]:
    """Give the names, lower case, of the Contacts' parameters that are not false."""
    try:
        contacts = message.contacts
    except RemoteProtocolError:
        return frozenset()
    # RFC 3840 9: a boolean tag without a value is true; ="FALSE" says that the feature is not there.
    return frozenset(
        name.lower()
        for address in contacts
        for name, value in address.parameters
        if (value or "TRUE").strip('"').upper() != "FALSE"
    )


def understood_tags(*, strict: bool) -> frozenset[str]:
    """Give the option tags that a client may require, in lower case."""
    return UNDERSTOOD if strict else UNDERSTOOD | {_RUN_TOGETHER}


def refuse_unmarked(marks: SiprecMarks, *, strict: bool) -> Refusal | None:
    """Refuse a call that does not show itself as a recording session; it must not silently become one (RFC 7866 6.2).

    421 with `Require: siprec` tells an able client what is missing (RFC 3261 section 21.4.16).
    """
    if marks.strict or (marks.any and not strict):
        return None
    return Refusal(421, headers=(("Require", "siprec"),))
