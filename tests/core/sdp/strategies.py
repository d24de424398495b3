"""Session descriptions for property tests: ones that siprec could write, and texts that peers might."""

from dataclasses import replace

from hypothesis import strategies as st

from siprec_core.sdp.attributes import Attribute
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, Codec
from siprec_core.sdp.model import (
    Bandwidth,
    Connection,
    MediaDescription,
    Origin,
    RawLine,
    SessionDescription,
    address_type,
)

OURS = (Codec("PCMU", 8000), Codec("PCMA", 8000), Codec("L16", 16000))

RECORDABLE = MediaDescription("audio", 4000, "RTP/AVP", ("0",), (Attribute("sendonly"),))

tokens = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+", min_size=1, max_size=12)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20)
values = texts.map(lambda text: text.strip(" \t"))
addresses = st.sampled_from(("192.0.2.1", "198.51.100.7", "2001:db8::1", "0.0.0.0", "127.0.0.1", "239.1.2.3", "::"))
connections = st.one_of(
    addresses.map(lambda address: Connection(address, address_type(address))), st.just(Connection("media.example.net"))
)
directions = st.sampled_from(("sendonly", "sendrecv", "recvonly", "inactive"))


@st.composite
def attribute_lists(draw: st.DrawFn, formats: tuple[str, ...]) -> tuple[Attribute, ...]:
    encodings = st.sampled_from(
        ("PCMU/8000", "pcma/8000", "L16/16000", "opus/48000/2", "telephone-event/8000", "G722/8000")
    )
    attributes = [
        Attribute("rtpmap", f"{format_} {draw(encodings)}")
        for format_ in formats
        if format_.isdigit() and int(format_) not in STATIC_PAYLOAD_TYPES and draw(st.booleans())
    ]
    if draw(st.booleans()):
        attributes.append(Attribute("label", draw(tokens)))
    if draw(st.booleans()):
        attributes.append(Attribute(draw(directions)))
    if draw(st.booleans()):
        attributes.append(Attribute("rtcp-mux"))
    if draw(st.booleans()):
        attributes.append(Attribute("ptime", draw(st.sampled_from(("20", "30", "60")))))
    attributes.extend(draw(st.lists(st.builds(Attribute, tokens, st.none() | values), max_size=3)))
    return tuple(attributes)


@st.composite
def media_descriptions(draw: st.DrawFn) -> MediaDescription:
    formats = tuple(draw(st.lists(st.integers(0, 127).map(str), min_size=1, max_size=5, unique=True)))
    return MediaDescription(
        draw(st.sampled_from(("audio", "audio", "audio", "video", "text"))),
        draw(st.sampled_from((0, 1024, 30000, 65535))),
        draw(st.sampled_from(("RTP/AVP", "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP"))),
        formats,
        draw(attribute_lists(formats)),
        draw(st.none() | connections),
        information=draw(st.none() | texts),
        bandwidths=tuple(draw(st.lists(st.builds(Bandwidth, tokens, st.integers(0, 10**6)), max_size=2))),
        other_lines=tuple(draw(st.lists(st.builds(RawLine, st.sampled_from("xyw"), values), max_size=1))),
    )


@st.composite
def descriptions(draw: st.DrawFn) -> SessionDescription:
    return SessionDescription(
        Origin(draw(tokens), draw(st.integers(0, 2**62)), draw(st.integers(0, 2**62)), "192.0.2.9"),
        draw(texts) or "-",
        draw(st.none() | connections),
        tuple(draw(st.lists(media_descriptions(), max_size=4))),
        tuple(draw(st.lists(st.builds(Attribute, tokens, st.none() | values), max_size=3))),
        information=draw(st.none() | texts),
        uri=draw(st.none() | texts),
        emails=tuple(draw(st.lists(texts, max_size=2))),
        phones=tuple(draw(st.lists(texts, max_size=2))),
        bandwidths=tuple(draw(st.lists(st.builds(Bandwidth, tokens, st.integers(0, 10**6)), max_size=2))),
        key=draw(st.none() | values),
        other_lines=tuple(draw(st.lists(st.builds(RawLine, st.sampled_from("xyw"), values), max_size=1))),
    )


recordable_offers = st.builds(
    lambda description, place: replace(
        description, media=(*description.media[:place], RECORDABLE, *description.media[place:])
    ),
    descriptions(),
    st.integers(0, 4),
)
"""Offers of which at least one line is accepted."""

_LINES = (
    "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1", "c=IN IP4 [::1]", "c=bad",
    "t=0 0", "t=now", "m=audio 4000 RTP/AVP 0 8 101", "m=audio 99999 RTP/AVP 0", "m=audio", "m=video 0 RTP/AVP 98",
    "m=audio 5000/2 RTP/SAVP 96", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:0 pcmu/8000a", "a=sendonly",
    "a=label:1", "a=label:", "a=", "b=AS:64", "b=x", "k=clear:x", "i= ", "x=1", "", " ", "garbage",
    "a=fmtp:101 0-15,16",
    "a=rtcp:1 IN IP4 192.0.2.1", "a=rtcp-mux-only", "a=ptime:0", "r=1 2 3", "z=0 0", "\ufeffv=0", "s = x ", "\0",
)  # fmt: skip
peer_texts = st.builds(
    lambda lines, ends: b"".join(
        line.encode() + end.encode() for line, end in zip(lines, ends * len(lines), strict=False)
    ),
    st.lists(st.sampled_from(_LINES) | texts, max_size=25),
    st.lists(st.sampled_from(("\r\n", "\n", "\r")), min_size=1, max_size=3),
).map(lambda text: b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + text)
