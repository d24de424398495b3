"""What offers and answers have to keep to beyond the grammar, and the addresses that may be sent to.

Shared by the two sides of a negotiation and by whoever reviews a description on its own.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address

from siprec_core.findings import Finding, finding
from siprec_core.sdp.attributes import numeric_address, shown
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sdp.model import MediaDescription, SessionDescription
from siprec_core.types import Address

UNSPECIFIED = frozenset(("0.0.0.0", "::"))
"""Addresses that say "send nothing" (RFC 3264 section 8.4, RFC 6157 section 4.1)."""


def where(description: SessionDescription, index: int) -> str:
    """Name a media line in findings: by its label, else by its place from 1."""
    label = description.media[index].label
    return f"m= line {index + 1}" if label is None else f"m= line {index + 1}, label {shown(label)}"


def recording_offer_findings(offer: SessionDescription) -> tuple[Finding, ...]:
    """Give what an offer of a recording client does against RFC 7866 section 7.1.1: labels and directions."""
    return tuple(_label_findings(offer)) + tuple(_direction_findings(offer))


def _label_findings(offer: SessionDescription) -> Iterator[Finding]:
    labels: set[str] = set()
    for index, media in enumerate(offer.media):
        label = media.label
        if media.port == 0:
            continue
        if label is None:
            # RFC 7866 7.1.1: each stream "MUST ... include an 'a=label' attribute".
            yield finding("sdp-no-label", where(offer, index), line=media.line)
        elif label in labels:
            yield finding("sdp-duplicate-label", where(offer, index), line=media.line)
        else:
            labels.add(label)


def _direction_findings(offer: SessionDescription) -> Iterator[Finding]:
    for index, media in enumerate(offer.media):
        if media.port == 0:
            continue
        direction = offer.direction_of(media)
        connection = offer.connection_of(media)
        if direction == "recvonly":
            yield finding("sdp-recvonly-offer", where(offer, index), line=media.line)
        elif direction == "sendrecv":
            message = None if media.direction or offer.direction else "no direction, which means sendrecv"
            yield finding("sdp-not-sendonly", where(offer, index), message, line=media.line)
        if direction != "inactive" and connection is not None and connection.address in UNSPECIFIED:
            yield finding("sdp-hold-address", where(offer, index), line=media.line)


def continuity_findings(previous: SessionDescription, current: SessionDescription) -> tuple[Finding, ...]:
    """Give what a later description of one side does against RFC 3264 section 8, compared with its last one."""
    findings: list[Finding] = []
    before, after = previous.origin, current.origin
    if not before.same_session(after):
        findings.append(finding("sdp-origin-changed", "o="))
    elif before.version == after.version:
        if previous != current:
            findings.append(finding("sdp-version-unchanged", "o="))
    elif after.version != before.version + 1:
        message = f"the version went from {before.version} to {after.version}"
        findings.append(finding("sdp-version-step", "o=", message))
    for index, (old, new) in enumerate(zip(previous.media, current.media, strict=False)):
        if old.port and new.port:
            findings.extend(_line_continuity(current, index, old, new))
    return tuple(findings)


def _line_continuity(
    current: SessionDescription, index: int, old: MediaDescription, new: MediaDescription
) -> Iterator[Finding]:
    if old.media != new.media:
        message = f"{shown(old.media)} became {shown(new.media)}"
        yield finding("sdp-media-changed", where(current, index), message, line=new.line)
        return
    meanings = {format_.payload_type: format_.rtpmap for format_ in old.media_formats()}
    for format_ in new.media_formats():
        meaning = meanings.get(format_.payload_type)
        if meaning is not None and not meaning.same_as(format_.rtpmap):
            # RFC 3264 8.3.2: "the mapping from a particular dynamic payload type number to a particular codec
            # within that media stream MUST NOT change for the duration of a session".
            message = f"payload type {format_.payload_type} was {shown(str(meaning))} and is {shown(format_.name)}"
            yield finding("sdp-payload-type-changed", where(current, index), message, line=new.line)


def sendable_address(host: str, port: int, *, allow_loopback: bool) -> Address | None:
    """Give an address that may be sent to, None for one that may not.

    Refused are host names (nobody looks them up here), port 0, unspecified, multicast and broadcast addresses, with
    `allow_loopback` false loopback ones: a peer must not make us send where it could not.
    """
    if len(host) > _ADDRESS_SIZE or not 0 < port < 65536:
        return None
    text, loopback = _unicast_address(host)
    if text is None or (loopback and not allow_loopback):
        return None
    return Address(text, port)


_ADDRESS_SIZE = 64
"""Longest numeric address, its zone included."""


@lru_cache(maxsize=1024)
def _unicast_address(host: str) -> tuple[str | None, bool]:
    """Give a unicast address in its usual form (None for anything else) and whether it is a loopback address."""
    numeric = numeric_address(host)
    if numeric is None or numeric.is_unspecified or numeric.is_multicast or numeric == _BROADCAST:
        return None, False
    return str(numeric).partition("%")[0], numeric.is_loopback


_BROADCAST = IPv4Address("255.255.255.255")


def media_addresses(
    description: SessionDescription, media: MediaDescription, *, rtcp_mux: bool, allow_loopback: bool
) -> tuple[Address | None, Address | None]:
    """Give where RTP and RTCP of a line are sent to, None for what may not be sent to.

    RTCP goes to the RTP port when multiplexed (RFC 5761 section 5.1.1), else where `a=rtcp` says (RFC 3605 section
    2.1), else to the port after RTP's (RFC 3550 section 11).
    """
    connection = description.connection_of(media)
    if connection is None:
        return None, None
    rtp = sendable_address(connection.address, media.port, allow_loopback=allow_loopback)
    if rtcp_mux:
        return rtp, rtp
    rtcp = media.rtcp
    if rtcp is None:
        return rtp, sendable_address(connection.address, media.port + 1, allow_loopback=allow_loopback)
    return rtp, sendable_address(rtcp.host or connection.address, rtcp.port, allow_loopback=allow_loopback)


def formats_without_events(formats: tuple[MediaFormat, ...]) -> tuple[MediaFormat, ...]:
    """Give the formats that carry the audio itself: no telephone-event, no comfort noise."""
    return tuple(f for f in formats if not f.is_telephone_event and not f.is_comfort_noise)
