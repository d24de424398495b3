"""A recording session that we ask a client for: our INVITE without offer, the client's offer in its 2xx, our ACK.

    calling -> binding -> active, and on as every other session

The ACK brings our answer, so it waits until the sockets are bound. Whatever fails before is told by `Refuse`: the
server then cancels the call, or ends it with an ACK that refuses every line, and BYE.
"""

from dataclasses import replace

from siprec_core.clock import TimeBase
from siprec_core.machine import earliest
from siprec_core.recording.exchanges import UNANSWERED_STATES, Invitation, SessionState
from siprec_core.recording.lines import Resources
from siprec_core.recording.outbound import agent_of, refuse_answer
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.request import RecordingResponse
from siprec_core.recording.session import RecordingSession
from siprec_core.sip.status import reason_phrase
from siprec_core.sip.uas import Refusal
from siprec_core.types import Flow


class StartedSession(RecordingSession):
    """One recording that begins with an INVITE of ours."""

    def __init__(
        self,
        invitation: Invitation,
        *,
        answer_seconds: float,
        config: ServerConfig,
        resources: Resources,
        time_base: TimeBase,
        sdp_session: int,
        now: float,
    ) -> None:
        super().__init__(
            invitation, config=config, resources=resources, time_base=time_base, sdp_session=sdp_session, now=now
        )
        self.state = SessionState.CALLING
        self._answer_seconds = answer_seconds
        self._give_up_at: float | None = now + answer_seconds

    # machine

    def next_timeout(self) -> float | None:
        """Give the instant of the next flush or limit, or of giving up."""
        return earliest(super().next_timeout(), self._give_up_at)

    def handle_timeout(self, *, now: float) -> None:
        """As for every session; give up a client that does not answer."""
        if self._give_up_at is not None and now >= self._give_up_at:
            self._refuse_exchange(Refusal(408, f"Request Timeout - no answer within {self._answer_seconds:g} s"))
            return
        super().handle_timeout(now=now)

    # the call

    def offered(self, read: RecordingResponse, *, flow: Flow, now: float) -> None:
        """Take the client's 2xx: its offer is planned and given ports, then answered in the ACK."""
        self._give_up_at = None
        self.flow = flow
        self._lines.host = self._config.media_host or flow.local.host
        why = refuse_answer(read, strict=self._config.strict)
        if why is not None or read.offer is None:
            self._refuse_exchange(Refusal(502, why))
            return
        self.state = SessionState.BINDING
        self.account.invited(
            call_id=self.call_id,
            local_tag=self._local_tag,
            remote_tag=read.response.to.tag or "",
            transport=flow.transport,
            peer=flow.remote,
            user_agent=agent_of(read.response),
            initiator="server",
            now=self._started,
        )
        self._found(read.findings)
        self.account.answered(now=now)
        self._take_metadata(read, now)
        self._negotiate(read.offer, read, now)

    def end(self, reason: str, *, now: float) -> None:
        """Hang up; before the answer, give the call up."""
        if self.state in UNANSWERED_STATES:
            self._refuse_exchange(Refusal(487))
        else:
            super().end(reason, now=now)

    def cancel(self) -> None:
        """Forget a session that never came to be."""
        self._give_up_at = None
        super().cancel()

    def _take_invitation(self, now: float) -> None:
        """Do nothing: the client's 2xx was accounted for when it came."""

    def _refuse_exchange(self, refusal: Refusal) -> None:
        """As for every session; a first offer that was refused is told with the reason, not only with its status."""
        warning = dict(refusal.headers).get("Warning", "")
        if self._answered is None and refusal.reason is None and warning:
            text = warning.partition('"')[2].rstrip('"')
            refusal = replace(refusal, reason=f"{reason_phrase(refusal.status)} - {text}")
        super()._refuse_exchange(refusal)
