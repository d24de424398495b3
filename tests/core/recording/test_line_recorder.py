"""What becomes of the datagrams of one line in the process that takes them."""

from dataclasses import replace

from siprec_core.limits import Limits
from siprec_core.media.encryption import CryptoCounts, MasterKey, ReceivingKey
from siprec_core.media.outputs import SourceFinding, SourceLocked, SsrcAdded
from siprec_core.recording.journal import LineEncoder, without_media
from siprec_core.recording.line_recorder import REPORT_SECONDS, LineRecorder
from siprec_core.recording.plane import RecordLine
from siprec_core.types import Address, Component, DatagramBatch, MediaId, SinkId
from tests.core.ciphers import SUITES, PretendContext, PretendProvider
from tests.core.harness import TIME_BASE
from tests.core.media.lines import ANNOUNCED, FOREIGN, rtp, spec

RTP = Address("192.0.2.9", 30_000)
START = RecordLine(
    sink=SinkId(3),
    line=1,
    media=MediaId(7),
    interface=2,
    rtp=RTP,
    rtcp=Address("192.0.2.9", 30_001),
    where="stream 1",
    time_base=TIME_BASE,
    mask_digits=False,
    limits=Limits(),
)


def recorder() -> LineRecorder:
    line = LineRecorder(START, PretendProvider())
    line.update(spec(), now=0.0)
    return line


def batch(*datagrams: bytes, source: Address = ANNOUNCED, at: float = 1.0) -> DatagramBatch:
    return DatagramBatch(list(datagrams), [source] * len(datagrams), [at] * len(datagrams))


def receive(line: LineRecorder, given: DatagramBatch, now: float = 1.0) -> bytes:
    return line.receive(given, component=Component.RTP, now=now)


def blocks(*datagrams: bytes, at: float = 1.0, port: int = 30_000) -> bytes:
    encoder = LineEncoder(2, rtp=Address(RTP.host, port), rtcp=None, time_base=TIME_BASE)
    return encoder.encode(Component.RTP, [(data, ANNOUNCED, at) for data in datagrams])


def test_accepted_datagrams_become_blocks_of_the_lines_interface() -> None:
    line = recorder()
    assert receive(line, batch(rtp(1), rtp(2))) == blocks(rtp(1), rtp(2))
    assert receive(line, batch(rtp(3), source=FOREIGN)) == b""
    assert without_media(blocks(rtp(1))) == b""
    line.move(replace(START, rtp=Address(RTP.host, 30_010), rtcp=None))
    assert receive(line, batch(rtp(3))) == blocks(rtp(3), port=30_010)
    report = line.report(now=1.0)
    assert report is not None
    assert report.journal_size == 3 * len(blocks(rtp(1)))
    assert (report.statistics.packets_received, report.statistics.packets_rejected) == (3, 1)


def test_nothing_is_taken_before_the_answer() -> None:
    line = LineRecorder(START, None)
    assert receive(line, batch(rtp(1))) == b""
    assert line.report(now=9.0, last=True) is None


def test_datagrams_that_were_held_are_written_when_their_source_is_believed() -> None:
    line = LineRecorder(START, None)
    line.update(spec(remote_rtp=None), now=0.0)
    assert receive(line, batch(rtp(1))) == b""
    assert receive(line, batch(rtp(2))) == blocks(rtp(1)) + blocks(rtp(2))


def test_what_comes_in_a_pause_is_left_out_by_its_arrival() -> None:
    line = recorder()
    line.pause(paused=True, now=2.0)
    line.pause(paused=True, now=2.5)
    assert receive(line, batch(rtp(1), at=1.9)) == blocks(rtp(1), at=1.9)
    assert receive(line, batch(rtp(2), at=2.1)) == b""
    line.pause(paused=False, now=3.0)
    assert receive(line, batch(rtp(3), at=2.9)) == b""
    assert receive(line, batch(rtp(4), at=3.0)) == blocks(rtp(4), at=3.0)


def test_reports_come_at_once_for_news_and_else_once_a_second() -> None:
    line = recorder()
    assert line.report(now=0.5) is None
    receive(line, batch(rtp(1)))
    first = line.report(now=1.0)
    assert first is not None
    assert [type(output) for output in first.outputs] == [SourceLocked, SsrcAdded]
    assert first.unopened == CryptoCounts(0, 0)
    receive(line, batch(rtp(2)))
    assert line.report(now=1.0 + REPORT_SECONDS / 2) is None
    second = line.report(now=1.0 + REPORT_SECONDS)
    assert second is not None
    assert second.outputs == ()
    assert second.statistics.packets_received == 2
    assert line.report(now=9.0) is None
    assert line.report(now=9.0, last=True) == second


def test_encrypted_lines_are_opened_and_what_is_not_is_told() -> None:
    line = recorder()
    key = MasterKey(SUITES[1], bytes(range(30)))
    sealed = PretendContext(key).protect(rtp(1))
    assert isinstance(sealed, bytes)
    line.secure((ReceivingKey(key),), now=0.0)
    assert receive(line, batch(sealed, sealed, rtp(2))) == blocks(rtp(1))
    report = line.report(now=1.0)
    assert report is not None
    assert (report.unopened, report.packets_unopened) == (CryptoCounts(1, 1), 2)
    found = [output.finding.code for output in report.outputs if isinstance(output, SourceFinding)]
    assert found == ["srtp-replayed", "srtp-rejected"]
    line.secure((), now=1.0)
    assert receive(line, batch(rtp(2))) == blocks(rtp(2))


def test_without_ciphers_there_is_nothing_to_open() -> None:
    line = LineRecorder(START, None)
    line.update(spec(), now=0.0)
    line.secure((ReceivingKey(MasterKey(SUITES[1], bytes(30))),), now=0.0)
    assert receive(line, batch(rtp(1))) == blocks(rtp(1))
