"""`siprec call`: one recording call with real audio, and whether the server kept the rules."""

import argparse
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext

from siprec.callers import CallOutcome, CallPlan, is_kept, make_call
from siprec.command_inspect import write_json
from siprec.digest import caller
from siprec.impairment import Impairment
from siprec.options import add_worker, percent, positive_number, positive_seconds
from siprec.outcome import CommandError, Exit, unreadable
from siprec.profiles import PROFILES
from siprec.speech import Speech, Tone, offered_formats, read_clip
from siprec.targets import may_need_tls, read_target
from siprec.terminal import clean, finding_line, styled, table, write_text
from siprec.tones import frequency_of
from siprec.voice import Voice
from siprec_core.errors import RemoteProtocolError
from siprec_core.metadata.builder import MetadataBuilder
from siprec_core.metadata.draft_writer import write_document
from siprec_core.metadata.model import Dialect
from siprec_core.recording.call import DEFAULT_FORMATS, CallSpec, ClientConfig, StreamSpec
from siprec_core.sdp.attributes import TOKEN
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sip.uri import SipUri
from siprec_sync.tls import TlsFiles, client_context

_SECONDS = 3.0
_ALL_SUITES = ("AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
_EXAMPLES = """examples:
  siprec call 127.0.0.1:5060
  siprec call 'sip:recorder.example.com;transport=tcp' --seconds 10
  siprec call sips:recorder.example.com --tls-ca authority.pem
  siprec call 127.0.0.1:5060 --profile broadworks --hold 1-2
  siprec call 127.0.0.1:5060 --dtmf 123#
  siprec call 127.0.0.1:5060 --speech --seconds 10 --transfer 5 --loss 2 --reorder 1
  siprec call 'sips:recorder.example.com' --srtp
  siprec call 127.0.0.1:5060 --audio alice.wav --audio bob.wav --json
  siprec call 127.0.0.1:5060 --codecs G722/8000
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Makes one recording call with real audio, checks the answer against RFC 3264 and RFC 7866, and prints a "
        "report. Exit code 1 when the server refused or broke a rule, 69 when it cannot be reached."
    )
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("target", metavar="TARGET", help="SIP URI (sip:host:port;transport=tcp, sips:host) or HOST:PORT")
    _add_audio(parser)
    add(
        "--profile",
        metavar="NAME",
        choices=tuple(PROFILES),
        help=f"write the INVITE as another client does: {', '.join(PROFILES)}",
    )
    add("--metadata", metavar="XML", type=Path, help="send this metadata document as it is")
    add(
        "--from", metavar="URI", dest="from_uri", default="sip:siprec@localhost", help="who calls (default %(default)s)"
    )
    add_security(parser)
    add("--timeout", metavar="S", type=positive_seconds, default=10.0, help="wait so long for the answer (default 10)")
    add_worker(parser)
    add("--json", action="store_true", help="print the report as JSON")


def add_security(parser: argparse.ArgumentParser) -> None:
    """Add the options of encryption, of who calls, and of TLS."""
    add = parser.add_argument
    add(
        "--srtp",
        metavar="SUITE",
        nargs="?",
        const=_ALL_SUITES,
        type=_suite,
        default=(),
        help="encrypt the audio: with this crypto suite (AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32, "
        "AEAD_AES_128_GCM, AEAD_AES_256_GCM), or without a name with any of them; needs the extra srtp",
    )
    add("--user", metavar="NAME", help="who to be when the server asks (Digest); the password is in --password-file")
    add(
        "--password-file",
        metavar="FILE",
        type=Path,
        help="file whose first line is the password (default: the environment variable SIPREC_PASSWORD)",
    )
    add_tls(parser)


def _add_audio(parser: argparse.ArgumentParser) -> None:
    """Add the options about what is sent."""
    add = parser.add_argument
    add("--streams", metavar="N", type=positive_number, help="how many streams to offer (default 2)")
    add("--label", metavar="LABEL", action="append", help="label of a stream; repeatable (default 1, 2, ...)")
    add(
        "--seconds", metavar="S", type=positive_seconds, help="how long to send audio (default 3, or the files' length)"
    )
    add(
        "--audio",
        metavar="WAV",
        action="append",
        type=Path,
        help="what a stream says, PCM of any rate; repeatable, first stream first (default: a tone for each)",
    )
    add("--speech", action="store_true", help="say something like speech in place of tones")
    add(
        "--codecs",
        metavar="NAME",
        action="append",
        help="codec to offer, as G722/8000; repeatable, most wanted first (default PCMU/8000, PCMA/8000)",
    )
    add("--hold", metavar="AT-UNTIL", type=_hold, help="hold all streams from second AT of the audio to UNTIL")
    add(
        "--transfer",
        metavar="AT",
        type=positive_seconds,
        help="at second AT of the audio another takes the place of who speaks on the last stream",
    )
    add("--loss", metavar="PERCENT", type=percent, default=0.0, help="lose so many of the packets (default 0)")
    add("--reorder", metavar="PERCENT", type=percent, default=0.0, help="send so many behind the next (default 0)")
    add("--seed", metavar="N", type=positive_number, default=1, help="choose which packets these are (default 1)")
    add(
        "--dtmf",
        metavar="DIGITS",
        default="",
        help="press these keys (0-9 * # A-D) on the first stream, as telephone events (RFC 4733)",
    )


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add the options of calls over TLS."""
    add = parser.add_argument
    add("--tls-ca", metavar="PEM", type=Path, help="authorities whose certificates are trusted (default: the system's)")
    add("--tls-insecure", action="store_true", help="take any certificate of the server")


def _suite(text: str) -> tuple[str, ...]:
    """Read the name of a crypto suite."""
    if text.upper() not in _ALL_SUITES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(_ALL_SUITES)}; TARGET stands before --srtp")
    return (text.upper(),)


