"""Reads the same messages with this library and with others, side by side, and writes the table of ratios.

Everything runs in one process. A round gives each contestant of a row all the calls once, in an order that moves on by
one from round to round, with the garbage collector off; a time is the median of the rounds, a ratio the median of the
ratios within each round. A peer that cannot be imported is left out with the reason.

`make bench` runs it in an environment of its own, with `--write docs/reference/benchmarks.md`.
"""

import argparse
import email
import email.parser
import gc
import importlib
import importlib.metadata
import os
import platform
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, TypeAlias

from siprec_core.limits import Limits
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.request import read_request
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.header_block import read_header_block
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.parser import find_header_end, parse_datagram
from tests.benchmarks import media
from tests.benchmarks.messages import Call, calls

Foreign: TypeAlias = Any
"""What comes from a library that is imported by its name, and is not there for the type checker."""
Read = Callable[[Call], Foreign]
LIMITS = Limits()
ROUNDS = 101
NAMESPACE = "{urn:ietf:params:xml:ns:recording:1}"


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a row."""

    name: str
    read: Read


@dataclass
class Row:
    """One piece of work."""

    title: str
    contestants: list[Contestant]
    """Ours is the first; others of ours have names that begin with `siprec`."""
    goals: list[tuple[str, float]] = field(default_factory=list)
    """Names of peers, or `best`, with the ratio that we want to reach at most."""


@dataclass(frozen=True)
class Result:
    """What was measured of one contestant."""

    name: str
    microseconds: float
    ratio: float
    """Time of ours in each round divided by the time of this one; the median."""


class Peers:
    """Imports the peers and keeps why some are missing."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self.found: dict[str, str] = {}

    def load(self, module: str, package: str) -> Foreign:
        """Give a module of a peer, None when it is not to be had."""
        try:
            loaded = importlib.import_module(module)
            self.found[package] = importlib.metadata.version(package)
        except ImportError as error:
            self.missing[package] = str(error)
            return None
        return loaded


# Ours


def our_split(call: Call) -> object:
    """Split the header: canonical names, syntax of every line checked, an index by name."""
    end = find_header_end(call.invite, 0, len(call.invite)) or (0, 0)
    return read_header_block(call.invite[: end[0]], limits=LIMITS, start_line=True).headers


def our_message(call: Call) -> Request:
    """Split and check the header and the body's length."""
    message = parse_datagram(call.invite, limits=LIMITS)
    if not isinstance(message, Request):
        raise TypeError("the message of the benchmark is malformed")
    return message


def our_typed(call: Call) -> object:
    """Read five header fields into values."""
    message = our_message(call)
    return message.vias, message.from_, message.to, message.contacts, message.cseq


def our_sdp(call: Call) -> object:
    """Read SDP, with findings."""
    return parse_sdp(call.sdp, limits=LIMITS).description


def our_formats(call: Call) -> object:
    """Read SDP and put together what each payload type means."""
    description = parse_sdp(call.sdp, limits=LIMITS).description
    return [] if description is None else [media.media_formats() for media in description.media]


def our_multipart(call: Call) -> object:
    """Read the parts of a body."""
    headers = Headers.from_parsed([("Content-Type", call.content_type)])
    return [
        part.content for part in parse_body(Request("INVITE", "sip:srs", headers, call.body), limits=LIMITS).leaves()
    ]


def our_metadata(call: Call) -> object:
    """Read metadata to the model, with findings."""
    return read_metadata(call.metadata, limits=LIMITS).document


def our_whole(call: Call) -> object:
    """Read everything, with findings."""
    return read_request(our_message(call), limits=LIMITS, strict=False)


# What peers have to be put together from


def email_headers(call: Call) -> object:
    """Split the header with the standard library."""
    _, _, rest = call.invite.partition(b"\r\n")
    return email.parser.BytesHeaderParser().parsebytes(rest)


