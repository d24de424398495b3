"""One recording call from its INVITE to its end, on either frontend, and what it showed of the server."""

import math
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from ssl import SSLContext
from typing import Final, NamedTuple

import anyio
import siprec_anyio
import siprec_sync
from siprec.impairment import Impairment
from siprec.options import Worker
from siprec.outcome import CommandError, Exit
from siprec.speech import Speech
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, Severity
from siprec_core.metadata.builder import MetadataBuilder
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig
from siprec_core.recording.call_events import RecordingAnswered, RecordingEnded
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Address
from siprec_sync.calls import CallFacade, CallProgress, CallRefusedError
from siprec_sync.tls import TlsFiles

CHECKS: Final[dict[str, frozenset[str]]] = {
    "the answer has the media lines of the offer, in order": frozenset(
        ("sdp-answer-line-count", "sdp-answer-media", "sdp-answer-protocol", "sdp-answer-timing")
    ),
    "each label is repeated": frozenset(("sdp-answer-label",)),
    "each direction fits the offer": frozenset(("sdp-answer-direction",)),
    "payload types are those offered, and mapped": frozenset(
        ("sdp-answer-format", "sdp-answer-payload-type", "sdp-answer-rtpmap", "sdp-answer-events")
    ),
    "media addresses and ports can be sent to": frozenset(
        ("sdp-answer-address", "sdp-answer-port", "sdp-answer-rtcp-mux")
    ),
    "the Contact has the feature tag +sip.srs": frozenset(("answer-no-feature-tag",)),
    "the body is application/sdp alone": frozenset(("answer-body-type",)),
    "Allow tells the methods": frozenset(("answer-no-allow",)),
}
"""What is checked of an answer, and the findings that speak against it; all others are about its grammar."""
_KEY_CHECK: Final = "one key of each line is accepted"
_KEY_CODES: Final = frozenset(("sdp-answer-crypto",))
TRANSFER_TO: Final = ("sip:zoe@example.com", "Zoe")
"""Address and name of who comes in by a transfer."""
_CLOSING_SECONDS = 5.0
"""How long we wait for the answer to our BYE."""
_CANCEL_SECONDS = 0.5
"""How long we wait for the answer to a CANCEL: nobody has answered for a while."""
GRAMMAR_CHECK: Final = "the message and its SDP follow the grammar"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOutcome:
    """What became of one stream."""

    label: str
    codec: str | None
    """None when the server refused the stream, or wants no audio of it."""
    inactive: bool = False
    """The server took the stream and wants no audio of it."""
    remote: Address | None
    """Where the server receives it."""
    suite: str | None = None
    """The crypto suite that it is encrypted with, None when it is not."""
    packets_sent: int = 0
    """Packets that left; those that were lost on purpose are not among them."""
    packets_lost: int = 0
    """Packets that were lost on purpose."""
    packets_reordered: int = 0
    """Packets that were sent behind the next one on purpose."""
    seconds: float = 0.0
    """Audio sent, with what was lost on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeNote:
    """How the server took a change within the call."""

    change: str
    """`hold`, `resume` or `transfer`."""
    label: str
    status: int
    reason: str

    @property
    def taken(self) -> bool:
        """True when it took it."""
        return 200 <= self.status < 300


@dataclass(slots=True, kw_only=True)
class CallOutcome:
    """What a call showed."""

    target: str
    transport: str | None = None
    """Over what the INVITE went last; None when no server was found."""
    remote: Address | None = None
    """Where it went."""
    started: float
    """When it began, on the monotonic clock."""
    status: int = 0
    """0 without an answer."""
    reason: str = ""
    retry_seconds: int | None = None
    """The Retry-After of a refusal."""
    setup_seconds: float = 0.0
    """From the INVITE to its final answer."""
    call_id: str | None = None
    server: str | None = None
    """The Server header field."""
    streams: tuple[StreamOutcome, ...] = ()
    findings: tuple[Finding, ...] = ()
    changes: tuple[ChangeNote, ...] = ()
    digits: str = ""
    """Keys that were to be pressed on the first stream."""
    digits_refused: str | None = None
    """Why they were not."""
    end_reason: str | None = None
    encrypted: bool = False
    """The media was offered encrypted."""
    impaired: bool = False
    """Packets were lost or reordered on purpose."""
    unreachable: bool = False
    """Nothing answered: silence, or no connection (RFC 3261 section 8.1.3.1)."""

    @property
    def good(self) -> bool:
        """True when the server took the call and every stream, kept the rules, and let us end it."""
        return (
            200 <= self.status < 300
            and all(stream.codec is not None for stream in self.streams)
            and is_kept(self.findings)
            and all(change.taken for change in self.changes)
            and self.digits_refused is None
            and self.end_reason == "local-bye"
        )

    @property
    def exit_code(self) -> Exit:
        """The exit code that fits."""
        if self.unreachable:
            return Exit.UNREACHABLE
        return Exit.DONE if self.good else Exit.PROBLEMS

    def checks(self) -> dict[str, tuple[Finding, ...]]:
        """Give for each check what speaks against it."""
        return checks_of(self.findings, encrypted=self.encrypted)

    def as_json(self) -> dict[str, object]:
        """Give the report as `siprec call --json` prints it."""
        return {
            "target": self.target,
            "transport": self.transport,
            "remote": _address(self.remote),
            "status": self.status,
            "reason": self.reason,
            **({} if self.retry_seconds is None else {"retry_after": self.retry_seconds}),
            "setup_seconds": round(self.setup_seconds, 6),
            "call_id": self.call_id,
            "server": self.server,
            "streams": [
                {
                    "label": stream.label,
                    "codec": stream.codec,
                    "suite": stream.suite,
                    "remote": _address(stream.remote),
                    "packets_sent": stream.packets_sent,
                    **(
                        {"packets_lost": stream.packets_lost, "packets_reordered": stream.packets_reordered}
                        if self.impaired
                        else {}
                    ),
                    "seconds": round(stream.seconds, 3),
                }
                for stream in self.streams
            ],
            "checks": [{"rule": text, "kept": is_kept(found)} for text, found in self.checks().items()]
            if self.streams
            else [],
            "changes": [
                {"change": each.change, "label": each.label, "status": each.status, "reason": each.reason}
                for each in self.changes
            ],
            "findings": [found.as_json() for found in self.findings],
            **({"digits": self.digits, "digits_refused": self.digits_refused} if self.digits else {}),
            "end_reason": self.end_reason,
            "ok": self.good,
        }


def checks_of(findings: Sequence[Finding], *, encrypted: bool = False) -> dict[str, tuple[Finding, ...]]:
    """Give for each check what speaks against it; where the media was offered encrypted keys are checked too."""
    wanted = {**CHECKS, _KEY_CHECK: _KEY_CODES} if encrypted else CHECKS
    known = frozenset[str]().union(*wanted.values())
    checks = {text: tuple(found for found in findings if found.code in codes) for text, codes in wanted.items()}
    checks[GRAMMAR_CHECK] = tuple(found for found in findings if found.code not in known)
    return checks


def is_inactive(answer: SessionDescription, index: int) -> bool:
    """Tell whether an answer takes a media line and wants nothing sent (RFC 3264 section 6.1)."""
    media = answer.media[index] if index < len(answer.media) else None
    return media is not None and media.port != 0 and answer.direction_of(media) == "inactive"


def is_kept(findings: Sequence[Finding]) -> bool:
    """Tell whether none of the findings says that a rule was broken."""
    return all(found.severity is Severity.INFO for found in findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """What to do in a call."""

    target: str
    spec: CallSpec
    audio: Sequence[Speech]
    """What each stream says."""
    digits: str = ""
    """Keys to press on the first stream (RFC 4733), which has to offer telephone events."""
    tls: TlsFiles | SSLContext | None = None
    hold: tuple[float, float] | None = None
    """When all streams are held and when they go on, seconds of the audio."""
    transfer: float | None = None
    """When another takes the place of who speaks on the last stream, seconds of the audio."""
    people: MetadataBuilder | None = None
    """Those of `spec.metadata`, for the transfer."""
    transferred: str = ""
    """The participant of `people` who leaves."""
    impairment: Impairment | None = None
    """What loses and reorders packets; `config.media_path` has to lead through it."""
    timeout_seconds: float = 10.0
    """How long to wait for the answer, and for that to a change."""
    config: ClientConfig = field(default_factory=ClientConfig)


def make_call(plan: CallPlan, worker: Worker) -> CallOutcome:
    """Carry out a call to its end. Raises ConfigurationError and CommandError."""
    if worker == "sync":
        return _call_sync(plan)
    return anyio.run(_call_async, plan, **backend_of(worker))  # type: ignore[arg-type]


def backend_of(worker: Worker) -> dict[str, object]:
    """Give what `anyio.run` has to be told. Raises CommandError when an extra is not installed."""
    if worker in ("trio", "uvloop") and find_spec(worker) is None:
        raise CommandError(f"worker {worker} is not installed: pip install 'siprec[{worker}]'")
    if worker == "trio":
        return {"backend": "trio"}
    return {"backend": "asyncio", "backend_options": {"use_uvloop": worker == "uvloop"}}


def _call_sync(plan: CallPlan) -> CallOutcome:
    outcome = _begin(plan)
    with siprec_sync.connect(plan.spec, config=plan.config, tls=plan.tls) as call:
        try:
            answer = call.wait_answered(plan.timeout_seconds)
        except siprec_sync.CallRefusedError as error:
            _refused(outcome, error)
        except TimeoutError:
            _unanswered(outcome, call.progress)
            call.stop(timeout=_CANCEL_SECONDS)
        else:
            _answered(plan, outcome, answer)
            _talk_sync(plan, outcome, call, answer.labels)
            call.wait_sent()
            ended = call.stop(timeout=_CLOSING_SECONDS)
            _ended(outcome, plan, call.progress, ended)
        _attempted(outcome, call.progress)
        call.close()
    return outcome


def _talk_sync(plan: CallPlan, outcome: CallOutcome, call: siprec_sync.Call, labels: Sequence[str]) -> None:
    """Send all audio, with the changes within it."""
    began = time.monotonic()
    for stretch in _stretches(plan):
        _send_audio(plan, call, labels, outcome, stretch)
        if stretch.then is None:
            continue
        time.sleep(max(0.0, began + stretch.until - time.monotonic()))
        for change in _changes(plan, stretch.then, labels):
            result: ChangeOutcome | TimeoutError | None
            try:
                result = change.begin_sync(call)(plan.timeout_seconds)
            except siprec_sync.ChangeRefusedError as error:
                result = error.outcome
            except TimeoutError as error:
                result = error
            except LocalProtocolError as error:
                result = ChangeOutcome(status=481, reason=str(error), local=True)
            _note(outcome, change, result)
        if call.progress.over:
            return


async def _talk_async(plan: CallPlan, outcome: CallOutcome, call: siprec_anyio.Call, labels: Sequence[str]) -> None:
    """Send all audio, with the changes within it."""
    began = time.monotonic()
    for stretch in _stretches(plan):
        _send_audio(plan, call, labels, outcome, stretch)
        if stretch.then is None:
            continue
        await anyio.sleep(max(0.0, began + stretch.until - time.monotonic()))
        for change in _changes(plan, stretch.then, labels):
            result: ChangeOutcome | TimeoutError | None
            try:
                with anyio.fail_after(plan.timeout_seconds):
                    result = await change.begin_async(call)
            except siprec_anyio.ChangeRefusedError as error:
                result = error.outcome
            except TimeoutError as error:
                result = error
            except LocalProtocolError as error:
                result = ChangeOutcome(status=481, reason=str(error), local=True)
            _note(outcome, change, result)
        if call.progress.over:
            return


async def _call_async(plan: CallPlan) -> CallOutcome:
    outcome = _begin(plan)
    async with siprec_anyio.connect(plan.spec, config=plan.config, tls=plan.tls) as call:
        answer = None
        with anyio.move_on_after(plan.timeout_seconds):
            try:
                answer = await call.wait_answered()
            except siprec_anyio.CallRefusedError as error:
                _refused(outcome, error)
        if answer is not None:
            _answered(plan, outcome, answer)
            await _talk_async(plan, outcome, call, answer.labels)
            await call.wait_sent()
            ended = None
            with anyio.move_on_after(_CLOSING_SECONDS):
                ended = await call.stop()
            _ended(outcome, plan, call.progress, ended)
        elif not outcome.status:
            _unanswered(outcome, call.progress)
            with anyio.move_on_after(_CANCEL_SECONDS):
                await call.stop()
        _attempted(outcome, call.progress)
        call.close()
    return outcome


# What both do


def _begin(plan: CallPlan) -> CallOutcome:
    return CallOutcome(
        target=plan.target,
        encrypted=bool(plan.spec.srtp),
        impaired=plan.impairment is not None,
        started=time.monotonic(),
    )


def _attempted(outcome: CallOutcome, progress: CallProgress) -> None:
    if progress.hop is not None:
        outcome.transport, outcome.remote = progress.hop.transport.value, progress.hop.remote


def _unanswered(outcome: CallOutcome, progress: CallProgress) -> None:
    """Take note that nobody decided in time; a server that said 1xx was reached."""
    outcome.unreachable = progress.proceeding is None
    if progress.proceeding is not None:
        last = progress.proceeding
        _decided(outcome, 408, f"no final answer, only {last.status} {last.reason}")


def _refused(outcome: CallOutcome, error: CallRefusedError) -> None:
    _decided(outcome, error.status, error.reason)
    outcome.retry_seconds = error.retry_seconds
    outcome.unreachable = error.local and error.status in (408, 503)


def _decided(outcome: CallOutcome, status: int, reason: str) -> None:
    outcome.setup_seconds = time.monotonic() - outcome.started
    outcome.status, outcome.reason = status, reason


def _answered(plan: CallPlan, outcome: CallOutcome, answer: RecordingAnswered) -> None:
    response = answer.response
    if response is None:
        return  # the server called: nothing of a 200 is to be told
    _decided(outcome, response.status, response.reason)
    outcome.call_id = response.headers.get("Call-ID")
    outcome.server = response.headers.get("Server")
    outcome.findings = answer.findings
    description = parse_sdp(response.body, limits=plan.config.limits).description
    media = () if description is None else description.media
    streams = []
    for index, stream in enumerate(plan.spec.streams):
        taken = stream.label in answer.labels and description is not None and index < len(media)
        connection = description.connection_of(media[index]) if taken and description is not None else None
        streams.append(
            StreamOutcome(
                label=stream.label,
                inactive=not taken and description is not None and is_inactive(description, index),
                codec=next((name for _, name in media[index].codecs() if name), None) if taken else None,
                suite=next((each.suite for each in media[index].crypto_attributes), None) if taken else None,
                remote=None if connection is None else Address(connection.address, media[index].port),
            )
        )
    outcome.streams = tuple(streams)


class _Stretch(NamedTuple):
    """Audio between two changes."""

    since: float
    until: float
    then: str | None
    """The change that follows, None at the end."""
    held: bool
    """Nothing is sent."""


def _stretches(plan: CallPlan) -> list[_Stretch]:
    """Cut the audio at the changes."""
    changes = [] if plan.transfer is None else [(plan.transfer, "transfer")]
    if plan.hold is not None:
        changes += [(plan.hold[0], "hold"), (plan.hold[1], "resume")]
    stretches, since, held = [], 0.0, False
    for at, change in sorted(changes):
        stretches.append(_Stretch(since, at, change, held))
        since, held = at, change == "hold" or (held and change != "resume")
    return [*stretches, _Stretch(since, math.inf, None, held)]


class _Change(NamedTuple):
    """One change towards the server."""

    name: str
    label: str
    """Of the stream that it is about."""
    document: MetadataDocument | None = None
    """What is told, where the change is one of people."""

    def begin_sync(self, call: siprec_sync.Call) -> Callable[[float], ChangeOutcome | None]:
        """Give what waits up to some seconds for the server's answer."""
        if self.document is not None:
            return partial(call.update_metadata, self.document)
        return partial(call.pause if self.name == "hold" else call.resume, self.label)

    def begin_async(self, call: siprec_anyio.Call) -> Coroutine[object, object, ChangeOutcome | None]:
        """Give what waits for the server's answer."""
        if self.document is not None:
            return call.update_metadata(self.document)
        return call.pause(self.label) if self.name == "hold" else call.resume(self.label)


