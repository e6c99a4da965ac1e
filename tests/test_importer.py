"""`daybook import`: every line once, in order, exactly, whatever the file holds and however the run ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from api.import_csv import csv_rows, read_mapping
from api.import_files import MAX_LINE, InputError, Line, Source, json_lines
from ledger import commands as c
from ledger.batch import Request
from ledger.chart import AccountPattern, ChartDocument, Limits
from ledger.commands import Transaction
from ledger.writer import Writer
from tests.daybook_command import COMMAND, ROOT, daybook, environment, fails, succeeds

CHART = ChartDocument(
    ("USD/2", "JPY/0"),
    (
        AccountPattern("cash", "asset"),
        AccountPattern("customers:{n}", "liability", limits={"*": Limits(min_available=0)}),
    ),
)

MAPPING = """
effective_at = { column = "day", format = "%d.%m.%Y %H:%M" }
amount = { column = "amount", asset = "USD/2" }
description = "{what} of {who}"
reference = "{id}"

[metadata]
branch = "{branch}"

[maps.branch]
"" = "head office"

[[rule]]
when = { what = "in" }
debit = "cash"
credit = "customers:{who}"

[[rule]]
when = { what = ["out", "fee"], branch = "" }
debit = "customers:{who}"
credit = "cash"
"""

HEADER = "id,day,what,who,amount,branch\n"


@pytest.fixture
def book(database: str) -> str:
    """A database with the open ledger `book`, whose days are those of Prague."""
    writer = Writer(database, connections=1)
    opening = c.LedgerOpening(name="book", chart=CHART, time_zone="Europe/Prague")
    writer.execute("book", Request([c.command(opening)]))
    writer.close()
    return database


def line(number: int, amount: float | str = 100, **more: object) -> str:
    postings = [
        {"account": "cash", "side": "debit", "amount": amount, "asset": "USD/2"},
        {"account": f"customers:{number % 7}", "side": "credit", "amount": amount, "asset": "USD/2"},
    ]
    return json.dumps({"postings": postings, "reference": f"line-{number}", **more}) + "\n"


def references(database: str) -> list[str]:
    """What was posted, in the order of the ledger."""
    with psycopg.connect(database) as connection:
        bodies = connection.execute("SELECT body FROM daybook.events WHERE legs > 0 ORDER BY seq").fetchall()
    return [json.loads(body)["reference"] for (body,) in bodies]


def rows(tmp_path: Path, text: str | bytes, mapping: str = MAPPING) -> list[Line]:
    """What the rows of a CSV file ask for."""
    (tmp_path / "map.toml").write_text(mapping)
    (tmp_path / "file.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    columns = read_mapping(tmp_path / "map.toml")
    with Source(tmp_path / "file.csv", columns.encoding) as source:
        return list(csv_rows(source, columns, ZoneInfo("Europe/Prague")))


def one(tmp_path: Path, row: str) -> Transaction | str:
    (only,) = rows(tmp_path, HEADER + row)
    return only.content


# ---------------------------------------------------------------- runs


def test_running_it_again_posts_nothing_twice(book: str, tmp_path: Path) -> None:
    """The second run finds every line there; lines added meanwhile are posted; the order is the file's."""
    file = tmp_path / "moves.jsonl"
    file.write_text("".join(line(n, str(n)) for n in range(1, 2501)))
    assert succeeds(book, "import", "book", file).startswith("2,500 posted, 0 already there, 0 refused; ")
    with file.open("a") as more:
        more.write("\n" + line(2501))
    assert succeeds(book, "import", "book", file).startswith("1 posted, 2,500 already there, 0 refused; ")
    assert references(book) == [f"line-{n}" for n in range(1, 2502)]


def test_a_key_of_the_line_stands_across_files_and_places(book: str, tmp_path: Path) -> None:
    """With its own `idempotency_key` a line may move; without it the name and number tell it."""
    one_file, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one_file.write_text(line(1, idempotency_key="a") + line(2))
    other.write_text(line(2) + line(1, idempotency_key="a"))
    succeeds(book, "import", "book", one_file)
    assert succeeds(book, "import", "book", other).startswith("1 posted, 1 already there")
    copy = tmp_path / "copy.jsonl"
    copy.write_text(one_file.read_text())
    assert succeeds(book, "import", "book", copy, "--name", "one.jsonl").startswith(
        "0 posted, 2 already there"
    )


