"""A recording as a server keeps it, without a server: journal and account fed side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import decoder_for, encoder_for
from siprec_core.limits import Limits
from siprec_core.media.outputs import SourceFinding
from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.journal import JournalWriter
from siprec_core.recording.render import FileData, FileEnd, FileStart, RenderItem, render
from siprec_core.recording.request import RecordingRequest, read_request
from siprec_core.rtp.packet import RtpPacket
from siprec_core.sdp.formats import Codec
from siprec_core.sdp.negotiation import Answered, build_answer, plan_answer
from siprec_core.sip.message import Request
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Address, Component, DatagramBatch, Flow, FlowId, SessionId, Transport

UNIX_NS = 1_767_225_600_000_000_000
TIME_BASE = TimeBase(monotonic=5_000.0, unix_ns=UNIX_NS)
START = 5_000.0
CLIENT = "192.0.2.10"
SERVER = "198.51.100.20"
RTP_SOURCE = Address(CLIENT, 40_000)
CODECS = tuple(map(Codec.parse, ("PCMU/8000", "PCMA/8000", "L16/16000", "L16/44100")))

METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
  <datamode>complete</datamode>
  <session session_id="hVpd7YQgRW2nD22h7q60JQ=="><start-time>2026-01-01T00:00:00Z</start-time></session>
  <participant participant_id="srfBElmCRp2QB23b7Mpk0w=="><nameID aor="sip:ada@example.com"><name>Ada</name></nameID>
  </participant>
  <participant participant_id="zSfPoSvdSDCmU3A3TRDxAw=="><nameID aor="sip:bob@example.com"/></participant>
  <stream stream_id="UAAMm5GRQKSCMVvLyl4rFw==" session_id="hVpd7YQgRW2nD22h7q60JQ=="><label>1</label></stream>
  <stream stream_id="i1Pz3to5RGm8fuXl+PbwCw==" session_id="hVpd7YQgRW2nD22h7q60JQ=="><label>2</label></stream>
  <sessionrecordingassoc session_id="hVpd7YQgRW2nD22h7q60JQ=="><associate-time>2026-01-01T00:00:00Z</associate-time>
  </sessionrecordingassoc>
  <participantsessionassoc participant_id="srfBElmCRp2QB23b7Mpk0w==" session_id="hVpd7YQgRW2nD22h7q60JQ==">
    <associate-time>2026-01-01T00:00:00Z</associate-time></participantsessionassoc>
  <participantsessionassoc participant_id="zSfPoSvdSDCmU3A3TRDxAw==" session_id="hVpd7YQgRW2nD22h7q60JQ==">
    <associate-time>2026-01-01T00:00:00Z</associate-time></participantsessionassoc>
  <participantstreamassoc participant_id="srfBElmCRp2QB23b7Mpk0w=="><send>UAAMm5GRQKSCMVvLyl4rFw==</send>
  </participantstreamassoc>
  <participantstreamassoc participant_id="zSfPoSvdSDCmU3A3TRDxAw=="><send>i1Pz3to5RGm8fuXl+PbwCw==</send>
  </participantstreamassoc>
</recording>
"""


@dataclass(frozen=True)
class Line:
    """One media line of an offer."""

    label: str | None
    port: int
    codec: str = "PCMU/8000"
    payload_type: int = 0
    direction: str = "sendonly"


LINES = (Line("1", 40_000), Line("2", 40_002))


def sdp(lines: Iterable[Line], *, version: int = 1) -> str:
    text = f"v=0\r\no=- 1 {version} IN IP4 {CLIENT}\r\ns=-\r\nc=IN IP4 {CLIENT}\r\nt=0 0\r\n"
    for line in lines:
        text += f"m=audio {line.port} RTP/AVP {line.payload_type}\r\n"
        text += f"a=rtpmap:{line.payload_type} {line.codec}\r\na={line.direction}\r\n"
        if line.label is not None:
            text += f"a=label:{line.label}\r\n"
    return text


def request(method: str, body: bytes = b"", content_type: str = "", *, cseq: int = 1, transport: str = "UDP") -> bytes:
    head = (
        f"{method} sip:srs@{SERVER} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} {CLIENT}:5060;branch=z9hG4bK{method}{cseq}\r\n"
        f"From: <sip:src@{CLIENT}>;tag=client\r\nTo: <sip:srs@{SERVER}>{'' if cseq == 1 else ';tag=server'}\r\n"
        f"Call-ID: call-1@example.com\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:src@{CLIENT}:5060>;+sip.src\r\nRequire: siprec\r\nUser-Agent: Test Client/1.0\r\n"
    )
    if content_type:
        head += f"Content-Type: {content_type}\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def multipart(offer: str, metadata: str) -> tuple[bytes, str]:
    body = (
        f"--b\r\nContent-Type: application/sdp\r\n\r\n{offer}\r\n"
        f"--b\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n"
        f"{metadata}\r\n--b--\r\n"
    )
    return body.encode(), "multipart/mixed;boundary=b"


