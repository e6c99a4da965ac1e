"""What an export holds: the book's files read back and compared with the bodies, row by row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import commands as c
from ledger.chart import AccountPattern, ChartDocument
from ledger.notes import open_tree_head, verifier_key
from projections.exports.csv_files import safe
from projections.exports.export import FORMATS, Asked, export
from projections.exports.source import ExportRefused
from tests.audit import audited
from tests.bookkeeping import deposit, do, done, open_ledger, writing
from tests.books import Books
from tests.conftest import NewDatabase
from tests.daybook_command import succeeds
from tests.export_oracle import KEY, Truth, make, minor_units, signed_head
from tests.judges import bean_check, hledger
from tests.tampering import bodies, unguarded
from tests.troubled_ledger import NAME, TIME_ZONE, open_troubled

Rows = list[dict[str, Any]]


@dataclass
class Made:
    """An export of everything, and the ledger that it is of."""

    conninfo: str
    folder: Path
    truth: Truth
    books: Books
    manifest: dict[str, Any]


@pytest.fixture(scope="module")
def made(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with new_database() as conninfo:
        with writing(conninfo) as writer:
            open_troubled(writer)
        folder = tmp_path_factory.mktemp("exports") / "everything"
        make(conninfo, NAME, folder)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        yield Made(conninfo, folder, Truth(conninfo, NAME), audited(conninfo)[NAME], manifest)


# ---------------------------------------------------------------- the folder


def test_the_manifest_names_every_file_with_its_hash(made: Made) -> None:
    """Paths, sizes and hashes are those of the files that are there, and there are no others."""
    entries = made.manifest["files"]
    there = {str(p.relative_to(made.folder)) for p in made.folder.rglob("*") if p.is_file()}
    assert [entry["path"] for entry in entries] == sorted(there - {"manifest.json"})
    for entry in entries:
        content = (made.folder / entry["path"]).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == sha256(content).hexdigest()


def test_the_control_totals_are_those_of_the_bodies(made: Made) -> None:
    """Events, legs, types, and each asset's debits and credits by kind, counted again from the bodies."""
    legs = [p for event in made.truth.events for p in event.get("postings", ())]
    sums: Counter[tuple[str, str, str]] = Counter()
    for leg in legs:
        kind = leg.get("kind", "posted")
        sums[leg["asset"], kind, "legs"] += 1
        sums[leg["asset"], kind, leg["side"]] += int(leg["amount"])
    totals = made.manifest["totals"]
    size = len(made.truth.events)
    assert (totals["events"], totals["first_seq"], totals["last_seq"]) == (size, 1, size)
    assert totals["legs"] == len(legs)
    assert totals["types"] == Counter(event["type"] for event in made.truth.events)
    assert set(totals["assets"]) == {leg["asset"] for leg in legs}
    for asset, kinds in totals["assets"].items():
        assert list(kinds) == ["posted", "pending", "release"]
        for kind, found in kinds.items():
            debits, credits = sums[asset, kind, "debit"], sums[asset, kind, "credit"]
            assert found == {
                "legs": sums[asset, kind, "legs"],
                "debits": str(debits),
                "credits": str(credits),
            }
            assert debits == credits
    posted = {asset: kinds["posted"] for asset, kinds in totals["assets"].items()}
    assert made.manifest["range_totals"]["assets"] == posted


def test_the_manifest_says_what_the_export_is_of(made: Made) -> None:
    """Ledger, incarnation, seq, range, and the tree head that the checkpoint signs."""
    manifest, last = made.manifest, made.truth.events[-1]
    assert manifest["ledger"] == {"name": NAME, "id": last["ledger"], "time_zone": TIME_ZONE}
    assert (manifest["incarnation"], manifest["seq"]) == (1, last["seq"])
    assert manifest["recorded_at"] == last["recorded_at"]
    legs = made.truth.legs()
    assert manifest["range"] == {"from": str(legs[0].day), "to": str(legs[-1].day)}
    assert manifest["range_totals"]["legs"] == len(legs)
    assert manifest["range_totals"]["transactions"] == len({leg.seq for leg in legs})
    key = verifier_key((made.folder / "tlog" / "verifier-key").read_text().rstrip("\n"))
    assert key == KEY.verifier
    head = open_tree_head((made.folder / "tlog" / "checkpoint").read_bytes(), [key])
    assert (head.ledger, head.incarnation, head.size) == (last["ledger"], 1, last["seq"])
    assert manifest["tree_head"] == {"origin": head.origin, "size": head.size, "root": head.root.hex()}
    assert head.root == root([leaf(body) for body in made.truth.bodies])


