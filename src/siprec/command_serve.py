"""`siprec serve`: the recording server."""

import argparse
import sys
from pathlib import Path

from siprec.cli import version
from siprec.digest import read_users, split_binds
from siprec.filters import read_filter
from siprec.logs import LEVELS, set_up_logs
from siprec.options import add_worker, port_range, positive_number, seconds
from siprec.outcome import CommandError, Exit
from siprec.running import ServerPlan, run_server
from siprec_core.errors import ConfigurationError
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.authentication import DigestRule
from siprec_core.types import Transport
from siprec_sync.facade import DEFAULT_BINDS
from siprec_sync.listeners import Bind
from siprec_sync.tls import TlsFiles

_EXAMPLES = """examples:
  siprec serve
  siprec serve -b udp://0.0.0.0:5060 -b tcp://0.0.0.0:5060 --recordings /var/lib/siprec
  siprec serve -b tls://0.0.0.0:5061 --tls-cert server.pem --tls-key server.key
  siprec serve -b udp://0.0.0.0:5060 --digest-users users
  siprec serve -b udp://10.0.0.5:5060 --advertise 203.0.113.5 --rtp-ports 40000-49999

TERM and INT end it: new sessions are refused, running ones go on for --drain-seconds,
then they get BYE. A second INT ends it at once.
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Records SIPREC calls until it is interrupted. Each call gets a folder with its journal, a WAV file for each "
        "stream, its metadata and recording.json."
    )
    parser.epilog = _EXAMPLES
    _describe_addresses(parser)
    _describe_users(parser)
    add = parser.add_argument
    add(
        "--recordings",
        metavar="DIR",
        type=Path,
        default=Path("recordings"),
        help="where recordings go (default ./recordings)",
    )
    add("--max-sessions", metavar="N", type=positive_number, help="record so many calls at a time, refuse more")
    add(
        "--when-full",
        metavar="NAME",
        choices=("busy", "unavailable"),
        default="busy",
        help="what more calls get: busy (486, default) or unavailable (503 with Retry-After)",
    )
    add(
        "--policy",
        metavar="NAME",
        choices=("tolerant", "strict"),
        default="tolerant",
        help="whether what deviates from the RFCs is recorded with a finding (tolerant, default) or refused (strict)",
    )
    add(
        "--metadata-filter",
        metavar="FILE",
        type=Path,
        help="TOML file that tells what of the metadata may be stored (default: everything)",
    )
    add(
        "--drain-seconds",
        metavar="S",
        type=seconds,
        default=10.0,
        help="how long running calls may go on after TERM (default 10)",
    )
    add("--ready-file", metavar="PATH", type=Path, help="write the listeners there as JSON once all listen")
    add("--log-level", metavar="LEVEL", choices=LEVELS, default="info", help="debug, info (default), warning or error")
    add_worker(parser)


def _describe_addresses(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-b",
        "--bind",
        metavar="URI",
        action="append",
        help="listen on udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; repeatable; port 0 takes any free one "
        "(default UDP and TCP on 127.0.0.1:5060)",
    )
    add(
        "--rtp-ports",
        metavar="LOW-HIGH",
        type=port_range,
        default=(30_000, 39_999),
        help="UDP ports for audio (default 30000-39999)",
    )
    add("--media-host", metavar="ADDR", help="address to receive audio on (default: the one that the call came to)")
    add("--advertise", metavar="ADDR", help="address that clients are told, behind NAT")
    add("--tls-cert", metavar="PEM", type=Path, help="certificate of tls:// listeners, with its chain")
    add("--tls-key", metavar="PEM", type=Path, help="its private key")
    add("--tls-client-ca", metavar="PEM", type=Path, help="take only clients with certificates of these authorities")


def _describe_users(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--digest-users",
        metavar="FILE",
        type=Path,
        help="take only the calls of these users (Digest, RFC 8760): a line name:realm:hash for each, as htdigest "
        "writes them, the hash being MD5 or SHA-256 of name:realm:password; a listener whose URI ends in ?digest=off "
        "takes all calls",
    )
    add("--digest-realm", metavar="TEXT", help="realm of the users, where the file has several")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    set_up_logs(arguments.log_level)
    plan = _plan(arguments)
    _raise_file_limit()
    run_server(plan, arguments.worker)
    return Exit.DONE


def _plan(arguments: argparse.Namespace) -> ServerPlan:
    binds, exempt = split_binds(arguments.bind or DEFAULT_BINDS)
    wanted = [Bind.parse(bind) for bind in binds]
    return ServerPlan(
        binds=binds,
        config=ServerConfig(
            rtp_ports=arguments.rtp_ports,
            media_host=arguments.media_host,
            advertise=arguments.advertise,
            max_sessions=arguments.max_sessions,
            when_full=arguments.when_full,
            strict=arguments.policy == "strict",
            metadata_filter=read_filter(arguments.metadata_filter),
            authentication=_authentication(arguments, exempt),
            product=f"siprec/{version()}",
        ),
        recordings=arguments.recordings,
        drain_seconds=arguments.drain_seconds,
        tls=_tls(arguments, any(bind.transport is Transport.TLS for bind in wanted)),
        ready_file=arguments.ready_file,
    )


def _authentication(arguments: argparse.Namespace, exempt: tuple[DigestRule, ...]) -> tuple[DigestRule, ...]:
    if arguments.digest_users is None:
        if arguments.digest_realm is not None or exempt:
            raise CommandError("--digest-realm and ?digest=off are for --digest-users, which is not given")
        return ()
    tolerant = arguments.policy == "tolerant"
    return (*exempt, read_users(arguments.digest_users, arguments.digest_realm, tolerant=tolerant))


def _tls(arguments: argparse.Namespace, wanted: bool) -> TlsFiles | None:
    given = arguments.tls_cert or arguments.tls_key or arguments.tls_client_ca
    if wanted and not arguments.tls_cert:
        raise ConfigurationError("a tls:// listener needs --tls-cert and --tls-key")
    if given and not wanted:
        raise CommandError("--tls-cert, --tls-key and --tls-client-ca are for tls:// listeners, and there is none")
    if not given:
        return None
    return TlsFiles(certificate=arguments.tls_cert, key=arguments.tls_key, authorities=arguments.tls_client_ca)


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
