"""The answerer of a recording server: receives, never sends (RFC 3264 section 6, RFC 7866 section 7.2).

Two pure steps, because ports are bound in between: `plan_answer` decides what becomes of each media line of an offer,
`build_answer` writes the answer once the ports are known. Nothing is copied from the offer but what the plan names:
each attribute that is echoed is a promise.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias

from siprec_core.errors import LocalProtocolError, NegotiationError
from siprec_core.findings import Finding, finding
from siprec_core.quick import maker
from siprec_core.sdp.attributes import Attribute, read_events, shown, write_events
from siprec_core.sdp.crypto import (
    PREFERRED_SUITES,
    SECURE_RTP,
    CryptoAttribute,
    InlineKey,
    SrtpPolicy,
    answer_crypto,
    check_fresh_keys,
    choose_crypto,
)
from siprec_core.sdp.formats import Codec, MediaFormat
from siprec_core.sdp.model import (
    Connection,
    MediaDescription,
    Origin,
    SessionDescription,
    address_type,
    format_attributes,
)
from siprec_core.sdp.rules import (
    UNSPECIFIED,
    continuity_findings,
    formats_without_events,
    media_addresses,
    recording_offer_findings,
    where,
)
from siprec_core.types import Address

__all__ = [
    "AcceptedFormat",
    "AnswerDirection",
    "AnswerPlan",
    "Answered",
    "Codec",
    "LinePlan",
    "build_answer",
    "plan_answer",
]

AcceptedFormat: TypeAlias = MediaFormat
"""A format of the offer that the answer keeps; its `fmtp` is the offer's, for the decoder."""
AnswerDirection: TypeAlias = Literal["recvonly", "inactive"]
"""The directions a recording server answers with."""

PLAIN_RTP: Final = frozenset(("RTP/AVP", "RTP/AVPF"))
"""Protocols without encryption (RFC 3551, RFC 4585)."""
_DTLS_RTP: Final = frozenset(("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"))
"""Keys by a DTLS handshake in the media path (RFC 5764 section 8), which nobody here speaks."""
_DIGITS: Final = frozenset(range(16))
"""The events of RFC 4733 section 3.2 that a recorder notes: DTMF digits."""
_AMR_PARAMETERS: Final = (
    "octet-align",
    "crc",
    "robust-sorting",
    "mode-set",
    "mode-change-period",
    "mode-change-neighbor",
)
_AGREED_PARAMETERS: Final[Mapping[str, Sequence[str]]] = {
    "AMR": _AMR_PARAMETERS,
    "AMR-WB": _AMR_PARAMETERS,
    "G723": ("annexa",),
    "G729": ("annexb",),
    "ILBC": ("mode",),
}
"""Format parameters that count for both directions, so that an answer repeats them (RFC 4867 section 8.3.1, RFC 4856
section 2.1.9, RFC 3952 section 5). The others tell what their sender can do, which is nothing to us."""
_UNREADABLE_PARAMETERS: Final[Mapping[str, Sequence[str]]] = {
    # RFC 4867 8.3.1: each combination of them is incompatible with any other, so a format that has it is left out.
    "AMR": ("interleaving",),
    "AMR-WB": ("interleaving",),
}
"""Format parameters by which a payload cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    """What becomes of one media line."""

    index: int
    """Place of the line in offer and answer, from 0."""
    accepted: bool
    refusal: str | None
    """Why the line is refused (port 0); None when it is accepted."""
    media: str
    protocol: str
    """As offered; an answer never changes it."""
    formats: tuple[AcceptedFormat, ...]
    """What the peer may send, most wanted first; empty when refused."""
    direction: AnswerDirection
    label: str | None
    ptime: int | None
    """Packet time of the offer in milliseconds, None when it names none."""
    rtcp_mux: bool
    remote_rtp: Address | None
    """Where the offer says its RTP comes from; None when it tells no address that could be."""
    remote_rtcp: Address | None
    """Where RTCP may be sent; None when it must not be sent."""
    crypto: CryptoAttribute | None = None
    """The offered `a=crypto` that is accepted: the peer encrypts with its key. None for a line without encryption."""

    def continues_crypto(self, before: "LinePlan | None") -> bool:
        """Tell whether the cryptographic context of the line goes on from an earlier exchange, and with it our key.

        RFC 4568 7.1.4: another address or port of the peer, or another key, begins a new context.
        """
        return (
            self.crypto is not None
            and before is not None
            and self.crypto.same_keying(before.crypto)
            and self.remote_rtp == before.remote_rtp
        )


_make_plan = maker(LinePlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlan:
    """What becomes of an offer."""

    lines: tuple[LinePlan, ...]
    """One per media line of the offer, in its order."""
    findings: tuple[Finding, ...]
    """Deviations of the offer, lines refused included."""

    @property
    def accepted(self) -> tuple[LinePlan, ...]:
        """The lines that get a port."""
        return tuple(line for line in self.lines if line.accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An offer/answer exchange that is complete: what a later offer is measured by."""

    offer: SessionDescription
    plan: AnswerPlan
    answer: SessionDescription