def test_the_offline_verifier_finds_nothing(made: Made) -> None:
    """Every verdict that needs no tree head from before is ok: tables, totals and days are what it counts."""
    report = json.loads(succeeds(None, "audit", "verify", made.folder, "--json"))
    verdicts = {verdict["name"]: (verdict["status"], verdict["sentence"]) for verdict in report["verdicts"]}
    for name in ("integrity", "accounting", "projections"):
        assert verdicts[name][0] == "ok", verdicts


# ---------------------------------------------------------------- the book


def test_json_lines_are_the_exact_bodies(made: Made) -> None:
    """Line n is the body of seq n: so its leaf can be derived from it."""
    assert (made.folder / "events.jsonl").read_bytes() == b"".join(body + b"\n" for body in made.truth.bodies)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_body_can_be_put_together_from_the_rows(made: Made, format: str) -> None:
    """Every event's body follows, byte for byte, from its rows in `events` and `postings`."""
    events, postings = table(made, format, "events"), table(made, format, "postings")
    legs: dict[int, Rows] = {}
    for row in postings:
        legs.setdefault(int(row["seq"]), []).append(row)
    assert len(events) == len(made.truth.bodies)
    for row, body, event, day in zip(
        events, made.truth.bodies, made.truth.events, made.truth.days, strict=True
    ):
        own = legs.pop(int(row["seq"]), [])
        assert reassembled(row, own, event["ledger"]) == body
        assert row["effective_date"] == day.isoformat()
        assert row["leaf"] == leaf(body).hex()
        assert int(row["legs"]) == len(own)
        assert [int(leg["leg"]) for leg in own] == list(range(len(own)))
        for leg in own:
            assert (leg["effective_at"], leg["effective_date"]) == (row["effective_at"], day.isoformat())
    assert legs == {}


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_accounts_and_balances_are_those_of_the_bodies(made: Made, format: str) -> None:
    """What the tables and balances.jsonl say is what an independent fold of the bodies says."""
    accounts = {
        row["address"]: (int(row["number"]), row["type"], row["contra"], row["memo"], row["opened_seq"])
        for row in table(made, format, "accounts")
    }
    expected = {
        address: (
            account["id"],
            account["terms"]["type"],
            text(account["terms"].get("contra", False)),
            text(account["terms"].get("memo", False)),
            str(account["opened"]),
        )
        for address, account in made.books.accounts.items()
    }
    assert accounts == expected
    closed = {
        row["address"]: row["closed_seq"] for row in table(made, format, "accounts") if row["closed_seq"]
    }
    assert closed == {a: str(x["closed"]) for a, x in made.books.accounts.items() if x["closed"]}
    names = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    lines = [json.loads(line) for line in (made.folder / "balances.jsonl").read_bytes().splitlines()]
    for rows in (table(made, format, "balances"), lines):
        assert len(rows) == len(made.books.counters)
        for row in rows:
            counters = made.books.counters[row["account"], row["asset"]]
            assert [int(row[name]) for name in names] == list(counters)


def test_every_column_is_in_the_dictionary(made: Made) -> None:
    """Each table's files have exactly the columns that dictionary.json explains."""
    dictionary = json.loads((made.folder / "dictionary.json").read_bytes())
    files = [path for entry in dictionary.values() for path in entry["files"]]
    tables = [e["path"] for e in made.manifest["files"] if e["path"].endswith((".csv", ".parquet"))]
    assert sorted(files) == tables
    for entry in dictionary.values():
        names = [column["name"] for column in entry["columns"]]
        assert all(column["meaning"] for column in entry["columns"])
        for path in entry["files"]:
            if path.endswith(".csv"):
                with (made.folder / path).open(encoding="utf-8", newline="") as file:
                    assert next(csv.reader(file)) == names
            else:
                assert pyarrow.parquet.read_schema(made.folder / path).names == names


