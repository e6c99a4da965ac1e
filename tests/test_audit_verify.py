"""An export is verified from its folder alone, and whoever altered it is found out by the right verdict."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.cli import main
from ledger.notes import open_tree_head
from projections.audit import offline
from projections.audit.verdicts import Report
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.export_oracle import KEY, make
from tests.forged_files import FILE_FORGERIES
from tests.forgeries import FORGERIES, MINE, Forgery
from tests.forging import relist, rewrite, sign, then, tree_head, write_lines
from tests.rich_ledger import fill
from tests.tampering import canonical
from tests.tamperings import SIZE
from tests.troubled_ledger import NAME, open_troubled

KEYS = [KEY.verifier]


class Exports(NamedTuple):
    """Two exports, and the tree heads that an auditor kept of the first ledger's at some sizes."""

    main: Path
    other: Path
    heads: list[Path]


@pytest.fixture(scope="module")
def exports(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    folder = tmp_path_factory.mktemp("exports")
    with new_database() as database:
        with writing(database) as writer:
            fill(writer)
            fill(writer, "other")
        for ledger in ("main", "other"):
            make(database, ledger, folder / ledger)
    heads = []
    for size in (10, 20, 30, SIZE):
        path = folder / f"head-{size}"
        path.write_text(KEY.sign(tree_head(folder / "main", size).text), encoding="utf-8")
        heads.append(path)
    return Exports(folder / "main", folder / "other", heads)


def failures(report: Report) -> dict[str, int | None]:
    """The failed verdicts, each with the seq that it names."""
    return {verdict.name: verdict.seq for verdict in report.verdicts if verdict.status == "failed"}


@contextmanager
def altered(folder: Path, do: Callable[[Path], object], place: Path) -> Iterator[Path]:
    """A copy of an export to which something was done."""
    copy = place / "export"
    shutil.copytree(folder, copy)
    do(copy)
    yield copy


@pytest.mark.parametrize("forgery", [*FORGERIES, *FILE_FORGERIES], ids=lambda forgery: forgery.what)
def test_a_forged_export_is_caught_by_the_right_verdict_at_the_right_event(
    forgery: Forgery, exports: Exports, tmp_path: Path
) -> None:
    """The verdicts that fail, and the event that each names, are those that this can be seen by."""
    with altered(exports.main, forgery.do, tmp_path) as folder:
        report = offline.verify(folder, exports.heads, KEYS)
    assert failures(report) == forgery.caught, report


def test_exports_of_a_troubled_ledger_pass_whatever_their_range(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    """Odd dates, zones, names, texts and assets, whole or from a day to a day: nothing is found amiss."""
    with new_database() as database:
        with writing(database) as writer:
            open_troubled(writer)
        make(database, NAME, tmp_path / "whole")
        manifest = json.loads((tmp_path / "whole" / "manifest.json").read_bytes())
        days = [date.fromisoformat(manifest["range"][name]) for name in ("from", "to")]
        middle = date.fromordinal((days[0].toordinal() + days[1].toordinal()) // 2)
        make(database, NAME, tmp_path / "late", first=middle)
        make(database, NAME, tmp_path / "early", last=middle)
        make(database, NAME, tmp_path / "day", first=days[1], last=days[1])
        make(database, NAME, tmp_path / "dawn", first=date.min, last=days[0])
    for name in ("whole", "late", "early", "day", "dawn"):
        report = offline.verify(tmp_path / name, keys=KEYS)
        assert not failures(report), report


def test_another_ledgers_export_is_not_taken_for_this_one(exports: Exports) -> None:
    """All is in order with it but that the auditor's tree heads are of another ledger."""
    report = offline.verify(exports.other, exports.heads, KEYS)
    assert failures(report) == {"completeness": 1}
    assert "is of ledger" in report.verdicts[1].sentence


def test_an_old_export_is_not_taken_for_the_present_one(exports: Exports, tmp_path: Path) -> None:
    """An export of a backup passes but for the tree head that was kept of events since."""
    head = tree_head(exports.main)
    later = tmp_path / "later"
    later.write_text(KEY.sign(head._replace(size=SIZE + 5, root=bytes(32)).text), encoding="utf-8")
    report = offline.verify(exports.main, [later], KEYS)
    assert failures(report) == {"completeness": SIZE + 1}


def test_without_a_key_the_folders_own_is_named_as_what_it_is(exports: Exports, tmp_path: Path) -> None:
    """A folder that was signed anew passes for whoever has neither key nor tree head; the verdict says so."""
    with altered(exports.main, then(lambda f: sign(f, MINE), relist), tmp_path) as folder:
        report = offline.verify(folder)
        assert not failures(report)
        assert "the folder's own key: compare it" in report.verdicts[0].sentence
        assert report.verdicts[1].status == "not_checked"
        assert failures(offline.verify(folder, exports.heads)) == {"completeness": None}


def test_verify_needs_no_database_and_no_network(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command passes the export with an address of no database and with sockets forbidden."""

    def forbidden(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@203.0.113.1:1/none")
    monkeypatch.setenv("DAYBOOK_DATA", str(tmp_path / "nowhere"))
    heads = [part for head in exports.heads for part in ("--tree-head", str(head))]
    arguments = ["audit", "verify", str(exports.main), *heads, "--key", str(KEY.verifier)]
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == 0, said.output
    assert [line.split("\t")[1] for line in said.output.splitlines()[2:]] == ["ok"] * 4
    report = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert (report["ledger"], report["size"]) == ("main", SIZE)

    with altered(exports.main, rewrite(16, lambda e: e.update(description="Bee")), tmp_path) as folder:
        said = CliRunner().invoke(main, ["audit", "verify", str(folder)])
    assert said.exit_code == 1
    assert "integrity\tfailed\t16\t" in said.output
    assert not (tmp_path / "nowhere").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    said = CliRunner().invoke(main, ["audit", "verify", str(empty)])
    assert said.exit_code == 1
    assert "Manifest.json cannot be read" in said.output


# What a byte of the manifest may become without a verdict failing: nothing in the folder can confirm when an
# export was made, by which version, or how many rows a table has that has none in the events.
HARMLESS = ("exported_at", "daybook", "rows")


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(seed=st.integers(0, 2**32))
def test_a_byte_flipped_anywhere_is_caught(exports: Exports, seed: int) -> None:
    """Any bit of any byte of any file: a verdict fails, unless it says nothing of the ledger."""
    random = Random(seed)
    files = sorted(path for path in exports.main.rglob("*") if path.is_file())
    path = random.choice(files)
    content = path.read_bytes()
    place, bit = random.randrange(len(content)), 1 << random.randrange(8)
    flipped = bytearray(content)
    flipped[place] ^= bit
    path.write_bytes(bytes(flipped))
    try:
        report = offline.verify(exports.main, exports.heads, KEYS)
    finally:
        path.write_bytes(content)
    if report.ok:
        assert path.name == "manifest.json", (path, place, bit)
        before, after = json.loads(content), json.loads(bytes(flipped))
        assert _without_harmless(before) == _without_harmless(after), (place, bit)


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**70,
    0.5,
    "",
    "x",
    "1",
    "2021",
    "2021-06-01T00:00:00.000000Z",
    [],
    ["x"],
    {},
    {"x": 1},
)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(seed=st.integers(0, 2**32))
def test_whatever_becomes_of_a_body_there_is_a_verdict(exports: Exports, seed: int) -> None:
    """Any value of any body is replaced by junk or taken away: integrity fails at it, and nothing crashes."""
    random = Random(seed)
    seq = random.randint(1, SIZE)
    path = exports.main / "events.jsonl"
    content = path.read_bytes()
    event = json.loads(content.splitlines()[seq - 1])
    place: Any = event
    while True:
        name = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[name], dict | list) or not place[name] or random.random() < 0.3:
            break
        place = place[name]
    before = place[name]
    place[name] = random.choice([junk for junk in JUNK if junk != before or type(junk) is not type(before)])
    if random.random() < 0.2:
        del place[name]
    try:
        bodies = content.splitlines()
        write_lines(exports.main, [*bodies[: seq - 1], canonical(event), *bodies[seq:]])
        report = offline.verify(exports.main, exports.heads, KEYS)
    finally:
        path.write_bytes(content)
    assert failures(report)["integrity"] == seq, report


def _without_harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_harmless(v) for name, v in value.items() if name not in HARMLESS}
    return [_without_harmless(v) for v in value] if isinstance(value, list) else value


def test_the_kept_heads_are_what_the_export_was_signed_as(exports: Exports) -> None:
    """The test's own tree head of the export is the one that Daybook signed."""
    signed = open_tree_head((exports.main / "tlog/checkpoint").read_bytes(), KEYS)
    assert signed == tree_head(exports.main)
