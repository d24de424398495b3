"""`siprec sessions`: what a running server records, and the changes that an operator makes."""

import argparse
import os
from typing import Final

from siprec.command_inspect import write_json
from siprec.http.client import DEFAULT_URL, OperationsClient, client_from
from siprec.options import positive_seconds
from siprec.outcome import CommandError, Exit
from siprec.terminal import clean, styled, table, write_text
from siprec_core.recording.session_info import SessionInfo, SessionStatus

ACTIONS: Final = {
    "ls": "list the sessions",
    "show": "show SESSION with its streams and participants",
    "pause": "have the client hold all media",
    "resume": "go on after a pause",
    "mark": "keep TEXT in the timeline of the recording, with this instant",
    "stop": "end the recording by BYE",
    "snapshot": "ask the client for all its metadata; TEXT is the reason",
}
"""What may be done, each with one line."""
_MEMBERS: Final = {"mark": "text", "snapshot": "reason"}
"""What TEXT is called in the request."""
_EXAMPLES = """examples:
  siprec sessions ls
  siprec sessions ls --status paused --json
  siprec sessions show 0c1f7a6e-4a0b-4bd0-9f6e-0d8f4a1b2c3d
  siprec sessions mark 0c1f7a6e-4a0b-4bd0-9f6e-0d8f4a1b2c3d the customer agrees
  siprec sessions stop 0c1f7a6e-4a0b-4bd0-9f6e-0d8f4a1b2c3d --url http://10.0.0.5:8080 --token-file token
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Asks the operations interface of a server that was started with --http. "
        f"ACTION is one of {', '.join(ACTIONS)}. Exit code 1 when the server refuses, 69 when it cannot be reached."
    )
    told = "\n".join(f"  {name:<9} {meaning}" for name, meaning in ACTIONS.items())
    parser.epilog = f"actions:\n{told}\n\n{_EXAMPLES}"
    add = parser.add_argument
    add("action", metavar="ACTION", choices=tuple(ACTIONS), help="what to do, see below")
    add("session", metavar="SESSION", nargs="?", help="id of the recording, as ls shows it")
    add("text", metavar="TEXT", nargs="*", help="words of a mark, or the reason of a snapshot")
    add("--url", metavar="URL", help=f"where the server listens (default: SIPREC_HTTP__BIND, else {DEFAULT_URL})")
    add("--token-file", metavar="FILE", help="file with the server's token (default: SIPREC_HTTP__TOKEN_FILE)")
    add(
        "--status",
        metavar="NAME",
        choices=[each.value for each in SessionStatus],
        help=f"list only these: {', '.join(each.value for each in SessionStatus)}",
    )
    add("--timeout", metavar="S", type=positive_seconds, default=10.0, help="wait so long for answers (default 10)")
    add("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Ask the server and print what it says."""
    _check(arguments)
    client = client_from(arguments.url, arguments.token_file, os.environ, timeout=arguments.timeout)
    if arguments.action == "ls":
        _list(client, arguments.status, as_json=arguments.json)
        return Exit.DONE
    if arguments.action == "show":
        session = client.session(arguments.session)
    else:
        member = _MEMBERS.get(arguments.action)
        members = {member: " ".join(arguments.text)} if member is not None and arguments.text else None
        session = client.change(arguments.session, arguments.action, members)
    if arguments.json:
        write_json(session.as_json())
    elif arguments.action == "show":
        print_session(session)
    else:
        write_text(f"{clean(session.id)}: {session.status.value}")
    return Exit.DONE


def print_session(session: SessionInfo) -> None:
    """Print a session for people."""
    write_text(styled(f"{clean(session.id)}: {session.status.value}", "bold"))
    user = f", user {clean(session.authenticated_user)}" if session.authenticated_user is not None else ""
    write_text(f"  from {session.peer} over {session.transport.value}{user}, {clean(session.user_agent)}")
    write_text(f"  Call-ID {clean(session.call_id)}")
    write_text(f"  started {session.started_at}, answered {clean(session.answered_at)}")
    write_text(f"  in {clean(session.directory)}, {session.findings} finding{'' if session.findings == 1 else 's'}")
    for each in session.participants:
        write_text(f"  participant {clean(' '.join(each.names))} {clean(' '.join(each.aors))}")
    if session.streams:
        rows = [
            (each.label, each.codec, each.direction, each.remote, each.packets_received, each.packets_lost)
            for each in session.streams
        ]
        write_text(table(("label", "codec", "direction", "from", "packets", "lost"), rows))


def _check(arguments: argparse.Namespace) -> None:
    """Raise CommandError for arguments that do not belong together."""
    action = arguments.action
    if action == "ls":
        if arguments.session is not None:
            raise CommandError("ls takes no SESSION; show does")
        return
    if arguments.session is None:
        raise CommandError(f"{action} needs a SESSION, as ls shows it")
    if arguments.status is not None:
        raise CommandError("--status is for ls")
    if action == "mark" and not arguments.text:
        raise CommandError("mark needs a TEXT")
    if action not in _MEMBERS and arguments.text:
        raise CommandError(f"{action} takes no TEXT")


def _list(client: OperationsClient, status: str | None, *, as_json: bool) -> None:
    sessions = client.sessions(status)
    if as_json:
        write_json(sessions)
        return
    if not sessions:
        write_text("no sessions")
        return
    rows = [
        (each.get("id"), each.get("status"), each.get("started_at"), _peer(each.get("peer")), each.get("call_id"))
        for each in sessions
    ]
    write_text(table(("session", "status", "started", "peer", "Call-ID"), rows, indent=""))


def _peer(value: object) -> str:
    return f"{value.get('host')}:{value.get('port')}" if isinstance(value, dict) else ""