def test_parquet_is_typed(made: Made) -> None:
    """Amounts are 64-bit integers, moments have microseconds and UTC, dates are dates."""
    schema = pyarrow.parquet.read_schema(made.folder / "parquet" / "postings.parquet")
    types = {field.name: str(field.type) for field in schema}
    assert types["amount"] == "int64"
    assert types["effective_at"] == "timestamp[us, tz=UTC]"
    assert types["effective_date"] == "date32[day]"


# ---------------------------------------------------------------- formulas


@given(st.text(max_size=5))
def test_no_cell_of_text_is_a_formula_and_every_text_comes_back(text: str) -> None:
    """What a spreadsheet would run begins with a quote; without one leading quote the text is exact."""
    cell = safe(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    assert unsafe(cell) == text


def test_descriptions_that_are_formulas_are_guarded_in_the_files(made: Made) -> None:
    """The description `=1+1` of the ledger stands with a quote in front, in both kinds of CSV."""
    for path in (made.folder / "csv" / "events.csv", *(made.folder / "ads").glob("GL_Detail_*.csv")):
        content = path.read_text(encoding="utf-8")
        assert ",'=1+1," in content
        assert ",=1+1," not in content


# ---------------------------------------------------------------- Audit Data Standards


def test_gl_detail_has_every_posted_leg(made: Made) -> None:
    """One row a posted leg, in the order of the journals, with the standard's fields."""
    rows = ads(made, "GL_Detail")
    legs = made.truth.legs()
    assert len(rows) == len(legs)
    for row, leg in zip(rows, legs, strict=True):
        event = made.truth.events[leg.seq - 1]
        assert (row["Journal_ID"], row["Journal_ID_Line_Number"]) == (str(leg.seq), str(leg.place + 1))
        assert row["Effective_Date"] == leg.day.isoformat()
        assert (row["Fiscal_Year"], row["Period"]) == (str(leg.day.year), f"M{leg.day.month}")
        assert unsafe(row["GL_Account_Number"]) == leg.account
        assert row["Amount_Currency"] == leg.asset.rsplit("/", 1)[0]
        amount = minor_units(row["Amount"], leg.asset)
        assert amount > 0
        assert {"D": amount, "C": -amount}[row["Amount_Credit_Debit_Indicator"]] == leg.amount
        assert unsafe(row["JE_Header_Description"]) == event.get("description", "")
        assert unsafe(row["JE_Line_Description"]) == event.get("reference", "")
        assert (row["Source"], row["Business_Unit_Code"]) == (event["type"], NAME)
        assert f"{row['Entered_Date']}T{row['Entered_Time']}" == event["recorded_at"]
        reversed_ = event["data"]["transaction"] if event["type"] == "transaction_reversed" else ""
        assert (row["Reversal_Indicator"], row["Reversal_Journal_ID"]) == (
            "1" if reversed_ else "",
            str(reversed_),
        )


def test_the_trial_balance_rolls_forward(made: Made) -> None:
    """At each period's end the balance is the bodies'; it begins where the period before it ended."""
    codes = {asset.rsplit("/", 1)[0]: asset for _, asset in made.truth.balances()}
    before: dict[tuple[str, str], int] = {}
    rows = ads(made, "Trial_Balance")
    for row in rows:
        asset = codes[row["Amount_Currency"]]
        place = (unsafe(row["GL_Account_Number"]), asset)
        assert minor_units(row["Amount_Beginning"], asset) == before.get(place, 0)
        before[place] = minor_units(row["Amount_Ending"], asset)
    assert before == made.truth.balances()
    day = date(2006, 10, 31)
    then = {
        (unsafe(row["GL_Account_Number"]), codes[row["Amount_Currency"]]): minor_units(
            row["Amount_Ending"], codes[row["Amount_Currency"]]
        )
        for row in rows
        if row["Balance_As_Of_Date"] == day.isoformat()
    }
    assert then == made.truth.balances(day)


def test_the_chart_of_accounts_has_every_account(made: Made) -> None:
    """Type, contra, memo and the account above, for each account in the order of opening."""
    rows = ads(made, "Chart_Of_Accounts")
    found = {unsafe(row["GL_Account_Number"]): row for row in rows}
    assert set(found) == set(made.books.accounts)
    assert found["allowance:1"]["Account_Type"] == "Assets"
    assert found["allowance:1"]["Account_Subtype"] == "contra"
    assert found["Memo:1"]["Account_Subtype"] == "memo"
    assert found["revenue:1"]["Account_Type"] == "Revenue"
    assert found["customers:42:wallet"]["Parent_GL_Account_Number"] == "customers:42"


# ---------------------------------------------------------------- tiles


def test_the_tiles_are_those_of_the_tree(made: Made) -> None:
    """Bundles hold the bodies behind their lengths, tiles their leaves, as C2SP tlog-tiles has it."""
    tiles = made.folder / "tlog" / "tile"
    size = len(made.truth.bodies)
    assert size < 256
    bundle = (tiles / "entries" / "000.p" / str(size)).read_bytes()
    assert bundle == b"".join(len(body).to_bytes(2, "big") + body for body in made.truth.bodies)
    hashes = (tiles / "0" / "000.p" / str(size)).read_bytes()
    assert hashes == b"".join(leaf(body) for body in made.truth.bodies)
    assert sorted(str(p.relative_to(tiles)) for p in tiles.rglob("*") if p.is_file()) == [
        f"0/000.p/{size}",
        f"entries/000.p/{size}",
    ]


# ---------------------------------------------------------------- refusals


def test_the_first_moment_of_all_is_carried_by_every_format(database: str, tmp_path: Path) -> None:
    """It counts on the calendar's first day, wherever the ledger is; openings of later ranges have it."""
    chart = ChartDocument(
        assets=("USD/2",), accounts=(AccountPattern("a", "asset"), AccountPattern("b", "equity"))
    )
    legs = [c.Posting("a", "debit", 1, "USD/2"), c.Posting("b", "credit", 1, "USD/2")]
    with writing(database) as writer:
        opening = c.LedgerOpening(name="old", time_zone="America/New_York", chart=chart)
        done(do(writer, opening, ledger="old"))
        first = datetime(1, 1, 1, tzinfo=UTC)
        done(do(writer, c.Transaction(postings=legs, effective_at=first), ledger="old"))
    all_days = make(database, "old", tmp_path / "all", last=date(1, 3, 1))
    assert all_days.days == (date.min, date(1, 3, 1))
    later = make(database, "old", tmp_path / "later", "hledger", "beancount", first=date(1, 1, 2))
    assert later.days is not None
    for folder in ("all", "later"):
        hledger("-f", tmp_path / folder / "hledger" / "ledger.journal", "check", "--strict")
        assert bean_check(tmp_path / folder / "beancount" / "ledger.beancount") == ""


DEEP = "stands for lists in lists"
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "an amount with decimals": (
        lambda event: event["postings"][0].update(amount="1.5"),
        "Event 2 has the amount '1.5'",
    ),
    "an amount of 64 bits": (
        lambda event: event["postings"][0].update(amount=str(2**63)),
        "Event 2 has the amount '9223372036854775808'",
    ),
    "an amount of thousands of digits": (
        lambda event: event["postings"][0].update(amount="9" * 5000),
        "Event 2 has the amount '9999",
    ),
    "data that are nested too deep": (
        lambda event: event.update(data={"deep": DEEP}),
        "Event 2 cannot be read: maximum recursion depth",
    ),
    "an asset without a scale": (
        lambda event: event["postings"][0].update(asset="USD"),
        "Event 2 has the asset 'USD'",
    ),
    "an account that nobody opened": (
        lambda event: event["postings"][0].update(account="nobody"),
        "The account 'nobody'",
    ),
    "a type of the future": (
        lambda event: event.update(type="moon_landed"),
        "Event 2 cannot be read: seq 2: moon_landed version 1.",
    ),
    "a NUL": (lambda event: event.update(description="\0"), "Beancount cannot carry the NUL character"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_carried_exactly_ends_the_export(database: str, tmp_path: Path, what: str) -> None:
    """Nothing is rounded, cut or left out: a sentence says what it is, and nothing stands at the place."""
    change, sentence = BROKEN[what]
    with writing(database) as writer:
        open_ledger(writer)
        done(do(writer, deposit(1, 500)))
    with unguarded(database) as connection:
        body = bodies(connection)[1]
        event = json.loads(body)
        change(event)
        text = json.dumps(event, sort_keys=True, separators=(",", ":"))
        text = text.replace(f'"{DEEP}"', "[" * 20_000 + "]" * 20_000)
        connection.execute("UPDATE daybook.events SET body = %s WHERE seq = 2", (text.encode(),))
    with pytest.raises(ExportRefused) as refused:
        make(database, "main", tmp_path / "export")
    assert str(refused.value).startswith(sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_range_must_have_a_day_and_be_over(made: Made, tmp_path: Path) -> None:
    """Reversed ranges and days to come are refused; a range outside the postings is not."""
    with pytest.raises(ExportRefused, match="has no day"):
        make(made.conninfo, NAME, tmp_path / "x", "ads", first=date(2020, 1, 2), last=date(2020, 1, 1))
    with pytest.raises(ExportRefused, match="in the future of America/St_Johns"):
        make(made.conninfo, NAME, tmp_path / "x", "ads", last=date(2999, 1, 1))
    before = make(made.conninfo, NAME, tmp_path / "before", "ads", last=date(1700, 1, 1))
    assert before.days == (date(1700, 1, 1), date(1700, 1, 1))


def test_an_export_is_of_the_head_when_it_began(database: str, tmp_path: Path) -> None:
    """What is recorded while it runs does not show in any file."""
    with writing(database) as writer:
        open_troubled(writer)
        truth = Truth(database, NAME)
        written: list[int] = []

        def progress(what: str, done_: int, total: int) -> None:
            legs = [c.Posting("cash", "debit", 5, "X/0"), c.Posting("memo:new", "credit", 5, "X/0")]
            if not written:
                written.append(done(do(writer, c.Transaction(postings=legs), ledger=NAME)))

        target = tmp_path / "export"
        head = signed_head(database, NAME)
        made = export(database, Asked(NAME, frozenset(FORMATS)), target, head, progress)
    assert written == [len(truth.bodies) + 1]
    assert made.pin.seq == len(truth.bodies)
    assert (target / "events.jsonl").read_bytes().count(b"\n") == len(truth.bodies)
    for path in (
        "csv/accounts.csv",
        "hledger/ledger.journal",
        "beancount/ledger.beancount",
        "balances.jsonl",
    ):
        assert "memo:new" not in (target / path).read_text(encoding="utf-8")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT max(seq) FROM daybook.events").fetchone() == (written[0],)


# ---------------------------------------------------------------- reading back


def unsafe(cell: str) -> str:
    return cell.removeprefix("'")


def text(value: Any) -> str:
    return {True: "true", False: "false"}[value]


def read_csv(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: unsafe(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def table(made: Made, format: str, name: str) -> Rows:
    """The rows of a table as texts, whichever file they come from."""
    if format == "csv":
        return read_csv(made.folder / "csv" / f"{name}.csv")
    rows = pyarrow.parquet.read_table(made.folder / "parquet" / f"{name}.parquet").to_pylist()
    return [{column: as_text(value) for column, value in row.items()} for row in rows]


def as_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return text(value)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case _:
            return str(value)


def ads(made: Made, name: str) -> Rows:
    (path,) = (made.folder / "ads").glob(f"{name}_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reassembled(row: dict[str, Any], legs: Rows, ledger: str) -> bytes:
    """The canonical body of an event of these rows."""
    body: dict[str, Any] = {
        name: value
        for name, value in row.items()
        if value and name not in ("leaf", "legs", "effective_date", "batch_index", "batch_size")
    }
    for name in ("seq", "schema_version"):
        body[name] = int(row[name])
    for name in ("metadata", "data", "streams", "ends", "accounts_opened"):
        body[name] = json.loads(row[name])
        if not body[name]:
            del body[name]
    if row["batch_size"]:
        body["batch"] = [int(row["batch_index"]), int(row["batch_size"])]
    if legs:
        names = ("account", "amount", "asset", "side", "kind")
        body["postings"] = [
            {name: leg[name] for name in names if (name, leg[name]) != ("kind", "posted")} for leg in legs
        ]
    body["ledger"] = ledger
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def leaf(body: bytes) -> bytes:
    return sha256(b"\x00" + body).digest()


def root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha256(b"\x01" + root(hashes[:k]) + root(hashes[k:])).digest()