def test_an_altered_line_is_refused(book: str, tmp_path: Path) -> None:
    """Another amount at the place of an imported line is an error that names the line, and posts nothing."""
    file = tmp_path / "moves.jsonl"
    file.write_text(line(1) + line(2) + line(3))
    succeeds(book, "import", "book", file)
    file.write_text(line(1) + line(2, 999) + line(3))
    done = daybook(book, "import", "book", file)
    assert done.returncode == 1
    assert done.stdout.startswith("0 posted, 2 already there, 1 refused")
    assert done.stderr.startswith("line 2: its key import:moves.jsonl:2 stands for another transaction")
    assert len(references(book)) == 3


def test_refused_lines_are_reported_and_the_rest_is_posted(book: str, tmp_path: Path) -> None:
    """The first 20 on the screen, all of them in the file of rejects with their text; exit code 1."""
    file, rejects = tmp_path / "moves.jsonl", tmp_path / "rejects.jsonl"
    out = line(1).replace('"debit"', '"x"').replace('"credit"', '"debit"').replace('"x"', '"credit"')
    file.write_text(line(1) + 30 * "nonsense\n" + out + out + line(2, 9.99) + line(3))
    done = daybook(book, "import", "book", file, "--rejects", rejects)
    assert done.returncode == 1
    assert done.stdout.startswith("3 posted, 0 already there, 32 refused")
    shown = done.stderr.splitlines()
    assert len(shown) == 21
    assert shown[0].startswith("line 2: JSON is malformed")
    assert shown[20].startswith("12 more refused lines")
    kept = [json.loads(text) for text in rejects.read_text().splitlines()]
    assert [record["line"] for record in kept] == [*range(2, 32), 33, 34]
    assert kept[0]["text"] == "nonsense"
    assert "insufficient_available" in kept[30]["reason"]
    assert "$.postings[0].amount" in kept[31]["reason"]

    again = daybook(book, "import", "book", file, "--rejects", rejects)
    assert again.stdout.startswith("0 posted, 3 already there, 32 refused")
    assert "another --name" in json.loads(rejects.read_text().splitlines()[30])["reason"]


@pytest.mark.torture
def test_a_killed_import_is_finished_by_the_next(book: str, tmp_path: Path) -> None:
    """kill -9 in mid-file, more than once; then every line is there once, in the order of the file."""
    count = 30_000
    file = tmp_path / "moves.jsonl"
    file.write_text("".join(line(n) for n in range(count)))
    for least in (2_000, 9_000):
        process = subprocess.Popen((*COMMAND, "import", "book", file), cwd=ROOT, env=environment(book))
        with psycopg.connect(book, autocommit=True) as connection:
            while connection.execute("SELECT seq > %s FROM daybook.heads", (least,)).fetchone() != (True,):
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
        process.kill()
        process.wait()
    said = succeeds(book, "import", "book", file)
    figures = re.match(r"([\d,]+) posted, ([\d,]+) already there, 0 refused", said)
    assert figures is not None
    posted, already = (int(figure.replace(",", "")) for figure in figures.groups())
    assert posted + already == count
    assert already >= 9_000
    assert posted > 0
    assert references(book) == [f"line-{n}" for n in range(count)]


