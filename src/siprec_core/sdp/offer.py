"""The offerer of a recording client: offers what it sends, checks what is answered (RFC 3264, RFC 7866 section 7.1).

`read_answer` believes as much of an answer as can be used and reports each rule that it breaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.sdp.attributes import TOKEN, Attribute, shown
from siprec_core.sdp.crypto import SECURE_RTP, CryptoAttribute, accepted_crypto, check_crypto, check_fresh_keys
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, MediaFormat, RtpMap
from siprec_core.sdp.model import (
    Connection,
    Direction,
    MediaDescription,
    Origin,
    SessionDescription,
    address_type,
    format_attributes,
)
from siprec_core.sdp.rules import continuity_findings, formats_without_events, media_addresses, where
from siprec_core.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedStream:
    """One media line of an offer."""

    label: str
    """A token, unique within the offer; the metadata's `label` of the stream (RFC 7866 section 7.1.1)."""
    formats: tuple[MediaFormat, ...]
    """What may be sent, most wanted first; telephone-event among them if events are sent."""
    port: int
    """Our RTP port; 0 removes the stream, its line stays."""
    direction: Direction = "sendonly"
    """`sendonly`; `inactive` while paused."""
    ptime: int | None = None
    """Packet time in milliseconds."""
    rtcp_mux: bool = False
    """Offer RTP and RTCP on one port (RFC 5761 section 5.1.1)."""
    media: str = "audio"
    protocol: str = "RTP/AVP"
    """`RTP/SAVP` or `RTP/SAVPF` exactly with `crypto`."""
    crypto: tuple[CryptoAttribute, ...] = ()
    """Keys to encrypt with, most wanted suite first (`offer_crypto` makes them); the answer chooses one."""


def build_offer(
    streams: Sequence[OfferedStream],
    *,
    address: str,
    session_id: int,
    version: int = 1,
) -> SessionDescription:
    """Write an offer of `streams` in their order, which must stay the same in later offers.

    For a later offer `SessionDescription.continuing` sets the version. Raises LocalProtocolError for a label that is
    not a token or not unique, a port out of range, no formats, a payload type that stands twice, keys without a secure
    protocol or the reverse, an invalid `a=crypto`, and a key that stands twice.
    """
    labels: set[str] = set()
    for stream in streams:
        _check_stream(stream)
        if stream.label in labels:
            raise LocalProtocolError(f"the label {stream.label} stands twice")
        labels.add(stream.label)
    # RFC 4568 6.1: each media line and each direction has a master key of its own.
    check_fresh_keys(stream.crypto for stream in streams)
    kind = address_type(address)
    return SessionDescription(
        Origin("-", session_id, version, address, kind),
        connection=Connection(address, kind),
        media=tuple(_offered_line(stream) for stream in streams),
    )


def _check_stream(stream: OfferedStream) -> None:
    if not TOKEN.fullmatch(stream.label):
        raise LocalProtocolError(f"the label {stream.label!r} is not a token")
    if not 0 <= stream.port < 65536:
        raise LocalProtocolError(f"the port {stream.port} is out of range")
    payload_types = [format_.payload_type for format_ in stream.formats]
    if not payload_types or len(set(payload_types)) != len(payload_types):
        raise LocalProtocolError(f"stream {stream.label} needs formats, each with a payload type of its own")
    if bool(stream.crypto) is not (stream.protocol in SECURE_RTP):
        raise LocalProtocolError(f"stream {stream.label} needs a secure protocol and keys together, or neither")
    if len({crypto.tag for crypto in stream.crypto}) < len(stream.crypto):
        raise LocalProtocolError(f"stream {stream.label} has a crypto tag twice")
    for crypto in stream.crypto:
        check_crypto(crypto)


def _offered_line(stream: OfferedStream) -> MediaDescription:
    attributes = format_attributes(stream.formats)
    if stream.ptime is not None:
        attributes.append(Attribute("ptime", str(stream.ptime)))
    if stream.rtcp_mux:
        attributes.append(Attribute("rtcp-mux"))
    attributes.extend(Attribute("crypto", str(crypto)) for crypto in stream.crypto)
    attributes.append(Attribute(stream.direction))
    attributes.append(Attribute("label", stream.label))
    formats = tuple(str(format_.payload_type) for format_ in stream.formats)
    return MediaDescription(stream.media, stream.port, stream.protocol, formats, tuple(attributes))


