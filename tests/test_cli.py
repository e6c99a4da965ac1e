"""The `daybook` command on data: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from api.console import money
from api.database import DatabaseError, check_version
from tests.conftest import NewDatabase
from tests.daybook_command import COMMAND, ROOT, daybook, environment, fails, own_data, succeeds

CHART = {
    "assets": ["USD/2", "JPY/0"],
    "accounts": [
        {"pattern": "cash", "type": "asset"},
        {"pattern": "customers:{customer}", "type": "liability", "limits": {"*": {"min_available": 0}}},
    ],
}


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of CHART."""
    path = tmp_path_factory.mktemp("cli") / "chart.json"
    path.write_text(json.dumps(CHART))
    return path


@pytest.fixture
def shop(database: str, chart: Path) -> str:
    """A database with the open ledger `shop`."""
    assert succeeds(database, "open", "shop", "--chart", chart) == "Opened ledger shop.\n"
    return database


@pytest.fixture(scope="module")
def bare_shop(new_database: NewDatabase, chart: Path) -> Iterator[str]:
    """The same for tests that record nothing."""
    with new_database() as database:
        succeeds(database, "open", "shop", "--chart", chart)
        yield database


def deposit(database: str, amount: str, *more: str, asset: str = "USD/2") -> str:
    legs = ("--debit", "cash", "--credit", "customers:1", "--amount", amount, "--asset", asset)
    return succeeds(database, "post", "shop", *legs, *more)


def test_a_posted_transaction_shows_in_balance_statement_and_trial_balance(shop: str) -> None:
    """People see amounts with the asset's scale, machines integers of minor units."""
    assert deposit(shop, "123456", "--description", "Starter pack").splitlines()[1:] == [
        "account\tposted\tpending\tavailable",
        "cash\t1,234.56 USD\t1,234.56 USD\t1,234.56 USD",
        "customers:1\t1,234.56 USD\t1,234.56 USD\t1,234.56 USD",
    ]
    assert (
        json.loads(succeeds(shop, "balance", "shop", "customers:1", "--json"))["balances"][0]["posted"]
        == 123456
    )
    assert (
        succeeds(shop, "balance", "shop", "customers:1").splitlines()[1].startswith("USD/2\t1,234.56 USD\t")
    )

    row = succeeds(shop, "statement", "shop", "customers:1").splitlines()[1].split("\t")
    assert row[2:] == ["posted", "", "1,234.56 USD", "1,234.56 USD", "1,234.56 USD", "Starter pack"]
    line = json.loads(succeeds(shop, "statement", "shop", "customers:1", "--json"))
    assert (line["side"], line["amount"]) == ("credit", 123456)

    assert succeeds(shop, "trial-balance", "shop").splitlines() == [
        "account\ttype\tdebit\tcredit",
        "cash\tasset\t1,234.56 USD\t",
        "customers:1\tliability\t\t1,234.56 USD",
        "total\t\t1,234.56 USD\t1,234.56 USD",
    ]
    assert json.loads(succeeds(shop, "trial-balance", "shop", "--json"))["balanced"] is True


def test_a_key_posts_once(shop: str) -> None:
    """Posting again with a key answers with the first entry; another transaction under it is refused."""
    first = json.loads(deposit(shop, "500", "--key", "k", "--json"))
    assert json.loads(deposit(shop, "500", "--key", "k", "--json")) == first
    assert "Was recorded before, with this key, as seq 2" in deposit(shop, "500", "--key", "k")
    legs = ("--debit", "cash", "--credit", "customers:1", "--amount", "501", "--asset", "USD/2")
    assert "idempotency_key_reused" in fails(shop, "post", "shop", *legs, "--key", "k")
    assert json.loads(succeeds(shop, "balance", "shop", "cash", "--json"))["balances"][0]["posted"] == 500


def test_standard_input_takes_the_apis_json(shop: str) -> None:
    """`-` reads one transaction; `preview` shows the entry and records nothing."""
    postings = [
        {"account": "cash", "side": "debit", "amount": 7, "asset": "JPY/0"},
        {"account": "customers:1", "side": "credit", "amount": "7", "asset": "JPY/0"},
    ]
    preview = succeeds(shop, "post", "shop", "-", stdin=json.dumps({"postings": postings, "preview": True}))
    assert preview.splitlines()[0] == "Would be recorded:"
    entry = json.loads(
        succeeds(shop, "post", "shop", "-", "--json", stdin=json.dumps({"postings": postings}))
    )
    assert entry["seq"] == 2
    assert succeeds(shop, "balance", "shop", "cash").splitlines()[1].startswith("JPY/0\t7 JPY\t")


