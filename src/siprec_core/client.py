"""The recording client (SRC, RFC 7866) without I/O: offers streams with metadata, sends audio, ends.

One client carries one recording session. It has the same doors as the server; audio leaves in real time, paced by
`next_timeout`.
"""

from typing import TypeAlias

from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import encoder_for
from siprec_core.entropy import Entropy, Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.machine import Outbox, earliest
from siprec_core.media.sender import RtpSender
from siprec_core.metadata.writer import write_metadata
from siprec_core.recording.call import CallSpec, ClientConfig, metadata_of
from siprec_core.recording.call_events import (
    AudioFinished,
    CallEvent,
    RecordingAnswered,
    RecordingEnded,
    RecordingRefused,
)
from siprec_core.recording.commands import CloseMedia, Command
from siprec_core.recording.lines import MediaLines, Resources
from siprec_core.recording.ports import PortPool
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.offer import NegotiatedLine, OfferedStream, build_offer, read_answer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.endpoint_events import (
    CallAnswered,
    CallEnded,
    CallGone,
    CallRefused,
    EndpointEvent,
    InviteReceived,
    MessageRefused,
    OfferReceived,
    OptionsReceived,
)
from siprec_core.sip.headers import Headers
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.invite import UsageId
from siprec_core.sip.message import Request, Response
from siprec_core.sip.multipart import BodyPart, write_multipart
from siprec_core.sip.uas import Refusal
from siprec_core.types import Component, DatagramBatch, Flow, MediaId

ClientOutput: TypeAlias = Command | CallEvent


