"""`siprec demo`: records a call between our own client and server on this machine, and checks what was recorded."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import siprec_sync
from siprec.callers import CallOutcome, CallPlan, make_call
from siprec.command_call import offered_streams
from siprec.logs import set_up_logs
from siprec.outcome import CommandError, Exit
from siprec.speech import Tone
from siprec.terminal import clean, styled, table, write_text
from siprec.tones import frequency_of, tone_share
from siprec_core.containers.wav import read_wav
from siprec_core.errors import RemoteProtocolError
from siprec_core.recording.call import CallSpec
from siprec_core.recording.events import SessionEnded
from siprec_core.recording.render import MIX_NAME, REPORT_NAME
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from siprec_sync.directory_sinks import DirectorySinks

_SECONDS = 3.0
_LABELS = ("1", "2")
_RENDER_SECONDS = 60.0
_TOLERANCE_SECONDS = 0.1
_LEAST_SHARE = 0.9
"""Share of a channel's energy that has to lie at the frequency of its tone; G.711's noise takes far less."""
_EXAMPLES = """examples:
  siprec demo
  siprec demo --recordings recordings
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was compared with what was sent."""

    text: str
    good: bool


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Starts a recording server on the loopback interface, records one call of three seconds from our own client, "
        "and shows where the files are and that they hold what was sent."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--recordings",
        metavar="DIR",
        type=Path,
        default=Path("demo-recordings"),
        help="where the recording goes (default ./demo-recordings)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Record a call and check it."""
    set_up_logs("warning")
    sinks = DirectorySinks(arguments.recordings)
    with siprec_sync.serve("udp://127.0.0.1:0", sinks=sinks) as server:
        events = server.events(lambda event: isinstance(event, SessionEnded))
        write_text(f"recording a call of {_SECONDS:g} s on this machine ...")
        outcome = make_call(_plan(server.listeners[0].address), "sync")
        if not outcome.good:
            raise CommandError(f"the call failed: {outcome.status} {outcome.reason}", Exit.PROBLEMS)
        ended = events.next(_RENDER_SECONDS)
    if not isinstance(ended, SessionEnded) or ended.status != "completed":
        raise CommandError("the recording was not completed", Exit.PROBLEMS)
    folder = arguments.recordings.joinpath(*ended.directory.split("/"))
    checks = check_recording(folder, outcome)
    _print(folder, checks)
    return Exit.DONE if all(check.good for check in checks) else Exit.PROBLEMS


def check_recording(folder: Path, outcome: CallOutcome) -> list[Check]:
    """Compare the files of the recording with the tones that were sent."""
    try:
        mix_format, mix = read_wav((folder / MIX_NAME).read_bytes())
        report = json.loads((folder / REPORT_NAME).read_bytes())
    except (OSError, RemoteProtocolError) as error:
        return [Check(f"the files can be read: {error}", good=False)]
    checks = [Check(f"{MIX_NAME} has {len(_LABELS)} channels", mix_format.channels == len(_LABELS))]
    for index, sent in enumerate(outcome.streams):
        pcm = b"".join(mix[at : at + 2] for at in range(2 * index, len(mix), 2 * mix_format.channels))
        found = _tone_check(f"channel {index + 1} of {MIX_NAME}", index, pcm, mix_format.sample_rate)
        checks.append(found)
        checks += _file_checks(folder, report, index, sent.label, sent.seconds)
    return checks


def _file_checks(
    folder: Path, report: dict[str, list[dict[str, str]]], index: int, label: str, seconds: float
) -> list[Check]:
    name = next((stream["file"] for stream in report["streams"] if stream["label"] == label), None)
    try:
        wav_format, pcm = read_wav((folder / (name or "")).read_bytes())
    except (OSError, RemoteProtocolError) as error:
        return [Check(f"the file of stream {label} can be read: {error}", good=False)]
    length = len(pcm) / (2 * wav_format.sample_rate)
    near = abs(length - seconds) <= _TOLERANCE_SECONDS
    return [
        _tone_check(str(name), index, pcm, wav_format.sample_rate),
        Check(f"{name} is {length:.2f} s long, {seconds:.2f} s were sent", near),
    ]


def _tone_check(name: str, index: int, pcm: bytes, sample_rate: int) -> Check:
    frequency = frequency_of(index)
    share = tone_share(pcm, frequency, sample_rate)
    return Check(
        f"{name} holds the tone of {frequency} Hz that was sent ({share:.0%} of its energy)", share >= _LEAST_SHARE
    )


def _plan(server: Address) -> CallPlan:
    return CallPlan(
        target=f"sip:{server}",
        spec=CallSpec(
            uri=f"sip:{server}",
            hop=Hop(Transport.UDP, server),
            local=Address("127.0.0.1", 0),
            streams=offered_streams(_LABELS),
        ),
        audio=[Tone(frequency_of(index), _SECONDS) for index in range(len(_LABELS))],
    )


def _print(folder: Path, checks: list[Check]) -> None:
    report = json.loads((folder / REPORT_NAME).read_bytes())
    write_text(f"\n{styled(clean(folder), 'bold')}")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            write_text(f"  {path.relative_to(folder)}")
    speakers = {stream: person for person in report["participants"] for stream in person["sends"]}
    rows = []
    for stream in report["streams"]:
        person = speakers.get(stream["stream_id"])
        name = None if person is None else next(iter([*person["names"], *person["aors"]]), None)
        rows.append((stream["label"], name, stream["codec"], stream["packets_received"], f"{stream['duration']:.2f} s"))
    write_text("")
    write_text(table(("label", "participant", "codec", "packets", "duration"), rows))
    write_text("")
    for check in checks:
        write_text(f"  {styled('yes', 'green') if check.good else styled('no ', 'red')} {check.text}")
