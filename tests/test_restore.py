"""A backup that is older than what was seen: noticed, refused, and gone on from knowingly."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as composed
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import projections.tree_heads
from api.settings import read
from ledger import commands as c
from ledger.batch import Request
from ledger.errors import LedgerNotFound
from ledger.keeping import Keeping, KeepingError
from ledger.merkle import EMPTY_ROOT
from ledger.notes import TreeHead, open_tree_head
from ledger.reader import Reader
from projections.advance import Place, advance, begin
from projections.proving import Prover, check
from projections.tiles import TileReader, Tiles
from projections.tree_heads import Keeper, LedgerDiffers, TreeHeads, all_heads
from projections.versions import connect, ensure_live
from sql.embedded import running
from sql.migrate import migrate
from tests.audit import audited
from tests.bookkeeping import deposit, do, done, open_ledger, writing
from tests.conftest import NewDatabase
from tests.daybook_command import daybook, fails, own_data, succeeds
from tests.served import served
from tests.tampering import add_event, rewrite, unguarded
from tests.test_serve import authorized, paste, post, service
from tests.waiting import until


@contextmanager
def tree_heads(conninfo: str, folder: Path) -> Iterator[TreeHeads]:
    with closing(Reader(conninfo, 4)) as reader:
        yield TreeHeads(reader, Keeping(folder))


def grow(conninfo: str, ledger: str, events: int) -> int:
    """Add events to a ledger, which is opened if need be; its head."""
    with writing(conninfo) as writer:
        try:
            writer.execute(ledger, Request([c.command(deposit(1, 1)) for _ in range(events)]))
        except LedgerNotFound:
            open_ledger(writer, ledger)
            writer.execute(ledger, Request([c.command(deposit(1, 1)) for _ in range(events - 1)]))
    return dict(all_heads(conninfo))[ledger].size


def said(conninfo: str, folder: Path) -> list[tuple[str, str | None]]:
    """What differs: of what kind, in which ledger."""
    with tree_heads(conninfo, folder) as heads:
        return [(difference.what, difference.name) for difference in heads.differences(conninfo)]


def build_tiles(conninfo: str, size: int) -> None:
    """Apply the projection of tiles to the first ledger up to a seq."""
    projection = Tiles()
    with closing(connect(conninfo)) as connection:
        ensure_live(connection, [projection])
        place = Place(projection, 1, 1)
        begin(connection, place)
        assert advance(connection, place, size, bound=size) is not None


def keep_all(conninfo: str, folder: Path) -> None:
    with tree_heads(conninfo, folder) as heads:
        for name, _ in all_heads(conninfo):
            with heads.signed(name):
                pass


@contextmanager
def copied(conninfo: str) -> Iterator[str]:
    """A second database that is now as the first, as a restored backup would be. Nobody may be connected."""
    name = conninfo_to_dict(conninfo)["dbname"]
    copy = f"daybook_test_{uuid4().hex}"
    with psycopg.connect(make_conninfo(conninfo, dbname="postgres"), autocommit=True) as admin:
        names = map(composed.Identifier, (copy, str(name)))
        admin.execute(composed.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        try:
            yield make_conninfo(conninfo, dbname=copy)
        finally:
            admin.execute(composed.SQL("DROP DATABASE {} WITH (FORCE)").format(composed.Identifier(copy)))


# ---------------------------------------------------------------- compared


def test_a_ledger_that_moved_on_is_what_was_kept(database: str, tmp_path: Path) -> None:
    """At the kept head, beyond it, and when nothing was kept yet."""
    grow(database, "main", 300)
    assert said(database, tmp_path) == []
    keep_all(database, tmp_path)
    assert said(database, tmp_path) == []
    grow(database, "main", 300)
    grow(database, "second", 3)
    assert said(database, tmp_path) == []
    [kept] = Keeping(tmp_path).everything()
    assert kept.head.size == 300


def test_an_old_backup_is_shorter_and_then_another(database: str, tmp_path: Path) -> None:
    """Restored it is too short; with new events it is long enough, and other: neither is ever signed."""
    grow(database, "main", 10)
    with copied(database) as backup:
        grow(database, "main", 10)
        keep_all(database, tmp_path)
        for events, what in ((0, "shorter"), (5, "shorter"), (5, "root"), (300, "root")):
            if events:
                grow(backup, "main", events)
            assert said(backup, tmp_path) == [(what, "main")]
            with tree_heads(backup, tmp_path) as heads, pytest.raises(LedgerDiffers), heads.signed("main"):
                pass
        assert said(database, tmp_path) == []
    [kept] = Keeping(tmp_path).everything()
    assert kept.head == dict(all_heads(database))["main"]


def test_a_missing_ledger_and_another_database(
    database: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    """A ledger of the same name in another database is another ledger."""
    grow(database, "main", 3)
    keep_all(database, tmp_path)
    with new_database() as other:
        grow(other, "main", 3)
        with tree_heads(other, tmp_path) as heads:
            [difference] = heads.differences(other)
    assert (difference.what, difference.name) == ("missing", None)
    assert difference.kept.ledger in str(difference)


def change_event(database: str, seq: int) -> None:
    """Another body with its own leaf; the head stays as it was."""
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE daybook.events DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE daybook.events SET body = body || ' '::bytea,"
            " leaf = sha256('\\x00' || body || ' '::bytea) WHERE seq = %s",
            [seq],
        )


def test_a_changed_event_is_another_root(database: str, tmp_path: Path) -> None:
    """Also where the head row still says the old one, because more has been recorded since."""
    grow(database, "main", 5)
    keep_all(database, tmp_path)
    grow(database, "main", 5)
    change_event(database, 3)
    assert said(database, tmp_path) == [("root", "main")]


def test_who_remembers_signs_what_follows_and_nothing_else(database: str, tmp_path: Path) -> None:
    """From its second look on it adds new leaves to what it found right; a head that they do not make is not
    signed."""
    grow(database, "main", 300)
    signed = []
    with tree_heads(database, tmp_path) as heads:
        for _ in range(3):
            with heads.signed("main") as snapshot:
                signed.append(snapshot.head)
            grow(database, "main", 7)
        with unguarded(database) as connection:
            rewrite(connection, 3, lambda event: event.update(description="Gift"))
            add_event(connection, lambda event: event.update(key=""), like=300)
        with pytest.raises(LedgerDiffers, match="other events"), heads.signed("main"):
            pass
    assert [head.size for head in signed] == [300, 307, 314]
    with tree_heads(database, tmp_path) as heads:
        assert [kept.head for kept in heads.keeping.everything()] == signed[-1:]


def test_two_who_keep_the_same_ledger_go_on_from_each_other(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another has kept meanwhile is on the way to what is found now: the whole tree is compared once."""
    compared: list[int] = []
    whole = projections.tree_heads._follows

    def counted(tiles: TileReader, first: TreeHead, second: TreeHead) -> bool:
        compared.append(first.size)
        return whole(tiles, first, second)

    monkeypatch.setattr("projections.tree_heads._follows", counted)
    grow(database, "main", 300)
    with tree_heads(database, tmp_path) as one, tree_heads(database, tmp_path) as other:
        for heads in (one, other, one, other, one, other):
            with heads.signed("main"):
                pass
            grow(database, "main", 7)
    assert compared == [300, 307]


