"""How a call is set up that a recording server begins."""

import os
import ssl
from collections.abc import Sequence

from siprec_core.recording.call import ClientConfig
from siprec_core.recording.call_events import CallEvent
from siprec_core.waiting_client import WaitingClient
from siprec_sync.assembly import Assembly, DriverSettings, assemble
from siprec_sync.clocks import read_clocks
from siprec_sync.codecs import with_client_codecs
from siprec_sync.events import EventHub, log_call_event
from siprec_sync.facade import DEFAULT_BINDS
from siprec_sync.tls import TlsFiles


def prepare_listening(
    binds: Sequence[str],
    *,
    config: ClientConfig,
    tls: TlsFiles | ssl.SSLContext | None,
    settings: DriverSettings | None,
) -> tuple[WaitingClient, Assembly[CallEvent], EventHub[CallEvent]]:
    """Open the listeners of a client that waits to be called. Raises ConfigurationError when one cannot be used."""
    client = WaitingClient(with_client_codecs(config), time_base=read_clocks(), entropy=os.urandom)
    hub = EventHub[CallEvent](log_call_event)
    assembly = assemble(
        client, binds or DEFAULT_BINDS, hub=hub, storage=None, limits=config.limits, tls=tls, settings=settings
    )
    return client, assembly, hub
