"""HUP: file and certificates are read again while calls go on; what cannot be used leaves everything as it was."""

import logging
from collections.abc import Callable, Mapping

from siprec.configuration import Configuration
from siprec.digest import replace_users
from siprec.logs import set_up_logs
from siprec.outcome import CommandError
from siprec.plan import ServerPlan, make_plan
from siprec.settings import SETTINGS
from siprec_core.errors import SiprecError
from siprec_core.recording.events import Event
from siprec_core.server import RecordingServer
from siprec_sync.facade import Facade

_LOGGER = logging.getLogger("siprec.server")


class Reloader:
    """Knows the configuration that counts, and how to read it again."""

    def __init__(
        self, configuration: Configuration, plan: ServerPlan, *, read: Callable[[], Configuration], debug: bool = False
    ) -> None:
        self.plan = plan
        """What is served now; of what changed, only what may change without a restart."""
        self._rules = plan.config.authentication
        """Rules of Digest authentication that are in use."""
        self._configuration = configuration
        self._read = read
        self._debug = debug

    def reload(self, server: Facade[RecordingServer, Event]) -> bool:
        """Take over what may change and log the rest; False when nothing could be taken over.

        Raises nothing but faults of this program.
        """
        try:
            fresh = self._read()
            plan = make_plan(self._merged(fresh))
            server.renew_tls(plan.tls, plan.binds)
            same_rules = server.request(lambda core, now: self._take_over(core, plan, now))
        except (CommandError, SiprecError) as error:
            _LOGGER.error("reload failed, everything stays as it was: %s", error)
            return False
        settings = plan.settings
        set_up_logs(settings.log_level, settings.log_format, debug=self._debug, beside=True)
        self._tell(fresh, same_rules=same_rules)
        self._configuration, self.plan = self._merged(fresh), plan
        return True

    def _take_over(self, core: RecordingServer, plan: ServerPlan, now: float) -> bool:
        core.reconfigure(plan.config, now=now)
        return replace_users(self._rules, plan.config.authentication)

    def _merged(self, fresh: Configuration) -> Configuration:
        """Give the fresh configuration, but what needs a restart as it is now."""
        return fresh.with_values({row.name: self._configuration.values[row.name] for row in SETTINGS if not row.live})

    def _tell(self, fresh: Configuration, *, same_rules: bool) -> None:
        changed = _changed(self._configuration.values, fresh.values)
        live = [name for name, is_live in changed.items() if is_live]
        rest = [name for name, is_live in changed.items() if not is_live]
        _LOGGER.info("reloaded: %s", ", ".join(live) if live else "certificates, no setting changed")
        if not same_rules:
            rest.append("digest: realm, algorithms or listeners")
        for name in rest:
            _LOGGER.warning("%s changed: that needs a restart", name)


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, bool]:
    """Give the names of settings that differ, each with whether it changes without a restart."""
    return {row.name: row.live for row in SETTINGS if old[row.name] != new[row.name]}
