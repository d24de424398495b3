import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Entropy
from siprec_core.sip.digest_hash import Algorithm
from siprec_core.sip.digest_nonce import WINDOW, Nonce, Nonces

MD5, SHA_256 = Algorithm.MD5, Algorithm.SHA_256
KEY = b"k" * 16


def counting() -> Entropy:
    """Octets that never repeat."""
    given = 0

    def entropy(size: int) -> bytes:
        nonlocal given
        given += 1
        return given.to_bytes(size, "big")

    return entropy


def nonces(*, realm: str = "r", key: bytes = KEY, lifetime: float = 60.0, limit: int = 100) -> Nonces:
    return Nonces(realm, key=key, entropy=counting(), lifetime=lifetime, limit=limit)


def issued(from_: Nonces, *, now: float = 0.0) -> Nonce:
    nonce = from_.read(from_.issue(MD5, now=now), MD5, now=now)
    assert nonce is not None
    return nonce


@given(st.floats(-1e9, 1e9), st.floats(0, 59.99))
def test_nonce_is_known_while_it_lives(start: float, age: float) -> None:
    ours = nonces()
    text = ours.issue(MD5, now=start)
    assert ours.read(text, MD5, now=start + age) is not None
    assert ours.read(text, MD5, now=start + 60.01) is None
    assert ours.read(text, MD5, now=start - 0.01) is None


def test_nonce_belongs_to_realm_algorithm_and_key() -> None:
    """7616-5-a: bound to the realm."""
    text = nonces().issue(MD5, now=0.0)
    assert nonces().read(text, MD5, now=0.0) is not None
    assert nonces().read(text, SHA_256, now=0.0) is None
    assert nonces(realm="s").read(text, MD5, now=0.0) is None
    assert nonces(key=b"K" * 16).read(text, MD5, now=0.0) is None


def test_nonces_differ_and_hide_the_clock() -> None:
    ours, others = nonces(), nonces(key=b"K" * 16)
    assert ours.issue(MD5, now=5.0) != ours.issue(MD5, now=5.0)
    times = [base64.b64decode(maker.issue(MD5, now=5.0))[:8] for maker in (ours, others)]
    assert times[0] != times[1]
    assert (5_000_000).to_bytes(8, "big") not in times


@given(st.integers(0, 47), st.characters(codec="ascii"))
def test_altered_nonce_is_unknown(at: int, character: str) -> None:
    ours = nonces()
    text = ours.issue(MD5, now=0.0)
    altered = text[:at] + character + text[at + 1 :]
    assert (ours.read(altered, MD5, now=0.0) is not None) == (altered == text)


@pytest.mark.parametrize("text", ["", "x", "=" * 48, "\udcff" * 48, "é" * 48, "A" * 48, "A" * 47 + "=", "A" * 100_000])
def test_garbage_is_no_nonce(text: str) -> None:
    assert nonces().read(text, MD5, now=0.0) is None


def test_each_count_passes_once_in_order() -> None:
    ours = nonces()
    nonce = issued(ours)
    for count in (1, 2, 5):
        assert ours.spend(nonce, count, username="a", now=0.0)
        assert not ours.spend(nonce, count, username="a", now=0.0)
    assert not ours.spend(nonce, 0, username="a", now=0.0)


@given(st.lists(st.integers(0, 200) | st.sampled_from([2**32 - 1, 2**32 - 2, 2**31]), max_size=60))
def test_no_count_passes_twice(counts: list[int]) -> None:
    ours = nonces()
    nonce = issued(ours)
    used: set[int] = set()
    highest = 0
    for count in counts:
        passes = ours.spend(nonce, count, username="a", now=0.0)
        assert passes == (count > 0 and count not in used and count > highest - WINDOW)
        if passes:
            used.add(count)
            highest = max(highest, count)


def test_without_a_count_the_nonce_passes_once() -> None:
    ours = nonces()
    nonce = issued(ours)
    assert ours.spend(nonce, None, username="a", now=0.0)
    assert not ours.spend(nonce, None, username="a", now=0.0)
    assert not ours.spend(nonce, 1, username="a", now=0.0)
    assert not ours.spend(nonce, 2**32 - 1, username="a", now=0.0)
    other = issued(ours)
    assert ours.spend(other, 1, username="a", now=0.0)
    assert not ours.spend(other, None, username="a", now=0.0)


def test_nonce_belongs_to_its_first_user() -> None:
    ours = nonces()
    nonce = issued(ours)
    assert ours.session_ha1(nonce, "a") is None
    assert ours.spend(nonce, 1, username="a", session_ha1="of a", now=0.0)
    assert not ours.spend(nonce, 2, username="b", session_ha1="of b", now=0.0)
    assert ours.session_ha1(nonce, "a") == "of a"
    assert ours.session_ha1(nonce, "b") is None


def test_expired_nonces_are_forgotten() -> None:
    ours = nonces(lifetime=60.0)
    for at in range(10):
        ours.spend(issued(ours, now=float(at)), 1, username="a", now=float(at))
    assert len(ours) == 10
    ours.spend(issued(ours, now=65.5), 1, username="a", now=65.5)
    assert len(ours) == 5


def test_nonce_is_remembered_through_the_last_instant_of_its_life() -> None:
    ours = nonces(lifetime=60.0)
    text = ours.issue(MD5, now=0.0)
    nonce = ours.read(text, MD5, now=60.0)
    assert nonce is not None
    assert ours.spend(nonce, 1, username="a", now=60.0)
    assert ours.spend(issued(ours, now=60.0), 1, username="a", now=60.0)
    assert ours.read(text, MD5, now=60.0) is not None
    assert not ours.spend(nonce, 1, username="a", now=60.0)


def test_challenges_take_no_memory() -> None:
    ours = nonces(limit=2)
    kept = ours.issue(MD5, now=0.0)
    for _ in range(1_000):
        ours.issue(MD5, now=0.0)
    assert len(ours) == 0
    assert ours.read(kept, MD5, now=0.0) is not None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=60))
def test_full_memory_makes_old_nonces_stale_and_lets_nothing_pass_twice(uses: list[tuple[int, int]]) -> None:
    ours = nonces(limit=3)
    texts = [ours.issue(MD5, now=float(at)) for at in range(10)]
    passed: set[tuple[int, int]] = set()
    for use in uses:
        index, count = use
        nonce = ours.read(texts[index], MD5, now=9.0)
        if nonce is not None and ours.spend(nonce, count, username="a", now=9.0):
            assert use not in passed
            passed.add(use)
        assert len(ours) <= 3


def test_full_memory_keeps_new_nonces_good() -> None:
    ours = nonces(limit=3)
    for at in range(10):
        assert ours.spend(issued(ours, now=float(at)), 1, username="a", now=float(at))
    assert len(ours) == 3


def test_forgetting_an_older_nonce_revives_no_younger_one() -> None:
    ours = nonces(limit=2)
    texts = [ours.issue(MD5, now=float(at)) for at in range(8)]
    for at in (5, 6, 3, 7):  # 5 is forgotten for 3, then 3 for 7
        nonce = ours.read(texts[at], MD5, now=8.0)
        assert nonce is not None
        assert ours.spend(nonce, 1, username="a", now=8.0)
    assert ours.read(texts[5], MD5, now=8.0) is None
