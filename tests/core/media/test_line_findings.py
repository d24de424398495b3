from siprec_core.machine import Outbox
from siprec_core.media.line_findings import LineFindings
from siprec_core.media.outputs import MediaOutput, SourceFinding
from siprec_core.rtp.demux import DatagramKind
from tests.core.media.lines import ANNOUNCED, ELSEWHERE, FOREIGN


def told(outbox: Outbox[MediaOutput]) -> list[tuple[str, str, float, bool]]:
    found = []
    while (output := outbox.poll()) is not None:
        assert isinstance(output, SourceFinding)
        found.append((output.finding.code, output.finding.message, output.at, output.replayable))
    return found


def test_each_subject_is_told_of_once() -> None:
    outbox: Outbox[MediaOutput] = Outbox()
    findings = LineFindings(outbox, "stream 1")
    for at in (1.0, 2.0):
        findings.add("ssrc-changed", "new", at, replayable=True)
        for subject in ("96", "97"):
            findings.add("payload-type-unknown", subject, at, replayable=False, subject=subject)
    assert told(outbox) == [
        ("ssrc-changed", "new", 1.0, True),
        ("payload-type-unknown", "96", 1.0, False),
        ("payload-type-unknown", "97", 1.0, False),
    ]
    assert "ssrc-changed" in findings
    assert "source-learnt" not in findings
    assert len(findings) == 3


def test_strangers_and_other_protocols() -> None:
    outbox: Outbox[MediaOutput] = Outbox()
    findings = LineFindings(outbox, "stream 1")
    findings.foreign(FOREIGN, ANNOUNCED, 1.0)
    findings.foreign(ELSEWHERE, ANNOUNCED, 2.0)
    for kind in (DatagramKind.EMPTY, DatagramKind.STUN, DatagramKind.UNKNOWN):
        findings.other_protocol(kind, 3.0)
    codes = [(code, at) for code, _, at, _ in told(outbox)]
    assert codes == [("source-foreign", 1.0), ("media-other-protocol", 3.0), ("rtp-invalid", 3.0)]