def test_csv_and_rules_become_transactions(book: str, tmp_path: Path) -> None:
    """Amounts to the minor unit, times in the ledger's zone, templates, maps, the first rule that fits."""
    file, mapping, rejects = tmp_path / "bank.csv", tmp_path / "map.toml", tmp_path / "rejects"
    mapping.write_text(MAPPING + '[[rule]]\nwhen = { what = "in" }\ndebit = "never"\ncredit = "never"\n')
    file.write_text(HEADER + "7,02.01.1993 00:30,in,5,12.5,north\n8,03.07.1993 12:00,fee,5,0.01,\n9,,,,,\n")
    done = daybook(book, "import", "book", file, "--mapping", mapping, "--rejects", rejects)
    assert done.stdout.startswith("2 posted, 0 already there, 1 refused")
    assert done.stderr == "line 4: no rule matches what = '', branch = ''\n"
    with psycopg.connect(book) as connection:
        found = connection.execute("SELECT body FROM daybook.events WHERE legs > 0 ORDER BY seq").fetchall()
    first, second = (json.loads(body) for (body,) in found)
    assert [(p["account"], p["side"], p["amount"]) for p in first["postings"]] == [
        ("cash", "debit", "1250"),
        ("customers:5", "credit", "1250"),
    ]
    assert first["effective_at"] == "1993-01-01T23:30:00.000000Z"
    assert second["effective_at"] == "1993-07-03T10:00:00.000000Z"
    assert (first["description"], first["reference"], first["metadata"]) == (
        "in of 5",
        "7",
        {"branch": "north"},
    )
    assert second["metadata"] == {"branch": "head office"}
    assert (first["key"], second["key"]) == ("import:bank.csv:2", "import:bank.csv:3")


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,02.01.1993 00:30,in,5,1.005,", "`amount` is 1.005, which has more than 2 decimals"),
        ("1,02.01.1993 00:30,in,5,1.000,", "`amount` is 1.000, which has more than 2 decimals"),
        ("1,02.01.1993 00:30,in,5,-1.00,", "`amount` is -1.00, which is not between 1 and"),
        ("1,02.01.1993 00:30,in,5,0.00,", "`amount` is 0.00, which is not between 1 and"),
        ("1,02.01.1993 00:30,in,5,92233720368547758.08,", "which is not between 1 and 9223372036854775807"),
        ("1,02.01.1993 00:30,in,5,1e3,", "`amount` is '1e3', which is not a decimal number"),
        ("1,02.01.1993 00:30,in,5,NaN,", "which is not a decimal number"),
        ("1,02.01.1993 00:30,in,5,٣,", "which is not a decimal number"),
        ("1,31.02.1993 00:30,in,5,1,", "`day` is '31.02.1993 00:30', which is not a time of the form"),
        ("1,02.01.1993 00:30,in,,1,", "`credit` account 'customers:' is not an address"),
        ("1,02.01.1993 00:30,in,5,1", "5 fields where the header has 6"),
        ("1,02.01.1993 00:30,in,5,1,,", "7 fields where the header has 6"),
        ("1,02.01.1993 00:30,out,5,1,north", "no rule matches what = 'out', branch = 'north'"),
        (f"{'x' * 256},02.01.1993 00:30,in,5,1,", "$.reference"),
        ("\x00,02.01.1993 00:30,in,5,1,", "`reference` contains the NUL character"),
        ('"1"x,02.01.1993 00:30,in,5,1,', "',' expected after '\"'"),
    ],
)
def test_a_row_that_cannot_be_posted_says_why(tmp_path: Path, row: str, reason: str) -> None:
    """The sentence names the column and shows the value."""
    assert reason in str(one(tmp_path, row + "\n"))


def test_the_largest_amount_is_exact(tmp_path: Path) -> None:
    """2**63 - 1 minor units pass, to the last digit."""
    transaction = one(tmp_path, "1,02.01.1993 00:30,in,5,92233720368547758.07,\n")
    assert isinstance(transaction, Transaction)
    assert transaction.postings[0].amount == 2**63 - 1


def test_an_hour_that_occurs_twice_is_the_first(tmp_path: Path) -> None:
    """When summer time ends, 02:30 is taken for the summer's."""
    transaction = one(tmp_path, "1,26.09.1993 02:30,in,5,1,\n")
    assert isinstance(transaction, Transaction)
    assert transaction.effective_at == datetime(1993, 9, 26, 0, 30, tzinfo=UTC)


def test_lines_are_counted_through_quoted_line_ends(tmp_path: Path) -> None:
    """A record that spans lines has the number of its first, and the next one its own."""
    text = (
        HEADER + '"a\nb",02.01.1993 00:30,in,5,1,\nc,02.01.1993 00:30,no,5,1,\n\nd,02.01.1993 00:30,in,5,1,\n'
    )
    found = rows(tmp_path, text)
    assert [row.number for row in found] == [2, 4, 6]
    assert isinstance(found[0].content, Transaction)
    assert found[0].content.reference == "a\nb"
    assert found[1].text == "c,02.01.1993 00:30,no,5,1,\n"


def test_bytes_of_another_encoding_spoil_one_row(tmp_path: Path) -> None:
    """The rest of the file is read; the mapping's `encoding` reads them all."""
    text = HEADER + "ž,02.01.1993 00:30,in,5,1,\ne,02.01.1993 00:30,in,5,1,\n"
    spoilt = rows(tmp_path, text.encode("cp1250"))
    assert spoilt[0].content == "character 1 is not valid utf-8-sig"
    assert isinstance(spoilt[1].content, Transaction)
    whole = rows(tmp_path, text.encode("cp1250"), 'encoding = "cp1250"\n' + MAPPING)
    assert isinstance(whole[0].content, Transaction)
    assert whole[0].content.reference == "ž"
    with_mark = rows(tmp_path, text.encode("utf-8-sig"))
    assert isinstance(with_mark[0].content, Transaction)


