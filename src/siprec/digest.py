"""Digest on the command line: the file of users, listeners that are left out, and who a caller is."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from siprec.outcome import CommandError, unreadable
from siprec_core.errors import ConfigurationError
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.digest import Secret
from siprec_sync.listeners import Bind

PASSWORD_VARIABLE: Final = "SIPREC_PASSWORD"
"""Environment variable that holds the password of a caller."""
_ALGORITHMS: Final = {64: "SHA-256", 32: "MD5"}
"""Algorithm by the length of its hashes, most wanted first."""
_HEXADECIMAL = re.compile("[0-9A-Fa-f]+")


@dataclass(slots=True)
class _Realm:
    """The users of one realm, with H(A1) by algorithm."""

    users: dict[str, dict[str, str]] = field(default_factory=dict)

    def algorithms(self) -> tuple[str, ...]:
        """Give the algorithms that every user has a hash of."""
        return tuple(name for name in _ALGORITHMS.values() if all(name in hashes for hashes in self.users.values()))


def read_users(path: Path, realm: str | None, *, tolerant: bool) -> DigestRule:
    """Read lines `name:realm:hash`, the hash being MD5 or SHA-256 of `name:realm:password`; `#` begins a comment.

    Lines of other realms than `realm` are passed over; without it all lines have the same. Raises CommandError.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8") from error
    realms: dict[str, _Realm] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            _read_line(line, f"{path}:{number}", realms)
    if realm is None:
        realm = _only(realms, path)
    found = realms.get(realm)
    if found is None:
        raise CommandError(f"{path}: no user of the realm {realm!r}")
    algorithms = found.algorithms()
    if not algorithms:
        raise CommandError(f"{path}: every user of the realm {realm!r} needs a hash of one algorithm, MD5 or SHA-256")
    return DigestRule(
        users={name: Secret.from_hashes(hashes) for name, hashes in found.users.items()},
        realm=realm,
        algorithms=algorithms,
        allow_no_qop=tolerant,
        allow_any_uri=tolerant,
    )


def rule_without(bind: Bind) -> DigestRule:
    """Give the rule that leaves a listener out. Raises CommandError."""
    try:
        host = str(ip_address(bind.host))
    except ValueError:
        host = ""
    if not host or not bind.port:
        raise CommandError(f"bind '{bind}': digest=off needs a numeric address and a port other than 0")
    return DigestRule(users=None, transport=bind.transport, host=host, port=bind.port)


def replace_users(running: Sequence[DigestRule], fresh: Sequence[DigestRule]) -> bool:
    """Let rules that are in use have the users of others; False, and nothing is done, where more than that differs."""
    if [_without_users(rule) for rule in running] != [_without_users(rule) for rule in fresh]:
        return False
    for old, new in zip(running, fresh, strict=True):
        if isinstance(old.users, dict) and isinstance(new.users, dict) and old.users is not new.users:
            old.users.clear()
            old.users.update(new.users)
    return True


def _without_users(rule: DigestRule) -> DigestRule:
    return replace(rule, users=None if rule.users is None else {})


def caller(name: str | None, password_file: Path | None) -> DigestUser | None:
    """Give who a caller is: the password from the first line of a file, else from `SIPREC_PASSWORD`.

    Raises CommandError.
    """
    if name is None:
        if password_file is not None:
            raise CommandError("--password-file needs --user")
        return None
    if password_file is None:
        password = os.environ.get(PASSWORD_VARIABLE, "")
        source = f"--user needs --password-file, or {PASSWORD_VARIABLE} in the environment"
    else:
        password = _first_line(password_file)
        source = f"{password_file}: no password in its first line"
    if not password:
        raise CommandError(source)
    try:
        return DigestUser(name=name, secret=Secret(password))
    except ConfigurationError as error:
        raise CommandError(str(error)) from None


def _read_line(line: str, where: str, realms: dict[str, _Realm]) -> None:
    parts = line.strip().split(":")
    if len(parts) != 3 or not all(parts):
        raise CommandError(f"{where}: write name:realm:hash")
    name, realm, ha1 = parts
    algorithm = _ALGORITHMS.get(len(ha1))
    if algorithm is None or _HEXADECIMAL.fullmatch(ha1) is None:
        # Never with the text itself: it may be a password.
        raise CommandError(f"{where}: the hash has 32 (MD5) or 64 (SHA-256) hexadecimal digits")
    hashes = realms.setdefault(realm, _Realm()).users.setdefault(name, {})
    if algorithm in hashes:
        raise CommandError(f"{where}: {name!r} has a second {algorithm} hash")
    hashes[algorithm] = ha1


def _only(realms: dict[str, _Realm], path: Path) -> str:
    if not realms:
        raise CommandError(f"{path}: no users in it")
    if len(realms) > 1:
        raise CommandError(f"{path}: several realms, choose one of them with --digest-realm: {_listed(sorted(realms))}")
    return next(iter(realms))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown}, ..."


def _first_line(path: Path) -> str:
    try:
        return (path.read_text(encoding="utf-8-sig").splitlines() or [""])[0]
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8") from error
