"""Ledger, Buffr and bank side by side: each difference where it is, and none where they agree."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters.buffr_client import BuffrClient
from api import buffr_side
from api import reconcile_vouchers as commands
from api.buffr_side import Vouchers
from api.reconcile_commands import reconcile_group
from api.settings import read
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.chart import ChartDocument
from ledger.reader import Reader
from ledger.reconciliation.commands import ResolveItem
from ledger.three_way import ThreeWayLine, Word, three_way
from ledger.vouchers import commands as v
from ledger.vouchers.codes import hash_of
from ledger.writer import Writer
from tests.bookkeeping import do, done, register, writing
from tests.buffr_double import API_KEY, Buffr, buffr
from tests.daybook_command import environment
from tests.served import served

CHART = ChartDocument(assets=("NAD/2",), accounts=(), products=("vouchers",))


@pytest.fixture
def double() -> Iterator[Buffr]:
    with buffr() as state:
        yield state


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    """Funded; V1 to V5 of 1,000 each, redeemed at A, but for V5; 2,500 of A's 4,000 settled, then 1,000."""
    with writing(database) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
        opening = v.ProgrammeOpening(programme="relief", name="R", asset="NAD/2", distributor="buffr")
        done(do(writer, opening))
        done(do(writer, v.Funding(amount=100_000, reference="F-1"), "relief"))
        register(writer, "B")
        for number in range(1, 6):
            name = f"V{number}"
            issue = v.Issue(
                programme="relief", voucher=name, amount=1_000, beneficiary="B", code_hash=hash_of(name)
            )
            done(do(writer, issue))
            done(do(writer, v.Distribution(delivery=name), name))
            if number < 5:
                done(do(writer, v.Redemption(payee_type="agent", payee="A"), name))
        for amount in (2_500, 1_000):
            pay = v.Settlement(payees=[v.Payee("agent", "A", amount)], reference=f"S-{amount}")
            done(do(writer, pay, "relief"))
        yield writer