def response(asked: bytes, status: str, body: bytes = b"") -> bytes:
    """Answer a request of `request`."""
    lines = asked.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:5]
    lines = [line + b";tag=server" if line.startswith(b"To:") and b"tag=" not in line else line for line in lines]
    lines += [line for line in asked.split(b"\r\n") if line.startswith(b"CSeq:")]
    head = b"\r\n".join([f"SIP/2.0 {status}".encode(), *dict.fromkeys(lines)])
    if body:
        head += b"\r\nContent-Type: application/sdp"
    return head + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def tone(count: int, *, step: int = 37, level: int = 8_000) -> bytes:
    """Give PCM in which every sample tells its place, as well as a codec keeps it."""
    return b"".join((((n * step) % (2 * level)) - level).to_bytes(2, "little", signed=True) for n in range(count))


def coded(pcm: bytes, codec: str = "PCMU/8000") -> bytes:
    """Give what is left of PCM after the codec."""
    name, rate = codec.split("/")[:2]
    encoder, decoder = encoder_for(name, int(rate), 1), decoder_for(name, int(rate), 1)
    assert encoder is not None
    assert decoder is not None
    return decoder.decode(encoder.encode(pcm))


@dataclass(frozen=True)
class Sent:
    """One datagram on its way."""

    data: bytes
    seconds: float
    """From the answer."""
    source: Address = RTP_SOURCE


