"""The findings of one media line, each raised once per subject: a flood of bad datagrams is told of once."""

from siprec_core.findings import finding
from siprec_core.machine import Outbox
from siprec_core.media.outputs import MediaOutput, SourceFinding
from siprec_core.rtp.demux import DatagramKind
from siprec_core.types import Address


class LineFindings:
    """What was found on one line; new findings go to the outbox of its receiver."""

    __slots__ = ("_found", "_outbox", "_where")

    def __init__(self, outbox: Outbox[MediaOutput], where: str) -> None:
        self._outbox = outbox
        self._where = where
        self._found: set[str] = set()

    def __contains__(self, code: object) -> bool:
        """Tell whether a finding without a subject was raised."""
        return code in self._found

    def __len__(self) -> int:
        return len(self._found)

    def add(self, code: str, message: str | None, at: float, *, replayable: bool, subject: str = "") -> None:
        """Raise a finding at the arrival of its datagram, unless it was raised of this subject before."""
        key = f"{code} {subject}" if subject else code
        if key not in self._found:
            self._found.add(key)
            self._outbox.put(SourceFinding(finding=finding(code, self._where, message), at=at, replayable=replayable))

    def foreign(self, source: Address, locked: Address | None, arrival: float) -> None:
        """Tell of packets that are not of the line's source."""
        message = f"packets from {source} were rejected; the source of the line is {locked}"
        self.add("source-foreign", message, arrival, replayable=False)

    def other_protocol(self, kind: DatagramKind, arrival: float) -> None:
        """Tell of datagrams on the RTP port that are neither RTP nor RTCP."""
        # RFC 6263 4.1: an empty datagram is a keep-alive and nothing to speak of.
        if kind is DatagramKind.UNKNOWN:
            self.add(
                "rtp-invalid", "first: the first octet belongs to no protocol of RFC 7983", arrival, replayable=False
            )
        elif kind is not DatagramKind.EMPTY:
            message = f"{kind.value} datagrams came to the RTP port and were passed over"
            self.add("media-other-protocol", message, arrival, replayable=False, subject=kind.value)
