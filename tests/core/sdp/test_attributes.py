import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sdp.attributes import (
    Attribute,
    FingerprintAttribute,
    GroupAttribute,
    RtcpAttribute,
    SsrcAttribute,
    numeric_address,
    read_events,
    read_fingerprint,
    read_group,
    read_milliseconds,
    read_rtcp,
    read_ssrc,
    shown,
    split_fmtp,
    write_events,
)


def test_attribute_text() -> None:
    assert str(Attribute("sendonly")) == "sendonly"
    assert str(Attribute("label", "1")) == "label:1"
    assert str(Attribute("x", "")) == "x:"


@pytest.mark.requirement("3605-2.1-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4001", RtcpAttribute(4001)),
        ("53020 IN IP4 126.16.64.4", RtcpAttribute(53020, "126.16.64.4")),
        ("53020 IN IP6 2001:db8::1", RtcpAttribute(53020, "2001:db8::1")),
        (" 4001 ", RtcpAttribute(4001)),
        ("0", None),
        ("65536", None),
        ("", None),
        ("4001 IN", None),
        ("4001 ATM NSAP x", None),
    ],
)
def test_rtcp(value: str, expected: RtcpAttribute | None) -> None:
    assert read_rtcp(value) == expected


@pytest.mark.requirement("5576-4-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("314159 cname:user@example.com", SsrcAttribute(314159, "cname", "user@example.com")),
        ("4294967295 fmtp:97 a=1", SsrcAttribute(4294967295, "fmtp", "97 a=1")),
        ("1 previous-ssrc", SsrcAttribute(1, "previous-ssrc")),
        ("4294967296 cname:x", None),
        ("1", None),
        ("x cname:y", None),
        ("", None),
    ],
)
def test_ssrc(value: str, expected: SsrcAttribute | None) -> None:
    assert read_ssrc(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("SHA-256 0a:FF", FingerprintAttribute("sha-256", b"\x0a\xff")),
        ("sha-1 00", FingerprintAttribute("sha-1", b"\0")),
        ("sha-256 0a:f", None),
        ("sha-256 0aff", None),
        ("sha-256", None),
        ("sha-256 " + ":".join(["00"] * 129), None),
        ("", None),
    ],
)
def test_fingerprint(value: str, expected: FingerprintAttribute | None) -> None:
    assert read_fingerprint(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("BUNDLE a b", GroupAttribute("BUNDLE", ("a", "b"))),
        ("LS", GroupAttribute("LS", ())),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_group(value: str | None, expected: GroupAttribute | None) -> None:
    assert read_group(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("20", 20), (" 30 ", 30), ("20.5", 20), ("0", None), ("", None), (None, None), ("-20", None), ("x", None)],
)
def test_milliseconds(value: str | None, expected: int | None) -> None:
    assert read_milliseconds(value) == expected


@pytest.mark.requirement("8866-6.15-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [("101 0-15", ("101", "0-15")), ("96  a=1; b=2 ", ("96", "a=1; b=2")), ("96", ("96", "")), ("", ("", ""))],
)
def test_fmtp_is_split_at_the_first_blank(value: str, expected: tuple[str, str]) -> None:
    assert split_fmtp(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, set(range(16))),
        ("", set(range(16))),
        ("0-15", set(range(16))),
        ("0-15,16", set(range(17))),
        ("0-11, 66", {*range(12), 66}),
        ("events=0-3", {0, 1, 2, 3}),
        ("x,5", {5}),
        ("9-3", set()),
        ("0-999", set(range(256))),
        ("999", set()),
        ("one", set()),
    ],
)
def test_events(value: str | None, expected: set[int]) -> None:
    assert read_events(value) == expected


@given(st.frozensets(st.integers(0, 255), min_size=1))
def test_events_survive_a_round_trip(events: frozenset[int]) -> None:
    assert read_events(write_events(events)) == events


def test_events_are_written_as_ranges() -> None:
    assert write_events(frozenset(range(16)) | {66}) == "0-15,66"
    assert write_events(frozenset()) == ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("media.example.net", None),
        ("300.1.1.1", None),
        ("", None),
        ("1" * 5000, None),
    ],
)
def test_numeric_address(host: str, expected: str | None) -> None:
    address = numeric_address(host)
    assert (None if address is None else str(address)) == expected


@given(st.text())
def test_shown_text_is_printable_and_short(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 500
