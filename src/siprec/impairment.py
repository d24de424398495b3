"""A bad network between our client and a server: packets lost or overtaken, the same ones for the same seed."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from siprec_core.media.commands import SendMedia
from siprec_core.types import Address, Component, MediaId


class Impairment:
    """What stands in for the packets of a call: none, one, or two in the wrong order. RTCP passes."""

    def __init__(self, *, loss_percent: float, reorder_percent: float, seed: int) -> None:
        self.loss_percent = loss_percent
        self.reorder_percent = reorder_percent
        self.seed = seed
        self._random: Callable[[], float] = Random(seed).random
        self._held: dict[MediaId, SendMedia] = {}
        self._lost: Counter[Address] = Counter()
        self.reordered: Counter[Address] = Counter()
        """Packets that were sent behind the next one, by the address that they went to."""

    @property
    def lost(self) -> Counter[Address]:
        """Packets that were not sent, by the address that they were for.

        One that waits to be overtaken when the call ends is among them.
        """
        return self._lost + Counter(packet.to for packet in self._held.values())

    def pass_on(self, packet: SendMedia) -> Iterator[SendMedia]:
        """Give what leaves when a packet is to leave."""
        if packet.component is not Component.RTP:
            yield packet
            return
        draw = 100 * self._random()
        if draw < self.loss_percent:
            self._lost[packet.to] += 1
            return
        held = self._held.pop(packet.media, None)
        if held is None and draw >= 100 - self.reorder_percent:
            self._held[packet.media] = packet
            return
        yield packet
        if held is not None:
            self.reordered[held.to] += 1
            yield held