def test_a_cut_ledger_is_told_and_keeps_no_other_from_being_kept(database: str, tmp_path: Path) -> None:
    """Also where its frontier was not cut with it, and fits no tree of that size."""
    grow(database, "main", 20)
    keep_all(database, tmp_path)
    grow(database, "other", 5)
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE daybook.heads DISABLE TRIGGER USER")
        connection.execute("UPDATE daybook.heads SET seq = 9 WHERE seq = 20")
    keeper = Keeper(database, Keeping(tmp_path))
    keeper.close()
    assert list(keeper.differing) == ["main"]
    assert "ends at seq 9" in keeper.differing["main"]
    assert sorted(kept.head.size for kept in Keeping(tmp_path).everything()) == [5, 20]


def test_a_new_event_that_is_not_under_its_head_is_not_signed(database: str, tmp_path: Path) -> None:
    """What was recorded since the last look is read, whatever the head row says."""
    grow(database, "main", 20)
    with tree_heads(database, tmp_path) as heads:
        for _ in range(2):
            with heads.signed("main"):
                pass
            grow(database, "main", 5)
        change_event(database, 28)
        with pytest.raises(LedgerDiffers), heads.signed("main"):
            pass


def test_tiles_do_not_vouch_for_a_history_that_is_no_longer_theirs(database: str, tmp_path: Path) -> None:
    """An event below a tile is rewritten, the head made anew, one more recorded: nothing of it is signed."""
    grow(database, "main", 300)
    build_tiles(database, 300)
    keep_all(database, tmp_path)
    with unguarded(database) as connection:
        rewrite(connection, 3, lambda event: event.update(description="Gift"))
        add_event(connection, lambda event: event.update(key=""), like=300)
    assert said(database, tmp_path) == [("root", "main")]
    with tree_heads(database, tmp_path) as heads, pytest.raises(LedgerDiffers), heads.signed("main"):
        pass