class RecordingClient:
    """A session recording client. Inputs take `now`, monotonic seconds; what a peer sends never raises."""

    def __init__(self, config: ClientConfig, *, time_base: TimeBase, entropy: Entropy) -> None:
        self.config = config
        self._ids = Ids(entropy)
        self._time_base = time_base
        self._endpoint = SipEndpoint(
            EndpointConfig(
                product=config.product,
                feature_tag="+sip.src",
                understood=frozenset(("siprec",)),
                advertise=config.advertise,
                limits=config.limits,
            ),
            ids=self._ids,
        )
        self._resources = Resources(PortPool(*config.rtp_ports))
        self._outbox: Outbox[ClientOutput] = Outbox()
        self._spec: CallSpec | None = None
        self._lines: MediaLines | None = None
        self._usage: UsageId | None = None
        self._offer: SessionDescription | None = None
        self._senders: dict[str, RtpSender] = {}
        self._finished: set[str] = set()
        self._reason = ""
        self._gone = False

    # machine

    def poll_output(self) -> ClientOutput | None:
        """Give the oldest command or event not yet taken; drain until None after every input."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which `handle_timeout` is due, None when nothing waits."""
        audio = (sender.next_timeout() for sender in self._senders.values())
        return earliest(self._endpoint.next_timeout(), *audio)

    def handle_timeout(self, *, now: float) -> None:
        """Send the audio whose time has come, and let every other deadline act."""
        self._endpoint.handle_timeout(now=now)
        self._drain_endpoint(now)
        for label, sender in self._senders.items():
            sender.handle_timeout(now=now)
            self._drain_sender(label, sender)

    # application

    def start(self, spec: CallSpec, *, now: float) -> None:
        """Begin the call: take ports, then send the INVITE.

        Raises LocalProtocolError when the client was started or stopped before, when there is no stream or two have the
        same label, or when no media port is free.
        """
        if self._spec is not None or self._gone:
            raise LocalProtocolError("the client was started before")
        if not spec.streams:
            raise LocalProtocolError("a recording needs at least one stream")
        if len({stream.label for stream in spec.streams}) < len(spec.streams):
            raise LocalProtocolError("each stream needs a label of its own")
        del now
        self._spec = spec
        host = self.config.media_host or spec.local.host
        self._lines = MediaLines(self._resources, host=host)
        for index in range(len(spec.streams)):
            command = self._lines.open(index, mux=False)
            if command is None:
                raise LocalProtocolError("no free media port")
            self._outbox.put(command)

    def send_audio(self, label: str, pcm: bytes, *, now: float) -> None:
        """Queue 16-bit little-endian PCM at the stream's rate; it leaves in real time.

        Raises LocalProtocolError for a stream that the server does not take.
        """
        sender = self._sender(label)
        sender.add(pcm, now=now)
        self._drain_sender(label, sender)

    def finish_audio(self, label: str, *, now: float) -> None:
        """Say that no more audio of a stream follows; `AudioFinished` tells when the last packet has left."""
        sender = self._sender(label)
        sender.finish(now=now)
        self._drain_sender(label, sender)

    def sample_rate(self, label: str) -> int:
        """Give the PCM rate of a stream in hertz; raises LocalProtocolError for one that the server does not take."""
        return self._sender(label).sample_rate

    def stop(self, *, now: float) -> None:
        """End the call: CANCEL or BYE as its state asks for; nothing when it has ended."""
        if self._usage is None:
            self._close(now)
        else:
            self._endpoint.hang_up(self._usage, now=now)
            self._drain_endpoint(now)

    # wire

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one UDP datagram of the SIP socket."""
        self._endpoint.receive_datagram(data, flow=flow, now=now)
        self._drain_endpoint(now)

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a connection that was asked for."""
        self._endpoint.flow_opened(flow, now=now)
        self._drain_endpoint(now)

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection; empty means that the peer has finished sending."""
        self._endpoint.receive_stream(flow, data, now=now)
        self._drain_endpoint(now)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the failure of a connection."""
        self._endpoint.flow_failed(flow, error, now=now)
        self._drain_endpoint(now)

    def media_bound(self, media: MediaId, *, now: float) -> None:
        """Take the success of a `BindMedia`; after the last one the INVITE leaves."""
        line = None if self._lines is None else self._lines.by_media(media)
        if line is None or self._lines is None:
            return
        line.bound = True
        if self._lines.all_bound and self._usage is None and not self._gone:
            self._invite(now)

    def media_failed(self, media: MediaId, error: str, *, now: float) -> None:
        """Take the failure of a `BindMedia`; other ports are tried before the call is given up."""
        line = None if self._lines is None else self._lines.by_media(media)
        if line is None or self._lines is None or media in self._lines.closing:
            return
        command = self._lines.retry(line)
        if command is not None:
            self._outbox.put(command)
            return
        self._outbox.put(RecordingRefused(status=503, reason=f"no media port: {error}"))
        self._reason = "refused"
        self._close(now)

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        """Take what comes back on the media ports: RTCP reports, of which nothing is needed to send."""

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the success of a `CloseMedia`."""
        del now
        if self._lines is not None:
            self._lines.closed(media)

    # inside

    def _invite(self, now: float) -> None:
        spec, lines = self._call()
        offered = [
            OfferedStream(label=stream.label, formats=stream.formats, port=line.port, ptime=stream.ptime)
            for index, stream in enumerate(spec.streams)
            if (line := lines.get(index)) is not None
        ]
        address = self.config.advertise or self.config.media_host or spec.local.host
        self._offer = build_offer(offered, address=address, session_id=self._ids.sdp_session())
        boundary = self._ids.boundary()
        headers = Headers()
        headers.add("Max-Forwards", "70")
        headers.add("From", f"<{spec.from_uri}>;tag={self._ids.tag()}")
        headers.add("To", f"<{spec.uri}>")
        headers.add("Call-ID", self._ids.call_id())
        headers.add("CSeq", "1 INVITE")
        # RFC 7866 6.1.1: the SRC "MUST" list siprec in Require when it starts a recording session.
        headers.add("Require", "siprec")
        headers.add("Content-Type", f"multipart/mixed;boundary={boundary}")
        body = write_multipart(self._parts(spec, self._offer, now), boundary=boundary)
        invite = Request("INVITE", spec.uri, headers, body)
        self._usage = self._endpoint.call(invite, spec.hop, local=spec.local, now=now)
        self._drain_endpoint(now)

    def _parts(self, spec: CallSpec, offer: SessionDescription, now: float) -> list[BodyPart]:
        metadata = spec.metadata
        if metadata is None:
            metadata = write_metadata(metadata_of(spec, ids=self._ids, unix_ns=self._time_base.unix_ns_at(now)))
        return [
            BodyPart.create("application/sdp", offer.to_bytes()),
            # RFC 7866 9: metadata bodies have the disposition recording-session; the type is RFC 9806's.
            BodyPart.create("application/rs-metadata+xml", metadata, disposition="recording-session"),
        ]

    def _drain_endpoint(self, now: float) -> None:
        while (output := self._endpoint.poll_output()) is not None:
            if isinstance(output, EndpointEvent):
                self._tell(output, now)
            else:
                self._outbox.put(output)

    def _tell(self, event: EndpointEvent, now: float) -> None:
        if isinstance(event, InviteReceived):
            self._endpoint.reject(event.usage, Refusal(403), now=now)
        elif isinstance(event, OptionsReceived):
            self._endpoint.answer_options(event.request_id, None, now=now)
        elif not isinstance(event, MessageRefused) and event.usage == self._usage:
            self._tell_call(event, now)

    def _tell_call(self, event: EndpointEvent, now: float) -> None:
        match event:
            case CallAnswered(response=response):
                self._answered(response, now)
            case CallRefused(status=status, reason=reason):
                self._reason = "refused"
                self._outbox.put(RecordingRefused(status=status, reason=reason))
            case CallEnded(reason=reason):
                self._reason = self._reason or reason
                self._silence()
            case CallGone():
                self._close(now)
            case OfferReceived(usage=usage, request=request):
                self._receive_offer(usage, request, now)
            case _:
                pass  # traces and acknowledgements of a call that we started need no act

    def _receive_offer(self, usage: UsageId, request: Request, now: float) -> None:
        """Answer the server's own UPDATE or re-INVITE.

        A refusal leaves the session as it is (RFC 3261 14.2); a request without body, such as a refresh, gets 200.
        """
        if request.body:
            self._endpoint.refuse_offer(usage, Refusal(488), now=now)
        else:
            body = b"" if request.method != "INVITE" or self._offer is None else self._offer.to_bytes()
            self._endpoint.answer_offer(usage, body=body, content_type="application/sdp", now=now)

    def _answered(self, response: Response, now: float) -> None:
        offer = self._offer
        parsed = parse_sdp(response.body, limits=self.config.limits)
        if parsed.description is None or offer is None:
            self._outbox.put(RecordingRefused(status=502, reason="the 200 has no usable SDP answer"))
            self._reason = "refused"
            self.stop(now=now)
            return
        answer = read_answer(offer, parsed.description)
        findings = (*response.findings, *parsed.findings, *answer.findings, *_response_findings(response))
        for line in answer.lines:
            self._open_sender(line)
        self._outbox.put(RecordingAnswered(response=response, labels=tuple(self._senders), findings=findings))

    def _open_sender(self, line: NegotiatedLine) -> None:
        spec, lines = self._call()
        local = lines.get(line.index)
        # RFC 3264 7: the first format of the answer that we can use; events may stand before it.
        chosen = next(filter(None, map(_encodable, line.formats)), None)
        if local is None or line.remote_rtp is None or not line.receives or chosen is None:
            return
        stream = spec.streams[line.index]
        self._senders[stream.label] = RtpSender(
            local.media,
            chosen,
            to=line.remote_rtp,
            ssrc=self._ids.ssrc(),
            sequence_number=self._ids.sequence_number(),
            timestamp=self._ids.rtp_timestamp(),
            ptime=line.ptime or stream.ptime,
        )

    def _drain_sender(self, label: str, sender: RtpSender) -> None:
        while (command := sender.poll_output()) is not None:
            self._outbox.put(command)
        if sender.finished and label not in self._finished:
            self._finished.add(label)
            self._outbox.put(AudioFinished(label=label, packets=sender.packets_sent))

    def _silence(self) -> None:
        """Send nothing more: the sender of BYE, and who receives it, stops at once (RFC 3261 15.1.1)."""
        self._senders.clear()

    def _close(self, now: float) -> None:
        del now
        if self._gone:
            return
        self._gone = True
        self._silence()
        if self._lines is not None:
            for index in self._lines.indexes():
                command: CloseMedia | None = self._lines.close(index)
                if command is not None:
                    self._outbox.put(command)
        self._outbox.put(RecordingEnded(reason=self._reason or "cancelled"))

    def _sender(self, label: str) -> RtpSender:
        sender = self._senders.get(label)
        if sender is None:
            raise LocalProtocolError(f"the server takes no audio for label {label!r}")
        return sender

    def _call(self) -> tuple[CallSpec, MediaLines]:
        if self._spec is None or self._lines is None:
            raise LocalProtocolError("the client was not started")
        return self._spec, self._lines


def _encodable(offered: MediaFormat) -> PayloadFormat | None:
    """Give a negotiated format as the sender wants it, None when we have no encoder for it."""
    if encoder_for(offered.encoding, offered.clock_rate, offered.channels) is None:
        return None
    return PayloadFormat(
        offered.payload_type, offered.encoding.upper(), offered.clock_rate, offered.channels, offered.fmtp or ""
    )


def _response_findings(response: Response) -> list[Finding]:
    """Check what RFC 7866 and RFC 3261 ask of the 200 itself."""
    found: list[Finding] = []
    contact = " ".join(response.headers.get_all("Contact")).lower()
    if "+sip.srs" not in contact:
        found.append(finding("answer-no-feature-tag", "Contact"))
    content_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if content_type != "application/sdp":
        found.append(finding("answer-body-type", "Content-Type", f"the answer's body is {content_type or 'untyped'}"))
    if response.headers.get("Allow") is None:
        found.append(finding("answer-no-allow", "Allow"))
    return found
