"""The table of all settings of `siprec serve`: section and key, option, kind, default, meaning.

Command line, TOML file, environment and manual are all made from it, so that a setting is written down once.
"""

# ruff: noqa: RUF009 - each call makes the field of one row

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from siprec import kinds
from siprec.kinds import Kind
from siprec.listening import CLIENT_AUTHENTICATION, ListenerSetting, listener
from siprec.options import WORKERS, Worker
from siprec_core.limits import Limits
from siprec_core.recording.admission import UNDECIDED, WHEN_FULL
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.types import Address
from siprec_sync.directory_sinks import Durability
from siprec_sync.facade import DEFAULT_BINDS
from siprec_sync.policy_hook import DECISION_SECONDS
from siprec_sync.space import DiskReserve

_MARK: Final = "siprec.setting"
_LIMITS: Final = "limits"
_CONFIG: Final = ServerConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table."""

    section: str
    key: str
    kind: Kind
    default: object
    meaning: str
    """One phrase; it ends with the default where that needs words."""
    flags: tuple[str, ...] = ()
    """Options of the command line; none for what only files and environment set."""
    metavar: str = ""
    live: bool = False
    """True when HUP changes it for calls to come; else it needs a restart."""

    @property
    def name(self) -> str:
        """The key with its section, as errors write it."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"SIPREC_{self.section.upper()}__{self.key.upper()}"