@dataclass(frozen=True, slots=True, kw_only=True)
class NegotiatedLine:
    """What an answer made of one offered media line."""

    index: int
    """Place of the line in the offer, from 0."""
    label: str | None
    """Our label; whether the answer repeats it is a finding."""
    accepted: bool
    """The line has a port in the answer and a format in common."""
    formats: tuple[MediaFormat, ...]
    """What may be sent, most wanted first, with the payload types to send; empty when refused."""
    direction: Direction
    """As seen by the answerer."""
    ptime: int | None
    """Packet time that the answerer asks for, in milliseconds."""
    rtcp_mux: bool
    remote_rtp: Address | None
    """Where RTP is sent to; None when nothing may be sent."""
    remote_rtcp: Address | None
    crypto: CryptoAttribute | None = None
    """Our offered `a=crypto` that is accepted: its key encrypts what we send. None for a line without encryption."""
    remote_crypto: CryptoAttribute | None = None
    """The answerer's `a=crypto`: its key encrypts what comes back, which is RTCP."""

    @property
    def receives(self) -> bool:
        """True when audio may be sent on the line now."""
        return self.accepted and self.remote_rtp is not None and self.direction in {"recvonly", "sendrecv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NegotiatedAnswer:
    """An answer as far as it can be used, and what it does against the rules."""

    lines: tuple[NegotiatedLine, ...]
    """One per media line of the offer, in its order."""
    findings: tuple[Finding, ...]


def read_answer(
    offer: SessionDescription,
    answer: SessionDescription,
    *,
    previous: SessionDescription | None = None,
    allow_loopback: bool = True,
) -> NegotiatedAnswer:
    """Read the answer to our offer and check it against RFC 3264 section 6 and RFC 7866 section 7.2.

    `previous` is the peer's last description in the session. Never raises for what the answer holds.
    """
    findings: list[Finding] = []
    if len(answer.media) != len(offer.media):
        # RFC 3264 6: "the answer MUST contain the same number of 'm=' lines as the offer".
        message = f"{len(offer.media)} media lines offered, {len(answer.media)} answered"
        findings.append(finding("sdp-answer-line-count", "answer", message))
    if _times(offer) != _times(answer):
        findings.append(finding("sdp-answer-timing", "t="))
    if previous is not None:
        findings.extend(continuity_findings(previous, answer))
    lines: list[NegotiatedLine] = []
    for index in range(len(offer.media)):
        reader = _LineReader(offer, answer, index, findings)
        lines.append(reader.read(allow_loopback=allow_loopback))
    return NegotiatedAnswer(lines=tuple(lines), findings=tuple(findings))


def _times(description: SessionDescription) -> list[str]:
    return [line.value for line in description.timing if line.type == "t"]


class _LineReader:
    """Reads one media line of an answer beside the one it answers."""

    __slots__ = ("_answer", "_findings", "_index", "_offer", "_offered")

    def __init__(
        self, offer: SessionDescription, answer: SessionDescription, index: int, findings: list[Finding]
    ) -> None:
        self._offer = offer
        self._answer = answer
        self._index = index
        self._findings = findings
        self._offered = offer.media[index]

    def read(self, *, allow_loopback: bool) -> NegotiatedLine:
        """Give the line; add what it does against the rules to the findings."""
        if self._index >= len(self._answer.media):
            return self._refused()
        answered = self._answer.media[self._index]
        if answered.media.lower() != self._offered.media.lower():
            self._found("sdp-answer-media", f"{shown(answered.media)} answered to {self._offered.media}")
            return self._refused()
        if answered.protocol.upper() != self._offered.protocol.upper():
            self._found("sdp-answer-protocol", f"{shown(answered.protocol)} answered to {self._offered.protocol}")
        if answered.port == 0:
            return self._refused()
        if self._offered.port == 0:
            self._found("sdp-answer-port", f"port {answered.port} answered to port 0")
            return self._refused()
        return self._accepted(answered, allow_loopback=allow_loopback)

    def _accepted(self, answered: MediaDescription, *, allow_loopback: bool) -> NegotiatedLine:
        self._check_label(answered)
        direction = self._check_direction(answered)
        formats = self._check_formats(answered)
        rtcp_mux = self._check_rtcp_mux(answered)
        crypto, secured = self._check_crypto(answered)
        remote_rtp, remote_rtcp = media_addresses(
            self._answer, answered, rtcp_mux=rtcp_mux, allow_loopback=allow_loopback
        )
        if remote_rtp is None:
            self._found("sdp-answer-address", None)
        return NegotiatedLine(
            index=self._index,
            label=self._offered.label,
            accepted=secured and bool(formats),
            formats=formats if secured else (),
            direction=direction,
            ptime=answered.ptime,
            rtcp_mux=rtcp_mux,
            remote_rtp=remote_rtp,
            remote_rtcp=remote_rtcp,
            crypto=crypto,
            remote_crypto=None if crypto is None else answered.crypto_attributes[0],
        )

    def _refused(self) -> NegotiatedLine:
        return NegotiatedLine(
            index=self._index,
            label=self._offered.label,
            accepted=False,
            formats=(),
            direction="inactive",
            ptime=None,
            rtcp_mux=False,
            remote_rtp=None,
            remote_rtcp=None,
        )

    def _check_label(self, answered: MediaDescription) -> None:
        offered = self._offered.label
        if offered is not None and answered.label != offered:
            got = "no label" if answered.label is None else f"label {shown(answered.label)}"
            self._found("sdp-answer-label", f"{got} answered to label {offered}")

    def _check_direction(self, answered: MediaDescription) -> Direction:
        offered = self._offer.direction_of(self._offered)
        direction = self._answer.direction_of(answered)
        if direction not in _FITTING[offered]:
            self._found("sdp-answer-direction", f"{direction} answered to {offered}")
        return direction

    def _check_rtcp_mux(self, answered: MediaDescription) -> bool:
        may, must = self._offered.rtcp_mux, self._offered.rtcp_mux_only
        if answered.rtcp_mux and not may and not must:
            # RFC 5761 5.1.1: the answerer "MUST NOT" state it where it was not offered.
            self._found("sdp-answer-rtcp-mux", "a=rtcp-mux answered and not offered")
        elif must and not answered.rtcp_mux:
            self._found("sdp-answer-rtcp-mux", "a=rtcp-mux-only not answered with a=rtcp-mux")
        return must or (may and answered.rtcp_mux)

    def _check_crypto(self, answered: MediaDescription) -> tuple[CryptoAttribute | None, bool]:
        """Give what the answer accepts of our keys, and whether the line may be used with it."""
        offered = self._offered.crypto_attributes
        if not offered:
            if answered.crypto:
                self._found("sdp-answer-crypto", "a=crypto answered and not offered")
            return None, True
        crypto = accepted_crypto(offered, answered.crypto_attributes)
        if crypto is None:
            # RFC 4568 5.1.3: an answer without a valid, offered attribute makes the negotiation of the stream fail.
            self._found("sdp-answer-crypto", None)
        return crypto, crypto is not None

    def _check_formats(self, answered: MediaDescription) -> tuple[MediaFormat, ...]:
        """Give the formats in common with the payload types of the answer, in its order."""
        offered = {format_.payload_type: format_ for format_ in self._offered.media_formats()}
        rtpmaps = answered.rtpmaps
        common: list[MediaFormat] = []
        for payload_type in answered.payload_types:
            rtpmap = rtpmaps.get(payload_type) or STATIC_PAYLOAD_TYPES.get(payload_type)
            same_number = offered.get(payload_type)
            if rtpmap is None:
                # RFC 3264 6.1: "the answer MUST contain rtpmap attributes to define the payload type mappings for
                # dynamic payload types".
                self._found("sdp-answer-rtpmap", f"no a=rtpmap for payload type {payload_type}")
                rtpmap = None if same_number is None else same_number.rtpmap
            candidates = [same_number] if same_number is not None else []
            candidates.extend(offered.values())
            match = next((f for f in candidates if rtpmap is not None and rtpmap.same_as(f.rtpmap)), None)
            if match is None:
                self._found("sdp-answer-format", f"payload type {payload_type} ({_named(rtpmap)}) was not offered")
                continue
            if match.payload_type != payload_type:
                self._found("sdp-answer-payload-type", f"{match.payload_type} is answered as {payload_type}")
            fmtp = answered.fmtp(payload_type)
            if match.is_telephone_event and fmtp is None:
                self._found("sdp-answer-events", None)
            common.append(match._replace(payload_type=payload_type, fmtp=fmtp))
        if not formats_without_events(tuple(common)):
            self._found("sdp-answer-format", "no codec of the offer is answered")
            return ()
        return tuple(common)

    def _found(self, code: str, message: str | None) -> None:
        self._findings.append(
            finding(code, where(self._offer, self._index), message, line=self._answer.media[self._index].line)
        )


_FITTING: dict[Direction, frozenset[Direction]] = {
    "sendonly": frozenset(("recvonly", "inactive")),
    "recvonly": frozenset(("sendonly", "inactive")),
    "inactive": frozenset(("inactive",)),
    "sendrecv": frozenset(("sendrecv", "sendonly", "recvonly", "inactive")),
}
"""What may be answered to a direction (RFC 3264 section 6.1)."""


def _named(rtpmap: RtpMap | None) -> str:
    return "unknown" if rtpmap is None else shown(str(rtpmap))