def test_a_hold_is_pending_and_ends_when_it_says(shop: str) -> None:
    """`--pending --timeout` moves what is available and not what is posted."""
    deposit(shop, "1000")
    legs = ("--debit", "customers:1", "--credit", "cash", "--amount", "400", "--asset", "USD/2")
    entry = json.loads(succeeds(shop, "post", "shop", *legs, "--pending", "--timeout", "3600", "--json"))
    assert entry["type"] == "transaction_held"
    assert entry["expires_at"] > entry["recorded_at"]
    (balance,) = json.loads(succeeds(shop, "balance", "shop", "customers:1", "--json"))["balances"]
    assert (balance["posted"], balance["available"]) == (1000, 600)


def test_a_balance_is_shown_as_it_was_known(shop: str) -> None:
    """`--known-at` takes a seq or a moment with its offset."""
    deposit(shop, "100")
    second = json.loads(deposit(shop, "200", "--json"))
    then = json.loads(succeeds(shop, "balance", "shop", "cash", "--known-at", "2", "--json"))
    assert (then["seq"], then["balances"][0]["posted"]) == (2, 100)
    now = json.loads(succeeds(shop, "balance", "shop", "cash", "--known-at", second["recorded_at"], "--json"))
    assert (now["seq"], now["balances"][0]["posted"]) == (3, 300)
    assert "needs its offset" in fails(
        shop, "balance", "shop", "cash", "--known-at", "2026-11-20T10:00:00", code=2
    )
    assert "neither a seq nor a time" in fails(shop, "balance", "shop", "cash", "--known-at", "noon", code=2)


def test_an_account_with_two_assets_needs_one_named(shop: str) -> None:
    """A statement is of one asset; the message lists the choice."""
    deposit(shop, "100")
    deposit(shop, "100", asset="JPY/0")
    assert "choose with --asset: JPY/0, USD/2" in fails(shop, "statement", "shop", "cash")
    assert len(succeeds(shop, "statement", "shop", "cash", "--asset", "JPY/0").splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("post", "shop", "--debit", "cash"), 2, "Missing: --credit, --amount, --asset."),
        (("post", "shop", "x"), 2, "only `-`, standard input"),
        (("balance", "shop", "customers:2"), 1, "There is no account customers:2."),
        (("balance", "nowhere", "cash"), 1, "There is no ledger nowhere: `daybook open` opens one."),
        (("statement", "nowhere", "cash"), 1, "There is no ledger nowhere"),
        (("trial-balance", "nowhere"), 1, "There is no ledger nowhere"),
        (("open", "shop", "--chart", "no-such-file.json"), 1, "no-such-file.json cannot be read"),
        (
            ("open", "shop", "--chart", "pyproject.toml", "--time-zone", "Mars/Olympus"),
            2,
            "is not a time zone",
        ),
        (("open", "shop", "--chart", "pyproject.toml"), 1, "pyproject.toml: JSON is malformed"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    bare_shop: str, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """Bad input ends with exit code 2, what the ledger has not with 1; never with a traceback."""
    assert sentence in fails(bare_shop, *arguments, code=code)


def test_amounts_are_whole_minor_units(bare_shop: str) -> None:
    """A decimal amount is refused with the way to say it, on the command line and in JSON."""
    legs = ("--debit", "cash", "--credit", "customers:1", "--asset", "USD/2")
    assert "9.99 USD/2 is --amount 999" in fails(bare_shop, "post", "shop", *legs, "--amount", "9.99", code=2)
    assert "not a whole number" in fails(bare_shop, "post", "shop", *legs, "--amount", "-5", code=2)
    posting = '{"account": "cash", "side": "debit", "amount": 9.99, "asset": "USD/2"}'
    said = fails(bare_shop, "post", "shop", "-", stdin=f'{{"postings": [{posting}, {posting}]}}')
    assert "$.postings[0].amount" in said


def test_a_refused_transaction_says_why(bare_shop: str) -> None:
    """The code, a sentence and the figures; with --json as data too."""
    legs = ("--debit", "customers:1", "--credit", "cash", "--amount", "5", "--asset", "USD/2")
    assert "insufficient_available: The available balance would fall" in fails(
        bare_shop, "post", "shop", *legs
    )
    done = daybook(bare_shop, "post", "shop", *legs, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["evidence"]["short_by"] == "5"


def test_a_ledger_opens_once(bare_shop: str, chart: Path) -> None:
    """A second opening is refused."""
    assert "ledger_exists" in fails(bare_shop, "open", "shop", "--chart", chart)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("not an address hunter2", "DATABASE_URL is not a PostgreSQL address"),
        ("postgresql://daybook:hunter2@127.0.0.1:1/daybook", "PostgreSQL cannot be reached"),
        ("postgresql:///daybook?host=%2Fnonexistent", "PostgreSQL cannot be reached"),
    ],
)
def test_a_bad_database_url_is_one_sentence(url: str, sentence: str) -> None:
    """Exit code 1, no traceback, and the password is not repeated."""
    for command in (("migrate",), ("serve", "--port", "0"), ("balance", "shop", "cash"), ("doctor",)):
        said = fails(url, *command)
        assert sentence in said
        assert len(said.splitlines()) == 1
        assert "hunter2" not in said


