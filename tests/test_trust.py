"""The daily trust report: what the bank says it holds, and what is owed from it, day by day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from api.reconcile_commands import reconcile_group
from api.settings import read
from api.trust_command import trust_command
from ledger import commands as c
from ledger.batch import Recorded
from ledger.chart import ChartDocument
from ledger.reader import Reader
from ledger.vouchers import commands as v
from ledger.vouchers.codes import hash_of
from ledger.writer import Writer
from projections.assertion_reads import assertions
from projections.assertions import Assertions
from projections.daily_balances import DailyBalances
from projections.trust import TrustLine, TrustReport, trust_report
from tests.bookkeeping import do, done, register, writing
from tests.daybook_command import environment
from tests.histories import project
from tests.test_statements import camt, entry

CHART = ChartDocument(assets=("EUR/2",), accounts=(), products=("vouchers",))
TRUST = "vouchers:relief:trust"
TO = date(2026, 1, 31)


def noon(day: int) -> datetime:
    """Noon in Windhoek, two hours ahead of UTC."""
    return datetime(2026, 1, day, 10, tzinfo=UTC)


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database) as writer:
        done(do(writer, c.LedgerOpening(name="main", time_zone="Africa/Windhoek", chart=CHART)))
        register(writer, "B1")
        for name in ("relief", "school"):
            done(do(writer, v.ProgrammeOpening(programme=name, name=name, asset="EUR/2")))
            done(do(writer, v.Funding(amount=100_000, effective_at=noon(5)), name))
        yield writer


def issue(name: str, day: int, amount: int = 10_000) -> v.Issue:
    return v.Issue(
        programme="relief",
        voucher=name,
        amount=amount,
        beneficiary="B1",
        code_hash=hash_of(name),
        effective_at=noon(day),
    )


def told(day: int, amount: int, account: str = TRUST) -> c.BalanceAssertion:
    return c.BalanceAssertion(
        account=account, asset="EUR/2", at=f"2026-01-{day:02}", expected=amount, source="bank"
    )


def report(database: str, **wanted: Any) -> TrustReport:
    """As the read models have it at head."""
    with closing(Reader(database)) as reader:
        project(database, 1, reader.ledger("main").seq, 1_000, (DailyBalances(), Assertions()))
        return trust_report(reader, "main", **{"to": TO, "programme": "relief", **wanted})


def line(database: str, day: int) -> TrustLine:
    [found] = report(database, to=date(2026, 1, day)).programmes
    return found


def test_the_bank_is_held_to_what_is_owed_on_every_day(database: str, writer: Writer) -> None:
    """Unknown before it says anything; then what it said and what was moved since, against three debts."""
    done(do(writer, issue("V1", 6)))
    redeem = v.Redemption(amount=4_000, payee_type="agent", payee="A1", effective_at=noon(7))
    done(do(writer, redeem, "V1"))
    done(do(writer, told(7, 100_000)))
    settle = v.Settlement(payees=[v.Payee("agent", "A1")], effective_at=noon(8))
    done(do(writer, settle, "relief"))
    found = report(database, to=date(2026, 1, 8), days=4)
    assert [(x.day, x.status) for x in found.programmes] == [
        ("2026-01-05", "unknown"),
        ("2026-01-06", "unknown"),
        ("2026-01-07", "passing"),
        ("2026-01-08", "passing"),
    ]
    assert found.programmes[-1] == TrustLine(
        programme="relief",
        asset="EUR/2",
        day="2026-01-08",
        status="passing",
        bank=100_000,
        bank_day="2026-01-07",
        since=-4_000,
        outstanding=6_000,
        unsettled=0,
        fund=90_000,
        deficiency=0,
        book=96_000,
        failing_since=None,
    )
    before = found.programmes[1]
    assert (before.outstanding, before.unsettled, before.fund) == (10_000, 0, 90_000)


def test_what_is_moved_after_the_bank_has_spoken_counts_on_the_same_day(
    database: str, writer: Writer
) -> None:
    """Of a moment within a day the bank says what there was by then: later money of that day comes on top."""
    spoken = c.BalanceAssertion(
        account=TRUST, asset="EUR/2", at=noon(6).isoformat(), expected=99_900, source="bank"
    )
    done(do(writer, spoken))
    early, late = noon(6) - timedelta(hours=1), noon(6) + timedelta(hours=1)
    done(do(writer, v.Funding(amount=5_000, effective_at=late), "relief"))
    done(do(writer, v.Return(amount=40, effective_at=early), "relief"))
    found = line(database, 6)
    assert (found.bank, found.since, found.book, found.deficiency) == (99_900, 5_000, 104_960, 60)
    assert line(database, 7).deficiency == 60


def test_a_deficiency_is_listed_as_failing_until_it_is_made_good(database: str, writer: Writer) -> None:
    """From the first day on, however late it is known; a surplus is none; passing again when it is healed."""
    done(do(writer, told(6, 100_000)))
    done(do(writer, told(9, 99_750)))
    assert [x.status for x in report(database, to=date(2026, 1, 9), days=4).programmes] == [
        "passing",
        "passing",
        "passing",
        "failing",
    ]
    found = line(database, 20)
    assert (found.status, found.deficiency, found.failing_since) == ("failing", 250, "2026-01-09")
    done(do(writer, told(12, 100_001)))
    assert (line(database, 12).status, line(database, 12).deficiency) == ("passing", -1)
    done(do(writer, told(15, 99_999)))
    # What was owed all along is recorded late: it lacks on the day that it counts on, and ever since.
    late = v.Return(amount=5, effective_at=noon(10))
    done(do(writer, late, "relief"))
    assert (line(database, 10).status, line(database, 11).deficiency) == ("failing", 250)
    assert (line(database, 12).deficiency, line(database, 15).status) == (-6, "passing")
    failing = report(database, days=31, status="failing").programmes
    assert [x.day for x in failing] == ["2026-01-09", "2026-01-10", "2026-01-11"]
    assert {x.failing_since for x in failing} == {"2026-01-09"}


def test_in_all_no_surplus_covers_what_another_programme_lacks(database: str, writer: Writer) -> None:
    """The sums are of all; the deficiency is of those that lack something."""
    done(do(writer, told(6, 99_000)))
    unknown = report(database, programme=None)
    assert [(x.programme, x.status) for x in unknown.programmes] == [
        ("relief", "failing"),
        ("school", "unknown"),
    ]
    assert [(x.status, x.bank, x.deficiency) for x in unknown.in_all] == [("failing", None, 1_000)]
    done(do(writer, told(6, 105_000, "vouchers:school:trust")))
    [together] = report(database, programme=None).in_all
    assert (together.status, together.bank, together.fund, together.deficiency) == (
        "failing",
        204_000,
        200_000,
        1_000,
    )
    done(do(writer, told(7, 100_000)))
    [together] = report(database, programme=None).in_all
    assert (together.status, together.deficiency, together.failing_since) == ("passing", -5_000, None)


@pytest.mark.parametrize("seed", range(2))
def test_every_day_is_what_a_naive_sum_of_the_legs_says(database: str, writer: Writer, seed: int) -> None:
    """Backdated money and statements at random; each day adds up the legs effective by its end."""
    chance = random.Random(seed)
    legs: list[tuple[int, str, int]] = [(5, "trust", 100_000), (5, "fund", -100_000)]
    statements: dict[int, int] = {}
    for step in range(60):
        day = chance.randrange(6, 28)
        body, subject = chance.choice(
            [
                (issue(f"V{step}", day, chance.choice([100, 900])), ""),
                (v.Funding(amount=70, effective_at=noon(day)), "relief"),
                (v.Return(amount=30, effective_at=noon(day)), "relief"),
                (
                    v.Redemption(amount=50, payee_type="agent", payee="A", effective_at=noon(day)),
                    f"V{chance.randrange(step + 1)}",
                ),
                (v.Settlement(payees=[v.Payee("agent", "A")], effective_at=noon(day)), "relief"),
            ]
        )
        outcome = do(writer, body, subject)
        if isinstance(outcome, Recorded):
            legs += [
                (day, p.account.split(":")[2], int(p.amount) * (1 if p.side == "debit" else -1))
                for p in outcome.event.postings
            ]
        if step % 6 == 0:
            statements[day] = 100_000 + chance.randrange(-200, 200)
            done(do(writer, told(day, statements[day])))
    for found in report(database, days=31).programmes:
        day = int(found.day[-2:])
        by = [leg for leg in legs if leg[0] <= day]
        owed = -sum(amount for _, role, amount in by if role != "trust")
        last = max((d for d in statements if d <= day), default=None)
        if last is None:
            assert (found.status, found.deficiency) == ("unknown", None)
            continue
        since = sum(amount for at, role, amount in by if role == "trust" and at > last)
        assert (found.bank, found.since) == (statements[last], since)
        assert found.outstanding + found.unsettled + found.fund == owed
        assert found.deficiency == owed - statements[last] - since


def test_reconciling_a_statement_tells_the_bank_s_balance(
    database: str, writer: Writer, tmp_path: Path
) -> None:
    """Every closing balance of a camt.053 is asserted once; of a CSV the one that is given with it."""
    settings = read(environment(database))
    path = tmp_path / "january.xml"

    def closing(day: int, amount: str) -> str:
        return (
            f'<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt>'
            f"<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-{day:02}</Dt></Dt></Bal>"
        )

    paid = entry("1000.00", day="<BookgDt><Dt>2026-01-05</Dt></BookgDt>")
    path.write_text(camt(closing(5, "1000.00"), closing(31, "997.50"), paid))

    def run(*arguments: str) -> str:
        found = CliRunner().invoke(reconcile_group, ["bank", "main", *arguments], obj=settings)
        assert found.exit_code == 0, (found.output, found.exception)
        return found.output

    for _ in range(2):
        assert "100.00 % match" in run(str(path), "--account", TRUST)
    found = line(database, 31)
    assert (found.bank, found.bank_day, found.deficiency) == (99_750, "2026-01-31", 250)
    with closing_reader(database) as reader:
        failing = assertions(reader, "main", status="failing", account=None, after=0, limit=10)
        assert [(x.at[:10], x.difference, x.source) for x in failing.assertions] == [
            ("2026-01-31", 250, "january.xml")
        ]
        every = assertions(reader, "main", status=None, account=None, after=0, limit=10)
        assert len(every.assertions) == 2
    shown = CliRunner().invoke(trust_command, ["main", "--to", "2026-01-31"], obj=settings)
    assert shown.exit_code == 1
    assert "The bank lacks what is owed for relief." in shown.output
    row = next(x for x in shown.output.splitlines() if x.startswith("2026-01-31\trelief"))
    assert row.split("\t")[2:8] == [
        "997.50 EUR",
        "0.00 EUR",
        "0.00 EUR",
        "0.00 EUR",
        "1,000.00 EUR",
        "2.50 EUR",
    ]
    csv, mapping = tmp_path / "february.csv", tmp_path / "mapping.toml"
    csv.write_text(
        f"day,sum\n2026-01-05,1000.00\n{(date(2026, 1, 31) + timedelta(days=1)).isoformat()},2.50\n"
    )
    mapping.write_text('currency = "EUR"\ndate = {column = "day"}\namount = "sum"\n')
    run(str(csv), "--account", TRUST, "--mapping", str(mapping), "--closing-balance", "1000.00")
    assert report(database, to=date(2026, 2, 1)).programmes[0].status == "passing"


def closing_reader(database: str) -> closing[Reader]:
    return closing(Reader(database))
