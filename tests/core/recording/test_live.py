"""What of a server's configuration may change while it runs."""

from dataclasses import fields

from siprec_core.limits import Limits
from siprec_core.recording.live import LIVE_FIELDS, merge_live
from siprec_core.recording.policy import ServerConfig


def test_live_fields_are_fields() -> None:
    assert {each.name for each in fields(ServerConfig)} > LIVE_FIELDS


def test_what_may_change_does_and_the_rest_is_named() -> None:
    old = ServerConfig(max_sessions=1, strict=True)
    new = ServerConfig(max_sessions=2, when_full="unavailable", codecs=("PCMA/8000",), limits=Limits(hops=7))
    merged, refused = merge_live(old, new)
    assert merged == ServerConfig(max_sessions=2, when_full="unavailable", codecs=("PCMA/8000",), strict=True)
    assert refused == ("strict", "limits")
    assert merge_live(old, old) == (old, ())