def _row(
    name: str,
    kind: Kind,
    default: object,
    meaning: str,
    *,
    flags: tuple[str, ...] = (),
    metavar: str = "",
    live: bool = False,
) -> Any:  # noqa: ANN401 - the field has the type of its values
    section, _, key = name.partition(".")
    row = Setting(
        section=section,
        key=key,
        kind=kind,
        default=default,
        meaning=meaning,
        flags=flags,
        metavar=metavar,
        live=live,
    )
    return field(default=default, metadata={_MARK: row})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """The settings of a server, each with a value."""

    bind: tuple[ListenerSetting, ...] = _row(
        "server.bind",
        kinds.several(listener()),
        tuple(listener().read(bind) for bind in DEFAULT_BINDS),
        "listen on udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; repeatable; port 0 takes any free one "
        "(default UDP and TCP on 127.0.0.1:5060)",
        flags=("-b", "--bind"),
        metavar="URI",
    )
    worker: Worker = _row(
        "server.worker",
        kinds.choice(*WORKERS),
        "asyncio",
        "what runs it: asyncio (default), uvloop, trio or sync (a thread)",
        flags=("-k", "--worker"),
        metavar="NAME",
    )
    advertise: str | None = _row(
        "server.advertise",
        kinds.address(),
        None,
        "address that clients are told, behind NAT",
        flags=("--advertise",),
        metavar="ADDR",
    )
    policy: str = _row(
        "server.policy",
        kinds.choice("tolerant", "strict"),
        "tolerant",
        "whether what deviates from the RFCs is recorded with a finding (tolerant, default) or refused (strict)",
        flags=("--policy",),
        metavar="NAME",
    )
    drain_seconds: float = _row(
        "server.drain_seconds",
        kinds.duration(),
        10.0,
        "how long running calls may go on after TERM (default 10)",
        flags=("--drain-seconds",),
        metavar="S",
        live=True,
    )
    ready_file: Path | None = _row(
        "server.ready_file",
        kinds.path(),
        None,
        "write the listeners there as JSON once all listen",
        flags=("--ready-file",),
        metavar="PATH",
    )
    recordings: Path = _row(
        "recordings.directory",
        kinds.path(),
        Path("recordings"),
        "where recordings go (default ./recordings)",
        flags=("--recordings",),
        metavar="DIR",
    )
    durability: str = _row(
        "recordings.durability",
        kinds.choice(*(each.value for each in Durability)),
        Durability.INTERVAL.value,
        "when journals are brought to the disk: none (as the system likes), interval (every second, default) or always "
        "(after each write)",
        flags=("--durability",),
        metavar="NAME",
    )
    disk_reserve: DiskReserve | None = _row(
        "recordings.disk_reserve",
        kinds.reserve(),
        None,
        "take no new calls with less free disk: a size such as 500M or a share such as 2% (default: the smaller of 1G "
        "and 2%; 0: none)",
        flags=("--disk-reserve",),
        metavar="SIZE",
    )
    render_workers: int = _row(
        "recordings.render_workers",
        kinds.whole(1, 64),
        1,
        "processes that make the files of ended calls (default 1)",
        flags=("--render-workers",),
        metavar="N",
    )
    metadata_filter: Path | None = _row(
        "recordings.metadata_filter",
        kinds.path(),
        None,
        "TOML file that tells what of the metadata may be stored (default: everything)",
        flags=("--metadata-filter",),
        metavar="FILE",
        live=True,
    )
    dtmf: str = _row(
        "recordings.dtmf",
        kinds.choice("keep", "mask"),
        "keep",
        "whether digits that telephone events or INFO tell are stored and shown (keep, default) or become * (mask)",
        flags=("--dtmf",),
        metavar="NAME",
        live=True,
    )
    rtp_ports: tuple[int, int] = _row(
        "media.rtp_ports",
        kinds.ports(),
        _CONFIG.rtp_ports,
        "UDP ports for audio (default 30000-39999)",
        flags=("--rtp-ports",),
        metavar="LOW-HIGH",
        live=True,
    )
    rtp_ports_expansion: tuple[int, int] | None = _row(
        "media.rtp_ports_expansion",
        kinds.ports(),
        None,
        "more of them for bursts, used while none of the others is free and has rested",
        flags=("--rtp-ports-expansion",),
        metavar="LOW-HIGH",
    )
    media_host: str | None = _row(
        "media.host",
        kinds.address(),
        None,
        "address to receive audio on (default: the one that the call came to)",
        flags=("--media-host",),
        metavar="ADDR",
        live=True,
    )
    srtp: str = _row(
        "media.srtp",
        kinds.choice(*(policy.value for policy in SrtpPolicy)),
        _CONFIG.srtp.value,
        "encrypted audio (RFC 4568): allow (default, each line as it is offered), off or require; needs the extra srtp",
        flags=("--srtp",),
        metavar="NAME",
        live=True,
    )
    codecs: tuple[str, ...] = _row(
        "media.codecs",
        kinds.several(kinds.word()),
        _CONFIG.codecs,
        "codec to take, as ENCODING/CLOCK-RATE; repeatable, most wanted first; one that cannot be decoded here is kept "
        "in the journal (default: what can be decoded)",
        flags=("--codecs",),
        metavar="NAME",
        live=True,
    )
    processors: tuple[str, ...] | None = _row(
        "media.processors",
        kinds.several(kinds.textual(str)),
        None,
        "let a program listen to each stream while it is recorded: exec:COMMAND, tcp://HOST:PORT or unix:PATH; "
        "repeatable",
        flags=("--processor",),
        metavar="TARGET",
    )
    media_workers: int = _row(
        "media.workers",
        kinds.whole(0, 64),
        0,
        "processes that receive audio and write journals (default 0: the one that serves does it)",
        flags=("--media-workers",),
        metavar="N",
    )
    prefer_own_codecs: bool = _row(
        "media.prefer_own_codecs",
        kinds.switch(),
        _CONFIG.prefer_own_codecs,
        "take the first of our codecs that is offered, not the first of the offer that we have",
        live=True,
    )
    max_sessions: int | None = _row(
        "admission.max_sessions",
        kinds.whole(1),
        None,
        "record so many calls at a time, refuse more",
        flags=("--max-sessions",),
        metavar="N",
        live=True,
    )
    when_full: str = _row(
        "admission.when_full",
        kinds.choice(*WHEN_FULL),
        "busy",
        "what more calls get: busy (486, default), unavailable (503 with Retry-After) or queue (100, and 486 when no "
        "other call has ended within --queue-seconds)",
        flags=("--when-full",),
        metavar="NAME",
        live=True,
    )
    queue_seconds: float = _row(
        "admission.queue_seconds",
        kinds.duration(),
        _CONFIG.admission.queue_seconds,
        "how long a call waits for room (default 3)",
        flags=("--queue-seconds",),
        metavar="S",
        live=True,
    )
    max_sessions_per_peer: int | None = _row(
        "admission.max_sessions_per_peer",
        kinds.whole(1),
        None,
        "record so many calls of one address",
        flags=("--max-sessions-per-peer",),
        metavar="N",
        live=True,
    )
    allow: tuple[str, ...] | None = _row(
        "admission.allow",
        kinds.several(kinds.word()),
        None,
        "take only the calls of this address or network, such as 192.0.2.0/24; repeatable (default: all)",
        flags=("--allow",),
        metavar="NETWORK",
        live=True,
    )
    allow_names: tuple[str, ...] | None = _row(
        "admission.allow_names",
        kinds.several(kinds.word()),
        None,
        "take only the calls of TLS clients whose certificate has this name; repeatable (default: all)",
        flags=("--allow-name",),
        metavar="NAME",
        live=True,
    )
    policy_hook: str | None = _row(
        "admission.policy_hook",
        kinds.word(),
        None,
        "ask this Python function about each call",
        flags=("--policy-hook",),
        metavar="MODULE:FUNCTION",
    )
    policy_seconds: float = _row(
        "admission.policy_seconds",
        kinds.duration(),
        DECISION_SECONDS,
        "how long it may take (default 2)",
        flags=("--policy-seconds",),
        metavar="S",
        live=True,
    )
    policy_default: str = _row(
        "admission.policy_default",
        kinds.choice(*UNDECIDED),
        "accept",
        "what becomes of a call when it fails or is late: accept (default) or reject (503)",
        flags=("--policy-default",),
        metavar="NAME",
        live=True,
    )
    retry_seconds: int = _row(
        "admission.retry_seconds",
        kinds.whole(0),
        _CONFIG.retry_seconds,
        "Retry-After of 503 answers, seconds",
        live=True,
    )
    tls_cert: Path | None = _row(
        "tls.cert",
        kinds.path(),
        None,
        "certificate of tls:// listeners, with its chain",
        flags=("--tls-cert",),
        metavar="PEM",
        live=True,
    )
    tls_key: Path | None = _row(
        "tls.key", kinds.path(), None, "its private key", flags=("--tls-key",), metavar="PEM", live=True
    )
    tls_client_ca: Path | None = _row(
        "tls.client_ca",
        kinds.path(),
        None,
        "take only clients with certificates of these authorities",
        flags=("--tls-client-ca",),
        metavar="PEM",
        live=True,
    )
    tls_client_auth: str = _row(
        "tls.client_auth",
        CLIENT_AUTHENTICATION,
        "required",
        "whether clients need a certificate of these authorities (required, default) or may come without (optional)",
        flags=("--tls-client-auth",),
        metavar="NAME",
        live=True,
    )
    tls_min_version: str = _row(
        "tls.min_version",
        kinds.choice("1.2", "1.3"),
        "1.2",
        "oldest version of TLS that is spoken: 1.2 or 1.3",
        live=True,
    )
    digest_users: Path | None = _row(
        "digest.users",
        kinds.path(),
        None,
        "take only the calls of these users (Digest, RFC 8760): a line name:realm:hash for each, as htdigest writes "
        "them, the hash being MD5 or SHA-256 of name:realm:password; a listener whose URI ends in ?digest=off takes "
        "all calls",
        flags=("--digest-users",),
        metavar="FILE",
        live=True,
    )
    digest_realm: str | None = _row(
        "digest.realm",
        kinds.word(),
        None,
        "realm of the users, where the file has several",
        flags=("--digest-realm",),
        metavar="TEXT",
    )
    http: Address | None = _row(
        "http.bind",
        kinds.endpoint(),
        None,
        "serve the operations interface there: health, metrics, sessions, events; needs the extra server",
        flags=("--http",),
        metavar="HOST:PORT",
    )
    http_token_file: Path | None = _row(
        "http.token_file",
        kinds.path(),
        None,
        "file with the token that its clients have to show; without one it listens on loopback only",
        flags=("--http-token-file",),
        metavar="FILE",
    )
    session_expires: int = _row(
        "timers.session_expires",
        kinds.whole(90),
        _CONFIG.session_expires,
        "longest session interval that is granted, and the one that is asked for, seconds (RFC 4028)",
    )
    min_se: int = _row(
        "timers.min_se",
        kinds.whole(90),
        _CONFIG.min_se,
        "shortest session interval that is taken, seconds (RFC 4028)",
    )
    session_timer: bool = _row(
        "timers.session_timer",
        kinds.switch(),
        _CONFIG.session_timer,
        "time sessions also where the client does not ask for it",
    )
    log_format: str = _row(
        "logs.format",
        kinds.choice("text", "json"),
        "text",
        "what log lines are: text (default) or json",
        flags=("--log-format",),
        metavar="NAME",
        live=True,
    )
    log_level: str = _row(
        "logs.level",
        kinds.choice("debug", "info", "warning", "error"),
        "info",
        "debug, info (default), warning or error",
        flags=("--log-level",),
        metavar="LEVEL",
        live=True,
    )
    limits: Limits = field(default_factory=Limits)
    """Bounds on what peers may make the server hold or do; each field is a key of the section `limits`."""


