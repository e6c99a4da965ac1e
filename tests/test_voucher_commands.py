"""`daybook vouchers`: a file issued in bulk, killed and gone on with; and what the commands show."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from ledger import commands as c
from ledger.chart import ChartDocument
from ledger.vouchers import commands as v
from ledger.vouchers.codes import hash_of
from projections.vouchers import Vouchers
from tests.bookkeeping import do, done, register, writing
from tests.daybook_command import COMMAND, ROOT, environment, fails, succeeds
from tests.histories import project

# DAYBOOK_BULK_VOUCHERS=100000 makes it the size that a ministry has.
COUNT = int(os.environ.get("DAYBOOK_BULK_VOUCHERS", "8000"))
HEADER = "programme,voucher,beneficiary,amount,grant_type,expires_at"


@pytest.fixture
def funded(database: str) -> str:
    """The ledger `main` with 10,000,000 in the fund of `relief`."""
    with writing(database) as writer:
        chart = ChartDocument(assets=("NAD/2",), accounts=(), products=("vouchers",))
        done(do(writer, c.LedgerOpening(name="main", chart=chart)))
        register(writer, *(f"B{n}" for n in range(900)))
        done(do(writer, v.ProgrammeOpening(programme="relief", name="Relief", asset="NAD/2")))
        done(do(writer, v.Funding(amount=10_000_000), "relief"))
    return database


def vouchers(path: Path, *rows: str) -> Path:
    path.write_text("\n".join((HEADER, *rows)) + "\n")
    return path


def codes_of(path: Path) -> dict[str, str]:
    with path.open() as lines:
        return {row["voucher"]: row["code"] for row in csv.DictReader(lines)}


def how_many(database: str) -> int:
    """Vouchers issued so far."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM daybook.events WHERE type = 'voucher_issued'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def issued(database: str) -> dict[str, str]:
    """Every voucher that was issued and the hash of its code, from the events."""
    query = (
        "SELECT convert_from(body, 'UTF8')::jsonb -> 'data' FROM daybook.events WHERE type = 'voucher_issued'"
    )
    with psycopg.connect(database) as connection:
        found = [data for (data,) in connection.execute(query)]
    named = {data["voucher"]: data["code_hash"] for data in found}
    assert len(named) == len(found), "a voucher was issued twice"
    return named


