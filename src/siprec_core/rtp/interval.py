"""When the next RTCP packet is due (RFC 3550 sections 6.2, 6.3 and appendix A.7)."""

MINIMUM_SECONDS = 5.0
"""Least mean time between two compound packets (RFC 3550 section 6.2)."""
SESSION_BANDWIDTH = 80_000
"""Bits a second of one G.711 stream with its headers: the session bandwidth where none was told."""
_RTCP_FRACTION = 0.05
_SENDER_FRACTION = 0.25
_COMPENSATION = 1.21828
"""e - 3/2: makes good for timer reconsideration, which settles below the intended mean."""


def rtcp_interval(
    *, members: int, senders: int, we_sent: bool, average_size: float, initial: bool, fraction: float
) -> float:
    """Give the seconds to wait, randomised by `fraction` (0 to 1).

    `members` and `senders` count us too; `average_size` is that of the compound packets with their IP and UDP headers;
    `initial` is true before the first packet of ours, which comes after half the minimum.
    """
    minimum = MINIMUM_SECONDS / 2 if initial else MINIMUM_SECONDS
    bandwidth = SESSION_BANDWIDTH / 8 * _RTCP_FRACTION
    count = members
    if senders <= members * _SENDER_FRACTION:
        bandwidth *= _SENDER_FRACTION if we_sent else 1 - _SENDER_FRACTION
        count = senders if we_sent else members - senders
    deterministic = max(minimum, average_size * count / bandwidth)
    # RFC 3550 6.3.1: "uniformly distributed between 0.5 and 1.5 times" the calculated interval.
    return deterministic * (0.5 + fraction) / _COMPENSATION
