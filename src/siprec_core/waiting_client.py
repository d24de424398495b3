"""A recording client (SRC) that waits until a recording server asks for the session (RFC 7866 sections 6.1.1, 7.2).

    waiting -> invited (sockets are being bound) -> answered -> established, and on as every other call
       ^            |  cancelled, or no port
       +------------+

Our 200 brings offer and metadata, the server's ACK its answer.
"""

from siprec_core.client import RecordingClient, body_parts, check_streams
from siprec_core.clock import TimeBase
from siprec_core.entropy import Entropy
from siprec_core.errors import LocalProtocolError
from siprec_core.recording.call import CallSpec, ClientConfig, ListenSpec
from siprec_core.recording.call_events import RecordingAnswered
from siprec_core.recording.lines import MediaLines
from siprec_core.recording.policy import is_from_server
from siprec_core.recording.request import RecordingRequest, read_request
from siprec_core.recording.signalling import read_description
from siprec_core.sip.endpoint_events import AckReceived, CallEnded, EndpointEvent, InviteReceived
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import write_multipart
from siprec_core.sip.transport import Hop
from siprec_core.sip.uas import Refusal
from siprec_core.types import MediaId


class WaitingClient(RecordingClient):
    """A recording client whose call begins with `listen` instead of `start`; all else is as there."""

    def __init__(self, config: ClientConfig, *, time_base: TimeBase, entropy: Entropy) -> None:
        super().__init__(config, time_base=time_base, entropy=entropy)
        self._willing: ListenSpec | None = None
        self._invited = False
        """An INVITE waits for its sockets."""
        self._answering = False
        """Our 200 waits for its ACK."""

    def listen(self, spec: ListenSpec, *, now: float) -> None:
        """Be willing to be recorded: the first recording server that asks gets the session.

        Ports are taken when it asks. What is no recording session is refused with 403, or 421 where only
        `Require: siprec` is missing; an INVITE with an offer of its own with 488; a second session with 486. An INVITE
        that is cancelled leaves us waiting. Raises LocalProtocolError when the client was started or stopped before,
        when there is no stream or two have the same label.
        """
        del now
        if self._spec is not None or self._willing is not None or self._gone:
            raise LocalProtocolError("the client was started before")
        check_streams(spec.streams)
        self._willing = spec
        self._lines = MediaLines(self._resources, host="")

    def start(self, spec: CallSpec, *, now: float) -> None:
        """Call a server instead of waiting; raises LocalProtocolError also when the client waits."""
        if self._willing is not None:
            raise LocalProtocolError("the client waits to be called")
        super().start(spec, now=now)

    def stop(self, *, now: float) -> None:
        """Wait no more; end the call as its state asks for."""
        self._invited = False
        super().stop(now=now)

    def media_bound(self, media: MediaId, *, now: float) -> None:
        """Take the success of a `BindMedia`; after the last one our answer leaves."""
        if self._willing is None or self._lines is None:
            super().media_bound(media, now=now)
            return
        line = self._lines.by_media(media)
        if line is not None:
            line.bound = True
        if self._invited and self._lines.all_bound:
            self._answer(now)

    def media_failed(self, media: MediaId, error: str, *, now: float) -> None:
        """Take the failure of a `BindMedia`; other ports are tried before the server gets 503."""
        line = None if self._lines is None else self._lines.by_media(media)
        if line is None or self._lines is None or media in self._lines.closing or not self._invited:
            super().media_failed(media, error, now=now)
            return
        command = self._lines.retry(line, now=now)
        if command is not None:
            self._outbox.put(command)
        elif self._usage is not None:
            self._endpoint.reject(self._usage, Refusal(503, f"Service Unavailable - no media port: {error}"), now=now)
            self._wait_again()
            self._drain_endpoint(now)

    # inside

    def _tell(self, event: EndpointEvent, now: float) -> None:
        match event:
            case InviteReceived():
                self._receive_invite(event, now)
            case CallEnded(usage=usage) if usage == self._usage and self._invited:
                self._wait_again()
            case AckReceived(usage=usage, request=request) if usage == self._usage and self._answering:
                self._answering = False
                self._receive_answer(request, now)
            case _:
                super()._tell(event, now)

    def _receive_invite(self, event: InviteReceived, now: float) -> None:
        read = read_request(event.request, limits=self.config.limits, strict=False)
        refusal = self._refuse(read)
        if refusal is not None or self._willing is None or self._lines is None:
            self._endpoint.reject(event.usage, refusal or Refusal(403), now=now)
            return
        self._spec = CallSpec(
            uri=event.request.from_.uri,
            hop=Hop(event.flow.transport, event.flow.remote),
            local=event.flow.local,
            streams=self._willing.streams,
            metadata=self._willing.metadata,
        )
        self._lines.host = self.config.media_host or event.flow.local.host
        self._usage, self._invited = event.usage, True
        try:
            self._outbox.extend(self._lines.open_each(len(self._spec.streams), now=now))
        except LocalProtocolError:
            self._endpoint.reject(event.usage, Refusal(503), now=now)
            self._wait_again()

    def _refuse(self, read: RecordingRequest) -> Refusal | None:
        """Tell what an INVITE gets that begins no recording session of ours."""
        request = read.request
        if self._willing is None or self._gone or not is_from_server(request):
            # RFC 7866 6.1.1: without both marks it is no recording session, and no other call is taken here.
            return Refusal(403)
        if "siprec" not in request.require:
            return Refusal(421, headers=(("Require", "siprec"),))
        if self._usage is not None:
            return Refusal(486)
        if read.offer is not None:
            # RFC 7866 7.2: the server "MUST NOT" offer here: which streams there are is ours to say.
            text = "a recording server has to INVITE without SDP"
            return Refusal(488, headers=(("Warning", f'399 siprec "{text}"'),))
        return read.refusal

    def _answer(self, now: float) -> None:
        if self._usage is None:
            return
        self._invited, self._answering = False, True
        offer, told = self._describe(now)
        boundary = self._ids.boundary()
        self._endpoint.accept(
            self._usage,
            body=write_multipart(body_parts(offer, told), boundary=boundary),
            content_type=f"multipart/mixed;boundary={boundary}",
            description=offer.to_bytes(),
            now=now,
        )
        self._drain_endpoint(now)

    def _receive_answer(self, ack: Request, now: float) -> None:
        """Take the server's ACK, which answers the offer of our 200 (RFC 3261 13.2.2.4)."""
        theirs = read_description(ack, limits=self.config.limits)
        if theirs is None or self._offer is None:
            self._give_up(502, "the ACK has no usable SDP answer", local=True, now=now)
            return
        findings = self._agree(self._offer, theirs, now)
        if not self._audio.labels:
            self._give_up(488, "the server takes none of the streams", local=True, now=now)
            return
        self._state.told(self._metadata, unix_ns=self._time_base.unix_ns_at(now))
        labels = self._audio.labels
        self._outbox.put(RecordingAnswered(response=None, labels=labels, findings=(*ack.findings, *findings)))

    def _wait_again(self) -> None:
        """Forget an INVITE that was not answered 200."""
        self._invited = False
        self._usage = self._spec = None
        if self._lines is not None:
            for index in self._lines.indexes():
                command = self._lines.close(index)
                if command is not None:
                    self._outbox.put(command)
