"""`siprec serve`: the recording server."""

import argparse
import os
import sys

from siprec.configuration import add_options, listing, read_configuration
from siprec.logs import set_up_logs
from siprec.outcome import Exit
from siprec.plan import make_plan
from siprec.running import run_server

_EXAMPLES = """examples:
  siprec serve
  siprec serve -b udp://0.0.0.0:5060 -b tcp://0.0.0.0:5060 --recordings /var/lib/siprec
  siprec serve -b tls://0.0.0.0:5061 --tls-cert server.pem --tls-key server.key
  siprec serve -b udp://0.0.0.0:5060 --digest-users users
  siprec serve -b udp://10.0.0.5:5060 --advertise 203.0.113.5 --rtp-ports 40000-49999
  siprec serve -c /etc/siprec.toml --check-config

TERM and INT end it: new sessions are refused, running ones go on for --drain-seconds,
then they get BYE. A second INT ends it at once. HUP reads file and certificates again.
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Records SIPREC calls until it is interrupted. Each call gets a folder with its journal, a WAV file for each "
        "stream, its metadata and recording.json."
    )
    parser.epilog = _EXAMPLES
    add_options(parser)
    parser.add_argument(
        "--check-config", action="store_true", help="print the settings that would count, as TOML, and end"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    configuration = read_configuration(arguments, os.environ)
    plan = make_plan(configuration)
    if arguments.check_config:
        print(listing(configuration), end="")
        return Exit.DONE
    set_up_logs(configuration.settings.log_level)
    _raise_file_limit()
    run_server(plan)
    return Exit.DONE


def _raise_file_limit() -> None:
    """Take as many descriptors as the system lets us: a call of two streams needs five."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # some systems give fewer than they promise; the soft limit stays
