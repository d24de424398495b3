"""`siprec load`: many recording calls with audio at a time, and how many of them were complete."""

import argparse
import sys
from functools import partial
from pathlib import Path

from siprec.command_call import add_security, offered_streams, read_tls
from siprec.command_inspect import write_json
from siprec.digest import caller
from siprec.load import LoadPlan, LoadProgress, LoadResult, LoadRun, raise_descriptor_limit
from siprec.load_processes import run_processes
from siprec.load_report import LoadReport, read_received
from siprec.options import port_range, positive_number, positive_seconds
from siprec.outcome import CommandError, Exit
from siprec.targets import locate_hop, read_target
from siprec_core.recording.call import CallSpec
from siprec_sync.tls import TlsFiles

_EXAMPLES = """examples:
  siprec load 127.0.0.1:5060 -m 100
  siprec load 'sip:recorder.example.com;transport=tcp' -m 1000 -l 200 -r 20 -d 30
  siprec load 127.0.0.1:5060 --sessions 100 --json
  siprec load 127.0.0.1:5060 --sessions 100 --recordings recordings
  siprec load sips:recorder.example.com --srtp --user load --password-file password
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Makes many recording calls with audio and tells how long they took to be answered. A call counts when the "
        "server took it and every stream, every packet was sent, and the BYE was answered with 200. Exit code 1 when "
        "a call failed, 69 when the server cannot be reached."
    )
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("target", metavar="TARGET", help="SIP URI (sip:host:port;transport=tcp, sips:host) or HOST:PORT")
    add("-m", "--total", metavar="TOTAL", type=positive_number, help="calls in all (default 100)")
    add("-l", "--limit", metavar="LIMIT", type=positive_number, help="calls at a time (default: as many as there are)")
    add("-r", "--rate", metavar="RATE", type=positive_seconds, default=10.0, help="new calls a second (default 10)")
    add("--sessions", metavar="N", type=positive_number, help="short for -m N -l N")
    add("-d", "--duration", metavar="S", type=positive_seconds, default=10.0, help="audio in each call (default 10 s)")
    add("--streams", metavar="N", type=positive_number, default=2, help="streams in each call (default 2)")
    add("--processes", metavar="N", type=positive_number, default=1, help="processes that share the work (default 1)")
    add(
        "--rtp-ports",
        metavar="LOW-HIGH",
        type=port_range,
        default=(40_000, 49_999),
        help="UDP ports to send audio from (default 40000-49999)",
    )
    add(
        "--recordings",
        metavar="DIR",
        type=Path,
        help="where our own server keeps its recordings: its reports then tell what was lost",
    )
    add("--report-seconds", metavar="S", type=positive_seconds, default=60.0, help="wait so long for them (default 60)")
    add_security(parser)
    add("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Make the calls and print the result."""
    plan = _plan(arguments)
    if arguments.recordings is not None and not arguments.recordings.is_dir():
        raise CommandError(f"--recordings {arguments.recordings}: there is no such folder")
    shows = sys.stderr.isatty()
    if arguments.processes > 1:
        result = run_processes(plan, arguments.processes, progress=partial(_show, plan) if shows else None)
    else:
        raise_descriptor_limit(plan)
        result = LoadRun(plan, progress=(lambda run: _show(plan, run.standing)) if shows else None).run()
    if shows:
        print(file=sys.stderr)
    if result.unreachable and result.unreachable == result.begun:
        why = next(iter(result.failures), "no answer")
        raise CommandError(f"{arguments.target}: {plan.hop.remote} cannot be reached: {why}", Exit.UNREACHABLE)
    report = _report(arguments, plan, result)
    if arguments.json:
        write_json(report.as_json())
    else:
        report.print()
    return Exit.DONE if report.good else Exit.PROBLEMS


def _plan(arguments: argparse.Namespace) -> LoadPlan:
    if arguments.sessions is not None and (arguments.total is not None or arguments.limit is not None):
        raise CommandError("--sessions stands for -m and -l: give either")
    uri = read_target(arguments.target)
    total = arguments.sessions or arguments.total or 100
    hop = locate_hop(uri)
    labels = [str(index + 1) for index in range(arguments.streams)]
    tls = read_tls(arguments, uri)
    return LoadPlan(
        spec=CallSpec(uri=str(uri), streams=offered_streams(labels), srtp=arguments.srtp),
        hop=hop,
        total=total,
        limit=min(arguments.sessions or arguments.limit or total, total),
        rate=arguments.rate,
        seconds=arguments.duration,
        rtp_ports=arguments.rtp_ports,
        # A context cannot be handed to another process.
        tls=tls if isinstance(tls, TlsFiles) else None,
        verifies=not arguments.tls_insecure,
        credentials=caller(arguments.user, arguments.password_file),
    )


def _show(plan: LoadPlan, progress: LoadProgress) -> None:
    print(
        f"\r{progress.begun} of {plan.total} begun, {progress.active} under way, {progress.complete} complete, "
        f"{progress.failed} failed, {progress.packets:,} packets ",
        end="",
        file=sys.stderr,
        flush=True,
    )


def _report(arguments: argparse.Namespace, plan: LoadPlan, result: LoadResult) -> LoadReport:
    import resource  # not on every system

    received = None
    if arguments.recordings is not None:
        patience = arguments.report_seconds
        received = read_received(arguments.recordings, result.packets_by_call, patience_seconds=patience)
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1 if sys.platform == "darwin" else 1024
    return LoadReport(
        target=arguments.target,
        plan=plan,
        result=result,
        received=received,
        processor_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        memory_size=unit * max(usage.ru_maxrss for usage in usages),
    )
