"""`siprec serve`: the recording server."""

import argparse
import os
import socket
import sys

from siprec.configuration import Configuration, add_options, listing, read_configuration
from siprec.listening import ListenerSetting
from siprec.logs import set_up_logs
from siprec.outcome import Exit
from siprec.plan import make_plan
from siprec.reloading import Reloader
from siprec.running import Service, run_server
from siprec.service import Notifier, passed_sockets
from siprec_sync.listeners import bind_of

_EXAMPLES = """examples:
  siprec serve
  siprec serve -b udp://0.0.0.0:5060 -b tcp://0.0.0.0:5060 --recordings /var/lib/siprec
  siprec serve -b tls://0.0.0.0:5061 --tls-cert server.pem --tls-key server.key
  siprec serve -b tls://0.0.0.0:5061 --tls-cert server.pem --tls-key server.key --srtp require
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
    if arguments.check_config:
        configuration = read_configuration(arguments, os.environ)
        make_plan(configuration)
        print(listing(configuration), end="")
        return Exit.DONE
    sockets = passed_sockets(os.environ)
    notifier = Notifier(os.environ)

    def read() -> Configuration:
        return _with_sockets(read_configuration(arguments, os.environ), sockets)

    configuration = read()
    settings = configuration.settings
    set_up_logs(settings.log_level, settings.log_format, debug=arguments.debug, beside=True)
    _raise_file_limit()
    reloader = Reloader(configuration, make_plan(configuration), read=read, debug=arguments.debug)
    try:
        run_server(Service(reloader=reloader, notifier=notifier, sockets=sockets))
    finally:
        notifier.close()
    return Exit.DONE


def _with_sockets(configuration: Configuration, sockets: tuple[socket.socket, ...]) -> Configuration:
    """Listen on the sockets that were passed on, where nothing is said of addresses."""
    if not sockets or "server.bind" in configuration.origins:
        return configuration
    return configuration.with_values({"server.bind": tuple(ListenerSetting(bind=bind_of(each)) for each in sockets)})


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
