"""The INVITEs of `tests/data/dialects/sdp-*.sip`: what clients in the field write, and what has to be made of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.tree import ROOT

FOLDER = ROOT / "tests" / "data" / "dialects"
G711 = "PCMU/8000 PCMA/8000"


@dataclass(frozen=True)
class Line:
    """A media line that was offered, and how it is answered."""

    label: str
    codecs: str = G711
    """As `inspect` names them; `?` for one that is not known."""
    formats: str = "0"
    """Formats of the answer."""
    answer: str = "recvonly"
    """Direction of the answer, empty for port 0."""
    direction: str = "sendonly"
    media: str = "audio"
    protocol: str = "RTP/AVP"
    host: str | None = "192.0.2.2"
    crypto: int = 0
    ptime: int | None = None


@dataclass(frozen=True)
class Offer:
    """One file."""

    lines: tuple[Line, ...]
    findings: frozenset[str] = frozenset()
    """Codes that the server raises."""
    marks: str = "require feature_tag metadata"
    labels: tuple[str, ...] | None = None
    """Labels of the metadata's streams; None for those of the lines."""
    parts: str = "application/sdp application/rs-metadata+xml"


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TWO = (Line("1"), Line("2"))
_OLDER = "application/sdp application/rs-metadata"
_EVENTS = "PCMU/8000 telephone-event/8000"

OFFERS = {
    "attributes-unknown": Offer(
        (Line("0", "PCMU/8000 iLBC/8000 G726-32/8000 telephone-event/8000", "0 101"), Line("10"))
    ),
    "bare-line-feeds": Offer(
        (Line("1", "pcmu/8000 ? ?"), Line("2", "PCMU/8000 ? ?")),
        _codes("mime-bare-lf sdp-line-end sdp-rtpmap sdp-no-rtpmap"),
    ),
    "bundled": Offer((*_TWO, Line("3", formats="0 8", answer="")), _codes("sdp-bundle-ignored")),
    "charset": Offer(_TWO, _codes("sdp-blank-line")),
    "compact-part-header": Offer(
        (Line("1", "PCMA/8000 PCMU/8000 telephone-event/8000", "8 96"),),
        _codes("mime-part-length siprec-no-metadata"),
        "require feature_tag",
        (),
        "application/sdp",
    ),
    "empty-first-line": Offer(
        _TWO,
        _codes("metadata-disposition metadata-leading-space sdp-no-final-line-end siprec-no-feature-tag"),
        "require metadata",
    ),
    "encoded-metadata": Offer(_TWO),
    "hold-by-address": Offer(
        tuple(Line(label, answer="inactive", direction="sendrecv", host="0.0.0.0") for label in "12"),
        _codes("sdp-hold-address sdp-not-sendonly sip-bracket-unclosed siprec-feature-tag-form"),
        parts=_OLDER,
    ),
    "inactive-with-gtd": Offer(
        (
            Line("1", "PCMU/8000 CN/8000", "0 19", "inactive", "inactive"),
            Line("2", "PCMU/8000", "0", "inactive", "inactive"),
        ),
        _codes("siprec-no-require"),
        "feature_tag metadata",
        parts="application/sdp application/gtd application/rs-metadata+xml",
    ),
    "labels-of-digits": Offer(
        (
            Line("12345678", "PCMA/8000 PCMU/8000 G729/8000 G723/8000 G726-32/8000", "8", ptime=30),
            Line("123456789", "G722/8000 PCMA/8000", "8"),
        ),
        _codes("siprec-feature-tag-form"),
        parts=_OLDER,
    ),
    "lines-out-of-order": Offer(
        (Line("1", "PCMU/8000", host="media.example.com"), Line("2", "PCMU/8000")),
        _codes("sdp-host-name sdp-no-session-name sdp-order sdp-unknown-line"),
    ),
    "media-level-address": Offer((Line("1", host="192.0.2.3"), Line("2", host="2001:db8::3"))),
    "nested-alternative": Offer(_TWO, parts="text/plain application/sdp application/rs-metadata+xml"),
    "no-session-lines": Offer(
        (
            Line("3", "H264/90000", "96", "", media="video", host=None),
            Line("1", _EVENTS, "0 101", host=None),
            Line("2", _EVENTS, "0 101", host=None),
        ),
        _codes("sdp-line-refused sdp-no-connection sdp-order sdp-timing"),
    ),
    "other-media": Offer(
        (
            Line("1"),
            Line("2", "H264/90000 H264/90000", "96 97", "", media="video"),
            Line("3", "H261/90000", "31", "", media="video"),
            Line("4", "t140/1000 red/1000", "98 99", "", media="text"),
            Line("5", "", "*", "", media="message", protocol="TCP/MSRP"),
            Line("6"),
        ),
        _codes("sdp-line-refused"),
        labels=("1", "2", "6"),
    ),
    "quoted-boundary": Offer((Line("inbound", "PCMU/8000"), Line("outbound", "PCMU/8000"))),
    "secure-and-plain": Offer(
        (
            Line("1", formats="0 8", answer="", protocol="RTP/SAVP", crypto=2),
            Line("2", formats="0 8", answer="", protocol="RTP/SAVP", crypto=12),
            Line("3", formats="0 8", answer="", protocol="UDP/TLS/RTP/SAVPF"),
            Line("4"),
        ),
        _codes("sdp-line-refused srtp-unavailable"),
    ),
    "session-direction": Offer(
        (Line("1"), Line("2", direction="sendrecv")),
        _codes("metadata-disposition sdp-not-sendonly siprec-feature-tag-form"),
    ),
    "src-tag-metadata-first": Offer(
        (
            Line("1", "PCMU/8000 PCMA/8000 G729/8000 telephone-event/8000", "0 101", direction="sendrecv", ptime=20),
            Line("2", "PCMU/8000", direction="sendrecv"),
        ),
        _codes("mime-part-length sdp-not-sendonly siprec-feature-tag-form siprec-no-require"),
        "feature_tag metadata",
        parts="application/rs-metadata+xml application/sdp",
    ),
    "tag-in-brackets": Offer((Line("a_leg"), Line("b_leg")), _codes("siprec-feature-tag-form"), parts=_OLDER),
    "two-event-clocks": Offer(
        (
            Line("1", "OPUS/48000/2 PCMU/8000 telephone-event/48000 telephone-event/8000", "0 108"),
            Line("2", _EVENTS, "0 108"),
        ),
        _codes("siprec-feature-tag-form siprec-no-require"),
        "feature_tag metadata",
        parts="application/rs-metadata+xml application/sdp",
    ),
    "unterminated": Offer(_TWO, _codes("mime-unterminated")),
}