def stream(
    pcm: bytes,
    *,
    line: Line = LINES[0],
    ssrc: int = 0x11,
    sequence_number: int = 100,
    timestamp: int = 1_000,
    seconds: float = 0.0,
    frame: int = 160,
) -> list[Sent]:
    """Packetise PCM in frames that arrive when they are due."""
    name, rate = line.codec.split("/")[:2]
    encoder = encoder_for(name, int(rate), 1)
    assert encoder is not None
    sent = []
    for n in range(len(pcm) // (2 * frame)):
        packet = RtpPacket(
            line.payload_type,
            (sequence_number + n) & 0xFFFF,
            (timestamp + n * frame) & 0xFFFF_FFFF,
            ssrc,
            encoder.encode(pcm[n * 2 * frame : (n + 1) * 2 * frame]),
        )
        sent.append(Sent(packet.to_bytes(), seconds + n * frame / int(rate), Address(CLIENT, line.port)))
    return sent


@dataclass
class Recorded:
    """A recording while it goes on."""

    transport: Transport = Transport.UDP
    limits: Limits = field(default_factory=Limits)
    journal: bytes = b""
    answered: Answered | None = None
    cseq: int = 1

    def __post_init__(self) -> None:
        self.flow = Flow(
            self.transport,
            Address(SERVER, 5_060),
            Address(CLIENT, 5_060),
            FlowId(1) if self.transport.reliable else None,
        )
        self.writer = JournalWriter(SessionId("ab" * 16), time_base=TIME_BASE, application="siprec test")
        self.account = RecordingAccount(SessionId("ab" * 16), limits=self.limits, time_base=TIME_BASE, started=START)

    def keep(self, block: bytes) -> None:
        self.journal += block

    def read(self, raw: bytes) -> RecordingRequest:
        message = parse_datagram(raw, limits=self.limits)
        assert isinstance(message, Request)
        return read_request(message, limits=self.limits, strict=False)

    def invite(self, lines: Sequence[Line] = LINES, *, metadata: str = METADATA) -> "Recorded":
        """Take the INVITE and answer it."""
        body, content_type = multipart(sdp(lines), metadata) if metadata else (sdp(lines).encode(), "application/sdp")
        raw = request("INVITE", body, content_type)
        read = self.read(raw)
        self.account.invited(
            call_id="call-1@example.com",
            local_tag="server",
            remote_tag="client",
            transport=self.transport,
            peer=self.flow.remote,
            user_agent="Test Client/1.0",
            now=START,
        )
        self.account.found(*read.findings)
        self.keep(self.writer.start(flow=self.flow, now=START))
        self.keep(self.writer.sip(raw, flow=self.flow, sent=False, now=START))
        self.answer(raw, read, START)
        self.account.answered(now=START)
        if read.metadata_raw:
            self.account.metadata_received(read.metadata, read.metadata_raw, now=START)
        return self

    def answer(self, raw: bytes, read: RecordingRequest, now: float) -> None:
        if read.offer is None:
            self.keep(self.writer.sip(response(raw, "200 OK"), flow=self.flow, sent=True, now=now))
            return
        plan = plan_answer(read.offer, codecs=CODECS, previous=self.answered)
        self.account.found(*plan.findings)
        answer = build_answer(
            read.offer,
            plan,
            ports={line.index: 30_000 + 2 * line.index for line in plan.accepted},
            address=SERVER,
            session_id=7,
            previous=None if self.answered is None else self.answered.answer,
        )
        for line in plan.accepted:
            rtp = Address(SERVER, 30_000 + 2 * line.index)
            known = self.answered is not None and line.index in self.account.lines
            if not known:
                rtcp = Address(SERVER, rtp.port + 1)
                self.keep(self.writer.add_line(line.index, label=line.label, rtp=rtp, rtcp=rtcp, now=now))
        self.account.offer_answered(read.offer, plan, answer, now=now)
        self.answered = Answered(offer=read.offer, plan=plan, answer=answer)
        self.keep(self.writer.sip(response(raw, "200 OK", answer.to_bytes()), flow=self.flow, sent=True, now=now))

    def offer(self, lines: Sequence[Line], seconds: float, *, metadata: str = "") -> "Recorded":
        """Take a re-INVITE and answer it."""
        self.cseq += 1
        text = sdp(lines, version=self.cseq)
        body, content_type = multipart(text, metadata) if metadata else (text.encode(), "application/sdp")
        raw = request("INVITE", body, content_type, cseq=self.cseq)
        read = self.read(raw)
        now = START + seconds
        self.keep(self.writer.sip(raw, flow=self.flow, sent=False, now=now))
        self.account.found(*read.findings)
        if read.metadata_raw:
            self.account.metadata_received(read.metadata, read.metadata_raw, now=now)
        self.answer(raw, read, now)
        return self

    def media(
        self, line: int, sent: Sequence[Sent], *, component: Component = Component.RTP, batch: int = 5
    ) -> "Recorded":
        """Take datagrams in batches."""
        for first in range(0, len(sent), batch):
            group = sent[first : first + batch]
            arrivals = [START + each.seconds for each in group]
            datagrams = DatagramBatch([each.data for each in group], [each.source for each in group], arrivals)
            accepted = self.account.receive_media(line, datagrams, component=component, now=arrivals[-1])
            for held in accepted.held:
                self.keep(self.writer.media(line, held.component, [(held.data, held.source, held.arrival)]))
            chosen = [(group[n].data, group[n].source, arrivals[n]) for n in accepted.indexes]
            self.keep(self.writer.media(line, component, chosen))
            while (output := self.account.poll_media(line)) is not None:
                if isinstance(output, SourceFinding):
                    self.account.found(output.finding)
                    if not output.replayable:
                        self.keep(self.writer.finding(output.finding, now=arrivals[-1]))
        return self

    def bye(self, seconds: float, *, reason: str = "bye") -> "Recorded":
        """Take the BYE and end the journal."""
        self.cseq += 1
        now = START + seconds
        raw = request("BYE", cseq=self.cseq)
        self.keep(self.writer.sip(raw, flow=self.flow, sent=False, now=now))
        self.keep(self.writer.sip(response(raw, "200 OK"), flow=self.flow, sent=True, now=now))
        self.account.ended(reason, now=now)
        counts = {index: line.receiver.statistics() for index, line in self.account.lines.items()}
        self.keep(
            self.writer.finish(
                reason,
                now=now + 0.2,
                received={index: count.packets_received for index, count in counts.items()},
                rejected={index: count.packets_rejected for index, count in counts.items()},
                ended=now,
            )
        )
        return self


def chunked(data: bytes, size: int = 65_536) -> list[bytes]:
    return [data[first : first + size] for first in range(0, len(data), size)]


def rendered(journal: bytes, *, limits: Limits | None = None, size: int = 65_536) -> dict[str, bytes]:
    """Render a journal; the items are checked to be well formed."""
    return collect(render(lambda: chunked(journal, size), limits=limits))


def collect(items: Iterable[RenderItem]) -> dict[str, bytes]:
    opened: dict[str, bytes] = {}
    files: dict[str, bytes] = {}
    for item in items:
        match item:
            case FileStart(name):
                assert name not in opened
                assert name not in files
                opened[name] = b""
            case FileData(name, data):
                opened[name] += data
            case FileEnd(name, size, _):
                files[name] = opened.pop(name)
                assert len(files[name]) == size
    assert not opened
    assert list(files)[-1] == "recording.json"
    return files