def run(arguments: argparse.Namespace) -> int:
    """Make the call and print the report."""
    outcome = make_call(_plan(arguments), arguments.worker)
    if arguments.json:
        write_json(outcome.as_json())
    else:
        print_report(outcome)
    if outcome.unreachable:
        raise CommandError(_unreachable(outcome), Exit.UNREACHABLE)
    return outcome.exit_code


def print_report(outcome: CallOutcome) -> None:
    """Print what a call showed, for people."""
    if not outcome.status or outcome.remote is None or outcome.unreachable:
        return
    server = f", {clean(outcome.server)}" if outcome.server else ""
    style = "green" if outcome.streams else "red"
    status = styled(f"{outcome.status} {clean(outcome.reason)}", style)
    write_text(
        f"{clean(outcome.target)} over {outcome.transport} at {outcome.remote}{server}: {status} "
        f"after {outcome.setup_seconds * 1000:.0f} ms"
    )
    if not outcome.streams:
        if hint := _hint(outcome):
            write_text(f"  {hint}")
        return
    encrypted, impaired = outcome.encrypted, outcome.impaired
    head = (
        "label",
        "codec",
        *(["encrypted"] if encrypted else []),
        "sent to",
        "packets",
        *(["lost", "reordered"] if impaired else []),
        "seconds",
    )
    rows = [
        (
            stream.label,
            stream.codec or ("inactive" if stream.inactive else "refused"),
            *([stream.suite or "no"] if encrypted else []),
            stream.remote,
            stream.packets_sent,
            *([stream.packets_lost, stream.packets_reordered] if impaired else []),
            f"{stream.seconds:.2f}",
        )
        for stream in outcome.streams
    ]
    write_text(table(head, rows))
    for text, found in outcome.checks().items():
        write_text(f"  {styled('yes', 'green') if is_kept(found) else styled('no ', 'red')} {text}")
        for each in found:
            write_text(f"      {finding_line(each)}")
    for change in outcome.changes:
        text = f"{change.change} of stream {clean(change.label)}: {change.status} {clean(change.reason)}"
        write_text(f"  {styled('yes', 'green') if change.taken else styled('no ', 'red')} {text}")
    if outcome.digits:
        sent = "sent" if outcome.digits_refused is None else f"not sent: {clean(outcome.digits_refused)}"
        write_text(f"  keys {outcome.digits} {sent}")
    ended = (
        "the server answered our BYE" if outcome.end_reason == "local-bye" else f"ended: {clean(outcome.end_reason)}"
    )
    write_text(f"  {ended}")


def offered_streams(
    labels: Sequence[str], *, formats: tuple[MediaFormat, ...] = DEFAULT_FORMATS
) -> tuple[StreamSpec, ...]:
    """Make streams with these labels, each of a participant of its own."""
    names = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi")
    streams = []
    for index, label in enumerate(labels):
        name = names[index] if index < len(names) else f"Party {index + 1}"
        aor = f"sip:{name.lower().replace(' ', '')}@example.com"
        streams.append(StreamSpec(label=label, aor=aor, name=name, formats=formats))
    return tuple(streams)


def _hint(outcome: CallOutcome) -> str:
    """Tell what can be done about a refusal."""
    if outcome.retry_seconds is not None:
        return f"the server wants to be asked again after {outcome.retry_seconds} s"
    if outcome.status in (401, 407):
        return "the server wants to know who calls: --user and --password-file tell it by Digest"
    if 300 <= outcome.status < 400:
        return "a redirection is not followed: call the other address"
    return ""


def _unreachable(outcome: CallOutcome) -> str:
    why = "no answer" if outcome.status in (0, 408) else clean(outcome.reason)
    if outcome.remote is None:
        return why if outcome.status else f"{outcome.target} cannot be reached: {why}"
    return f"{outcome.target}: {outcome.remote} over {outcome.transport} cannot be reached: {why}"