def _changes(plan: CallPlan, name: str, labels: Sequence[str]) -> list[_Change]:
    """Make the changes that one instant of the plan asks for."""
    if name != "transfer" or plan.people is None:
        return [_Change(name, label) for label in labels]
    last = plan.spec.streams[-1]
    plan.people.transfer(plan.transferred, TRANSFER_TO[0], TRANSFER_TO[1], unix_ns=time.time_ns())
    return [_Change(name, last.label, plan.people.partial())]


def _send_audio(
    plan: CallPlan, call: CallFacade, labels: Sequence[str], outcome: CallOutcome, stretch: _Stretch
) -> None:
    """Queue the audio of a stretch; at the end the keys follow, and then no more."""
    for index, (stream, speech) in enumerate(zip(plan.spec.streams, plan.audio, strict=True)):
        if stream.label not in labels:
            continue
        if not stretch.held:
            rate = call.sample_rate(stream.label)
            end = None if stretch.then is None else _octets(stretch.until, rate)
            call.send_audio(stream.label, speech.at(rate)[_octets(stretch.since, rate) : end])
        if stretch.then is None:
            if plan.digits and index == 0:
                _press(plan, call, stream.label, outcome)
            call.finish_audio(stream.label)


def _press(plan: CallPlan, call: CallFacade, label: str, outcome: CallOutcome) -> None:
    outcome.digits = plan.digits
    try:
        call.send_digits(label, plan.digits)
    except LocalProtocolError as error:
        outcome.digits_refused = str(error)


