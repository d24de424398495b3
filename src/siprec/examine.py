"""What `siprec doctor` looks at, and its explanations: why a recorder and a client would not work together."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from siprec.callers import GRAMMAR_CHECK, checks_of, is_inactive, is_kept
from siprec.load import NO_FINAL_ANSWER, CallFacts, LoadPlan, LoadRun
from siprec.probe import Answer, ask_options, takes_connections
from siprec_core.limits import Limits
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.message import Response
from siprec_core.types import Transport
from siprec_sync.tls import TlsFiles, client_context

LARGEST_DATAGRAM_SIZE = 1_300
"""Requests of more octets belong on a transport with congestion control (RFC 3261 section 18.1.1)."""


class Verdict(StrEnum):
    """How a look turned out."""

    GOOD = "good"
    NOTE = "note"
    """Works, and is worth knowing."""
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One thing looked at."""

    name: str
    verdict: Verdict
    text: str
    """What was seen."""
    advice: str = ""
    """What it means for a call, and what to do."""
    rfc: str = ""

    def as_json(self) -> dict[str, object]:
        """Give the fields."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "text": self.text,
            "advice": self.advice,
            "rfc": self.rfc,
        }


_METHODS = ("INVITE", "ACK", "BYE", "CANCEL")
_ADVICE = {
    "the answer has the media lines of the offer, in order": (
        "Clients match media lines by their place. With lines missing, added or moved, audio goes to the wrong port or "
        "the client gives the call up. Let the recorder answer every m= line, port 0 for those it does not want."
    ),
    "each label is repeated": (
        "Labels tie the streams to the people in the metadata. Clients that look for theirs in the answer (OpenSIPS) "
        "do not start a stream whose label is missing, and speakers may be mixed up. Let the recorder copy a=label."
    ),
    "each direction fits the offer": (
        "The client only sends, so the recorder has to answer recvonly (or inactive). Many clients refuse the call or "
        "send nothing when they read anything else."
    ),
    "payload types are those offered, and mapped": (
        "The client can only send what it offered, under the number that the answer gives. Otherwise there is silence "
        "or noise. Let the recorder answer formats of the offer with their numbers."
    ),
    "media addresses and ports can be sent to": (
        "No packet can go where the answer says. Behind NAT, let the recorder advertise the address that clients reach."
    ),
    "the Contact has the feature tag +sip.srs": (
        "It tells that the other end is a recording server; strict clients end the call without it."
    ),
    "the body is application/sdp alone": "Clients expect plain SDP in the answer; many cannot read anything else.",
    "Allow tells the methods": (
        "Without it a client cannot know whether UPDATE is understood, and sends metadata by re-INVITE or not at all."
    ),
    GRAMMAR_CHECK: "Strict clients may refuse the message.",
}


@dataclass(slots=True)
class Examination:
    """Everything that was seen of a server."""

    target: str
    looks: list[Look] = field(default_factory=list)
    unreachable: bool = False
    """Nothing at all was heard."""

    @property
    def good(self) -> bool:
        """True when nothing speaks against a call."""
        return all(look.verdict is not Verdict.BAD for look in self.looks)

    def add(self, name: str, verdict: Verdict, text: str, advice: str = "", rfc: str = "") -> None:
        """Keep a look; advice is kept where something is to be told."""
        told = "" if verdict is Verdict.GOOD else advice
        self.looks.append(Look(name=name, verdict=verdict, text=text, advice=told, rfc=rfc))

    def as_json(self) -> dict[str, object]:
        """Give the report as `siprec doctor --json` prints it."""
        return {"target": self.target, "ok": self.good, "looks": [look.as_json() for look in self.looks]}


def examine(target: str, plan: LoadPlan, *, timeout: float, tell: Callable[[str], None]) -> Examination:
    """Look at a server: OPTIONS, then one call by `plan`. `tell` hears what is done. Raises ConfigurationError."""
    seen = Examination(target)
    tell("asking OPTIONS")
    options = _options(seen, plan, timeout)
    tell("making a call")
    calls: list[CallFacts] = []
    LoadRun(plan, watch=calls.append, patience_seconds=timeout).run()
    for facts in calls:
        _call(seen, facts, plan)
    heard = options.response is not None or any(facts.heard for facts in calls)
    seen.unreachable = not heard
    return seen


# OPTIONS and TLS


def _options(seen: Examination, plan: LoadPlan, timeout: float) -> Answer:
    hop = plan.hop
    secure = hop.transport is Transport.TLS
    context = None
    if secure:
        files = plan.tls if isinstance(plan.tls, TlsFiles) else None
        context = plan.tls if isinstance(plan.tls, ssl.SSLContext) else client_context(files)
    answer = ask_options(hop, plan.spec.uri, timeout=timeout, context=context)
    if secure:
        _certificate(seen, answer, checked=context is not None and context.verify_mode is ssl.CERT_REQUIRED)
    if answer.response is None:
        advice = (
            "Clients ask OPTIONS to see whether a recorder is alive, and some send no calls to one that is silent. "
            "Check the address, the port, the transport and the firewall."
        )
        seen.add("options", Verdict.BAD, f"OPTIONS to {hop.remote} over {hop.transport.value}: {answer.error}", advice)
        return answer
    response = answer.response
    text = f"OPTIONS answered {response.status} {response.reason} after {answer.seconds * 1000:.0f} ms"
    advice = "The recorder is there and refuses; a client that watches it by OPTIONS takes it for out of service."
    seen.add("options", _good(response.status < 300), text, advice, "RFC 3261 11.2")
    if response.status < 300:
        _capabilities(seen, response)
    return answer


def _certificate(seen: Examination, answer: Answer, *, checked: bool) -> None:
    shown = answer.certificate
    if answer.certificate_error is not None:
        advice = (
            "Clients that check certificates, as they must, will not connect. Let the server send its whole chain and "
            "a certificate for this name, or give the authority with --tls-ca."
        )
        seen.add(
            "tls", Verdict.BAD, f"the certificate is not trusted: {answer.certificate_error}", advice, "RFC 5922 7"
        )
    elif shown is not None:
        names = ", ".join(shown.names[:5]) or shown.subject
        text = f"{shown.version} {shown.cipher}; certificate for {names} by {shown.issuer}, until {shown.expires}"
        seen.add("tls", Verdict.GOOD, text)
    elif not checked and answer.response is not None:
        seen.add("tls", Verdict.NOTE, "TLS works; the certificate was not checked", "Try without --tls-insecure.")


def _capabilities(seen: Examination, response: Response) -> None:
    missing = [method for method in _METHODS if method not in response.allow]
    if not response.allow:
        seen.add("allow", Verdict.NOTE, "OPTIONS tells no methods (Allow)", _ADVICE["Allow tells the methods"])
    elif missing:
        seen.add("allow", Verdict.BAD, f"Allow lacks {', '.join(missing)}", "A recording call needs these methods.")
    else:
        update = "UPDATE" in response.allow
        text = f"Allow: {', '.join(response.allow)}"
        advice = "Without UPDATE, clients send changed metadata by re-INVITE, and some send none."
        seen.add("allow", Verdict.GOOD if update else Verdict.NOTE, text, advice, "RFC 3311")
    accept = ", ".join(response.headers.get_all("Accept")).lower()
    if accept and "multipart/mixed" not in accept and "*/*" not in accept:
        advice = "An INVITE of a recording client is multipart/mixed; a client may believe that it is not understood."
        seen.add("accept", Verdict.NOTE, f"Accept: {accept}", advice, "RFC 7866")


# the call


def _call(seen: Examination, facts: CallFacts, plan: LoadPlan) -> None:
    _size(seen, facts, plan)
    answer = facts.answer
    if answer is None or answer.response is None:
        text = f"the call was not answered: {facts.failure}"
        seen.add("call", Verdict.BAD, text, _why_refused(facts, plan.hop.transport))
        return
    status = f"{answer.response.status} {answer.response.reason}"
    seen.add("call", Verdict.GOOD, f"the call was answered {status} after {(facts.set_up_seconds or 0) * 1000:.0f} ms")
    for text, found in checks_of(answer.findings).items():
        against = "; ".join(f"{each.where}: {each.message}" for each in found)
        rfc = found[0].rfc if found else ""
        seen.add("answer", _good(is_kept(found)), f"{text}{': ' + against if against else ''}", _ADVICE[text], rfc)
    _streams(seen, facts, plan)
    if facts.end_reason == "bye":
        advice = "The recorder hung up while it was sent audio, and recorded no more: its own log should say why."
        seen.add("bye", Verdict.BAD, "the server ended the call before we did", advice)
        return
    advice = "The recorder may keep the call open until a timer ends it, and the recording is late or never finished."
    text = "the BYE was answered with 200" if facts.bye_taken else "the BYE was not answered with 200"
    seen.add("bye", _good(facts.bye_taken), text, advice, "RFC 3261 15.1.2")


def _size(seen: Examination, facts: CallFacts, plan: LoadPlan) -> None:
    hop, size = plan.hop, facts.invite_size
    if hop.transport is not Transport.UDP or size <= LARGEST_DATAGRAM_SIZE:
        return
    tcp = takes_connections(hop.remote, timeout=2.0)
    text = (
        f"the INVITE has {size:,} octets and went over UDP; the server "
        f"{'takes' if tcp else 'does not take'} TCP connections at {hop.remote}"
    )
    advice = "Requests of more than 1,300 octets should go over TCP or TLS, because routers drop fragments. " + (
        "Let clients use TCP." if tcp else "Let the recorder listen on TCP too: clients that keep the rule need it."
    )
    seen.add("size", Verdict.NOTE, text, advice, "RFC 3261 18.1.1")


def _streams(seen: Examination, facts: CallFacts, plan: LoadPlan) -> None:
    response = None if facts.answer is None else facts.answer.response
    description = None if response is None else parse_sdp(response.body, limits=Limits()).description
    media = () if description is None else description.media
    sent = {stream.label: stream for stream in facts.streams}
    ports = [stream.to for stream in facts.streams]
    for index, spec in enumerate(plan.spec.streams):
        codecs = [name for _, name in media[index].codecs() if name] if index < len(media) else []
        stream = sent.get(spec.label)
        if stream is None:
            _missing(seen, spec.label, description, index)
            continue
        text = f"stream {spec.label}: {codecs[0] if codecs else '?'} to {stream.to}, {stream.sent} packets"
        advice = "Nobody receives on the port of the answer: a firewall, a NAT, or a recorder that is not ready."
        if stream.refused:
            text += f", {stream.refused} refused (ICMP port unreachable)"
        seen.add("stream", _good(not stream.refused), text, advice)
        rtcp = stream.rtcp_received
        text = f"stream {spec.label}: {rtcp or 'no'} RTCP datagrams came back within {plan.seconds:g} s"
        advice = "Only a problem for clients that end calls without RTCP reports, and for watching loss."
        seen.add("rtcp", Verdict.GOOD if rtcp else Verdict.NOTE, text, advice, "RFC 3550 6.2")
    if len(set(ports)) < len(ports):
        advice = "Packets of several streams arrive at one port: the recorder has to tell them apart by SSRC."
        seen.add("ports", Verdict.NOTE, "several streams have the same address and port", advice)


def _missing(seen: Examination, label: str, answer: SessionDescription | None, index: int) -> None:
    """Tell why a stream was not sent."""
    if answer is not None and is_inactive(answer, index):
        advice = "The recorder wants no audio now (hold, or a licence that is missing): one party will be missing."
        seen.add("stream", Verdict.BAD, f"stream {label} is inactive in the answer", advice, "RFC 7866 7.2")
        return
    lines = () if answer is None else answer.media
    codecs = [name for _, name in lines[index].codecs() if name] if index < len(lines) else []
    advice = "The recorder refuses the stream or wants another codec than G.711: one party will be missing."
    seen.add("stream", Verdict.BAD, f"stream {label} was refused ({', '.join(codecs) or 'no codec'})", advice)


def _good(seen: object) -> Verdict:
    return Verdict.GOOD if seen else Verdict.BAD


def _why_refused(facts: CallFacts, transport: Transport) -> str:
    failure = facts.failure or ""
    if failure == NO_FINAL_ANSWER:
        return "The recorder has the INVITE and does not decide: it may wait for a licence, a queue or another server."
    if not facts.heard and transport is Transport.UDP:
        return "The INVITE got no answer: it may be too large for the path (lost fragments); try ;transport=tcp."
    if not facts.heard:
        return "Nothing that speaks SIP answers on this connection: check the port and the transport."
    if failure.startswith("3"):
        return "The recorder sends calls elsewhere, and many clients do not follow: give them the other address."
    return {
        "404": "The recorder does not know this user: try the Request-URI that it is set up for (sip:USER@HOST).",
        "403": "The recorder does not take calls from here: look at its list of allowed clients.",
        "401": "The recorder wants a password.",
        "407": "A proxy wants a password.",
        "415": "The recorder does not read multipart/mixed bodies: SIPREC may be switched off.",
        "420": "The recorder does not know the extension siprec: SIPREC may be switched off.",
        "421": "The recorder asks for an extension that the call did not name: see Require in its answer.",
        "486": "The recorder is full, or has no licence left.",
        "488": "The recorder wants none of the codecs or protocols offered (G.711 over RTP/AVP): SRTP may be demanded.",
        "503": "The recorder is overloaded, full, or shutting down.",
    }.get(failure[:3], "The recorder's own log should say why.")