@pytest.mark.torture
def test_a_file_is_issued_once_though_the_first_run_is_killed(funded: str, tmp_path: Path) -> None:
    """The second run issues what is missing; its codes are all of them, and nobody else may read them."""
    with writing(funded) as writer:
        done(do(writer, v.Funding(amount=COUNT * 107), "relief"))
    rows = [f"relief,V{n:06},B{n % 900},{100 + n % 7},old age,2099-01-01T00:00:00Z" for n in range(COUNT)]
    file, codes = vouchers(tmp_path / "grants.csv", *rows), tmp_path / "codes.csv"
    arguments = ("vouchers", "issue", "main", str(file), "--codes", str(codes))
    first = subprocess.Popen(
        (*COMMAND, *arguments), cwd=ROOT, env=environment(funded), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while (there := how_many(funded)) < COUNT // 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert there <= how_many(funded) < COUNT
    assert not codes.exists()
    assert "0 refused" in again(funded, arguments)
    stored, written = issued(funded), codes_of(codes)
    assert len(stored) == COUNT
    assert {name: hash_of(code) for name, code in written.items()} == stored
    assert stat.S_IMODE(os.stat(codes).st_mode) == 0o600
    assert f"0 issued, {COUNT:,} already there, 0 refused" in again(funded, arguments)
    assert codes_of(codes) == written


def again(database: str, arguments: tuple[str, ...]) -> str:
    """The same command, run to its end."""
    command = (*COMMAND, *arguments)
    done = subprocess.run(
        command, cwd=ROOT, env=environment(database), capture_output=True, text=True, timeout=60 + COUNT / 100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bad_lines_are_told_and_the_good_ones_issued(funded: str, tmp_path: Path) -> None:
    """Each with its line and reason; the exit code says that something was refused."""
    file = vouchers(
        tmp_path / "grants.csv",
        "relief,V1,B1,100,,",
        "relief,V2,B1,ten,,",
        "none,V3,B1,100,,",
        "relief,V4,B1,99999999,,",
        "relief,V5,B1,100,,2001-01-01T00:00:00Z",
    )
    said = fails(funded, "vouchers", "issue", "main", file, "--codes", tmp_path / "codes.csv")
    lines = {line.split(":")[0]: line for line in said.splitlines()}
    assert "amount" in lines["line 3"]
    assert "programme_not_found" in lines["line 4"]
    assert "insufficient_available" in lines["line 5"]
    assert "expires_in_past" in lines["line 6"]
    assert set(codes_of(tmp_path / "codes.csv")) == set(issued(funded)) == {"V1"}


def test_what_was_refused_is_issued_when_its_reason_is_gone(funded: str, tmp_path: Path) -> None:
    """The same file again: money has come in, and the person is registered; the third time nothing is new."""
    file = vouchers(tmp_path / "grants.csv", "relief,V1,B1,99999999,,", "relief,V2,late,100,,")
    command = ("vouchers", "issue", "main", file, "--codes", tmp_path / "codes.csv")
    assert fails(funded, *command).count("line ") == 2
    with writing(funded) as writer:
        done(do(writer, v.Funding(amount=99_999_999), "relief"))
        register(writer, "late")
    for fresh in (2, 0):
        assert f"{fresh} issued, {2 - fresh} already there, 0 refused" in succeeds(funded, *command)
    assert set(codes_of(tmp_path / "codes.csv")) == set(issued(funded)) == {"V1", "V2"}


def test_a_file_that_is_none_issues_nothing(funded: str, tmp_path: Path) -> None:
    """A column too few or too many, no file at all: one sentence."""
    codes = ("--codes", str(tmp_path / "codes.csv"))
    (tmp_path / "few.csv").write_text("programme,voucher,beneficiary\nrelief,V1,B1\n")
    (tmp_path / "many.csv").write_text(f"{HEADER},colour\nrelief,V1,B1,1,,,red\n")
    assert "no column amount" in fails(funded, "vouchers", "issue", "main", tmp_path / "few.csv", *codes)
    assert "unknown column colour" in fails(
        funded, "vouchers", "issue", "main", tmp_path / "many.csv", *codes
    )
    assert "cannot be read" in fails(funded, "vouchers", "issue", "main", tmp_path / "none.csv", *codes)
    assert issued(funded) == {}


def test_vouchers_are_shown_and_payees_settled(funded: str) -> None:
    """A voucher, a list, a programme's money; a settlement that is asked for twice pays once."""
    with writing(funded) as writer:
        for name in ("V1", "V2"):
            body = v.Issue(
                programme="relief", voucher=name, amount=2_500, beneficiary="B1", code_hash=hash_of(name)
            )
            done(do(writer, body))
        done(do(writer, v.Redemption(amount=1_000, payee_type="agent", payee="A1"), "V1"))
    shown = succeeds(funded, "vouchers", "show", "main", "V1").splitlines()[1].split("\t")
    assert shown[:6] == ["V1", "relief", "partially_redeemed", "25.00 NAD", "10.00 NAD", "15.00 NAD"]
    with psycopg.connect(funded) as connection:
        [(ledger_id, head)] = connection.execute("SELECT ledger_id, seq FROM daybook.heads")
    project(funded, ledger_id, head, 100, (Vouchers(),))
    for wanted, names in (((), ["V1", "V2"]), (("--status", "issued"), ["V2"]), (("--programme", "x"), [])):
        listed = json.loads(succeeds(funded, "vouchers", "list", "main", "--json", *wanted))
        assert [one["voucher"] for one in listed["vouchers"]] == names
    assert "V2\trelief\tissued\t25.00 NAD" in succeeds(funded, "vouchers", "list", "main")
    figures = json.loads(succeeds(funded, "vouchers", "metrics", "main", "--json"))
    assert (figures["issued"], figures["success_rate"], figures["webhooks"]) == (2, None, 0)
    assert "There is no voucher V9." in fails(funded, "vouchers", "show", "main", "V9")
    settle = ("vouchers", "settle", "main", "relief", "agent:A1=400", "--key", "run-1")
    assert succeeds(funded, *settle).startswith("Settled 4.00 NAD as seq ")
    assert succeeds(funded, *settle) == "Settled before.\n"
    assert succeeds(funded, "vouchers", "settle", "main", "relief", "agent:A1").startswith("Settled 6.00 NAD")
    assert "nothing_to_settle" in fails(funded, "vouchers", "settle", "main", "relief", "agent:A1")
    money = dict(
        line.split("\t") for line in succeeds(funded, "vouchers", "programme", "main", "relief").splitlines()
    )
    assert (money["trust"], money["outstanding"], money["deficiency"]) == (
        "99,990.00 NAD",
        "40.00 NAD",
        "0.00 NAD",
    )