def test_an_event_that_is_gone_is_a_difference_too(database: str, tmp_path: Path) -> None:
    """Where hashes are missing that the kept root is made of, it cannot be what it was."""
    grow(database, "main", 5)
    keep_all(database, tmp_path)
    grow(database, "main", 5)
    with unguarded(database) as connection:
        connection.execute("DELETE FROM daybook.events WHERE seq = 3")
    assert said(database, tmp_path) == [("root", "main")]


def test_a_restore_excuses_nothing_before_itself(database: str, tmp_path: Path) -> None:
    """Whatever an event says was lost, what was kept of the events before it must still be there."""
    grow(database, "main", 5)
    keep_all(database, tmp_path)
    grow(database, "main", 5)
    with unguarded(database) as connection:
        rewrite(connection, 3, lambda event: event.update(description="Gift"))
    with writing(database) as writer:
        done(do(writer, c.Restoration(reason="excuse", lost_size=99, lost_root=EMPTY_ROOT.hex())))
    assert said(database, tmp_path) == [("root", "main")]


# ---------------------------------------------------------------- kept


def test_a_tree_head_is_kept_before_it_is_handed_out(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be kept, there is none; an earlier size is signed beside the kept head."""
    grow(database, "main", 9)
    with tree_heads(database, tmp_path / "keys") as heads:
        prover = Prover(heads)
        assert prover.tree_head("main", 4).size == 4
        [kept] = heads.keeping.everything()
        assert kept.head.size == 9
        grow(database, "main", 1)

        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(KeepingError, match="No space left"):
            prover.tree_head("main")
        monkeypatch.undo()
        assert heads.keeping.everything() == [kept]
        assert prover.tree_head("main").size == 10


def test_readers_of_a_growing_ledger_never_see_a_difference(database: str, tmp_path: Path) -> None:
    """Snapshots taken before and kept after one another do not look like a ledger cut short."""
    grow(database, "main", 2)
    failures: list[Exception] = []
    sizes: list[int] = []

    def ask() -> None:
        try:
            while not stop:
                sizes.append(prover.tree_head("main").size)
        except Exception as error:
            failures.append(error)

    stop: list[bool] = []
    with tree_heads(database, tmp_path) as heads:
        prover = Prover(heads)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            grow(database, "main", 3)
        stop.append(True)
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(set(sizes)) > 5


def test_the_keeper_follows_ledgers_that_move(database: str, tmp_path: Path) -> None:
    """Within a moment, and at its end whatever is left."""
    grow(database, "main", 3)
    keeping = Keeping(tmp_path)
    keeper = Keeper(database, keeping, 0.05)
    deadline = time.monotonic() + 20
    while not keeping.everything():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    grow(database, "second", 4)
    grow(database, "main", 1)
    keeper.close()
    assert sorted(kept.head.size for kept in keeping.everything()) == [4, 4]


def test_a_service_whose_database_was_exchanged_says_that_it_is_degraded(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs nothing more, and its health names the ledger."""
    monkeypatch.setattr("projections.tree_heads.KEEP_SECONDS", 0.05)
    grow(database, "main", 3)
    ledger = dict(all_heads(database))["main"]
    Keeping(tmp_path).keep(ledger._replace(size=9))
    with served(database, tmp_path) as serving:
        until(lambda: serving.get("/health/ready")["status"] == "degraded")
        assert serving.get("/health/ready")["reasons"] == [
            "Ledger main ends at seq 3; its kept tree head says size 9 in incarnation 1."
        ]
        problem = serving.call("GET", "/v1/ledgers/main/tree-head").json()
        assert (problem["code"], problem["status"]) == ("ledger_differs", 503)


def test_each_database_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the data, not in it; another for another database; wherever the settings say."""
    monkeypatch.setenv("DAYBOOK_DATA", str(tmp_path / "data"))
    one, other = "postgresql://u:secret@h/one", "postgresql://u:changed@h/other"
    folders = [read({}).keys_dir] + [read({"DATABASE_URL": url}).keys_dir for url in (one, other)]
    assert len(set(folders)) == 3
    assert {folder.parent for folder in folders} == {tmp_path / "data-keys"}
    assert read({"DATABASE_URL": one.replace("secret", "new")}).keys_dir == folders[1]
    given = read({"DAYBOOK_KEYS": "/some/keys", "DAYBOOK_KEY": "/some/key", "DATABASE_URL": one})
    assert (given.keys_dir, given.key_file) == (Path("/some/keys"), Path("/some/key"))
    assert read({"DATABASE_URL": "no address ="}).keys_dir.parent == tmp_path / "data-keys"


# ---------------------------------------------------------------- restored


def test_restoring_an_old_backup_from_end_to_end(database: str, tmp_path: Path) -> None:
    """Refused, restored, served again as incarnation 2; the lost part stays on record; old cursors end."""
    keys: dict[str, Any] = {"DAYBOOK_KEYS": str(tmp_path / "keys")}
    with service(database, "--port", "0", **keys) as (process, printed):
        assert printed["Keys"] == keys["DAYBOOK_KEYS"]
        paste(printed["Try"])
        for number in range(4):
            assert post(printed["API"], number) == 201
        process.terminate()
        assert process.wait(30) == 0
    with copied(database) as backup:
        with service(database, "--port", "0", **keys) as (process, printed):
            for number in range(10, 13):
                assert post(printed["API"], number) == 201
            old = get(f"{printed['API']}/ledgers/demo/tree-head")
            process.terminate()
            assert process.wait(30) == 0
        assert old["size"] == 8

        refusal = fails(backup, "serve", "--port", "0", **keys)
        assert "Ledger demo ends at seq 5; its kept tree head says size 8 in incarnation 1." in refusal
        assert "daybook restore" in refusal
        assert "tree heads: Ledger demo ends at seq 5" in daybook(backup, "doctor", **keys).stdout

        assert fails(backup, "restore", "--reason", "disk lost", stdin="n\n", **keys) == "Aborted!\n"
        told = succeeds(backup, "restore", "--reason", "disk lost", "--yes", **keys)
        assert told.endswith("Ledger demo goes on in incarnation 2 from seq 6.\n")

        with service(backup, "--port", "0", **keys) as (_, printed):
            api = f"{printed['API']}/ledgers/demo"
            assert post(printed["API"], 99) == 201
            head = get(f"{api}/tree-head")
            assert (head["incarnation"], head["size"]) == (2, 7)
            page = get(f"{api}/events?after=5")
            assert page["incarnation"] == 2
            assert page["events"][0]["body"]["type"] == "ledger_restored"
            assert page["events"][0]["body"]["data"] == {
                "incarnation": 2,
                "lost_incarnation": 1,
                "lost_size": 8,
                "lost_root": old["root"],
                "reason": "disk lost",
            }
            with pytest.raises(urllib.error.HTTPError) as ended:
                get(f"{api}/events?after=5&incarnation=1")
            problem = json.load(ended.value)
            assert (problem["code"], problem["evidence"]["incarnation"]) == ("incarnation_ended", 2)
        audit = ("audit", "check", "--ledger", "demo")
        succeeds(backup, *audit, **keys)
        lost = tmp_path / "keys" / "tree-heads" / old["ledger"] / "1"
        audited = daybook(backup, *audit, "--tree-head", lost, **keys).stdout
        assert re.findall(r"^(\w+)\tfailed\t(\d+)", audited, re.MULTILINE) == [("completeness", "6")]
        examined = daybook(backup, "doctor", **keys).stdout
        assert re.search(
            r"NOTE +restored: demo: events 6 to 8 were lost with incarnation 1, whose last tree head was of "
            r"size 8; event 6 began the next one \(disk lost\)",
            examined,
        )
        assert "PROBLEM  tree heads" not in examined
        # The database that was given up is, for this folder, a former life.
        assert "is in incarnation 1; its kept tree head says size 7 in incarnation 2" in fails(
            database, "serve", "--port", "0", **keys
        )
    lives = [kept.head for kept in Keeping(tmp_path / "keys").everything()]
    assert [(head.incarnation, head.size) for head in lives] == [(1, 8), (2, 7)]


def get(url: str) -> Any:
    return json.load(urllib.request.urlopen(urllib.request.Request(url, headers=authorized()), timeout=30))


def test_a_copy_of_the_files_is_noticed_too() -> None:
    """A data directory that was copied back knows nothing of it; the folder beside it does."""
    with own_data() as data:
        keys, backup = data.with_name("data-keys") / "embedded", data.with_name("backup")
        with running(data) as conninfo:
            migrate(conninfo)
            grow(conninfo, "main", 3)
            keep_all(conninfo, keys)
        shutil.copytree(data, backup, symlinks=True)
        owner = (data / "pgdata").stat()
        with running(data) as conninfo:
            grow(conninfo, "main", 2)
            keep_all(conninfo, keys)
        shutil.rmtree(data)
        backup.rename(data)
        for path in (data, *data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        refusal = fails(None, "serve", "--port", "0", DAYBOOK_DATA=str(data))
        assert "Ledger main ends at seq 3; its kept tree head says size 5" in refusal


def test_only_the_named_ledgers_are_restored_and_a_missing_one_never(database: str, tmp_path: Path) -> None:
    """One by one or all; what is not there is said plainly; a second loss begins a third incarnation."""
    keys: dict[str, Any] = {"DAYBOOK_KEYS": str(tmp_path)}
    for name in ("first", "second"):
        grow(database, name, 3)
    with copied(database) as backup:
        grow(database, "third", 3)
        for name in ("first", "second"):
            grow(database, name, 3)
        keep_all(database, tmp_path)
        assert sorted(said(backup, tmp_path), key=str) == [
            ("missing", None),
            ("shorter", "first"),
            ("shorter", "second"),
        ]
        assert "no ledger fourth" in fails(
            backup, "restore", "--ledger", "fourth", "--reason", "x", "--yes", **keys
        )
        succeeds(backup, "restore", "--ledger", "first", "--reason", "x", "--yes", **keys)
        assert sorted(said(backup, tmp_path), key=str) == [("missing", None), ("shorter", "second")]
        refusal = fails(backup, "restore", "--reason", "x", "--yes", **keys)
        assert "cannot be restored by this command" in refusal
        assert said(backup, tmp_path) == [("missing", None)]
        shutil.rmtree(tmp_path / "tree-heads" / dict(all_heads(database))["third"].ledger)
        assert "Nothing to restore" in succeeds(backup, "restore", "--reason", "x", "--yes", **keys)
        with copied(backup) as again:
            grow(backup, "first", 2)
            keep_all(backup, tmp_path)
            succeeds(again, "restore", "--reason", "twice", "--yes", **keys)
            assert dict(all_heads(again))["first"].incarnation == 3
            assert said(again, tmp_path) == []


def test_a_backup_from_before_a_restore_goes_on_beyond_it(database: str, tmp_path: Path) -> None:
    """Its next incarnation is later than any that was seen, and says which one was lost."""
    keys: dict[str, Any] = {"DAYBOOK_KEYS": str(tmp_path)}
    grow(database, "main", 3)
    with copied(database) as backup:
        grow(database, "main", 3)
        keep_all(database, tmp_path)
        with writing(database) as writer:
            lost = c.Restoration(reason="drill", lost_size=9, lost_root=EMPTY_ROOT.hex())
            done(do(writer, lost))
        keep_all(database, tmp_path)
        assert said(backup, tmp_path) == [("incarnation", "main")]
        succeeds(backup, "restore", "--reason", "back", "--yes", **keys)
        head = dict(all_heads(backup))["main"]
        assert (head.incarnation, head.size) == (3, 4)
        assert said(backup, tmp_path) == []


def test_nothing_comes_before_the_new_incarnation(database: str, tmp_path: Path) -> None:
    """Holds that ran out while the backup lay there expire after the event, not in the lost incarnation."""
    grow(database, "main", 3)
    with writing(database) as writer:
        hold = deposit(1, 5, pending=True, timeout_seconds=1)
        held = done(do(writer, hold))
    with copied(database) as backup:
        grow(database, "main", 3)
        keep_all(database, tmp_path)
        time.sleep(1.1)
        succeeds(backup, "restore", "--reason", "back", "--yes", DAYBOOK_KEYS=str(tmp_path))
        with psycopg.connect(backup) as connection:
            found = connection.execute("SELECT type FROM daybook.events WHERE seq > %s", (held,)).fetchall()
        assert found == [("ledger_restored",)]
        grow(backup, "main", 1)
        audited(backup)


# ---------------------------------------------------------------- on the command line


def test_proofs_on_the_command_line(database: str, tmp_path: Path) -> None:
    """Made with the database, checked without it; a bent file and another key are refused."""
    grow(database, "main", 20)
    keys: dict[str, Any] = {"DAYBOOK_KEYS": str(tmp_path / "keys")}
    key = succeeds(database, "verifier-key", **keys).strip()
    kept, file = tmp_path / "kept", tmp_path / "proof.json"
    kept.write_text(succeeds(database, "tree-head", "main", **keys))
    head = open_tree_head(kept.read_text(), [Keeping(tmp_path / "keys").verifier()])
    assert head == dict(all_heads(database))["main"]
    assert isinstance(head, TreeHead)

    file.write_text(succeeds(database, "proof", "inclusion", "main", "7", **keys))
    nowhere: dict[str, Any] = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "DAYBOOK_DATA": "/nowhere"}
    verify = ("proof", "verify", file, "--key", key, "--tree-head", kept)
    assert json.loads(succeeds(None, *verify, "--json", **nowhere))["proven"] is True
    check(file.read_bytes(), [Keeping(tmp_path / "keys").verifier()])

    grow(database, "main", 20)
    file.write_text(succeeds(database, "proof", "consistency", "main", "20", **keys))
    assert "The first 20 events" in succeeds(None, *verify, **nowhere)
    file.write_text(file.read_text().replace('"first_size":20', '"first_size":19'))
    assert "does not lead" in fails(None, *verify, **nowhere)
    assert "--key" in fails(None, "proof", "verify", file, code=2)
    assert "only 40 events" in fails(database, "proof", "consistency", "main", "41", **keys)
