"""`siprec inspect`: decodes files and prints what is in them."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from siprec.captures import Capture, read_capture
from siprec.description import Json, describe_document
from siprec.documents import decode, is_capture, read_file
from siprec.outcome import Exit, unreadable
from siprec.terminal import clean, finding_line, octets, styled, write_text
from siprec_core.findings import Finding, Severity

_EXAMPLES = """examples:
  siprec inspect invite.sip
  siprec inspect --json metadata.xml
  siprec inspect recordings/2024/01/15/*/journal.pcapng
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Decodes a SIP message, multipart body, SDP, recording metadata, pcap or pcapng, told by its content, and "
        "prints what is in it and what is wrong with it. Exit code 1 only when a file could not be decoded."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="what to decode")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each file")


def run(arguments: argparse.Namespace) -> int:
    """Decode and print each file."""
    described: list[Json] = []
    complete = True
    for path in arguments.files:
        entry, decoded = inspect_file(path)
        described.append(entry)
        complete = complete and decoded
    if arguments.json:
        # Several files, and a capture as the several messages that it is, make a list.
        one = len(described) == 1 and described[0].get("kind") != "capture"
        write_json(described[0] if one else described)
    else:
        for entry in described:
            write_text("\n".join(_summary(entry)))
    return Exit.DONE if complete else Exit.PROBLEMS


def inspect_file(path: Path) -> tuple[Json, bool]:
    """Give the object of a file, and whether it could be decoded. Raises CommandError when it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if is_capture(start):
            capture = read_capture(path)
            return {"file": str(path), **capture.describe()}, _is_readable(capture)
        document = decode(read_file(path))
    except OSError as error:
        raise unreadable(path, error) from error
    return {"file": str(path), **describe_document(document)}, document.decoded


def write_json(value: object) -> None:
    """Print JSON; a peer's octets that are no UTF-8 come out as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    write_text(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _is_readable(capture: Capture) -> bool:
    return capture.items > 0


# The summary for people


def _summary(entry: Json) -> Iterator[str]:
    yield f"{styled(clean(entry['file']), 'bold')}: {entry.get('kind', 'unknown')}"
    if entry.get("kind") == "capture":
        for message in _objects(entry, "messages"):
            yield f"  {message['at']}  {_place(message, 'source')} -> {_place(message, 'destination')}"
            yield from _document(message, "    ")
        for flow in _objects(entry, "rtp"):
            yield _flow(flow)
        yield from _findings(entry, "  ")
    else:
        yield from _document(entry, "  ")


def _document(entry: Json, indent: str) -> Iterator[str]:
    if "headers" in entry:
        if "method" in entry:
            yield f"{indent}{clean(entry['method'])} {clean(entry['uri'])}"
        else:
            yield f"{indent}{entry['status']} {clean(entry['reason'])}"
        cseq = cast("list[object]", entry.get("cseq", []))
        yield f"{indent}Call-ID {clean(entry.get('call_id'))}, CSeq {' '.join(clean(each) for each in cseq) or '-'}"
        marks = cast("dict[str, bool]", entry["siprec"])
        names = {"require": "Require: siprec", "feature_tag": "feature tag", "metadata": "metadata"}
        shown = [text for name, text in names.items() if marks[name]]
        yield f"{indent}recording session: {', '.join(shown) or 'no mark'}"
    for part in _objects(entry, "parts"):
        disposition = f", {clean(part['disposition'])}" if part["disposition"] else ""
        yield f"{indent}part {clean(part['content_type'])}, {octets(cast('int', part['size']))}{disposition}"
    if "sdp" in entry:
        yield from _sdp(cast("Json", entry["sdp"]), indent)
    if "metadata" in entry:
        yield from _metadata(cast("Json", entry["metadata"]), indent)
    yield from _findings(entry, indent)


def _sdp(sdp: Json, indent: str) -> Iterator[str]:
    origin = cast("Json", sdp["origin"])
    yield (
        f"{indent}SDP of {clean(origin['username'])} {origin['session_id']} version {origin['version']} "
        f"at {clean(origin['address'])}"
    )
    for media in _objects(sdp, "media"):
        codecs = " ".join(clean(codec or "?") for codec in cast("list[object]", media["codecs"]))
        keys = f", {media['crypto']} crypto" if media["crypto"] else ""
        yield (
            f"{indent}  {clean(media['media'])} {clean(media['host'])}:{media['port']} {clean(media['protocol'])} "
            f"label {clean(media['label'])} {media['direction']}: {codecs or '-'}{keys}"
        )


def _metadata(metadata: Json, indent: str) -> Iterator[str]:
    if metadata.get("request_snapshot"):
        yield f"{indent}request for a snapshot: {clean(metadata['reason'])}"
        return
    yield f"{indent}metadata, dialect {metadata['dialect']}, {metadata['datamode'] or 'complete (not said)'}"
    for group in cast("list[object]", metadata["groups"]):
        yield f"{indent}  group {clean(group)}"
    for session in _objects(metadata, "sessions"):
        times = f"from {clean(session['start_time'])} to {clean(session['stop_time'])}"
        yield f"{indent}  session {clean(session['id'])} {times}"
    for person in _objects(metadata, "participants"):
        known = [*cast("list[object]", person["names"]), *cast("list[object]", person["aors"])]
        yield f"{indent}  participant {clean(person['id'])} {' '.join(clean(each) for each in known)}".rstrip()
    for stream in _objects(metadata, "streams"):
        belongs = clean(stream["session_id"])
        yield f"{indent}  stream {clean(stream['id'])} label {clean(stream['label'])} session {belongs}"
    for flow in _objects(metadata, "participant_streams"):
        sends, receives = (", ".join(map(clean, cast("list[object]", flow[name]))) for name in ("send", "recv"))
        yield f"{indent}  participant {clean(flow['participant_id'])} sends {sends or '-'}, receives {receives or '-'}"
    if metadata["extensions"]:
        yield f"{indent}  extensions: {metadata['extensions']}"


def _flow(flow: Json) -> str:
    return (
        f"  RTP {_place(flow, 'source')} -> {_place(flow, 'destination')} SSRC {cast('int', flow['ssrc']):#010x} "
        f"label {clean(flow['label'])} {clean(flow['codec'])}: {flow['packets_received']} packets, "
        f"{flow['packets_lost']} lost, from {flow['first_packet_at']} to {flow['last_packet_at']}"
    )


def _findings(entry: Json, indent: str) -> Iterator[str]:
    for found in _objects(entry, "findings"):
        line = f"line {found['line']}: " if "line" in found else ""
        yield f"{indent}{line}{finding_line(_finding(found))}"


def _finding(found: Json) -> Finding:
    return Finding(
        code=str(found["code"]),
        severity=Severity(found["severity"]),
        where=str(found["where"]),
        message=str(found["message"]),
        rfc=str(found["rfc"]),
    )


def _place(entry: Json, name: str) -> str:
    address = cast("Json", entry[name])
    host = f"[{address['host']}]" if ":" in str(address["host"]) else address["host"]
    return f"{host}:{address['port']}"


def _objects(entry: Json, name: str) -> list[Json]:
    return cast("list[Json]", entry.get(name, []))