def _limit(name: str, default: object) -> Setting:
    kind = kinds.duration() if isinstance(default, float) else kinds.whole(0)
    return Setting(section=_LIMITS, key=name, kind=kind, default=default, meaning="see the reference of limits")


_ROWS: Final[Mapping[str, Setting]] = {
    each.name: each.metadata[_MARK] for each in fields(ServeSettings) if _MARK in each.metadata
}
"""Rows by the field of `ServeSettings`."""
SETTINGS: Final[tuple[Setting, ...]] = (
    *_ROWS.values(),
    *(_limit(each.name, each.default) for each in fields(Limits) if each.default is not MISSING),
)
"""All settings, section by section."""
BY_NAME: Final[Mapping[str, Setting]] = {row.name: row for row in SETTINGS}
"""All settings by `section.key`."""


def options() -> Mapping[str, Setting]:
    """Give the settings that are options of the command line, by the field of `ServeSettings`."""
    return {name: row for name, row in _ROWS.items() if row.flags}


def build(values: Mapping[str, object]) -> ServeSettings:
    """Make the settings from values by `section.key`; what is not among them has its default."""
    plain: dict[str, Any] = {name: values.get(row.name, row.default) for name, row in _ROWS.items()}
    limits: dict[str, Any] = {
        row.key: values[row.name] for row in SETTINGS if row.section == _LIMITS and row.name in values
    }
    return ServeSettings(**plain, limits=Limits(**limits))
