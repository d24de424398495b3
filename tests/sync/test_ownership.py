"""Locks on recordings."""

from pathlib import Path

from siprec_sync.ownership import RootLock, has_owner, lock_file


def test_one_server_has_a_root(tmp_path: Path) -> None:
    first, second = RootLock(tmp_path), RootLock(tmp_path)
    assert not has_owner(tmp_path)
    assert first.take()
    assert has_owner(tmp_path)
    assert not second.take()
    first.release()
    first.release()
    assert second.take()
    second.release()


def test_a_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.touch()
    with path.open("rb") as other:
        with path.open("rb") as file:
            assert lock_file(file.fileno(), wait=False)
            assert not lock_file(other.fileno(), wait=False)
        assert lock_file(other.fileno(), wait=True)


def test_files_without_locks_are_free(tmp_path: Path) -> None:
    import os

    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)
    assert lock_file(reading, wait=False)  # a descriptor that knows no lock counts as free