def message(name: str) -> bytes:
    """Give the octets of an INVITE."""
    return (FOLDER / f"sdp-{name}.sip").read_bytes()


def hostile_twins(data: bytes) -> Iterator[bytes]:
    """Give what a message becomes on a bad day or by ill will: cut, stretched, stuffed, its numbers out of range."""
    head, _, body = data.partition(b"\r\n\r\n")
    for cut in (len(data) // 3, len(head) + 2, len(head) + len(body) // 3, len(data) - len(body) // 4, len(data) - 1):
        yield data[:cut]
    for old, new in (
        (b"m=audio 4", b"m=audio 99999999994"),
        (b"m=audio", b"m="),
        (b"v=0", b"v=0\r\n" + b"a=x\r\n" * 3_000),
        (b"a=label:", b"a=label:" + b"9" * 5_000),
        (b"v=0", b"\0v=0"),
        (b"a=label", b"a=\xff\xfe\x1b[31mlabel"),
        (b"Content-Type", b"Content-Tripe"),
        (b"--", b"=-"),
        (b"--", b"--" * 200),
        (b"<recording", b"<!DOCTYPE x [<!ENTITY y 'z'>]><recording"),
        (b"RTP/", b"RTP\r\n/"),
    ):
        changed = body.replace(old, new)
        length = b"Content-Length: %d" % len(body)
        yield head.replace(length, b"Content-Length: %d" % len(changed)) + b"\r\n\r\n" + changed