def email_parts(content_type: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Read the parts of a body with the standard library."""
    for part in email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body).walk():
        if not part.is_multipart():
            yield part.get_content_type(), part.get_payload(decode=True)  # type: ignore[misc]


def mapped(root: Foreign) -> dict[str, list[dict[str, Any]]]:
    """Map an element tree to plain values: the least that a recorder needs, without any check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for element in root:
        values: dict[str, Any] = dict(element.attrib)
        for child in element:
            name = child.tag.removeprefix(NAMESPACE)
            if name == "nameID":
                values.setdefault("aor", []).append((child.attrib.get("aor"), child.findtext(f"{NAMESPACE}name")))
            else:
                values.setdefault(name, []).append((child.text or "").strip())
        found.setdefault(element.tag.removeprefix(NAMESPACE), []).append(values)
    return found


def composed(
    message: Callable[[bytes], tuple[str, bytes]], sdp: Callable[[bytes], Any], xml: Callable[[bytes], Any]
) -> Read:
    """Put a whole reader together: header, multipart of the standard library, SDP, metadata."""

    def read(call: Call) -> object:
        content_type, body = message(call.invite)
        values = []
        for kind, content in email_parts(content_type, body):
            values.append(sdp(content) if kind == "application/sdp" else mapped(xml(content)))
        return values

    return read


# The rows


def header_rows(peers: Peers) -> list[Row]:
    """Give the rows about SIP header fields."""
    split = [
        Contestant("siprec: split", our_split),
        Contestant("siprec: with checks, body and five values", our_message),
    ]
    typed = [Contestant("siprec", our_typed)]
    if sipmessage := peers.load("sipmessage", "sipmessage"):
        parse = sipmessage.Message.parse
        split.append(Contestant("sipmessage", lambda call: parse(call.invite)))
        typed.append(Contestant("sipmessage", lambda call: _sipmessage_typed(parse(call.invite))))
    if aiosipua := peers.load("aiosipua.message", "aiosipua"):
        read = aiosipua.SipMessage.parse
        split.append(Contestant("aiosipua", lambda call: read(call.invite)))
        typed.append(Contestant("aiosipua", lambda call: _aiosipua_typed(read(call.invite))))
    if aiovoip := peers.load("aiovoip.message", "aiovoip"):
        raw = aiovoip.Message.from_raw_headers
        split.append(Contestant("aiovoip", lambda call: raw(call.invite.split(b"\r\n\r\n", 1)[0])))
    if sipdoctor := peers.load("sipdoctor.sip", "sip-doctor"):
        seen = sipdoctor.parse
        split.append(
            Contestant("sip-doctor", lambda call: seen(call.invite, 0.0, "192.0.2.2", 5060, "192.0.2.1", 5060, "UDP"))
        )
    if sippy := peers.load("sippy.SipRequest", "sippy"):
        made = sippy.SipRequest
        split.append(Contestant("sippy", lambda call: made(call.invite.decode())))
        typed.append(Contestant("sippy", lambda call: _sippy_typed(made(call.invite.decode()))))
    split.append(Contestant("email of the standard library", email_headers))
    return [
        Row("Header split into 14 fields", split, [("sipmessage", 0.5)]),
        Row("Header split, and five fields as values: Via, From, To, Contact, CSeq", typed),
    ]


def _sipmessage_typed(message: Foreign) -> object:
    return message.via, message.from_address, message.to_address, message.contact, message.cseq


def _aiosipua_typed(message: Foreign) -> object:
    return message.via, message.from_addr, message.to_addr, message.contact, message.cseq


def _sippy_typed(message: Foreign) -> object:
    return [message.getHFBody(name) for name in ("via", "from", "to", "contact", "cseq")]


def sdp_row(peers: Peers) -> Row:
    """Give the row about SDP."""
    row = Row("SDP of two media lines, as values", [Contestant("siprec: checked", our_sdp)], [("sippy", 0.7)])
    row.contestants.append(Contestant("siprec: and with payload formats", our_formats))
    if sippy := peers.load("sippy.SdpBody", "sippy"):
        row.contestants.append(Contestant("sippy", lambda call: sippy.SdpBody(call.sdp.decode())))
    if aiosipua := peers.load("aiosipua.sdp", "aiosipua"):
        row.contestants.append(Contestant("aiosipua", lambda call: aiosipua.parse_sdp(call.sdp.decode())))
    if sipdoctor := peers.load("sipdoctor.sip", "sip-doctor"):
        row.contestants.append(Contestant("sip-doctor", lambda call: sipdoctor.parse_sdp(call.sdp)))
    if transform := peers.load("sdp_transform", "sdp-transform"):
        row.contestants.append(Contestant("sdp-transform", lambda call: transform.parse(call.sdp.decode())))
    return row


def body_rows(peers: Peers) -> list[Row]:
    """Give the rows about multipart bodies and metadata."""
    multipart = Row("Multipart body into its parts", [Contestant("siprec", our_multipart)])
    multipart.contestants.append(
        Contestant("email of the standard library", lambda call: list(email_parts(call.content_type, call.body)))
    )
    metadata = Row("Metadata", [Contestant("siprec: to the model, checked", our_metadata)])
    for name, parse in xml_parsers(peers).items():
        metadata.contestants.append(Contestant(f"{name}: tree alone", tree_of(parse)))
        metadata.contestants.append(Contestant(f"{name}: and to dicts", dicts_of(parse)))
    return [multipart, metadata]


def tree_of(parse: Callable[[bytes], Foreign]) -> Read:
    """Read metadata to an element tree."""
    return lambda call: parse(call.metadata)


def dicts_of(parse: Callable[[bytes], Foreign]) -> Read:
    """Read metadata to plain values."""
    return lambda call: mapped(parse(call.metadata))


def xml_parsers(peers: Peers) -> dict[str, Callable[[bytes], Any]]:
    """Give the XML parsers by name; only the last is safe against hostile documents."""
    parsers: dict[str, Callable[[bytes], Any]] = {"ElementTree": ET.fromstring}
    if lxml := peers.load("lxml.etree", "lxml"):
        parsers["lxml"] = lxml.fromstring
    if defusedxml := peers.load("defusedxml.ElementTree", "defusedxml"):
        parsers["defusedxml"] = defusedxml.fromstring
    return parsers


def whole_row(peers: Peers) -> Row:
    """Give the row about the whole message; peers are put together with what is safe for metadata."""
    row = Row("Whole INVITE to the model", [Contestant("siprec: with findings", our_whole)], [("best", 0.45)])
    safe = xml_parsers(peers).get("defusedxml")
    if safe is None:
        return row
    aiosipua, its_sdp = peers.load("aiosipua.message", "aiosipua"), peers.load("aiosipua.sdp", "aiosipua")
    if aiosipua and its_sdp:

        def aiosipua_message(data: bytes) -> tuple[str, bytes]:
            message = aiosipua.SipMessage.parse(data)
            _aiosipua_typed(message)
            return message.content_type, message.body

        read = composed(aiosipua_message, lambda sdp: its_sdp.parse_sdp(sdp.decode()), safe)
        row.contestants.append(Contestant("aiosipua, email, defusedxml", read))
    sipmessage, transform = peers.load("sipmessage", "sipmessage"), peers.load("sdp_transform", "sdp-transform")
    if sipmessage and transform:

        def sipmessage_message(data: bytes) -> tuple[str, bytes]:
            message = sipmessage.Message.parse(data)
            _sipmessage_typed(message)
            return message.headers.get("Content-Type"), message.body

        read = composed(sipmessage_message, lambda sdp: transform.parse(sdp.decode()), safe)
        row.contestants.append(Contestant("sipmessage, email, sdp-transform, defusedxml", read))
    if sippy := peers.load("sippy.SipRequest", "sippy"):
        row.contestants.append(
            Contestant("sippy, defusedxml", lambda call: _sippy_whole(sippy.SipRequest(call.invite.decode()), safe))
        )
    return row


def _sippy_whole(message: Foreign, xml: Callable[[bytes], Any]) -> object:
    _sippy_typed(message)
    body = message.getBody()
    body.parse()
    sdp, metadata = body.content.parts
    sdp.parse()
    return sdp.content, mapped(xml(metadata.content.encode()))


# Measuring


def measure(row: Row, made: list[Call], rounds: int) -> list[Result]:
    """Time every contestant of a row, ours first."""
    contestants = row.contestants
    times: list[list[float]] = [[] for _ in contestants]
    for contestant in contestants:
        _time(contestant.read, made)
    for number in range(rounds):
        for step in range(len(contestants)):
            index = (number + step) % len(contestants)
            times[index].append(_time(contestants[index].read, made))
    ours = times[0]
    return [
        Result(
            contestant.name,
            median(taken) / len(made) * 1e6,
            median(mine / its for mine, its in zip(ours, taken, strict=True)),
        )
        for contestant, taken in zip(contestants, times, strict=True)
    ]


def _time(read: Read, made: list[Call]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = process_time()
        for call in made:
            read(call)
        return process_time() - start
    finally:
        gc.enable()


# The page

_INTRODUCTION = """\
# Benchmarks

How long siprec takes to read what a recording client sends, beside other libraries for Python that read the same.
This page is written by

```console
$ make bench
```

here with {python} on {machine}.

The message is an INVITE of {invite:,} octets with 14 header fields, SDP of {sdp} octets with two media lines, and
metadata of {metadata:,} octets with two participants. {calls} calls, each with identifiers of its own, go round in
{rounds} rounds, in which all contestants of a table take turns in one process. A time is the median CPU time in
microseconds for one message. A ratio is the time of siprec, first row, divided by that of the other, the median over
the rounds: below 1 siprec is faster. Times move from run to run, ratios much less.

Nobody does quite the same work. siprec checks every line, reports each deviation as a finding, holds to its limits and
keeps what it does not know. The others do little of that: sippy, for one, leaves the values of SDP attributes as text,
and the dicts made here of the XML are checked by nobody.
"""
_NOT_COMPARED = """
Not compared are libraries in C that read SIP, and other libraries' call handling. What siprec takes for a whole call
(INVITE, ACK and BYE, the core alone and a whole server) is printed by `make bench`.
"""


def page(
    rows: list[tuple[Row, list[Result]]], peers: Peers, made: list[Call], rounds: int, received: Sequence[str] = ()
) -> str:
    """Write the page of the manual; `received` are the sections about received audio."""
    sample = made[0]
    introduction = _INTRODUCTION.format(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
        invite=len(sample.invite),
        sdp=len(sample.sdp),
        metadata=len(sample.metadata),
        calls=len(made),
        rounds=rounds,
    )
    lines = introduction.splitlines()
    for row, results in rows:
        lines += ["", f"## {row.title}", "", "| | microseconds | ratio |", "|---|---:|---:|"]
        for result in results:
            ratio = "" if result.name.startswith("siprec") else f"{result.ratio:.2f}"
            lines.append(f"| {result.name} | {result.microseconds:.1f} | {ratio} |")
    lines += ["", "## Goals", "", "What the ratios are to become, and what they are.", "", *goal_lines(rows), *received]
    lines += ["", "## What was compared", ""]
    found = ", ".join(f"{name} {version}" for name, version in sorted(peers.found.items()))
    lines.append(
        f"{found}; the versions stand in `tests/benchmarks/peers.txt`." if found else "No other library was found."
    )
    lines += [f"Left out is {name}: {reason}." for name, reason in sorted(peers.missing.items())]
    lines += _NOT_COMPARED.splitlines()
    return "\n".join(lines) + "\n"


def goal_lines(rows: list[tuple[Row, list[Result]]]) -> list[str]:
    """Write the goals beside what was reached."""
    lines = ["| work | compared with | goal | reached | |", "|---|---|---:|---:|---|"]
    for row, results in rows:
        peers = [result for result in results[1:] if not result.name.startswith("siprec")]
        for name, goal in row.goals:
            wanted = peers if name == "best" else [result for result in peers if result.name == name]
            best = max(wanted, key=lambda result: result.ratio, default=None)
            if best is None:
                lines.append(f"| {row.title} | {name} | {goal:.2f} | | not measured |")
                continue
            verdict = "met" if best.ratio <= goal else "not met"
            lines.append(f"| {row.title} | {best.name} | {goal:.2f} | {best.ratio:.2f} | {verdict} |")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Measure and print; with `--write` into a file too."""
    parser = argparse.ArgumentParser(description="Compare siprec with other libraries.")
    parser.add_argument("--write", type=Path, help="the page to write")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--media", action="store_true", help="receive audio over sockets too, for some minutes")
    chosen = parser.parse_args(arguments)
    peers, made = Peers(), calls()
    rows = [*header_rows(peers), sdp_row(peers), *body_rows(peers), whole_row(peers)]
    gc.freeze()  # what is loaded stays, so that a collection before each measurement costs little
    results = [(row, measure(row, made, chosen.rounds)) for row in rows]
    gc.unfreeze()
    with TemporaryDirectory() as folder:
        received = media.section(Path(folder)) if chosen.media else []
    for name in media.COMPARED if chosen.media else ():
        peers.load(name, name)
    text = page(results, peers, made, chosen.rounds, received)
    sys.stdout.write(text)
    if chosen.write is not None:
        chosen.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