def test_a_quote_that_is_never_closed_is_one_refused_record(tmp_path: Path) -> None:
    """It names the line where it began."""
    (only,) = rows(tmp_path, HEADER + '"1,02.01.1993 00:30,in,5,1,\n2,02.01.1993 00:30,in,5,1,\n')
    assert (only.number, only.content) == (2, "unexpected end of data")


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ("amount = 1", "Expected `object`, got `int` - at `$.amount`"),
        ("amount = ", "Invalid value"),
        (MAPPING.replace('"USD/2"', '"USD"'), "$.amount.asset"),
        (MAPPING.replace("{who}", "{whom}"), "has no column 'whom', which the mapping names; it has id, day"),
        (MAPPING.replace('what = "in"', 'kind = "in"'), "has no column 'kind'"),
        (MAPPING + 'vendor = "x"', "vendor"),
        ('delimiter = ";;"\n' + MAPPING, "$.delimiter"),
        ('encoding = "klingon"\n' + MAPPING, "'klingon' is not a known encoding"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_before_anything_is_posted(
    tmp_path: Path, mapping: str, reason: str
) -> None:
    """The message names the place in the mapping."""
    with pytest.raises(InputError) as refusal:
        rows(tmp_path, HEADER, mapping)
    assert reason in str(refusal.value)


# ---------------------------------------------------------------- the command line and the file


def test_what_cannot_be_imported_is_said_in_a_sentence(book: str, tmp_path: Path) -> None:
    """Exit code 2 for the command line, 1 for files and ledgers; no traceback."""
    file, table = tmp_path / "moves.jsonl", tmp_path / "moves.csv"
    file.write_text(line(1))
    table.write_text("")
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAPPING)
    assert "cannot be read" in fails(book, "import", "book", tmp_path / "none.jsonl")
    assert "cannot be read" in fails(book, "import", "book", table, "--mapping", tmp_path / "none.toml")
    assert "There is no ledger nowhere" in fails(book, "import", "nowhere", file)
    assert "is empty" in fails(book, "import", "book", table, "--mapping", mapping)
    assert "needs --mapping" in fails(book, "import", "book", table, code=2)
    assert "say --format" in fails(book, "import", "book", mapping, code=2)
    assert "printable ASCII" in fails(book, "import", "book", file, "--name", "ž", code=2)


def test_an_overlong_line_ends_the_import_after_what_precedes_it(book: str, tmp_path: Path) -> None:
    """Memory is bounded by a line's greatest length; the lines before it are posted and counted."""
    file = tmp_path / "moves.jsonl"
    file.write_text(line(1) + "x" * (MAX_LINE + 1) + "\n" + line(3))
    done = daybook(book, "import", "book", file)
    assert done.returncode == 1
    assert done.stdout.startswith("1 posted, 0 already there, 0 refused")
    assert "Not finished" in done.stderr
    assert "line 2 is longer than 1,048,576 characters" in done.stderr


def test_an_interrupted_import_says_how_to_go_on(book: str, tmp_path: Path) -> None:
    """Ctrl-C: what is known so far, exit code 1, no traceback; the next run posts the rest."""
    file = tmp_path / "moves.jsonl"
    file.write_text("".join(line(n) for n in range(20_000)))
    process = subprocess.Popen(
        (*COMMAND, "import", "book", file),
        cwd=ROOT,
        env=environment(book),
        stderr=subprocess.PIPE,
        text=True,
    )
    with psycopg.connect(book, autocommit=True) as connection:
        while connection.execute("SELECT seq > 2000 FROM daybook.heads").fetchone() != (True,):
            time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "Not finished; run it again to go on." in said
    assert "Traceback" not in said
    succeeds(book, "import", "book", file)
    assert references(book) == [f"line-{n}" for n in range(20_000)]


def test_reading_takes_the_same_memory_for_a_long_file(tmp_path: Path) -> None:
    """The readers are streams: ten times the rows need no more memory."""

    def peak(lines: Iterator[Line]) -> int:
        tracemalloc.reset_peak()
        assert sum(isinstance(found.content, Transaction) for found in lines) > 0
        return tracemalloc.get_traced_memory()[1]

    (tmp_path / "map.toml").write_text(MAPPING)
    columns = read_mapping(tmp_path / "map.toml")
    peaks = []
    tracemalloc.start()
    for count in (300, 300, 3_000):  # the first fills caches
        (tmp_path / "file.jsonl").write_text("".join(line(n) for n in range(count)))
        (tmp_path / "file.csv").write_text(HEADER + count * "1,02.01.1993 00:30,in,5,1,\n")
        with Source(tmp_path / "file.jsonl") as source:
            of_json = peak(json_lines(source))
        with Source(tmp_path / "file.csv") as source:
            peaks.append((of_json, peak(csv_rows(source, columns, ZoneInfo("UTC")))))
    tracemalloc.stop()
    for short, long in zip(peaks[1], peaks[2], strict=True):
        assert long < short + 100_000