def ask_buffr(database: str, writer: Writer, double: Buffr, **statuses: str) -> None:
    """Buffr agrees, but for these."""
    agreed = {f"V{n}": "redeemed" for n in range(1, 5)} | {"V5": "issued"}
    double.statuses = agreed | statuses
    with (
        closing(Reader(database)) as reader,
        closing(BuffrClient(double.url, API_KEY, pause=lambda seconds: None)) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        asked = Vouchers(reader, "main", client, lambda after, limit: [], "2026-11-21", pool)
        buffr_side.run(writer, asked, f"buffr-{len(reads.runs(reader, 'main', '', 100))}", lambda count: None)


def ask_bank(database: str, folder: Path, *lines: str) -> None:
    """A statement of today's lines."""
    with closing(Reader(database)) as reader:
        today = reader.clock().date().isoformat()
    path, mapping = folder / "trust.csv", folder / "mapping.toml"
    path.write_text("\n".join(["day,sum,ref,id", *(f"{today},{line}" for line in lines)]) + "\n")
    mapping.write_text(
        'currency = "NAD"\ndate = {column = "day"}\namount = "sum"\nreference = "ref"\nid = "id"\n'
    )
    arguments = ["bank", "main", str(path), "--account", "vouchers:relief:trust", "--mapping", str(mapping)]
    found = CliRunner().invoke(reconcile_group, arguments, obj=read(environment(database)))
    assert found.exit_code == 0, (found.output, found.exception)


def compared(database: str) -> dict[tuple[str, str], ThreeWayLine]:
    with closing(Reader(database)) as reader:
        lines = list(three_way(reader, "main"))
    found: dict[tuple[str, str], ThreeWayLine] = {(line.subject, line.name): line for line in lines}
    assert len(found) == len(lines)
    return found


GOOD = ("1000.00,F-1,b1", "-25.00,S-2500,b2", "-10.00,S-1000,b3")


def test_nothing_is_listed_where_all_agree(
    database: str, writer: Writer, double: Buffr, tmp_path: Path
) -> None:
    """Nor before anybody was asked."""
    assert compared(database) == {}
    ask_buffr(database, writer, double)
    ask_bank(database, tmp_path, *GOOD)
    assert compared(database) == {}


def test_a_voucher_leads_to_the_bank_s_payment_and_a_settlement_to_its_vouchers(
    database: str, writer: Writer, double: Buffr, tmp_path: Path
) -> None:
    """V1 and V3 were never redeemed, Buffr says; V3 was paid by both settlements, V4 is not paid whole."""
    ask_buffr(database, writer, double, V1="delivered", V3="expired", V4="delivered", V5="redeemed")
    ask_bank(database, tmp_path, *GOOD)
    found = compared(database)
    settlements = sorted(name for subject, name in found if subject == "settlement")
    assert {name: (x.ledger, x.buffr, x.bank) for (kind, name), x in found.items() if kind == "voucher"} == {
        "V1": (Word("redeemed", 1_000), Word("delivered", 1_000), Word("paid", 1_000)),
        "V3": (Word("redeemed", 1_000), Word("expired", 1_000), Word("paid", 1_000)),
        "V4": (Word("redeemed", 1_000), Word("delivered", 1_000), Word("unsettled", 500)),
        "V5": (Word("issued", 1_000), Word("redeemed", 1_000), Word("none", 0)),
    }
    first, second = (found["settlement", name] for name in settlements)
    assert (first.ledger, first.buffr, first.bank) == (
        Word("settled", 2_500),
        Word("differs", 1_000),
        Word("paid", 2_500),
    )
    assert (second.ledger, second.buffr) == (Word("settled", 1_000), Word("differs", 0))


def test_the_bank_s_differences_are_told_of_settlements_and_vouchers(
    database: str, writer: Writer, double: Buffr, tmp_path: Path
) -> None:
    """A settlement that it paid otherwise, one that it has not, and a line of its own."""
    ask_buffr(database, writer, double, V1="delivered")
    ask_bank(database, tmp_path, "1000.00,F-1,b1", "-24.00,S-2500,b2", "-3.50,FEE,b4")
    found = compared(database)
    [first, second] = sorted(
        (x for x in found.values() if x.subject == "settlement"), key=lambda x: int(x.name)
    )
    assert (first.buffr, first.bank) == (Word("differs", 1_500), Word("differs", 2_400))
    assert (second.buffr, second.bank) == (Word("confirmed", 1_000), Word("missing", 0))
    assert found["voucher", "V1"].bank == Word("differs", 0)
    fee = found["trust", "b4"]
    assert (fee.programme, fee.ledger, fee.buffr, fee.bank) == (
        "relief",
        Word("missing"),
        Word("none"),
        Word("missing_here", -350),
    )
    assert len(found) == 4


def test_what_is_resolved_or_compared_anew_differs_no_more(
    database: str, writer: Writer, double: Buffr, tmp_path: Path
) -> None:
    """An explanation ends a difference; a later statement of the same days decides."""
    ask_buffr(database, writer, double, V1="delivered")
    ask_bank(database, tmp_path, "1000.00,F-1,b1", "-25.00,S-2500,b2", "-3.50,FEE,b4")
    with closing(Reader(database)) as reader:
        for run in reads.runs(reader, "main", "", 10):
            for item in reads.items(reader, "main", run.run):
                if (item.here or item.there)[0]["reference"] in ("V1", "S-1000"):
                    body = ResolveItem(run=run.run, item=item.item, explanation="known")
                    done(do(writer, body))
    assert set(compared(database)) == {("trust", "b4")}
    ask_bank(database, tmp_path, *GOOD)
    assert compared(database) == {}


def test_a_funding_that_the_bank_has_not_is_a_line_too(
    database: str, writer: Writer, double: Buffr, tmp_path: Path
) -> None:
    """Over HTTP and at the console, as it stands."""
    ask_bank(database, tmp_path, *GOOD[1:])
    [line] = compared(database).values()
    assert (line.subject, line.ledger, line.bank) == ("trust", Word("posted", 100_000), Word("missing", 0))
    shown = CliRunner().invoke(commands.three_way_command, ["main"], obj=read(environment(database)))
    assert shown.exit_code == 1
    assert f"trust\t{line.name}\trelief\tposted 1,000.00 NAD\tnone\tmissing 0.00 NAD" in shown.output
    with served(database) as service:
        answer = service.get("/v1/ledgers/main/three-way")
        assert answer == {
            "differences": [
                {
                    "subject": "trust",
                    "name": line.name,
                    "programme": "relief",
                    "asset": "NAD/2",
                    "ledger": {"status": "posted", "amount": 100_000},
                    "buffr": {"status": "none", "amount": None},
                    "bank": {"status": "missing", "amount": 0},
                }
            ],
            "more": False,
        }
        head = service.get("/v1/ledgers/main")["seq"]
        report = service.get("/v1/ledgers/main/trust-report", programme="relief", min_seq=head, days=3)
        assert [line["status"] for line in report["programmes"]] == ["unknown"] * 3
        assert report["programmes"][-1]["fund"] == 95_000
