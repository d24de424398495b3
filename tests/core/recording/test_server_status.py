"""The numbers of a whole server, from a server."""

from dataclasses import replace

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.ports import PortCounts
from siprec_core.recording.server_status import ServerStatus
from siprec_core.recording.session_info import SessionStatus
from siprec_core.recording.totals import MediaCounts
from siprec_core.types import SessionId, SinkId
from tests.core.harness import Pair
from tests.core.messages import invite, request, status


def status_of(pair: Pair) -> ServerStatus:
    """Give the status, which has to agree with the answer to OPTIONS."""
    found = pair.recorder.status(now=pair.now)
    assert found.unavailable == pair.recorder.unavailable(now=pair.now)
    before = len(pair.server.sent)
    pair.inject(request("OPTIONS", call_id=f"o-{before}", branch=f"z9hG4bK-o-{before}"))
    assert (status(pair.server.sent[-1]) == 200) is (found.unavailable is None)
    return found


def counted(found: ServerStatus) -> dict[str, int]:
    return {each.value: count for each, count in found.sessions.items() if count}


def test_a_call_from_its_start_to_its_end() -> None:
    pair = Pair(config=ServerConfig(rtp_ports=(30_000, 30_009)))
    idle = status_of(pair)
    assert set(idle.sessions) == set(SessionStatus)
    assert (counted(idle), idle.streams, idle.unavailable) == ({}, 0, None)
    assert idle.ports == PortCounts(taken=0, free=5, resting=0)
    pair.call("1", "2")
    pair.run(1.0)
    pair.caller.send_audio("1", bytes(320 * 20), now=pair.now)
    pair.run(1.0)
    running = status_of(pair)
    assert (counted(running), running.streams) == ({"active": 1}, 2)
    assert running.ports == PortCounts(taken=2, free=3, resting=0)
    assert running.past_media == MediaCounts()
    media = pair.recorder.media_counts((*running.session_ids, SessionId("none")))
    assert media.packets_received == 20
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    over = status_of(pair)
    assert (counted(over), over.streams, over.session_ids) == ({}, 0, ())
    assert over.ports == PortCounts(taken=0, free=3, resting=2)
    assert over.past_media == media
    assert pair.recorder.media_counts(running.session_ids) == MediaCounts()


def test_why_no_call_is_taken() -> None:
    pair = Pair(config=ServerConfig(rtp_ports=(30_000, 30_003)))
    pair.recorder.storage_changed(full=True, now=pair.now)
    assert status_of(pair).unavailable == "storage-full"
    pair.recorder.storage_changed(full=False, now=pair.now)
    assert status_of(pair).unavailable is None
    pair.inject(invite())
    assert status_of(pair).unavailable == "no-ports"
    pair.recorder.sink_failed(SinkId(99), "gone", now=pair.now)
    assert status_of(pair).unavailable == "storage-failed"
    pair.recorder.shut_down(drain_seconds=10.0, now=pair.now)
    assert status_of(pair).unavailable == "draining"


@pytest.mark.parametrize("when_full", ["busy", "unavailable"])
def test_a_full_server(when_full: str) -> None:
    pair = Pair(config=ServerConfig(max_sessions=1, when_full=when_full))
    pair.inject(invite())
    assert status_of(pair).unavailable == "full"


def test_a_server_where_calls_wait_is_full_when_the_line_is() -> None:
    admission = AdmissionPolicy(queue_seconds=30.0)
    config = ServerConfig(max_sessions=1, when_full="queue", admission=admission, limits=Limits(waiting_calls=1))
    pair = Pair(config=config)
    pair.inject(invite(call_id="a"))
    assert status_of(pair).unavailable is None
    pair.inject(invite(call_id="b"))
    full = status_of(pair)
    assert (full.unavailable, full.waiting_calls) == ("full", 1)


def test_one_full_peer_does_not_make_the_server_full() -> None:
    pair = Pair(config=ServerConfig(admission=AdmissionPolicy(max_sessions_per_peer=1)))
    pair.inject(invite())
    assert pair.recorder.status(now=pair.now).unavailable is None


def test_a_paused_session_is_counted_as_such() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    (session,) = pair.recorder.session_ids()
    pair.recorder.pause(session, now=pair.now)
    assert counted(replace(pair.recorder.status(now=pair.now))) == {"paused": 1}
