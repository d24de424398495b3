"""What of a server's configuration may change while it runs."""

from dataclasses import fields, replace

from siprec_core.recording.policy import ServerConfig

LIVE_FIELDS = frozenset(
    (
        "admission",
        "codecs",
        "decision_seconds",
        "mask_digits",
        "max_sessions",
        "media_host",
        "metadata_filter",
        "prefer_own_codecs",
        "retry_seconds",
        "rtp_ports",
        "undecided",
        "when_full",
    )
)
"""Fields of `ServerConfig` that count for calls to come; calls that run keep what they began with."""


def merge_live(old: ServerConfig, new: ServerConfig) -> tuple[ServerConfig, tuple[str, ...]]:
    """Give the old configuration with what may change, and the names of fields that differ and may not."""
    differing = tuple(each.name for each in fields(old) if getattr(old, each.name) != getattr(new, each.name))
    live = {name: getattr(new, name) for name in differing if name in LIVE_FIELDS}
    return replace(old, **live), tuple(name for name in differing if name not in LIVE_FIELDS)