class _Refusal(Enum):
    """Kinds of refusal; the value is the warning code when it is the best reason of all lines (RFC 3261 20.43)."""

    REMOVED = 0
    MEDIA = 304
    PROTOCOL = 302
    KEYS = 399
    CODEC = 305


class _Policy(NamedTuple):
    codecs: Sequence[Codec]
    srtp: SrtpPolicy
    suites: Sequence[str]
    all_codecs: bool
    offer_order: bool
    rtcp_mux: bool
    allow_loopback: bool


def plan_answer(
    offer: SessionDescription,
    *,
    codecs: Sequence[Codec],
    previous: Answered | None = None,
    srtp: SrtpPolicy = SrtpPolicy.OFF,
    suites: Sequence[str] = PREFERRED_SUITES,
    keys_protected: bool = True,
    all_codecs: bool = False,
    offer_order: bool = False,
    rtcp_mux: bool = False,
    allow_loopback: bool = True,
) -> AnswerPlan:
    """Decide what becomes of each media line of an offer.

    `codecs` are ours in order of preference; the first that a line offers is taken, or with `offer_order` the first of
    the line that is among them; with `all_codecs` every one of them. `srtp` decides about secure and plain lines,
    `suites` are the crypto suites that may be accepted, most wanted first; `keys_protected` false tells that the offer
    came over signalling that others can read (RFC 4568 section 8.3). `rtcp_mux` allows RTP and RTCP on one port where
    that is offered; a line that can do nothing else (`a=rtcp-mux-only`) gets it in any case. `allow_loopback` false
    leaves loopback addresses out of `remote_rtp` and `remote_rtcp`: right for every peer that is not on this host.

    Raises NegotiationError when no line can be recorded: 305 no common codec, 399 no usable keys, 302 no protocol that
    may be accepted, 304 no audio (RFC 3261 section 20.43); and with 399 for a later offer with fewer lines than before,
    which RFC 3264 section 8 forbids and which no answer could fit. A later offer that takes away no more than it
    removes itself is answered.
    """
    if previous is not None and len(offer.media) < len(previous.offer.media):
        # RFC 3264 8: "the new SDP MUST have at least as many 'm=' lines as the previous SDP".
        raise NegotiationError("the offer has fewer media lines than the one before", warning_code=399)
    findings = list(recording_offer_findings(offer))
    if previous is not None:
        findings.extend(continuity_findings(previous.offer, offer))
    policy = _Policy(codecs, srtp, suites, all_codecs, offer_order, rtcp_mux, allow_loopback)
    lines: list[LinePlan] = []
    refusals: list[_Refusal | None] = []
    for index in range(len(offer.media)):
        line, refusal = _plan_line(offer, index, policy)
        lines.append(line)
        refusals.append(refusal)
        findings.extend(_line_findings(offer, line, refusal))
        if line.crypto is not None and not keys_protected:
            findings.append(finding("sdp-crypto-exposed", where(offer, index), line=offer.media[index].line))
    findings.extend(
        finding("sdp-bundle-ignored", "a=group")
        for group in offer.groups
        if group.semantics == "BUNDLE" and len(group.mids) > 1
    )
    if None not in refusals:
        _raise_if_refused(offer, lines, refusals, previous)
    return AnswerPlan(lines=tuple(lines), findings=tuple(findings))


