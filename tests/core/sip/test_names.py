"""Names, records and the order of SRV records."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.names import (
    AddressRecord,
    DnsRecord,
    NaptrRecord,
    RecordType,
    SrvRecord,
    declines,
    host_name,
    numeric_host,
    usable_record,
    weighted_order,
)

SRV_RECORDS = st.builds(
    SrvRecord,
    priority=st.integers(0, 3),
    weight=st.integers(0, 9),
    port=st.integers(1, 65_535),
    target=st.sampled_from(["a.example", "b.example", "c.example"]),
)
FRACTIONS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Srs.Example.COM", "srs.example.com"),
        ("srs.example.com.", "srs.example.com"),
        ("_sip._udp.example.com", "_sip._udp.example.com"),
        ("srs_1", "srs_1"),
        ("3f2a9c", "3f2a9c"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_name_that_may_be_asked_for(text: str, name: str) -> None:
    assert host_name(text) == name


NO_NAMES = ["", ".", "..", "a..b", ".a", "a b", "a\0b", "a\n", "ä.example", "*.example", "-a.example", "a-.example"]
TOO_LONG = ["a" * 64, "a." * 127 + "example"]
NUMBERS = ["192.0.2.1", "127.1", "2130706433", "0x7f000001", "srs.0x1"]


@pytest.mark.parametrize("text", [*NO_NAMES, *TOO_LONG, *NUMBERS])
def test_text_that_is_no_name(text: str) -> None:
    assert host_name(text) is None


def test_numeric_host() -> None:
    assert numeric_host("192.0.2.1.") == "192.0.2.1"
    assert numeric_host("2001:DB8:0::1") == "2001:db8::1"
    assert numeric_host("example.com") is None
    assert numeric_host("192.0.2") is None


NAPTR = NaptrRecord(10, 20, "s", "SIP+D2U", "", "_sip._udp.example.com.")
SRV = SrvRecord(1, 2, 5060, "A.example.")


@pytest.mark.parametrize(
    ("record", "kind", "usable"),
    [
        (NAPTR, RecordType.NAPTR, NaptrRecord(10, 20, "s", "SIP+D2U", "", "_sip._udp.example.com")),
        (NAPTR, RecordType.SRV, None),
        (NaptrRecord(1, 1, "u", "E2U+sip", "!^.*$!sip:a@b!", "."), RecordType.NAPTR, None),
        (NaptrRecord(1, 1, "s", "SIP+D2U", "!^.*$!sip:a@b!", "a.example"), RecordType.NAPTR, None),
        (SRV, RecordType.SRV, SrvRecord(1, 2, 5060, "a.example")),
        (SRV, RecordType.A, None),
        (SrvRecord(1, 2, 0, "a.example"), RecordType.SRV, None),
        (SrvRecord(1, 2, 65_536, "a.example"), RecordType.SRV, None),
        (SrvRecord(1, 2, 5060, "a b"), RecordType.SRV, None),
        (SrvRecord(0, 0, 0, "."), RecordType.SRV, SrvRecord(0, 0, 0, "")),
        (SrvRecord(1, 2, 5060, "192.0.2.1."), RecordType.SRV, SrvRecord(1, 2, 5060, "192.0.2.1")),
        (AddressRecord("192.0.2.1"), RecordType.A, AddressRecord("192.0.2.1")),
        (AddressRecord("192.0.2.1"), RecordType.AAAA, None),
        (AddressRecord("2001:DB8::1"), RecordType.AAAA, AddressRecord("2001:db8::1")),
        (AddressRecord("0.0.0.0"), RecordType.A, None),
        (AddressRecord("::"), RecordType.AAAA, None),
        (AddressRecord("a.example"), RecordType.A, None),
        (AddressRecord("192.0.2.1"), RecordType.NAPTR, None),
    ],
)
def test_usable_record(record: DnsRecord, kind: RecordType, usable: DnsRecord | None) -> None:
    assert usable_record(record, kind) == usable


def test_domain_without_the_service() -> None:
    assert declines([SrvRecord(0, 0, 0, "")])
    assert not declines([SrvRecord(0, 0, 0, ""), SrvRecord(0, 0, 5060, "a.example")])
    assert not declines([])
    assert not declines([AddressRecord("192.0.2.1")])


@given(st.lists(SRV_RECORDS, max_size=20), st.data())
def test_order_is_by_priority_and_loses_nothing(records: list[SrvRecord], data: st.DataObject) -> None:
    ordered = list(weighted_order(records, lambda: data.draw(FRACTIONS)))
    assert Counter(ordered) == Counter(records)
    assert [record.priority for record in ordered] == sorted(record.priority for record in records)


def test_weights_are_shares() -> None:
    light, heavy = SrvRecord(0, 1, 5060, "light.example"), SrvRecord(0, 3, 5060, "heavy.example")
    # The sums are 1 and 4: of the numbers 0 to 4 that RFC 2782 draws from, two choose the first record.
    firsts = [next(weighted_order([light, heavy], lambda drawn=drawn: drawn / 5)) for drawn in range(5)]  # type: ignore[misc]
    assert firsts == [light, light, heavy, heavy, heavy]


def test_weight_nought_comes_first_only_by_the_smallest_chance() -> None:
    spare, busy = SrvRecord(0, 0, 5060, "spare.example"), SrvRecord(0, 9, 5060, "busy.example")
    assert list(weighted_order([busy, spare], lambda: 0.0)) == [spare, busy]
    assert list(weighted_order([busy, spare], lambda: 0.1)) == [busy, spare]


def test_each_choice_is_drawn_anew_from_the_rest() -> None:
    records = [SrvRecord(0, weight, 5060, f"{name}.example") for name, weight in (("a", 10), ("b", 20), ("c", 30))]
    draws = iter([0.9, 0.0, 0.0])

    def fraction() -> float:
        return next(draws)

    # 0.9 of 0..60 is 54, beyond 30: c. Then 0 of 0..30: a. Then b alone.
    assert [record.target[0] for record in weighted_order(records, fraction)] == ["c", "a", "b"]
    assert next(draws, None) is None


def test_one_group_without_weights_is_tried_in_the_order_of_the_answer() -> None:
    records = [SrvRecord(5, 0, 5060, f"{name}.example") for name in "cab"]
    fractions: Iterator[float] = iter([0.999, 0.5, 0.0])
    assert list(weighted_order(records, lambda: next(fractions))) == records


@given(st.lists(SRV_RECORDS, min_size=1, max_size=5), st.sampled_from([-1.0, 1.0, 7.5]))
def test_fraction_out_of_its_range_is_survived(records: list[SrvRecord], fraction: float) -> None:
    assert Counter(weighted_order(records, lambda: fraction)) == Counter(records)
