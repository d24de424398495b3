"""The values that session and media plane exchange are fit for the way between two processes."""

import pickle

from siprec_core.recording.commands import PauseLine, RecordLine, SecureLine, UpdateLine
from siprec_core.recording.plane import LineReport
from tests.core.harness import Pair
from tests.core.recording.test_apart import APART, begin, talk


def test_they_come_out_of_a_pickle_as_they_went_in() -> None:
    pair = Pair(config=APART)
    kinds = set()
    perform = pair.plane.perform

    def passed_on(command: RecordLine | UpdateLine | SecureLine | PauseLine) -> None:
        copy = pickle.loads(pickle.dumps(command))
        assert copy == command
        kinds.add(type(command))
        perform(copy)

    pair.plane.perform = passed_on  # type: ignore[method-assign]
    begin(pair)
    talk(pair, "1", "2")
    pair.recorder.pause(next(iter(pair.recorder.sessions())), now=pair.now)
    pair.run(0.5)
    assert kinds == {RecordLine, UpdateLine, PauseLine}
    report = next(line for _, line in pair.plane.lines.values()).report(now=pair.now, last=True)
    assert isinstance(report, LineReport)
    assert pickle.loads(pickle.dumps(report)) == report
