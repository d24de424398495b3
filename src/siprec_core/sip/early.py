"""Reliable 1xx that come to an INVITE of ours, and their PRACK (RFC 3262 section 4).

We do not ask for them: `100rel` is not in our Supported. A peer that sends them all the same gets its PRACK, because it
would give the call up without.
"""

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.message import Request, Response
from siprec_core.sip.reliable import RAck, rseq_of
from siprec_core.types import Address, Flow

_MOST_FORKS = 16
"""Early dialogs of one INVITE that get a PRACK: stops a flood of tags."""


class EarlyDialogs:
    """The early dialogs of one INVITE of ours, as far as reliable 1xx have formed them."""

    __slots__ = ("_dialogs", "_last", "findings")

    def __init__(self) -> None:
        self._dialogs: dict[str, Dialog] = {}
        self._last: dict[str, int] = {}
        self.findings: tuple[Finding, ...] = ()
        """Tells of the first reliable 1xx."""

    def acknowledge(
        self, invite: Request, response: Response, *, flow: Flow, sent_by: Address
    ) -> tuple[Dialog, Request] | None:
        """Give the PRACK that a 1xx gets, with its dialog; None for one that is plain, repeated or out of order.

        `sent_by` is where the INVITE said that we listen.
        """
        number = rseq_of(response)
        if number is None:
            return None
        try:
            tag = response.to.tag
            if not tag or (tag not in self._dialogs and len(self._dialogs) >= _MOST_FORKS):
                return None
            dialog = self._dialogs.get(tag) or Dialog.for_uac(invite, response, flow=flow, sent_by=sent_by)
        except RemoteProtocolError:
            return None
        # RFC 3262 4: a 1xx whose RSeq is not "one higher than the value of the sequence number" "MUST NOT" be
        # acknowledged; that of the first one begins the sequence.
        if tag in self._last and number != self._last[tag] + 1:
            return None
        self._dialogs[tag], self._last[tag] = dialog, number
        # RFC 3262 3: none may be sent unless the request listed 100rel in Supported or Require.
        self.findings = self.findings or (finding("progress-reliable", "RSeq"),)
        prack = dialog.request("PRACK")
        prack.headers.add("RAck", str(RAck(number, invite.cseq.number, "INVITE")))
        return dialog, prack

    def continue_in(self, dialog: Dialog) -> None:
        """Let the dialog that a 2xx formed count on from the PRACKs of its early form (RFC 3261 12.2.1.1)."""
        early = self._dialogs.get(dialog.remote_tag)
        if early is not None:
            dialog.local_sequence = max(dialog.local_sequence, early.local_sequence)