def _plan(arguments: argparse.Namespace) -> CallPlan:
    uri = read_target(arguments.target)
    try:
        SipUri.parse(arguments.from_uri)
    except RemoteProtocolError as error:
        raise CommandError(f"--from {arguments.from_uri!r}: {error.message}") from error
    labels = _labels(arguments)
    audio = _audio(arguments, len(labels))
    tls = read_tls(arguments, uri)
    profile = None if arguments.profile is None else PROFILES[arguments.profile]
    longest = max(speech.seconds for speech in audio)
    if arguments.hold is not None and arguments.hold[1] >= longest:
        raise CommandError(f"--hold: the audio is over after {longest:g} s")
    if arguments.transfer is not None and arguments.transfer >= longest:
        raise CommandError(f"--transfer: the audio is over after {longest:g} s")
    dialect = Dialect.RFC7865 if profile is None else profile.dialect
    user = caller(arguments.user, arguments.password_file)
    digits = _digits(arguments.dtmf)
    formats = offered_formats(arguments.codecs or (), with_events=bool(digits))
    impairment = _impairment(arguments)
    plan = CallPlan(
        target=arguments.target,
        spec=CallSpec(
            uri=str(uri),
            streams=offered_streams(labels, formats=formats),
            from_uri=arguments.from_uri,
            srtp=arguments.srtp,
            metadata=None if arguments.metadata is None else _read(arguments.metadata),
            dialect=dialect,
        ),
        audio=audio,
        hold=arguments.hold,
        impairment=impairment,
        digits=digits,
        tls=tls,
        timeout_seconds=arguments.timeout,
        # Whoever names a transport gets that one; else what is too large for UDP goes over TCP (RFC 3261 18.1.1).
        config=ClientConfig(
            large_over_tcp="transport" not in uri.parameters,
            credentials=user,
            rewrite=None if profile is None else profile.rewrite,
            media_path=None if impairment is None else impairment.pass_on,
        ),
    )
    return plan if arguments.transfer is None else _with_transfer(plan, arguments.transfer)


def _with_transfer(plan: CallPlan, at: float) -> CallPlan:
    """Add the people of a plan, so that one of them can be replaced. Raises CommandError when others tell of them."""
    if plan.spec.metadata is not None:
        raise CommandError("--transfer and --metadata: give either")
    people = MetadataBuilder(entropy=os.urandom, unix_ns=time.time_ns())
    transferred = ""
    for stream in plan.spec.streams:
        transferred = people.join(stream.label, stream.aor, stream.name, unix_ns=time.time_ns())
    told = write_document(people.complete(), plan.spec.dialect)
    spec = replace(plan.spec, metadata=told)
    return replace(plan, spec=spec, transfer=at, people=people, transferred=transferred)


def _impairment(arguments: argparse.Namespace) -> Impairment | None:
    if not arguments.loss and not arguments.reorder:
        return None
    if arguments.loss + arguments.reorder > 100:
        raise CommandError("--loss and --reorder are more than 100 percent together")
    return Impairment(loss_percent=arguments.loss, reorder_percent=arguments.reorder, seed=arguments.seed)


def _labels(arguments: argparse.Namespace) -> list[str]:
    labels: list[str] = arguments.label or []
    files = len(arguments.audio or [])
    count = arguments.streams or max(2 if not labels else 0, len(labels), files)
    if count < len(labels) or count < files:
        raise CommandError(f"--streams {count} is fewer than the labels or audio files given")
    free = (label for label in map(str, itertools.count(1)) if label not in labels)
    labels = [*labels, *itertools.islice(free, count - len(labels))]
    if len(set(labels)) != len(labels) or not all(TOKEN.fullmatch(label) for label in labels):
        raise CommandError("--label: labels are tokens (RFC 4574 section 4), each different")
    return labels


def _digits(text: str) -> str:
    if text.strip("0123456789*#ABCDabcd"):
        raise CommandError(f"--dtmf {text!r}: keys are 0 to 9, *, #, A to D")
    return text.upper()


def _audio(arguments: argparse.Namespace, count: int) -> list[Speech]:
    clips = [read_clip(path) for path in arguments.audio or []]
    seconds = arguments.seconds or max((clip.seconds for clip in clips), default=_SECONDS)
    made: list[Speech] = [
        Voice(index, seconds) if arguments.speech else Tone(frequency_of(index), seconds)
        for index in range(len(clips), count)
    ]
    return [*(clip.first(seconds) for clip in clips), *made]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _hold(text: str) -> tuple[float, float]:
    """Read two instants in seconds."""
    at, _, until = text.partition("-")
    hold = positive_seconds(at), positive_seconds(until)
    if hold[0] >= hold[1]:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return hold


def read_tls(arguments: argparse.Namespace, uri: SipUri) -> TlsFiles | SSLContext | None:
    """Give what the options say of TLS. Raises CommandError when the call does not go over TLS."""
    if not may_need_tls(uri):
        if arguments.tls_ca or arguments.tls_insecure:
            raise CommandError(f"--tls-ca and --tls-insecure are for TLS, and {arguments.target} is called without it")
        return None
    if arguments.tls_insecure:
        return client_context(verify=False)
    return TlsFiles(authorities=arguments.tls_ca)