def _raise_if_refused(
    offer: SessionDescription,
    lines: Sequence[LinePlan],
    refusals: Sequence[_Refusal | None],
    previous: Answered | None,
) -> None:
    """Refuse an offer of which no line is accepted, unless it is a later one and all it ends it removes itself."""
    if previous is not None:
        before = [line.accepted for line in previous.plan.lines] + [False] * len(refusals)
        if all(refusal is _Refusal.REMOVED or not was for refusal, was in zip(refusals, before, strict=False)):
            return
    if _Refusal.CODEC in refusals:
        names = dict.fromkeys(
            name or f"payload type {number}"
            for media, refusal in zip(offer.media, refusals, strict=True)
            if refusal is _Refusal.CODEC
            for number, name in media.codecs()
        )
        offered = ", ".join(shown(name) for name in list(names)[:8])
        raise NegotiationError(f"no common codec; offered: {offered or 'none'}", warning_code=_Refusal.CODEC.value)
    for refusal in (_Refusal.KEYS, _Refusal.PROTOCOL):
        if refusal in refusals:
            reason = lines[refusals.index(refusal)].refusal
            raise NegotiationError(reason or "refused", warning_code=refusal.value)
    raise NegotiationError("no audio line to record", warning_code=_Refusal.MEDIA.value)


def _plan_line(offer: SessionDescription, index: int, policy: _Policy) -> tuple[LinePlan, _Refusal | None]:
    media = offer.media[index]
    protocol = media.protocol.upper()
    if media.port == 0:
        # RFC 3264 6: "a stream that is offered with a port of zero MUST be marked with port zero in the answer". With
        # a=bundle-only it may share another line's port (RFC 9143 7.2.1), which is not ours to give.
        removed = "offered for bundling only" if media.bundle_only else "removed by the offerer"
        return _refused(media, index, removed, _Refusal.REMOVED)
    if media.media.lower() != "audio":
        return _refused(media, index, f"{shown(media.media)} is not recorded", _Refusal.MEDIA)
    reason = _protocol_refusal(media.protocol, policy.srtp)
    if reason is not None:
        return _refused(media, index, reason, _Refusal.PROTOCOL)
    crypto = None
    if protocol in SECURE_RTP:
        crypto = choose_crypto(media.crypto_attributes, suites=policy.suites)
        if crypto is None:
            # RFC 4568 5.1.2: without an acceptable attribute "the offered media stream MUST be rejected".
            return _refused(media, index, "no usable a=crypto", _Refusal.KEYS)
    # RFC 8858 4.3: an answerer accepts exclusive multiplexing or rejects the line.
    rtcp_mux = media.rtcp_mux_only or (media.rtcp_mux and policy.rtcp_mux)
    formats = _choose_formats(media, policy, rtcp_mux=rtcp_mux)
    if not formats:
        return _refused(media, index, "no common codec", _Refusal.CODEC)
    remote_rtp, remote_rtcp = media_addresses(offer, media, rtcp_mux=rtcp_mux, allow_loopback=policy.allow_loopback)
    if media.bandwidth("RR") == 0:
        # RFC 3556 2: no RTCP bandwidth for those that do not send RTP, which we never do.
        remote_rtcp = None
    line = _make_plan(
        index=index,
        accepted=True,
        refusal=None,
        media=media.media,
        protocol=media.protocol,
        formats=formats,
        direction=_answer_direction(offer, media),
        label=media.label,
        ptime=media.ptime,
        rtcp_mux=rtcp_mux,
        remote_rtp=remote_rtp,
        remote_rtcp=remote_rtcp,
        crypto=crypto,
    )
    return line, None


