"""`siprec doctor`: looks at a recording server and tells in plain words what would keep a client from working."""

import argparse
import sys

from siprec.command_call import add_tls, offered_streams, read_tls
from siprec.command_inspect import write_json
from siprec.examine import Examination, Verdict, examine
from siprec.load import LoadPlan
from siprec.options import positive_number, positive_seconds
from siprec.outcome import CommandError, Exit
from siprec.targets import locate_hop, read_target
from siprec.terminal import clean, styled, write_text
from siprec_core.recording.call import CallSpec
from siprec_core.types import Address

_STYLES = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}
_EXAMPLES = """examples:
  siprec doctor 127.0.0.1:5060
  siprec doctor 'sip:recorder.example.com;transport=tcp'
  siprec doctor sips:recorder.example.com --tls-ca authority.pem --json
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Asks OPTIONS, makes a short call with audio, and tells what would keep a recording client from working with "
        "this server: methods, answer rules, media ports, codecs, RTCP, certificate, size of the INVITE. Works with "
        "any recorder. Exit code 1 when something is bad, 69 when nothing was heard of the server."
    )
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("target", metavar="TARGET", help="SIP URI (sip:host:port;transport=tcp, sips:host) or HOST:PORT")
    add("--streams", metavar="N", type=positive_number, default=2, help="streams of the call (default 2)")
    add("--seconds", metavar="S", type=positive_seconds, default=3.0, help="how long to send audio (default 3)")
    add("--timeout", metavar="S", type=positive_seconds, default=10.0, help="wait so long for answers (default 10)")
    add_tls(parser)
    add("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Look at the server and print what was seen."""
    uri = read_target(arguments.target)
    hop = locate_hop(uri)
    labels = [str(index + 1) for index in range(arguments.streams)]
    plan = LoadPlan(
        spec=CallSpec(uri=str(uri), local=Address("", 0), streams=offered_streams(labels)),
        hop=hop,
        total=1,
        limit=1,
        rate=1.0,
        seconds=arguments.seconds,
        tls=read_tls(arguments, uri),
    )
    seen = examine(arguments.target, plan, timeout=arguments.timeout, tell=_tell)
    if arguments.json:
        write_json(seen.as_json())
    else:
        print_examination(seen)
    if seen.unreachable:
        raise CommandError(
            f"{arguments.target}: {hop.remote} over {hop.transport.value} cannot be reached", Exit.UNREACHABLE
        )
    return Exit.DONE if seen.good else Exit.PROBLEMS


def print_examination(seen: Examination) -> None:
    """Print what was seen, for people."""
    for look in seen.looks:
        rule = f" ({look.rfc})" if look.rfc and look.verdict is not Verdict.GOOD else ""
        write_text(f"{styled(f'{look.verdict.value:4}', _STYLES[look.verdict])} {clean(look.text)}{rule}")
        if look.advice:
            write_text(f"     {look.advice}")
    bad = sum(look.verdict is Verdict.BAD for look in seen.looks)
    told = styled("a recording client should work with this server", "green")
    if bad:
        told = styled(f"{bad} thing{'' if bad == 1 else 's'} would keep clients from working", "red")
    write_text(f"\n{clean(seen.target)}: {told}")


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{text} ...", file=sys.stderr)
