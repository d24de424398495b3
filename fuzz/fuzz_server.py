"""Whatever a peer sends and the application wants, the server answers or drops it, rests, and holds nothing in the end.

An input is a script of `fuzz/scripts.py`.
"""

import sys
from collections.abc import Callable
from functools import partial

from fuzz.scripts import REST_SECONDS, Stage
from tests.core.harness import CLIENT, Pair

from siprec_core.limits import Limits
from siprec_core.recording.events import ServerDrained, SessionEnded, SessionEstablished
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.replay import Replay
from siprec_core.types import SessionId

PORTS = (30_000, 30_007)
LIMITS = Limits(findings=50, timeline_entries=200)


def check(data: bytes) -> None:
    strict, manual = b"%% strict" in data, b"%% manual" in data
    pair = Pair(config=ServerConfig(rtp_ports=PORTS, strict=strict, manual=manual, limits=LIMITS))
    recorder = pair.recorder

    def to_all(act: Callable[..., object]) -> None:
        for session in list(recorder.sessions()):
            act(session, now=pair.now)

    def reject(session: SessionId, *, now: float) -> None:
        recorder.reject(session, 603, now=now)

    acts = {
        "accept": recorder.accept,
        "reject": reject,
        "end": recorder.end,
        "pause": recorder.pause,
        "resume": recorder.resume,
        "snapshot": recorder.request_snapshot,
    }
    Stage(pair, pair.server, CLIENT, {word: partial(to_all, act) for word, act in acts.items()}).play(data)
    recorder.shut_down(drain_seconds=0.0, now=pair.now)
    pair.run(REST_SECONDS)
    assert not recorder.sessions()
    assert recorder.next_timeout() is None
    assert len(pair.server.of(ServerDrained)) == 1
    assert len(pair.server.of(SessionEstablished)) == len(pair.server.of(SessionEnded))
    for name, journal in pair.server.files.items():
        if name.endswith("journal.pcapng"):
            check_journal(journal)


def check_journal(journal: bytes) -> None:
    """What is kept of a call can be read."""
    replay = Replay(limits=LIMITS)
    replay.receive(journal)
    replay.end_of_file()
    while replay.poll() is not None:
        pass
    assert replay.account is not None
    assert replay.account.answered_ns is not None


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