def _protocol_refusal(offered: str, srtp: SrtpPolicy) -> str | None:
    """Tell why a transport protocol is refused; None when it may be accepted."""
    protocol = offered.upper()
    if protocol in PLAIN_RTP:
        return "media without encryption not allowed" if srtp is SrtpPolicy.REQUIRE else None
    if protocol in SECURE_RTP:
        return "secure media not enabled" if srtp is SrtpPolicy.OFF else None
    if protocol in _DTLS_RTP:
        return "keys by DTLS not supported"
    return f"transport protocol {shown(offered)} not known"


def _refused(media: MediaDescription, index: int, reason: str, refusal: _Refusal) -> tuple[LinePlan, _Refusal]:
    line = _make_plan(
        index=index,
        accepted=False,
        refusal=reason,
        media=media.media,
        protocol=media.protocol,
        formats=(),
        direction="inactive",
        label=media.label,
        ptime=None,
        rtcp_mux=False,
        remote_rtp=None,
        remote_rtcp=None,
    )
    return line, refusal


def _choose_formats(media: MediaDescription, policy: _Policy, *, rtcp_mux: bool) -> tuple[AcceptedFormat, ...]:
    """Choose codecs, and beside them what goes with their clock: telephone-event, comfort noise."""
    offered = media.media_formats()
    if rtcp_mux:
        # RFC 5761 4: payload types 64 to 95 could not be told from RTCP.
        offered = tuple(format_ for format_ in offered if not 64 <= format_.payload_type <= 95)
    audio = tuple(filter(_is_readable, formats_without_events(offered)))
    if policy.offer_order:
        chosen = [format_ for format_ in audio if any(codec.matches(format_.rtpmap) for codec in policy.codecs)]
    else:
        chosen = [format_ for codec in policy.codecs for format_ in audio if codec.matches(format_.rtpmap)]
    if not policy.all_codecs:
        del chosen[1:]
    clock_rates = {format_.clock_rate for format_ in chosen}
    beside = [
        format_
        for format_ in offered
        if format_.clock_rate in clock_rates
        and (format_.is_comfort_noise or (format_.is_telephone_event and _answered_events(format_.fmtp)))
    ]
    return tuple(dict.fromkeys(chosen + beside))


def _is_readable(format_: AcceptedFormat) -> bool:
    """Tell whether a recorder can make audio of a format, as far as its parameters tell."""
    unreadable = _UNREADABLE_PARAMETERS.get(format_.encoding.upper(), ())
    return not any(name in format_.parameters for name in unreadable)


def _answered_events(fmtp: str | None) -> str:
    """Give the events of an offer that are noted; empty when there is none."""
    return write_events(read_events(fmtp) & _DIGITS)


def _answer_direction(offer: SessionDescription, media: MediaDescription) -> AnswerDirection:
    """Answer what is sent with recvonly; what is held, or wants to receive from us, with inactive (RFC 3264 6.1)."""
    connection = offer.connection_of(media)
    if offer.direction_of(media) in {"inactive", "recvonly"}:
        return "inactive"
    if connection is not None and connection.address in UNSPECIFIED:
        return "inactive"
    return "recvonly"


def _line_findings(offer: SessionDescription, line: LinePlan, refusal: _Refusal | None) -> list[Finding]:
    """Tell a refusal of ours, and an address that nothing can be sent to."""
    media = offer.media[line.index]
    if refusal is _Refusal.REMOVED:
        return []
    if refusal is not None:
        return [finding("sdp-line-refused", where(offer, line.index), line.refusal, line=media.line)]
    connection = offer.connection_of(media)
    if line.remote_rtp is not None or connection is None or connection.address in UNSPECIFIED:
        return []
    host = shown(connection.address)
    if any(character.isalpha() for character in host) and ":" not in host:
        message = f"the address is the host name {host}"
        return [finding("sdp-host-name", where(offer, line.index), message, line=media.line)]
    message = f"nothing can be sent to {host}"
    return [finding("sdp-unusable-address", where(offer, line.index), message, line=media.line)]


