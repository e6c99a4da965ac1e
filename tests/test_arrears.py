"""Arrears: what is at risk on a day, from a read model that is what the facts of loans make."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.loans.facts import Disbursed
from ledger.loans.history import History, accrued, add
from ledger.loans.state import Loan
from ledger.reader import Reader
from ledger.writer import Writer
from projections import arrears
from projections.arrears import Arrears
from projections.arrears_reads import AT_RISK, AssetAtRisk, portfolio_at_risk
from projections.projection import Subject
from projections.verify import verify
from tests.bookkeeping import do, done, writing
from tests.conftest import NewDatabase
from tests.daybook_command import succeeds
from tests.histories import project
from tests.loan_books import CHART, OFFER, LoanBooks
from tests.served import served
from tests.test_loan_ledger import asked, lent

START = date(2026, 1, 15)
STEPS = 60


@pytest.fixture(scope="module")
def portfolio(new_database: NewDatabase) -> Iterator[tuple[str, int]]:
    """A ledger whose loans were paid, late, undone, charged back, given up and sold; and its head.

    The read model took it in ranges of one event, of seven, and the rest at once.
    """
    with new_database() as conninfo:
        head = lend(conninfo, random.Random(3))
        for size, upto in ((1, head // 2), (7, 3 * head // 4), (1_000, head)):
            project(conninfo, 1, upto, size, (Arrears(),))
        yield conninfo, head


def lend(conninfo: str, chance: random.Random) -> int:
    head = 0
    with writing(conninfo) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
        asking(
            writer,
            "receive_provider_funds",
            "provider_funding:acme",
            START,
            asset="USD/2",
            amount=120_000,
            account="bank",
        )
        lent(writer, "L7", provider="acme")
        for n in range(7):
            asking(writer, "set_loan_policy", "loan_policy:main", START, policy={"grace_days": n % 3 * 4})
            lent(writer, f"L{n}")
        paid: dict[str, list[int]] = defaultdict(list)
        for _ in range(STEPS):
            name = f"L{chance.randrange(8)}"
            day = START + timedelta(days=chance.randrange(1, 150))
            seq = _step(writer, chance, name, day, paid[name])
            head = max(head, seq)
    return head


def _step(writer: Writer, chance: random.Random, name: str, day: date, paid: list[int]) -> int:
    kind = chance.choice(["repay_loan"] * 5 + ["prepay_loan", "charge_loan", "charge_back_repayment",
                          "undo_loan_transaction", "accrue_loan", "provision_loan", "waive_loan",
                          "reschedule_loan", "charge_off_loan", "announce_instalment"])  # fmt: skip
    amount = chance.choice([3_000, 11_200, 40_000])
    bodies: dict[str, dict[str, Any]] = {
        "repay_loan": {"amount": amount, "account": "bank"},
        "prepay_loan": {"amount": amount, "account": "bank"},
        "charge_loan": {"part": "penalty", "amount": 500},
        "charge_back_repayment": {"repayment": paid[-1] if paid else 1, "account": "bank"},
        "undo_loan_transaction": {"transaction": chance.choice(paid or [1]), "reason": "typed wrong"},
        "waive_loan": {"amounts": {"principal": 1_000}},
        "announce_instalment": {"due": f"{day:%Y-%m}-15"},
        "reschedule_loan": {"first_due": str(day + timedelta(days=20)), "count": 4},
    }
    seq = asking(writer, kind, f"loan:{name}", day, **bodies.get(kind, {}))
    if seq and kind in ("repay_loan", "prepay_loan"):
        paid.append(seq)
    return seq


def asking(writer: Writer, operation: str, subject: str, day: date, **body: Any) -> int:
    """The seq of what was recorded, or 0 where it was refused."""
    [outcome] = writer.execute("main", Request([asked(operation, subject, str(day), **body)]))
    return outcome.event.seq if isinstance(outcome, Recorded) else 0


def test_late_facts_after_an_announcement_leave_the_days_that_the_events_say() -> None:
    """What an announcement accrued makes facts of earlier days late ones, in the check as in the book."""
    books = LoanBooks()
    books.lent({**OFFER, "count": 3}, str(START))
    books.do("announce_instalment", "2026-02-20", due="2026-02-15")
    repaid = books.do("repay_loan", "2026-02-18", amount=5_000, account="bank")
    books.do("charge_back_repayment", "2026-02-18", repayment=repaid.seq, account="bank")
    said: dict[str, list[Any]] = {}
    for event in books.events:
        if "exposures" in event.data:
            exposures = event.data["exposures"]
            said = {day: rest for day, rest in said.items() if day < exposures["from"]}
            said |= {day: rest for day, *rest in exposures["days"]}
    rows = Arrears().recompute(books.events, Subject(1, "main", "UTC", len(books.events)))
    made = {str(row[1]): [str(row[0]), str(row[2])] for table, row in rows if table == "arrears_exposures"}
    assert made == said == {str(START): ["120000", "2026-02-15"]}


def test_the_rows_are_what_the_facts_make_and_one_that_differs_is_found(
    portfolio: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified against the loans' facts, in several parts; a day too early is found."""
    conninfo, _ = portfolio
    monkeypatch.setattr(arrears, "PART", 3)
    [verdict] = verify(conninfo, Arrears(), "main")
    assert verdict.difference is None, verdict
    later = "UPDATE projections.arrears_exposures SET oldest_due = oldest_due + %s WHERE loan = 'L1'"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        assert connection.execute(later, [-1]).rowcount > 1
        [verdict] = verify(conninfo, Arrears(), "main")
        assert verdict.difference is not None
        connection.execute(later, [1])


