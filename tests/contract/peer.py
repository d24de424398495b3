"""A recording client of the tests' own: plain blocking sockets, so that nothing of ours checks itself."""

import re
import socket
import ssl
import struct
from itertools import count
from typing import Self

from siprec_core.types import Address, Transport

PATIENCE = 10.0
"""Seconds after which a test gives up; nothing is asserted about time."""
_NUMBERS = count(1)


class Answer:
    """One response as it came."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        self.lines = head.decode().split("\r\n")
        self.status = int(self.lines[0].split()[1]) if self.lines[0].startswith("SIP/2.0 ") else 0
        self.method = "" if self.status else self.lines[0].split()[0]

    def header(self, name: str) -> str:
        values = [line.partition(":")[2].strip() for line in self.lines if line.lower().startswith(name.lower() + ":")]
        return values[0] if values else ""

    @property
    def to_tag(self) -> str:
        return self.header("To").partition(";tag=")[2]

    @property
    def ports(self) -> list[int]:
        """The media ports of the answer's SDP."""
        return [int(port) for port in re.findall(rb"m=audio (\d+) ", self.body)]


class Peer:
    """One SIP user agent with one call."""

    def __init__(
        self,
        transport: Transport,
        target: Address,
        *,
        context: ssl.SSLContext | None = None,
        connection: socket.socket | None = None,
    ) -> None:
        self.transport = transport
        self.target = target
        if connection is not None:
            self.socket = connection
        elif transport is Transport.UDP:
            family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(target)
        else:
            self.socket = socket.create_connection(target, timeout=PATIENCE)
            if context is not None:
                self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.local = Address(*self.socket.getsockname()[:2])
        host = f"[{self.local.host}]" if ":" in self.local.host else self.local.host
        self.where = f"{host}:{self.local.port}"
        """Where Via and Contact say that we are."""
        self.media = socket.socket(self.socket.family, socket.SOCK_DGRAM)
        self.media.bind((self.local.host, 0))
        # A port comes again while a server still remembers what came from it.
        self._number = next(_NUMBERS)
        self.call_id = f"call-{self.local.port}-{self._number}"
        self.to_tag = ""
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()
        self.media.close()

    def disconnect(self) -> None:
        """End the connection, and wait until the other side has taken note of it."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(65_536):
            pass
        self.socket.close()

    def build(
        self, method: str, number: int, *, body: str = "", headers: str = "", content_type: str = "application/sdp"
    ) -> bytes:
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        kind = f"Content-Type: {content_type}\r\n" if body else ""
        branch = f"z9hG4bK-{self.call_id}-{number}"
        if method == "ACK":
            branch += "-ack"
        return (
            f"{method} sip:recorder@localhost SIP/2.0\r\n"
            f"Via: SIP/2.0/{self.transport.via_name} {self.where};branch={branch};rport\r\n"
            f"From: <sip:client@localhost>;tag=client\r\n"
            f"To: <sip:recorder@localhost>{tag}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:client@{self.where};transport={self.transport.value}>;+sip.src\r\n"
            f"{headers}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def sdp(
        self, streams: int = 1, payload_type: int = 0, *, direction: str = "sendonly", version_number: int = 1
    ) -> str:
        """Write a description of so many streams."""
        version = "IP6" if ":" in self.local.host else "IP4"
        lines = [
            "v=0",
            f"o=- 1 {version_number} IN {version} {self.local.host}",
            "s=-",
            f"c=IN {version} {self.local.host}",
            "t=0 0",
        ]
        for index in range(streams):
            port = self.media.getsockname()[1]
            lines += [f"m=audio {port} RTP/AVP {payload_type}", f"a=label:{index + 1}", f"a={direction}"]
        return "\r\n".join([*lines, ""])

    def invite(self, streams: int = 1, payload_type: int = 0, *, headers: str = "") -> bytes:
        body = self.sdp(streams, payload_type)
        return self.build("INVITE", 1, body=body, headers=f"Require: siprec\r\n{headers}")

    def reoffer(self, number: int, body: str) -> Answer:
        """Send a re-INVITE, give its final answer, which was acknowledged."""
        self.send(self.build("INVITE", number, body=body))
        answer = self.final()
        self.send(self.build("ACK", number))
        return answer

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Answer:
        """Take the next message, whole."""
        if self.transport is Transport.UDP:
            return Answer(self.socket.recv(65_535))
        while True:
            head, separator, rest = self._buffer.lstrip(b"\r\n").partition(b"\r\n\r\n")
            found = re.search(rb"(?im)^content-length:\s*(\d+)", head)
            size = int(found[1]) if found else 0
            if separator and len(rest) >= size:
                self._buffer = rest[size:]
                return Answer(head + separator + rest[:size])
            data = self.socket.recv(65_536)
            assert data, "the connection was closed"
            self._buffer += data

    def final(self) -> Answer:
        """Take messages up to a final response."""
        while (answer := self.receive()).status < 200:
            pass
        return answer

    def request(self, method: str, number: int) -> Answer:
        self.send(self.build(method, number))
        return self.final()

    def agree(self, request: Answer, *, body: str = "", headers: str = "") -> None:
        """Answer a request of the other side's with 200."""
        kept = [line for line in request.lines[1:] if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
        tagged = [f"{line};tag=ours" if line.startswith("To:") and "tag=" not in line else line for line in kept]
        contact = f"Contact: <sip:peer@{self.where};transport={self.transport.value}>;+sip.src;+sip.srs"
        kind = ["Content-Type: application/sdp"] if body else []
        lines = ["SIP/2.0 200 OK", *tagged, contact, *headers.splitlines(), *kind]
        self.send("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode())

    def ask(self, method: str) -> Answer:
        """Take messages up to a request of this method."""
        while (message := self.receive()).method != method:
            pass
        return message

    def establish(self, streams: int = 1, *, headers: str = "") -> list[int]:
        """Set a call up; give the server's media ports."""
        self.send(self.invite(streams, headers=headers))
        answer = self.final()
        assert answer.status == 200, answer.lines
        self.to_tag = answer.to_tag
        self.send(self.build("ACK", 1))
        return answer.ports

    def talk(self, port: int, packets: int, *, ssrc: int = 1, first: int = 0) -> None:
        """Send RTP packets of 20 ms of PCMU."""
        for index in range(first, first + packets):
            header = struct.pack("!BBHII", 0x80, 0, index, index * 160, ssrc)
            self.media.sendto(header + bytes([index % 256]) * 160, (self.target.host, port))