def build_answer(
    offer: SessionDescription,
    plan: AnswerPlan,
    *,
    ports: Mapping[int, int],
    address: str,
    session_id: int,
    keys: Mapping[int, InlineKey] | None = None,
    previous: SessionDescription | None = None,
) -> SessionDescription:
    """Write the answer to `offer` that `plan` decided.

    `ports` gives our RTP port by index of each accepted line, `address` where they are (RTCP is on the port after each
    unless multiplexed), `keys` our master key by index of each accepted line with `crypto`: a fresh one, or the one in
    use when `LinePlan.continues_crypto` says so. `session_id` makes the origin of a first answer; a later one takes it
    from `previous`, its version raised by one exactly when anything else changed (RFC 3264 section 8).

    Raises LocalProtocolError when the plan is not this offer's, when an accepted line has no port, and when a key is
    missing, has not the length of its suite or stands twice.
    """
    if len(plan.lines) != len(offer.media):
        raise LocalProtocolError("the plan is not the offer's")
    cryptos = _answer_cryptos(plan, keys or {})
    answer = SessionDescription(
        Origin("-", session_id, 1, address, address_type(address)),
        connection=Connection(address, address_type(address)),
        # RFC 3264 6: "The 't=' line in the answer MUST equal the one in the offer".
        timing=tuple(line for line in offer.timing if line.type == "t"),
        media=tuple(
            _answer_line(media, line, ports.get(line.index), cryptos.get(line.index))
            for media, line in zip(offer.media, plan.lines, strict=True)
        ),
    )
    return answer if previous is None else answer.continuing(previous)


def _answer_cryptos(plan: AnswerPlan, keys: Mapping[int, InlineKey]) -> dict[int, CryptoAttribute]:
    """Give our `a=crypto` by index of line, each with a key that stands nowhere else."""
    cryptos: dict[int, CryptoAttribute] = {}
    lines: list[Collection[CryptoAttribute]] = []
    for line in plan.accepted:
        if line.crypto is None:
            continue
        key = keys.get(line.index)
        if key is None:
            raise LocalProtocolError(f"media line {line.index} has no key")
        cryptos[line.index] = answer_crypto(line.crypto, key)
        lines.append((cryptos[line.index],))
    check_fresh_keys(lines)
    return cryptos


def _answer_line(
    media: MediaDescription, line: LinePlan, port: int | None, crypto: CryptoAttribute | None
) -> MediaDescription:
    label = () if line.label is None else (Attribute("label", line.label),)
    if not line.accepted:
        # RFC 3264 6: a refused line keeps "at least one" format; the protocol is the offer's.
        return MediaDescription(media.media, 0, media.protocol, media.formats, label)
    if port is None or not 0 < port < 65536:
        raise LocalProtocolError(f"media line {line.index} has no port")
    attributes = format_attributes(tuple(map(_answered_format, line.formats)))
    if line.ptime is not None:
        attributes.append(Attribute("ptime", str(line.ptime)))
    if line.rtcp_mux:
        attributes.append(Attribute("rtcp-mux"))
    if crypto is not None:
        attributes.append(Attribute("crypto", str(crypto)))
    attributes.append(Attribute(line.direction))
    attributes.extend(label)
    formats = tuple(str(format_.payload_type) for format_ in line.formats)
    return MediaDescription(media.media, port, media.protocol, formats, tuple(attributes))


def _answered_format(format_: AcceptedFormat) -> AcceptedFormat:
    """Give a format with the parameters that the answer states."""
    if format_.is_telephone_event:
        # RFC 4733 2.4.1: the receiver lists the events that it can take.
        return format_._replace(fmtp=_answered_events(format_.fmtp))
    if format_.fmtp is None:
        return format_
    given = format_.parameters
    agreed = [
        f"{name}={given[name]}" for name in _AGREED_PARAMETERS.get(format_.encoding.upper(), ()) if given.get(name)
    ]
    return format_._replace(fmtp="; ".join(agreed) or None)