def _octets(seconds: float, sample_rate: int) -> int:
    return 2 * round(seconds * sample_rate)


def _note(outcome: CallOutcome, change: _Change, result: ChangeOutcome | TimeoutError | None) -> None:
    """Keep how a change went; None when there was nothing to change."""
    if result is None:
        return
    status, reason = (result.status, result.reason) if isinstance(result, ChangeOutcome) else (408, "no answer")
    outcome.changes = (
        *outcome.changes,
        ChangeNote(change=change.name, label=change.label, status=status, reason=reason),
    )
    if isinstance(result, ChangeOutcome):
        outcome.findings = (*outcome.findings, *result.findings)


def _ended(outcome: CallOutcome, plan: CallPlan, progress: CallProgress, ended: RecordingEnded | None) -> None:
    outcome.end_reason = "timeout-bye" if ended is None else ended.reason
    outcome.streams = tuple(
        _sent(stream, progress.packets.get(stream.label, 0), spec.ptime, plan.impairment)
        for stream, spec in zip(outcome.streams, plan.spec.streams, strict=True)
    )


def _sent(stream: StreamOutcome, packets: int, ptime: int, impairment: Impairment | None) -> StreamOutcome:
    """Add what was sent of a stream; what the impairment kept back has not left."""
    lost = reordered = 0
    if impairment is not None and stream.remote is not None:
        lost, reordered = impairment.lost[stream.remote], impairment.reordered[stream.remote]
    return replace(
        stream,
        packets_sent=packets - lost,
        packets_lost=lost,
        packets_reordered=reordered,
        seconds=packets * ptime / 1000,
    )


def _address(address: Address | None) -> dict[str, object] | None:
    return None if address is None else {"host": address.host, "port": address.port}
