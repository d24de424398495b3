"""Date-times of the metadata: the text as the peer wrote it beside the instant that it means (RFC 7865 section 6.9).

A date-time that does not follow RFC 3339 is read with a guess where one is safe, and the guess is named.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from siprec_core.clock import format_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY_SECONDS = 86_400
_LONGEST = 128
"""Longest text worth a look: no date-time needs more."""
_DATE_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})([Tt ])([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2})(:?)([0-9]{2})?)?"
)
_USUAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z")
"""What most senders write."""
_STRICT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
)
"""What both RFC 3339 and xs:dateTime take; the schema's offsets end at 14 hours and it knows no leap second."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One date-time of a document."""

    text: str
    """The text as written, without white space around it."""
    unix_ns: int | None
    """Nanoseconds since 1970-01-01T00:00:00Z, None when the text has no meaning that we know."""

    @classmethod
    def at(cls, unix_ns: int) -> "Instant":
        """Give the instant with our own text, in whole microseconds."""
        whole = unix_ns // 1000 * 1000
        return cls(format_instant(whole), whole)

    def to_wire(self) -> str | None:
        """Give the text that RFC 7865 section 6.9 allows: as written if it does, else in UTC; None if there is none."""
        if self.unix_ns is None:
            return None
        return self.text if _STRICT.fullmatch(self.text) else format_instant(self.unix_ns)


@dataclass(frozen=True, slots=True)
class ParsedTime:
    """What `parse_time` made of a text."""

    instant: Instant
    deviation: str | None
    """What is wrong with the text, None when nothing is."""


def parse_time(text: str) -> ParsedTime:
    """Read a date-time; never raises.

    Tolerated, with a deviation: no zone (taken as UTC), an offset without colon or minutes, lower-case `t` and `z`, a
    blank for `T`, a decimal comma, 24:00:00. Digits below one nanosecond are cut off. A leap second is the first second
    of the next minute, because Unix time has no room for it.
    """
    text = text.strip()
    if _USUAL.fullmatch(text):
        try:
            since = datetime.fromisoformat(text) - _EPOCH
        except ValueError:
            return ParsedTime(Instant(text, None), "there is no such day")
        return ParsedTime(Instant(text, (since.days * _DAY_SECONDS + since.seconds) * 1_000_000_000), None)
    match = _DATE_TIME.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return ParsedTime(Instant(text, None), "it is not a date-time" if text else "it is empty")
    year, month, day, separator, hour, minute, second, fraction, zulu, sign, zone_hour, colon, zone_minute = (
        match.groups()
    )
    try:
        midnight = datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return ParsedTime(Instant(text, None), "there is no such day")
    of_day = _second_of_day(int(hour), int(minute), int(second))
    offset = _offset_seconds(sign, zone_hour, zone_minute)
    if of_day is None or offset is None or (of_day == _DAY_SECONDS and fraction and fraction.strip("0")):
        return ParsedTime(Instant(text, None), "there is no such time of day or offset")
    seconds = (midnight - _EPOCH) // _SECOND + of_day - offset
    unix_ns = seconds * 1_000_000_000 + (int(fraction[:9].ljust(9, "0")) if fraction else 0)
    if not _EARLIEST_NS <= unix_ns <= _LATEST_NS:
        return ParsedTime(Instant(text, None), "it lies outside the years 1 to 9999")
    deviation = None
    if zulu != "Z" or separator != "T" or hour == "24" or "," in text:
        deviation = _deviation(separator, hour, zulu, sign, colon, zone_minute, text)
    return ParsedTime(Instant(text, unix_ns), deviation)


_EARLIEST_NS = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _SECOND * 1_000_000_000
_LATEST_NS = ((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _SECOND + _DAY_SECONDS) * 1_000_000_000 - 1


def _second_of_day(hour: int, minute: int, second: int) -> int | None:
    if hour == 24 and minute == second == 0:
        return _DAY_SECONDS
    if hour > 23 or minute > 59 or second > 60:
        return None
    return hour * 3600 + minute * 60 + second


def _offset_seconds(sign: str | None, hours: str | None, minutes: str | None) -> int | None:
    if sign is None or hours is None:
        return 0
    if int(hours) > 23 or int(minutes or 0) > 59:
        return None
    seconds = int(hours) * 3600 + int(minutes or 0) * 60
    return -seconds if sign == "-" else seconds


def _deviation(
    separator: str, hour: str, zulu: str | None, sign: str | None, colon: str | None, minutes: str | None, text: str
) -> str | None:
    """Name the first rule of RFC 3339 and of RFC 7865 section 6.9 (upper-case `T` and `Z`) that the text breaks."""
    if zulu is None and sign is None:
        return "it has no zone; taken as UTC"
    if separator != "T":
        return "the date and the time are not joined by an upper-case T"
    if zulu == "z":
        return "the Z is not in upper case"
    if sign is not None and (not colon or minutes is None):
        return "its offset is not of the form +hh:mm"
    if hour == "24":
        return "hour 24 is not allowed"
    return "its decimal sign is not a full stop" if "," in text else None
