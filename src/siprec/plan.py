"""From settings to what a server needs: addresses, the core's configuration, TLS files."""

from dataclasses import dataclass, replace
from ipaddress import ip_address

from siprec.cli import version
from siprec.configuration import Configuration
from siprec.digest import read_users, rule_without
from siprec.filters import read_filter
from siprec.http.plan import HttpPlan, make_http_plan
from siprec.listening import ListenerSetting
from siprec.outcome import CommandError
from siprec.settings import ServeSettings
from siprec_core.errors import ConfigurationError
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.policy import ServerConfig, check_config
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.sip.advertised import Advertised
from siprec_core.sip.authentication import DigestRule
from siprec_sync.codecs import decodable_codecs
from siprec_sync.listeners import Bind
from siprec_sync.processors import ProcessorFactory, read_processor
from siprec_sync.srtp import with_server_ciphers
from siprec_sync.tls import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """What to serve."""

    settings: ServeSettings
    binds: tuple[Bind, ...]
    config: ServerConfig
    tls: TlsFiles | None = None
    processors: tuple[ProcessorFactory, ...] = ()
    """Programs that listen to every stream while it is recorded."""
    http: HttpPlan | None = None
    """The operations interface, where one is wanted."""


def make_plan(configuration: Configuration) -> ServerPlan:
    """Put together what the settings mean. Raises CommandError and ConfigurationError for what does not fit."""
    settings = configuration.settings
    config = with_server_ciphers(_config(settings))
    if "media.codecs" not in configuration.origins:
        config = replace(config, codecs=decodable_codecs())
    check_config(config)
    if settings.media_workers and settings.processors:
        raise CommandError("--processor listens to live audio, which is not to be had with --media-workers")
    return ServerPlan(
        settings=settings,
        binds=tuple(replace(each.bind, tls=_own_tls(each, settings)) for each in settings.bind),
        config=config,
        tls=_tls(settings),
        processors=tuple(read_processor(text) for text in settings.processors or ()),
        http=make_http_plan(settings),
    )


def _config(settings: ServeSettings) -> ServerConfig:
    return ServerConfig(
        rtp_ports=settings.rtp_ports,
        rtp_ports_expansion=settings.rtp_ports_expansion,
        media_host=settings.media_host,
        advertise=settings.advertise,
        advertise_by_listener=tuple(_advertised(each) for each in settings.bind if each.advertise is not None),
        max_sessions=settings.max_sessions,
        when_full=settings.when_full,
        srtp=SrtpPolicy(settings.srtp),
        admission=AdmissionPolicy(
            networks=settings.allow or (),
            peer_names=settings.allow_names or (),
            max_sessions_per_peer=settings.max_sessions_per_peer,
            queue_seconds=settings.queue_seconds,
        ),
        manual=settings.policy_hook is not None,
        decision_seconds=0.0 if settings.policy_hook is None else settings.policy_seconds,
        undecided=settings.policy_default,
        codecs=settings.codecs,
        prefer_own_codecs=settings.prefer_own_codecs,
        strict=settings.policy == "strict",
        authentication=_authentication(settings),
        metadata_filter=read_filter(settings.metadata_filter),
        mask_digits=settings.dtmf == "mask",
        session_expires=settings.session_expires,
        min_se=settings.min_se,
        session_timer=settings.session_timer,
        retry_seconds=settings.retry_seconds,
        product=f"siprec/{version()}",
        limits=settings.limits,
    )


def _advertised(listener: ListenerSetting) -> Advertised:
    try:
        host = str(ip_address(listener.bind.host))
    except ValueError:
        raise CommandError(f"bind '{listener.bind}': advertise needs a numeric address to listen on") from None
    return Advertised(
        transport=listener.bind.transport, host=host, port=listener.bind.port, address=listener.advertise or host
    )


def _own_tls(listener: ListenerSetting, settings: ServeSettings) -> TlsFiles | None:
    return None if listener.tls is None else replace(listener.tls, min_version=settings.tls_min_version)


def _authentication(settings: ServeSettings) -> tuple[DigestRule, ...]:
    exempt = tuple(rule_without(each.bind) for each in settings.bind if each.digest == "off")
    if settings.digest_users is None:
        if settings.digest_realm is not None or exempt:
            raise CommandError("--digest-realm and ?digest=off are for --digest-users, which is not given")
        return ()
    tolerant = settings.policy == "tolerant"
    return (*exempt, read_users(settings.digest_users, settings.digest_realm, tolerant=tolerant))


def _tls(settings: ServeSettings) -> TlsFiles | None:
    given = settings.tls_cert or settings.tls_key or settings.tls_client_ca
    listeners = [each for each in settings.bind if each.is_tls]
    if given and not listeners:
        raise CommandError("--tls-cert, --tls-key and --tls-client-ca are for tls:// listeners, and there is none")
    if not settings.tls_cert and any(each.tls is None for each in listeners):
        raise ConfigurationError("a tls:// listener needs --tls-cert and --tls-key")
    if not given:
        return None
    return TlsFiles(
        certificate=settings.tls_cert,
        key=settings.tls_key,
        authorities=settings.tls_client_ca,
        client_auth=settings.tls_client_auth,
        min_version=settings.tls_min_version,
    )
