"""Whatever a server sends and the application wants, the client ends once, concludes every change, and holds nothing.

An input is a script of `fuzz/scripts.py`; the client has sent its INVITE when it begins.
"""

import sys
from collections.abc import Callable
from functools import partial

from fuzz.scripts import REST_SECONDS, Stage
from tests.core.harness import SERVER, Pair, Wire
from tests.core.messages import METADATA

from siprec_core.recording.call import ClientConfig
from siprec_core.recording.call_events import ChangeConcluded, RecordingAnswered, RecordingEnded, RecordingRefused

PARTIAL = METADATA.replace("complete", "partial")


def check(data: bytes) -> None:
    config = ClientConfig(session_timer=b"%% timer" in data)
    # What the client sends reaches nobody: the script answers.
    pair = Pair(client_config=config, wire=Wire(loss=1.0))
    caller = pair.caller
    wanted: list[int] = []

    def change(word: str) -> None:
        if word == "hold":
            number = caller.pause("1", now=pair.now)
        elif word == "go-on":
            number = caller.resume("1", now=pair.now)
        else:
            number = caller.update_metadata((METADATA if word == "tell" else PARTIAL).encode(), now=pair.now)
        if number is not None:
            wanted.append(number)

    wishes: dict[str, Callable[[], object]] = {
        word: partial(change, word) for word in ("hold", "go-on", "tell", "tell-more")
    }
    wishes["talk"] = lambda: caller.send_audio("2", bytes(1_600), now=pair.now)
    wishes["stop"] = lambda: caller.stop(now=pair.now)
    pair.call("1", "2")
    Stage(pair, pair.client, SERVER, wishes).play(data)
    caller.stop(now=pair.now)
    pair.run(REST_SECONDS)
    assert len(pair.client.of(RecordingEnded)) == 1
    assert len(pair.client.of(RecordingAnswered)) + len(pair.client.of(RecordingRefused)) <= 2
    assert [each.change for each in pair.client.of(ChangeConcluded) if each.change] == wanted
    assert caller.changes_waiting == 0
    assert caller.next_timeout() is None
    assert not pair.client.media


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
