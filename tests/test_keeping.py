"""The folder outside the database: a key made once, tree heads that never go back, nothing half written."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from ledger.keeping import Keeping, KeepingError
from ledger.notes import TreeHead, open_tree_head

LEDGER = "2f0c8b52-7f0e-4a5c-9c35-0a4f3a0f3c11"
OTHER = "7a1e2f3c-0000-4000-8000-000000000001"


def head(size: int, ledger: str = LEDGER, incarnation: int = 1) -> TreeHead:
    return TreeHead(ledger, incarnation, size, size.to_bytes(32, "big"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    """The same key for ever, in a private file of a private folder, whoever asks first."""
    folder = tmp_path / "keys"
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(str(Keeping(folder).verifier()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert set(keys) == {str(Keeping(folder).verifier())}
    assert (mode(folder), mode(folder / "tree-head.key")) == (0o700, 0o600)


def test_a_given_key_is_used_and_never_made(tmp_path: Path) -> None:
    """A missing, public or broken key file is an error; nothing is put in its place."""
    given = tmp_path / "given.key"
    with pytest.raises(KeepingError, match="No such file"):
        Keeping(tmp_path / "keys", given).key()
    assert not given.exists()
    key = Keeping(tmp_path / "other").key()
    given.write_text(key.encode() + "\n")
    given.chmod(0o644)
    with pytest.raises(KeepingError, match="read by others"):
        Keeping(tmp_path / "keys", given).key()
    given.chmod(0o600)
    assert Keeping(tmp_path / "keys", given).verifier() == key.verifier
    given.write_text(key.encode()[:-8])
    with pytest.raises(KeepingError, match="cannot be used"):
        Keeping(tmp_path / "keys", given).key()


def test_the_last_tree_head_of_each_life_is_kept(tmp_path: Path) -> None:
    """A smaller tree never replaces a larger one of the same life; another life has a file of its own."""
    keeping = Keeping(tmp_path / "keys")
    assert keeping.latest(LEDGER) is None
    assert keeping.everything() == []
    assert keeping.keep(head(5)).head == head(5)
    assert keeping.keep(head(3)).head == head(3)
    keeping.keep(head(9, OTHER))
    latest = keeping.latest(LEDGER)
    assert latest is not None
    assert latest.head == head(5)
    assert open_tree_head(latest.note, [keeping.verifier()]) == head(5)
    keeping.keep(head(4, incarnation=2))
    keeping.keep(head(4, incarnation=10))
    assert [kept.head for kept in keeping.lives(LEDGER)] == [
        head(5),
        head(4, incarnation=2),
        head(4, incarnation=10),
    ]
    assert len(Keeping(tmp_path / "keys").everything()) == 4


def test_many_writers_leave_the_largest(tmp_path: Path) -> None:
    """In whatever order they come."""
    keeping = Keeping(tmp_path / "keys")
    threads = [threading.Thread(target=keeping.keep, args=(head(size),)) for size in range(1, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latest = keeping.latest(LEDGER)
    assert latest is not None
    assert latest.head == head(39)


def test_a_crash_in_mid_write_leaves_the_former_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was being written is no tree head, and what was kept is still there."""
    keeping = Keeping(tmp_path / "keys")
    keeping.keep(head(5))

    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, crash)
        with pytest.raises(KeyboardInterrupt):
            keeping.keep(head(6))
        monkeypatch.undo()
        assert [kept.head for kept in keeping.everything()] == [head(5)]
    (tmp_path / "keys" / "tree-heads" / LEDGER / "1.abc.new").write_text("half")
    assert [kept.head for kept in keeping.everything()] == [head(5)]


def test_a_kept_tree_head_that_was_touched_is_not_relied_on(tmp_path: Path) -> None:
    """Another size, another ledger's file, another key: each is a sentence that names the file."""
    keeping = Keeping(tmp_path / "keys")
    keeping.keep(head(5))
    keeping.keep(head(9, OTHER))
    files = tmp_path / "keys" / "tree-heads"
    good = (files / LEDGER / "1").read_text()
    for wrong, said in (
        (good.replace("\n5\n", "\n4\n"), "not that of this text"),
        ((files / OTHER / "1").read_text(), "another ledger's"),
        (Keeping(tmp_path / "second").sign(head(5)), "none of these keys"),
        ("", "cannot be relied on"),
    ):
        (files / LEDGER / "1").write_text(wrong)
        with pytest.raises(KeepingError, match=said):
            keeping.latest(LEDGER)
        with pytest.raises(KeepingError, match=LEDGER):
            keeping.keep(head(6))


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    """Which path, and why."""
    (tmp_path / "keys").write_text("")
    with pytest.raises(KeepingError, match="keys cannot be used"):
        Keeping(tmp_path / "keys").key()
