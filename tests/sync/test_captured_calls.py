"""The files of every call of a capture."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.mixing import Mix
from siprec_sync.captured_calls import render_calls
from tests.core.recording.captured import CapturedCall, as_pcapng, ip_packets, together

ONE = CapturedCall()
TWO = CapturedCall("call-2@example.com", begin=0.05, port=30_010, step=53, transport="tcp")


def written(folder: Path, *calls: CapturedCall) -> Path:
    (folder / "in.pcapng").write_bytes(as_pcapng(ip_packets(together(*calls), fragment_size=512)))
    return folder / "in.pcapng"


def report_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "recording.json").read_bytes())
    return content


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_several_calls_get_a_folder_each(tmp_path: Path) -> None:
    capture, folder = written(tmp_path, ONE, TWO), tmp_path / "out"
    made = render_calls(capture, folder)
    reports = [report_of(each) for each in made]
    assert [each["call_id"] for each in reports] == [ONE.name, TWO.name]
    assert list(made) == [folder / each["id"] for each in reports]
    assert sorted(path.name for path in folder.iterdir()) == sorted(each["id"] for each in reports)
    for each, names in made.items():
        assert sorted(files_below(each)) == sorted(names)
        assert {"1.wav", "mix.wav", "metadata.xml", "metadata/0001.xml", "recording.json"} == set(names)
    before = files_below(folder)
    render_calls(capture, folder)
    render_calls(capture, tmp_path / "again")
    assert files_below(folder) == files_below(tmp_path / "again") == before


def test_a_call_has_the_same_files_alone_and_beside_others(tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    assert list(render_calls(written(tmp_path, TWO), folder)) == [folder]
    beside = list(render_calls(written(tmp_path, ONE, TWO), tmp_path / "beside"))[1]
    assert files_below(folder) == files_below(beside)


def test_without_an_answered_call_the_report_says_so(tmp_path: Path) -> None:
    capture = written(tmp_path, replace(ONE, answered=False))
    assert render_calls(capture, tmp_path / "out") == {tmp_path / "out": ("recording.json",)}
    assert (report_of(tmp_path / "out")["status"], report_of(tmp_path / "out")["call_id"]) == ("failed", ONE.name)


def test_options_and_limits_count_for_every_call(tmp_path: Path) -> None:
    capture = written(tmp_path, ONE, TWO)
    for each in render_calls(capture, tmp_path / "stereo", mix=Mix.STEREO):
        assert int.from_bytes((each / "mix.wav").read_bytes()[22:24], "little") == 2
    (only,) = render_calls(capture, tmp_path / "limited", limits=Limits(capture_calls=1))
    assert only == tmp_path / "limited"
    assert "capture-limit" in {found["code"] for found in report_of(only)["findings"]}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OSError, match="exists"):
        render_calls(written(tmp_path, ONE, TWO), tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        render_calls(tmp_path / "none", tmp_path / "other")
    assert files_below(tmp_path / "other") == {}
