"""Every fuzz target holds on its corpus, on mutations of it and on random octets; `make fuzz` goes on from here."""

import ast
import random
import re
from pathlib import Path

import pytest
from fuzz.run import CORPUS, FOLDER, corpus, load, main, mutate, targets
from hypothesis import given, settings
from hypothesis import strategies as st

CORPUS_FILE_SIZE = 64 * 1024
"""Octets: a corpus is read at each run and kept for ever."""


@pytest.mark.parametrize("name", targets())
def test_target_states_its_invariant(name: str) -> None:
    tree = ast.parse((FOLDER / f"fuzz_{name}.py").read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree) or ""
    assert len(docstring.partition("\n")[0]) > 20


@pytest.mark.parametrize("name", targets())
def test_target_has_a_small_corpus(name: str) -> None:
    sizes = {path.name: path.stat().st_size for path in (CORPUS / name).glob("*")}
    assert sizes
    assert {file: size for file, size in sizes.items() if size > CORPUS_FILE_SIZE} == {}


def test_every_corpus_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(targets())


@pytest.mark.parametrize("name", targets())
def test_target_holds_on_its_corpus(name: str) -> None:
    check = load(name)
    for data in (b"", *corpus(name)):
        check(data)


@pytest.mark.parametrize("name", targets())
def test_target_holds_on_every_beginning_of_its_corpus(name: str) -> None:
    check = load(name)
    for data in corpus(name):
        for end in range(0, len(data), 1 + len(data) // 40):
            check(data[:end])


@pytest.mark.parametrize("name", targets())
def test_target_holds_on_mutations(name: str) -> None:
    check, inputs = load(name), corpus(name)

    @settings(max_examples=60)
    @given(st.sampled_from(inputs), st.integers(0, 2**32))
    def holds(data: bytes, seed: int) -> None:
        check(mutate(data, inputs, random.Random(seed))[:4096])

    holds()


@pytest.mark.parametrize("name", targets())
def test_target_holds_on_random_octets(name: str) -> None:
    check = load(name)

    @settings(max_examples=60)
    @given(st.binary(max_size=1024))
    def holds(data: bytes) -> None:
        check(data)

    holds()


def test_runner_keeps_what_breaks_a_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(data: bytes) -> None:
        if b"needle" in data:
            raise ValueError("found")

    monkeypatch.setattr("fuzz.run.FOLDER", tmp_path / "fuzz")
    monkeypatch.setattr("fuzz.run.CRASHES", tmp_path / "fuzz" / "crashes")
    monkeypatch.setattr("fuzz.run.load", lambda name: check)
    monkeypatch.setattr("fuzz.run.corpus", lambda name: [b"a needle in hay"])
    monkeypatch.setattr("fuzz.run.targets", lambda: ["hay"])
    (tmp_path / "fuzz").mkdir()
    assert main(["hay", "--seconds", "0", "--random"]) == 1
    (crash,) = (tmp_path / "fuzz" / "crashes").iterdir()
    assert b"needle" in crash.read_bytes()
    assert re.search(r"hay: broken after \d+ inputs by fuzz/crashes/hay-[0-9a-f]{16}\n", capsys.readouterr().err)


def test_runner_tells_that_a_target_held(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("fuzz.run.load", lambda name: len)
    monkeypatch.setattr("fuzz.run.corpus", lambda name: [b"one", b"two"])
    monkeypatch.setattr("fuzz.run.targets", lambda: ["hay"])
    assert main(["--all", "--seconds", "0", "--random"]) == 0
    assert capsys.readouterr().out == "hay: 2 inputs, mutated at random with seed 1\n"


def test_mutation_repeats_with_its_seed() -> None:
    inputs = [b"INVITE sip:a@b SIP/2.0\r\n\r\n", b"v=0\r\n"]
    first = [mutate(inputs[0], inputs, random.Random(seed)) for seed in range(50)]
    assert first == [mutate(inputs[0], inputs, random.Random(seed)) for seed in range(50)]
    assert len(set(first)) > 40
