"""Inputs that are scripts: steps that a whole server or client lives through.

A step begins with a line `%% WORD ARGUMENTS`; the octets up to the next such line are its content:

    %% datagram          the content comes as one datagram
    %% stream SIZE       the content comes over a connection, in pieces of SIZE octets
    %% lost              the connection breaks, and another one stands
    %% time SECONDS      so much time passes
    %% media             each line comes to a media port
    %% answer STATUS     the content is the body of an answer to the latest request of ours
    %% want WORD         the application wants something: the target tells which words there are

In a content `$TAG` stands for the tag that we gave, `$CALL` for the Call-ID of a call of ours, `$PEER` for our tag in
its From.
"""

from collections.abc import Callable, Mapping

from tests.core.harness import Node, Pair
from tests.core.messages import field, response_to, tag

from siprec_core.errors import LocalProtocolError
from siprec_core.types import Address, Component, DatagramBatch, Flow, FlowId, Transport

MOST_STEPS = 60
"""Steps of one input: each may take time."""
REST_SECONDS = 100_000.0
"""Time after which nothing may be left, the longest recording included."""


class Stage:
    """A server or client of ours that a script plays with."""

    def __init__(self, pair: Pair, node: Node, peer: Address, wishes: Mapping[str, Callable[[], object]]) -> None:
        self.pair = pair
        self._node = node
        self._peer = peer
        self._wishes = wishes
        self._count = 0
        self._flow = self._connect()

    def play(self, data: bytes) -> None:
        """Live through a script."""
        for step in data.split(b"%% ")[1 : MOST_STEPS + 1]:
            line, _, content = step.partition(b"\n")
            word, _, argument = line.decode("latin-1").strip().partition(" ")
            self._act(word, argument.strip(), content)

    def _act(self, word: str, argument: str, content: bytes) -> None:
        if word == "datagram":
            self.pair.inject(self._filled(content), source=self._peer, to=self._node)
        elif word == "stream":
            self._stream(self._filled(content), _number(argument, 65_536.0))
        elif word == "lost":
            self._node.machine.flow_failed(self._flow, "reset", now=self.pair.now)
            self._flow = self._connect()
        elif word == "time":
            self.pair.run(min(_number(argument, 1.0), 10_000.0))
        elif word == "media":
            self._media(content.split(b"\n"))
        elif word == "answer":
            self._answer(round(_number(argument, 200.0)), content)
        elif word == "want" and argument in self._wishes:
            try:
                self._wishes[argument]()
            except LocalProtocolError:
                pass  # the state forbids it
        self.pair.settle()

    def _connect(self) -> Flow:
        self._count += 1
        source = Address(self._peer.host, 40_000 + self._count)
        flow = Flow(Transport.TCP, self._node.address, source, FlowId(self._count))
        self._node.machine.flow_opened(flow, now=self.pair.now)
        self.pair.settle()
        return flow

    def _stream(self, content: bytes, size: float) -> None:
        size = max(1, min(int(size), 65_536))
        for start in range(0, len(content), size):
            self._node.machine.receive_stream(self._flow, content[start : start + size], now=self.pair.now)
            self.pair.settle()

    def _media(self, lines: list[bytes]) -> None:
        for media in list(self._node.media):
            count = len(lines)
            batch = DatagramBatch(lines, [self._peer] * count, [self.pair.now] * count)
            self._node.machine.receive_media(media, batch, component=Component.RTP, now=self.pair.now)
            self.pair.settle()

    def _answer(self, code: int, content: bytes) -> None:
        asked = [data for data in self._node.sent if not data.startswith((b"SIP/2.0", b"ACK", b"\r\n"))]
        if asked and 100 <= code <= 699:
            text = self._filled(content).decode("latin-1")
            self.pair.inject(response_to(asked[-1], code, body=text), source=self._peer, to=self._node)

    def _filled(self, content: bytes) -> bytes:
        if b"$" not in content:
            return content
        answers = [data for data in self._node.sent if data.startswith(b"SIP/2.0 ")]
        ours = tag(answers[-1]) if answers else ""
        calls = self._node.messages(b"INVITE")
        call_id = field(calls[0], "Call-ID") if calls else ""
        from_tag = field(calls[0], "From").partition("tag=")[2] if calls else ""
        names = ((b"$TAG", ours), (b"$CALL", call_id), (b"$PEER", from_tag))
        for name, value in names:
            content = content.replace(name, value.encode(errors="surrogateescape"))
        return content


def _number(text: str, otherwise: float) -> float:
    plain = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 12
    return float(text) if plain else otherwise
