"""The recording client (SRC, RFC 7866) without I/O: offers streams with metadata, sends audio, ends.

One client carries one recording session. It has the same doors as the server; audio leaves in real time, paced by
`next_timeout`.
"""

from dataclasses import replace
from typing import TypeAlias

from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import BUILT_IN
from siprec_core.entropy import Entropy, Ids
from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.machine import Outbox, earliest
from siprec_core.metadata.draft_writer import write_document
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import (
    CallSpec,
    ChangeOutcome,
    ClientConfig,
    StreamSpec,
    address_of_record,
    first_metadata,
)
from siprec_core.recording.call_events import (
    CallEvent,
    RecordingAnswered,
    RecordingAttempted,
    RecordingEnded,
    RecordingProceeding,
    RecordingRefused,
    ServerFailed,
)
from siprec_core.recording.client_audio import AudioDoors, ClientAudio
from siprec_core.recording.client_state import ClientState, Wish
from siprec_core.recording.commands import CloseMedia, Command, SendDatagram, SendMedia, SendStream
from siprec_core.recording.lines import MediaLines, Resources
from siprec_core.recording.ports import PortPool
from siprec_core.recording.request import read_request
from siprec_core.recording.securing import SecureStreams, offered_crypto
from siprec_core.recording.servers import ServerChoice, ServerMemory
from siprec_core.recording.signalling import read_description
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.offer import OfferedStream, build_offer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.body import BodyPart
from siprec_core.sip.doors import WireDoors
from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.endpoint_events import (
    AckReceived,
    CallAnswered,
    CallAttempted,
    CallChanged,
    CallEnded,
    CallGone,
    CallProgressed,
    CallRefused,
    ChangeRefused,
    CredentialsChecked,
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
from siprec_core.sip.multipart import write_multipart
from siprec_core.sip.session_timer import TimerPolicy
from siprec_core.sip.uas import Refusal, warning
from siprec_core.sip.uri import SipUri
from siprec_core.types import Component, DatagramBatch, MediaId

ClientOutput: TypeAlias = Command | CallEvent
_UNFIT = Refusal(488, headers=(warning(399, "the offer does not have the streams of the recording"),))
"""RFC 3261 14.2: a refused offer "SHOULD include a Warning header field"."""


class RecordingClient(AudioDoors, WireDoors):
    """A session recording client. Inputs take `now`, monotonic seconds; what a peer sends never raises."""

    def __init__(self, config: ClientConfig, *, time_base: TimeBase, entropy: Entropy) -> None:
        self.config = config
        self._ids = Ids(entropy)
        self._time_base = time_base
        self._endpoint = SipEndpoint(_endpoint_config(config), ids=self._ids)
        self._resources = Resources(PortPool(*config.rtp_ports), self._ids)
        self._outbox: Outbox[ClientOutput] = Outbox()
        self._spec: CallSpec | None = None
        self._lines: MediaLines | None = None
        self._usage: UsageId | None = None
        self._offer: SessionDescription | None = None
        self._offered: SessionDescription | None = None
        """Our offer in a 200, which the ACK answers."""
        self._metadata = b""
        self._audio = ClientAudio(self._ids, time_base=time_base, codecs=config.codecs or BUILT_IN)
        self._secure = SecureStreams(config.crypto, limits=config.limits)
        self._state = ClientState(limits=config.limits)
        self._servers = _choice(config, frozenset())
        self._reason = ""
        self._gone = False

    def rebase_clock(self, time_base: TimeBase) -> None:
        """Take a wall clock that was set: for what metadata tells from now on; sender reports keep theirs."""
        self._time_base = time_base

    # machine

    def poll_output(self) -> ClientOutput | None:
        """Give the oldest command or event not yet taken; drain until None after every input."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which `handle_timeout` is due, None when nothing waits."""
        return earliest(self._endpoint.next_timeout(), self._audio.next_timeout(), self._servers.deadline)

    def handle_timeout(self, *, now: float) -> None:
        """Send the audio whose time has come, and let every other deadline act."""
        self._endpoint.handle_timeout(now=now)
        self._drain_endpoint(now)
        if self._servers.gives_up(now):
            self._fail(408, "no answer in time", local=True, now=now)
        self._audio.handle_timeout(now=now)
        self._drain_audio()

    # application

    def start(self, spec: CallSpec, *, now: float) -> None:
        """Begin the call: take ports, then send the INVITE.

        Raises LocalProtocolError when the client was started or stopped before, when there is no stream or two have the
        same label, when servers are to be located and the URI is no SIP URI, when no media port is free, or when it is
        to encrypt with a suite that there are no ciphers for.
        """
        if self._spec is not None or self._gone:
            raise LocalProtocolError("the client was started before")
        check_streams(spec.streams)
        _check_uris(spec)
        self._secure.check(spec.srtp)
        self._spec = spec
        self._servers = _choice(self.config, spec.final_statuses)
        self._endpoint.listen(spec.listening)
        self._lines = MediaLines(self._resources, host=self.config.media_host or spec.local.host)
        if self._servers.begin((spec.uri, *spec.alternatives), now=now) is None:
            self._give_up(503, "every server wants to be left alone for a while", local=True, now=now)
            return
        self._outbox.extend(self._lines.open_each(len(spec.streams), now=now))

    def pause(self, label: str, *, now: float) -> int | None:
        """Hold a stream by re-INVITE with `a=inactive` (RFC 7866 section 7.1.1.1); None when it is held already.

        Gives the number of the change for `ChangeConcluded`. Audio stops at once; what is added meanwhile is dropped.
        Raises LocalProtocolError for a stream that the server does not take, or when too many changes wait.
        """
        return self._hold(label, now, paused=True)

    def resume(self, label: str, *, now: float) -> int | None:
        """Go on with a stream that was held; audio leaves once the server has answered. As `pause`."""
        return self._hold(label, now, paused=False)

    def update_metadata(self, document: MetadataDocument | bytes, *, now: float) -> int:
        """Send metadata: by UPDATE where the server allows it, else by re-INVITE (RFC 7866 section 9.1).

        With labels in it the SDP travels along. Gives a number as `pause` does. Raises LocalProtocolError when the call
        does not stand, when too many changes wait, or for a document that cannot be written.
        """
        self._changeable()
        written = document if isinstance(document, bytes) else write_document(document, self._state.dialect)
        number = self._state.want_own(written)
        self._advance(now)
        return number

    @property
    def changes_waiting(self) -> int:
        """Changes that the server has not answered yet."""
        return self._state.waiting

    @property
    def last_change(self) -> ChangeOutcome | None:
        """How the server took the latest change; None before the first was concluded."""
        return self._state.last_change

    def stop(self, *, now: float) -> None:
        """End the call: CANCEL or BYE as its state asks for; nothing when it has ended."""
        if self._usage is None:
            self._close(now)
        else:
            self._endpoint.hang_up(self._usage, now=now)
            self._drain_endpoint(now)

    # media

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
        command = self._lines.retry(line, now=now)
        if command is not None:
            self._outbox.put(command)
            return
        self._give_up(500, f"no media port: {error}", local=True, now=now)

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        """Take what comes back on the media ports: the server's reports, which `reception` tells. Not one of them
        changes what is sent."""
        self._audio.receive(media, self._secure.receive(media, batch, component=component))

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the success of a `CloseMedia`."""
        if self._lines is not None:
            self._lines.closed(media, now=now)

    # inside

    def _describe(self, now: float) -> tuple[SessionDescription, bytes]:
        """Make the first offer and the first metadata."""
        spec, lines = self._call()
        offered = _offered_streams(spec, lines, self._ids)
        address = self.config.advertise or self.config.media_host or spec.local.host
        self._offer = build_offer(offered, address=address, session_id=self._ids.sdp_session())
        told = first_metadata(spec, ids=self._ids, unix_ns=self._time_base.unix_ns_at(now))
        self._metadata, self._state.dialect = told, spec.dialect
        return self._offer, told

    def _invite(self, now: float) -> None:
        spec, _ = self._call()
        offer, told = self._describe(now)
        uri, boundary = self._servers.uri, self._ids.boundary()
        headers = _invite_headers(spec, uri, self._ids)
        headers.add("Content-Type", f"multipart/mixed;boundary={boundary}")
        body = write_multipart(body_parts(offer, told), boundary=boundary)
        invite = Request("INVITE", uri, headers, body)
        hop = spec.hop if uri == spec.uri else None
        self._usage = self._endpoint.call(invite, hop, local=spec.local, description=offer.to_bytes(), now=now)
        self._drain_endpoint(now)

    # servers

    def _fail(self, status: int, reason: str, *, local: bool, retry_seconds: int | None = None, now: float) -> None:
        """Ask the next server because this one does not take the call; give the call up when there is none."""
        failed, usage = self._servers.uri, self._usage
        if self._servers.failed(status, retry_seconds=retry_seconds, now=now) is None:
            self._give_up(status, reason, local=local, retry_seconds=retry_seconds, now=now)
            return
        told = ServerFailed(uri=failed, status=status, reason=reason, local=local, retry_seconds=retry_seconds)
        self._outbox.put(told)
        self._invite(now)
        if usage is not None:
            # It may answer late: the endpoint then ends what begins there.
            self._endpoint.hang_up(usage, now=now)
            self._drain_endpoint(now)

    def _give_up(self, status: int, reason: str, *, local: bool, retry_seconds: int | None = None, now: float) -> None:
        """Tell that the call is not taken, and end it."""
        self._outbox.put(RecordingRefused(status=status, reason=reason, local=local, retry_seconds=retry_seconds))
        self._reason = "refused"
        self.stop(now=now)

    def _drain_endpoint(self, now: float) -> None:
        while (output := self._endpoint.poll_output()) is not None:
            if isinstance(output, EndpointEvent):
                self._tell(output, now)
            elif self.config.rewrite is not None and isinstance(output, SendDatagram | SendStream):
                self._outbox.put(replace(output, data=self.config.rewrite(output.data)))
            else:
                self._outbox.put(output)

    def _tell(self, event: EndpointEvent, now: float) -> None:
        if isinstance(event, InviteReceived):
            self._endpoint.reject(event.usage, Refusal(403), now=now)
        elif isinstance(event, OptionsReceived):
            self._endpoint.answer_options(event.request_id, None, now=now)
        elif not isinstance(event, (MessageRefused, CredentialsChecked)) and event.usage == self._usage:
            self._tell_call(event, now)

    def _tell_call(self, event: EndpointEvent, now: float) -> None:
        match event:
            case CallAttempted(hop=hop):
                self._servers.attempted(now=now)
                self._outbox.put(RecordingAttempted(hop=hop, uri=self._servers.uri))
            case CallProgressed(response=response):
                self._servers.heard(now=now)
                self._outbox.put(RecordingProceeding(status=response.status, reason=response.reason))
            case CallAnswered(response=response, findings=findings):
                self._answered(response, findings, now)
            case CallRefused(status=status, reason=reason, local=local, retry_seconds=seconds):
                self._fail(status, reason, local=local, retry_seconds=seconds, now=now)
            case CallEnded(reason=reason):
                self._reason = self._reason or reason
                self._outbox.extend(self._state.abandon())
                # RFC 3261 15.1.1: the sender of BYE, and who receives it, stops sending at once.
                self._audio.clear()
                self._drain_audio()
            case CallGone():
                self._close(now)
            case OfferReceived(usage=usage, request=request):
                self._receive_offer(usage, request, now)
            case CallChanged():
                self._changed(event, now)
            case ChangeRefused():
                self._change_refused(event, now)
            case AckReceived(request=request):
                # RFC 3261 13.2.2.4: the ACK answers the offer of our 200 to a re-INVITE without one.
                offered, self._offered = self._offered, None
                if offered is not None and request.body:
                    self._take_answer(offered, request, now)
            case _:
                pass  # traces and acknowledgements of a call that we started need no act

    def _answered(self, response: Response, told: tuple[Finding, ...], now: float) -> None:
        offer = self._offer
        parsed = parse_sdp(response.body, limits=self.config.limits)
        if parsed.description is None or offer is None:
            self._fail(502, "the 200 has no usable SDP answer", local=True, now=now)
            return
        self._servers.answered()
        found = self._agree(offer, parsed.description, now)
        self._state.told(self._metadata, unix_ns=self._time_base.unix_ns_at(now))
        findings = (*told, *response.findings, *parsed.findings, *found, *_response_findings(response))
        self._outbox.put(RecordingAnswered(response=response, labels=self._audio.labels, findings=findings))

    # changes

    def _receive_offer(self, usage: UsageId, request: Request, now: float) -> None:
        """Answer the server's own UPDATE or re-INVITE: a hold, a resumption, a snapshot request or a refresh.

        A refusal leaves the session as it is (RFC 3261 14.2).
        """
        read = read_request(request, limits=self.config.limits, strict=False)
        offer, ours = read.offer, self._state.ours
        answer = None if offer is None else self._state.answer(offer)
        if read.refusal is not None or (offer is not None and answer is None):
            self._endpoint.refuse_offer(usage, read.refusal or _UNFIT, now=now)
            return
        body = b""
        if answer is not None:
            body = answer.to_bytes()
        elif request.method == "INVITE" and ours is not None:
            self._offered = self._state.offer()
            body = self._offered.to_bytes()
        self._endpoint.answer_offer(usage, body=body, content_type="application/sdp", now=now)
        if offer is not None and answer is not None:
            self._agree(answer, offer, now)
        if read.snapshot_requested:
            # RFC 7866 9.1: a snapshot request "MUST" be met at once, in a transaction of its own.
            self._state.want(Wish(snapshot=True))
            self._advance(now)

    def _advance(self, now: float) -> None:
        """Send the change whose turn it is."""
        if self._usage is None or not self._endpoint.stands(self._usage):
            return  # the end of the call, which is told next, concludes what waits
        wish = self._state.next_wish()
        if wish is None:
            return
        metadata = self._state.snapshot() if wish.snapshot else wish.metadata
        offer: SessionDescription | None = self._state.offer()
        if metadata is not None and not self._state.needs_offer(metadata):
            offer = offer if not self._endpoint.allows(self._usage, "UPDATE") else None
        parts = body_parts(offer, metadata)
        content_type, disposition, body = _body(parts, self._ids.boundary())
        self._offer = offer
        self._metadata = metadata or b""
        self._endpoint.change(
            self._usage,
            body=body,
            content_type=content_type,
            disposition=disposition,
            description=b"" if offer is None else offer.to_bytes(),
            method="INVITE" if metadata is None else None,
            now=now,
        )
        self._drain_endpoint(now)

    def _changed(self, event: CallChanged, now: float) -> None:
        """Take the server's 2xx to a change or to a refresh of the session timer."""
        ours = self._state.ours if event.refresh else self._offer
        findings = () if ours is None else self._take_answer(ours, event.response, now)
        if event.refresh:
            return
        if self._metadata:
            self._state.told(self._metadata, unix_ns=self._time_base.unix_ns_at(now))
        response = event.response
        self._conclude(ChangeOutcome(status=response.status, reason=response.reason, findings=findings), now)

    def _take_answer(self, ours: SessionDescription, message: Request | Response, now: float) -> tuple[Finding, ...]:
        theirs = read_description(message, limits=self.config.limits)
        return () if theirs is None else self._agree(ours, theirs, now)

    def _change_refused(self, event: ChangeRefused, now: float) -> None:
        if event.refresh:
            return
        if event.request is None:
            self._state.again()
            self._advance(now)
            return
        self._conclude(ChangeOutcome(status=event.status, reason=event.reason, local=event.local), now)

    def _conclude(self, outcome: ChangeOutcome, now: float) -> None:
        self._outbox.extend(self._state.conclude(outcome))
        self._advance(now)

    def _agree(self, ours: SessionDescription, theirs: SessionDescription, now: float) -> tuple[Finding, ...]:
        """Send from now on as an exchange that is complete says."""
        spec, lines = self._call()
        agreed = self._state.agree(ours, theirs)
        for line in agreed.lines[: len(spec.streams)]:
            stream, local = spec.streams[line.index], lines.get(line.index)
            if local is not None:
                line = self._secure.agree(local.media, line, now=now)
                self._audio.negotiated(stream.label, local.media, line, ptime=stream.ptime, now=now)
        self._mute()
        return agreed.findings

    def _mute(self) -> None:
        for label in self._state.paused:
            self._audio.hold(label)

    def _hold(self, label: str, now: float, *, paused: bool) -> int | None:
        self._changeable()
        self._audio.sample_rate(label)  # raises for a stream that the server does not take
        if paused is (label in self._state.paused):
            return None
        number = self._state.want_own()
        if paused:
            self._state.paused.add(label)
        else:
            self._state.paused.discard(label)
        self._mute()
        self._advance(now)
        return number

    def _changeable(self) -> None:
        if self._usage is None or self._gone or self._state.ours is None or self._reason:
            raise LocalProtocolError("there is no call to change")

    def _drain_audio(self) -> None:
        for output in self._audio.outputs():
            sealed = self._secure.seal(output) if isinstance(output, SendMedia) else output
            if isinstance(sealed, SendMedia) and self.config.media_path is not None:
                self._outbox.extend(self.config.media_path(sealed))
            elif sealed is not None:
                self._outbox.put(sealed)

    def _close(self, now: float) -> None:
        del now
        if self._gone:
            return
        self._gone = True
        self._audio.clear()
        self._drain_audio()
        if self._lines is not None:
            for index in self._lines.indexes():
                command: CloseMedia | None = self._lines.close(index)
                if command is not None:
                    self._outbox.put(command)
        self._outbox.put(RecordingEnded(reason=self._reason or "cancelled"))

    def _call(self) -> tuple[CallSpec, MediaLines]:
        if self._spec is None or self._lines is None:
            raise LocalProtocolError("the client was not started")
        return self._spec, self._lines


def _choice(config: ClientConfig, final_statuses: frozenset[int]) -> ServerChoice:
    return ServerChoice(
        config.servers or ServerMemory(),
        final_statuses=final_statuses,
        silence_seconds=config.silence_seconds,
        answer_seconds=config.answer_seconds,
        longest_rest_seconds=config.limits.retry_after_seconds,
    )


def _check_uris(spec: CallSpec) -> None:
    for uri in (spec.uri, *spec.alternatives):
        try:
            SipUri.parse(uri)
        except RemoteProtocolError as error:
            if spec.hop is None or uri != spec.uri:
                raise LocalProtocolError(f"servers of {uri!r} cannot be located: {error.message}") from error


def _offered_streams(spec: CallSpec, lines: MediaLines, ids: Ids) -> list[OfferedStream]:
    return [
        OfferedStream(
            label=stream.label,
            formats=stream.formats,
            port=line.port,
            ptime=stream.ptime,
            protocol="RTP/SAVP" if spec.srtp else "RTP/AVP",
            crypto=offered_crypto(spec.srtp, ids),
        )
        for index, stream in enumerate(spec.streams)
        if (line := lines.get(index)) is not None
    ]


def _invite_headers(spec: CallSpec, uri: str, ids: Ids) -> Headers:
    headers = Headers()
    headers.add("Max-Forwards", "70")
    headers.add("From", f"<{spec.from_uri}>;tag={ids.tag()}")
    headers.add("To", f"<{address_of_record(uri)}>")
    headers.add("Call-ID", ids.call_id())
    headers.add("CSeq", "1 INVITE")
    # RFC 7866 6.1.1: the SRC "MUST" list siprec in Require when it starts a recording session.
    headers.add("Require", "siprec")
    return headers


def _endpoint_config(config: ClientConfig) -> EndpointConfig:
    return EndpointConfig(
        product=config.product,
        feature_tag="+sip.src",
        understood=frozenset(("siprec",)),
        supported=("timer",),
        advertise=config.advertise,
        timers=TimerPolicy(session_expires=config.session_expires, min_se=config.min_se, wanted=config.session_timer),
        large_over_tcp=config.large_over_tcp,
        credentials=config.credentials,
        limits=config.limits,
    )


def check_streams(streams: tuple[StreamSpec, ...]) -> None:
    """Raise LocalProtocolError when there is no stream, or two have the same label."""
    if not streams:
        raise LocalProtocolError("a recording needs at least one stream")
    if len({stream.label for stream in streams}) < len(streams):
        raise LocalProtocolError("each stream needs a label of its own")


def body_parts(offer: SessionDescription | None, metadata: bytes | None) -> list[BodyPart]:
    """Give the parts of a body with an offer, metadata, or both."""
    parts = [] if offer is None else [BodyPart.create("application/sdp", offer.to_bytes())]
    if metadata is not None:
        # RFC 7866 9: metadata bodies have the disposition recording-session; the type is RFC 9806's.
        parts.append(BodyPart.create("application/rs-metadata+xml", metadata, disposition="recording-session"))
    return parts


def _body(parts: list[BodyPart], boundary: str) -> tuple[str, str | None, bytes]:
    """Give type, disposition and octets of a body: one part alone, several as multipart (RFC 7866 section 9.1)."""
    if len(parts) > 1:
        return f"multipart/mixed;boundary={boundary}", None, write_multipart(parts, boundary=boundary)
    part = parts[0]
    disposition = None if part.disposition is None else str(part.disposition)
    return part.content_type.media_type, disposition, bytes(part.content)


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