def naive(loans: list[Loan], on: date) -> dict[tuple[str, int], tuple[int, int]]:
    """By funding and days past due: how many, and what is outstanding; each loan made anew to the day."""
    found: dict[tuple[str, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for loan in loans:
        assert loan.offer is not None
        facts = [fact for fact in loan.facts if fact.day <= on]
        if not facts:
            continue
        assert isinstance(facts[0], Disbursed)
        history = History(loan.offer, loan.policy)
        for fact in facts:
            history = add(history, fact).history
        book = accrued(history, on).history.book
        assert book is not None
        unpaid = [
            row.due
            for row in book.rows
            if row.principal + row.interest > row.principal_done + row.interest_done
        ]
        unpaid += [extra.due for extra in book.extras if extra.amount > extra.done]
        late = max(((on - due).days for due in unpaid), default=0)
        late = late if late > loan.policy.grace_days else 0
        principal = 0 if book.charged_off else book.outstanding()["principal"]
        if principal:
            funding = "own" if loan.offer.provider is None else "provider"
            count, total = found[funding, late]
            found[funding, late] = (count + 1, total + principal)
    return found


def test_what_is_at_risk_on_a_day_is_what_the_facts_by_then_make(portfolio: tuple[str, int]) -> None:
    """For any day, however late the facts came in: numbers, sums, percent and buckets; at the end all of our
    own is the balance of the portfolio. A provider's loan is no asset of ours and has a line of its own.
    """
    conninfo, head = portfolio
    seen: set[tuple[str, str]] = set()
    with closing(Reader(conninfo)) as reader:
        loans = [stream.state for stream, _ in reader.streams("main", "loan", limit=100)]
        for days in range(0, 220, 6):
            on = START + timedelta(days=days)
            expected = naive(loans, on)
            for of in portfolio_at_risk(reader, "main", on, head).assets:
                check(
                    of, {late: value for (funding, late), value in expected.items() if funding == of.funding}
                )
                seen |= {(of.funding, bucket.bucket) for bucket in of.buckets}
                if of.funding == "own":
                    own = of.outstanding
        assert own == reader.balances("main", "loans:portfolio").balances[0].posted
    assert {bucket for _, bucket in seen} == {"current", "1-30", "31-60", "61-90", "91-180", ">180"}
    assert {funding for funding, _ in seen} == {"own", "provider"}


def check(of: AssetAtRisk, expected: dict[int, tuple[int, int]]) -> None:
    assert of.asset == "USD/2"
    assert (of.loans, of.outstanding) == added(expected.values())
    for line in of.at_risk:
        assert (line.loans, line.outstanding) == added(
            value for late, value in expected.items() if late >= AT_RISK[line.name]
        )
        assert abs(float(line.ratio) - 100 * line.outstanding / of.outstanding) <= 0.005
    assert (sum(b.loans for b in of.buckets), sum(b.outstanding for b in of.buckets)) == added(
        expected.values()
    )


def added(values: Iterable[tuple[int, int]]) -> tuple[int, int]:
    found = list(values)
    return sum(count for count, _ in found), sum(total for _, total in found)


def test_it_is_asked_for_over_http_and_at_the_console(portfolio: tuple[str, int]) -> None:
    """The same figures; today's, unless a day is said; an unknown day is refused by its name."""
    conninfo, head = portfolio
    with served(conninfo) as service:
        path = "/v1/ledgers/main/portfolio-at-risk"
        found = service.get(path, on="2026-04-01", min_seq=head)
        of_usd = found["assets"][0]
        assert found["on"] == "2026-04-01"
        assert [line["name"] for line in of_usd["at_risk"]] == list(AT_RISK)
        assert service.get(path)["on"] > "2026-04-01"
        refused = service.call("GET", path + "?on=yesterday")
        assert (refused.status_code, refused.json()["field"]) == (400, "on"), refused.text
        shown = succeeds(conninfo, "loans", "at-risk", "main", "--on", "2026-04-01").splitlines()
    assert shown[0] == "asset\tfunding\tpast due\tloans\toutstanding\tat risk"
    by_name = {line.split("\t")[2]: line.split("\t") for line in shown[1:] if "own" in line}
    par1 = of_usd["at_risk"][0]
    assert by_name["PAR1"][3:] == [
        str(par1["loans"]), f"{par1['outstanding'] / 100:,.2f} USD", f"{par1['ratio']} %"
    ]  # fmt: skip