def test_an_old_server_is_refused() -> None:
    """PostgreSQL 14 is too old, 15 is not."""
    with pytest.raises(DatabaseError, match=r"PostgreSQL 14\.9 is too old: Daybook needs 15 or later\."):
        check_version(140_009)
    assert check_version(150_000) == "15.0"


def test_a_database_without_the_schema_needs_migrate_first(database: str) -> None:
    """Only `serve` and `migrate` change the schema of a server not ours; the others say what to run."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA access, daybook, inbox, projections CASCADE")
    said = fails(database, "balance", "shop", "cash")
    assert "The database lacks 0001_core" in said
    assert "run `daybook migrate` first" in said
    assert "Applied 0001_core." in succeeds(database, "migrate")
    assert "Applied" not in succeeds(database, "migrate")
    assert "There is no ledger shop" in fails(database, "balance", "shop", "cash")


def test_without_a_database_url_daybook_runs_a_server_of_its_own() -> None:
    """In DAYBOOK_DATA, with the schema, and stopped when the command ends."""
    with own_data() as data:
        assert f"{data} (embedded PostgreSQL" in succeeds(None, "migrate", DAYBOOK_DATA=str(data))
        assert "There is no ledger shop" in fails(None, "balance", "shop", "cash", DAYBOOK_DATA=str(data))
        assert not (data / "pgdata" / "postmaster.pid").exists()


@pytest.mark.parametrize(
    ("amount", "asset", "shown"),
    [
        (999, "USD/2", "9.99 USD"),
        (-5, "USD/2", "-0.05 USD"),
        (1234567, "JPY/0", "1,234,567 JPY"),
        (1, "KWD/3", "0.001 KWD"),
        (0, "CREDIT.enrichment/0", "0 CREDIT.enrichment"),
        (2**63 - 1, "WEI/18", "9.223372036854775807 WEI"),
    ],
)
def test_money_is_shown_with_the_scale_of_its_asset(amount: int, asset: str, shown: str) -> None:
    """No float stands between the integer and the text."""
    assert money(amount, asset) == shown


def test_a_terminal_gets_a_table_and_a_progress_bar(bare_shop: str, tmp_path: Path) -> None:
    """On a terminal columns are aligned and the import shows its rate; elsewhere the same is plain lines."""
    assert "\t" not in on_terminal(bare_shop, "trial-balance", "shop")
    file = tmp_path / "empty.jsonl"
    file.write_text("\n")
    shown = on_terminal(bare_shop, "import", "shop", str(file))
    assert "transactions/s" in shown
    assert "0 posted, 0 already there, 0 refused" in shown
    assert "\x1b" not in succeeds(bare_shop, "import", "shop", file)


def on_terminal(database: str, *arguments: str) -> str:
    """What `daybook` shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (*COMMAND, *arguments),
        cwd=ROOT,
        env=environment(database, TERM="xterm", COLUMNS="120"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    assert process.wait(30) == 0, shown.decode()
    return shown.decode()
