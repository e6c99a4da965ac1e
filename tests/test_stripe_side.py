"""The ledger beside Stripe's balance and payouts: each way to differ is found, as what it is."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapters.inbox.connections import connect
from adapters.stripe_balance import client_of
from adapters.stripe_side import StripeComparison
from api.reconcile_commands import reconcile_group
from api.settings import read
from api.stripe_commands import stripe_group
from ledger.payments.commands import ClassifyBalanceTransaction
from ledger.reader import Reader
from ledger.reconciliation.items import Finding, Tally
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.daybook_command import environment
from tests.stripe_double import KEY, StripeDouble, stripe_double
from tests.stripe_events import CREATED, Shop, charge, dispute, refund, session, txn, withdrawal
from tests.test_stripe_balance import END, START, fetched, source

LATER = int(END.timestamp()) + 3_600


def made(id: str, amount: int, **more: Any) -> dict[str, Any]:
    """A payout as Stripe lists it."""
    return {
        "id": id, "object": "payout", "amount": amount, "currency": "usd", "created": CREATED,
        "status": "paid", "automatic": True, "reconciliation_status": "completed",
    } | more  # fmt: skip


def balance() -> list[dict[str, Any]]:
    """All that moves the balance: 941 and 480 less 300 are paid out."""
    payout = made("po_1", 1_121)
    return [
        txn("charge", 1_000, 59, source(charge())),
        txn("charge", 500, 20, source(charge(amount=500, id="ch_2", payment_intent="pi_2")), id="txn_2"),
        txn("refund", -300, 0, source(refund("refund.created", "re_1", 300))),
        txn("adjustment", -1_000, 1_500, source(dispute("created", "needs_response")), id="txn_w"),
        txn("payout", -1_121, 0, payout),
        txn("stripe_fee", -77, 0, None),
        txn("charge", 700, 30, source(charge(amount=700, id="ch_3", payment_intent="pi_3")), id="txn_3"),
        txn("stripe_fee", -5, 0, None, id="txn_later", created=LATER),
    ]


class Books:
    """A shop that knows it all; `told`: before its balance was fetched; `unclassified`: the last but one."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        with stripe_double() as double:
            double.objects["balance_transactions"] = balance()
            shop.deliver(session())
            shop.deliver(charge())
            shop.deliver(refund("refund.created", "re_1", 300))
            shop.deliver(dispute("created", "needs_response", withdrawal()))
            self.told = self.head()
            fetched(shop, double, START, END + timedelta(days=1))
            for each in ("txn_later", "txn_stripe_fee"):
                self.unclassified = self.head()
                shop.ask(ClassifyBalanceTransaction(txn=each, account="costs"))
        self.known_at = self.head()

    def head(self) -> int:
        with closing(Reader(self.shop.database, 1)) as reader:
            return reader.ledger(self.shop.name).seq


@pytest.fixture(scope="module")
def books(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    with new_database() as conninfo, writing(conninfo) as writer, connect(conninfo) as connection:
        yield Books(Shop(conninfo, tmp_path_factory.mktemp("keys"), writer, connection))


@pytest.fixture(scope="module")
def running() -> Iterator[StripeDouble]:
    with stripe_double() as double:
        yield double


@pytest.fixture
def double(running: StripeDouble) -> StripeDouble:
    """A double that has all of it."""
    running.objects = {
        "balance_transactions": balance(),
        "payouts": [made("po_1", 1_121), made("po_2", 5, created=LATER)],
    }
    running.compositions = {"po_1": ["txn_charge", "txn_2", "txn_refund", "txn_payout"]}
    running.balance_off, running.failures, running.asked = 0, 0, []
    return running


def compared(books: Books, double: StripeDouble, folder: Path, known_at: int | None = None) -> list[Finding]:
    with closing(Reader(books.shop.database, 1)) as reader:
        comparison = StripeComparison(
            client_of(KEY, double.address), reader, books.shop.name, START, END, folder, lambda count: None
        )
        return list(comparison.findings(known_at or books.known_at, folder, iter))


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    """What is no match: its kind, or else its outcome, and what it is about."""
    return sorted(
        (f.kind or f.outcome, (f.there or f.here)[0].reference or (f.there or f.here)[0].name)
        for f in findings
        if f.outcome != "match"
    )


def test_what_agrees_matches(books: Books, double: StripeDouble, tmp_path: Path) -> None:
    """Seven balance transactions, whoever told them first; a payout, what it is made of, and the balance."""
    findings = compared(books, double, tmp_path)
    assert told(findings) == []
    txns = ["txn_2", "txn_3", "txn_charge", "txn_payout", "txn_refund", "txn_stripe_fee", "txn_w"]
    assert sorted(f.there[0].reference for f in findings) == ["po_1", "po_1", "stripe:clearing", *txns]


def test_by_pages_it_is_the_same(
    books: Books, double: StripeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two objects a page, two look-ups at once."""
    monkeypatch.setattr("adapters.stripe_balance.PAGE", 2)
    monkeypatch.setattr("adapters.stripe_side.LOOKED_UP", 2)
    monkeypatch.setattr("ledger.clearing_reads.PIECE", 2)
    assert told(compared(books, double, tmp_path)) == []
    assert len(double.asked) > 8


Change = Callable[[dict[str, dict[str, Any]], StripeDouble], None]


def fee(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    txns["txn_3"] |= {"fee": 33, "net": 667}


def amount(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    txns["txn_3"] |= {"amount": 701, "net": 671}


def more(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    # The amount of another one that is gone: two facts are never taken for one.
    txns["txn_new"] = {**txns.pop("txn_3"), "id": "txn_new"}


def gone(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    del txns["txn_3"]


def twice(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    txns["again"] = txns["txn_3"]


def failed(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    double.objects["payouts"][0] |= {"status": "failed"}


def other_payout(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    double.objects["payouts"][0] |= {"amount": 1_120}


def unknown_payout(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    double.objects["payouts"].append(made("po_3", 9, automatic=False))


def not_made_of_it(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    double.compositions["po_1"].remove("txn_2")


def made_of_unknown(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    # It adds up there, and one part of it is not in the ledger: made before the period.
    old = txn("charge", 480, 0, None, id="txn_old", created=CREATED - 90_000)
    txns["txn_old"] = old
    double.compositions["po_1"] = ["txn_charge", "txn_old", "txn_refund"]
    double.balance_off = -480


def balance_off(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    double.balance_off = 1


def unreadable(txns: dict[str, dict[str, Any]], double: StripeDouble) -> None:
    txns["txn_3"] |= {"amount": None}


CHANGES: dict[str, tuple[Change, list[tuple[str, str]]]] = {
    "another fee": (fee, [("balance_differs", "stripe:clearing"), ("fee_differs", "txn_3")]),
    "another amount": (amount, [("amount_mismatch", "txn_3"), ("balance_differs", "stripe:clearing")]),
    "one for another": (more, [("missing_here", "txn_new"), ("missing_there", "txn_3")]),
    "one is gone": (gone, [("balance_differs", "stripe:clearing"), ("missing_there", "txn_3")]),
    "one is there twice": (twice, [("balance_differs", "stripe:clearing"), ("duplicate", "txn_3")]),
    "a payout failed": (failed, [("status_mismatch", "po_1")]),
    "another payout": (other_payout, [("amount_mismatch", "po_1"), ("payout_composition", "po_1")]),
    "a payout nobody told of": (unknown_payout, [("missing_here", "po_3")]),
    "a payout is not made of that": (not_made_of_it, [("payout_composition", "po_1")]),
    "a payout of what is not here": (made_of_unknown, [("payout_composition", "po_1")]),
    "the balance alone": (balance_off, [("balance_differs", "stripe:clearing")]),
    "what cannot be read": (unreadable, [("misread", "txn_3"), ("missing_there", "txn_3")]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_difference_is_found_as_what_it_is(
    name: str, books: Books, double: StripeDouble, tmp_path: Path
) -> None:
    """Stripe says otherwise in one thing: that is found by its kind, and nothing else is."""
    change, expected = CHANGES[name]
    txns = {one["id"]: deepcopy(one) for one in double.objects["balance_transactions"]}
    change(txns, double)
    double.objects["balance_transactions"] = list(txns.values())
    findings = compared(books, double, tmp_path)
    assert told(findings) == expected
    if name == "a payout is not made of that":
        [found] = [f for f in findings if f.kind]
        assert [i.amount for i in (*found.here, *found.there)] == [641, 1_121, 641]


def test_what_nobody_has_classified_is_listed(books: Books, double: StripeDouble, tmp_path: Path) -> None:
    """It has moved clearing, and lies in an account of its own until somebody says what it was."""
    findings = compared(books, double, tmp_path, books.unclassified)
    assert told(findings) == [("unclassified", "txn_stripe_fee")]
    [found] = [f for f in findings if f.kind]
    assert (found.outcome, found.here[0].status, found.there[0].status) == (
        "status_mismatch",
        "unclassified",
        "stripe_fee",
    )


def test_what_a_webhook_told_first_matches_by_amount_and_day(
    books: Books, double: StripeDouble, tmp_path: Path
) -> None:
    """Before its balance transaction is fetched, a refund is known without that reference."""
    findings = compared(books, double, tmp_path, books.told)
    by_day = [f for f in findings if f.rule == "amount_and_date"]
    assert [(f.outcome, f.here[0].name, f.there[0].reference) for f in by_day] == [
        ("match", "re_1", "txn_refund")
    ]
    assert ("missing_here", "txn_w") not in told(findings)


def test_the_command_compares_and_keeps_what_differs(books: Books, double: StripeDouble) -> None:
    """A run with its kinds; each time another one; and a sentence where Stripe cannot be asked."""
    double.objects["balance_transactions"][6] |= {"fee": 33, "net": 667}
    name, first = books.shop.name, START.date().isoformat()
    variables = {"STRIPE_SECRET_KEY": KEY, "STRIPE_API": double.address}
    asked = ("stripe", name, "--from", first, "--to", first)

    def said(*arguments: str, **given: str) -> Result:
        settings = read(environment(books.shop.database) | given)
        return CliRunner().invoke(reconcile_group, arguments, obj=settings)

    first_run = said(*asked, "--run", "october", **variables)
    assert first_run.stdout.splitlines()[1:] == [
        "80.00 % match (8 match, 2 amount_mismatch); 2 open.",
        "Of these: 1 fee_differs, 1 balance_differs.",
    ], first_run.output
    row = next(line for line in said("show", name, "october").stdout.splitlines() if "fee_differs" in line)
    assert "ch_3 txn_3 670 USD/2 charge fee 30" in row
    assert "ch_3 txn_3 667 USD/2 charge fee 33" in row
    double.objects["balance_transactions"] = balance()
    run = json.loads(said(*asked, "--run", "october", "--json", **variables).stdout)
    assert (run["run"], run["match_rate"], run["side"]) == ("october.2", "100.00", "stripe")
    double.failures = 100
    failed = said(*asked, **variables)
    assert (failed.exit_code, "Stripe does not answer" in failed.output) == (1, True)
    assert "STRIPE_SECRET_KEY is not set" in said(*asked).output
    assert "is in the future" in said("stripe", name, "--from", "2999-01-01", **variables).output


def test_what_a_payout_is_made_of_is_shown(books: Books, double: StripeDouble) -> None:
    """Each balance transaction there and here; what the ledger does not know is told by the exit code."""
    settings = read(environment(books.shop.database, STRIPE_SECRET_KEY=KEY, STRIPE_API=double.address))

    def said() -> Result:
        return CliRunner().invoke(stripe_group, ["payout", books.shop.name, "po_1"], obj=settings)

    whole = said()
    rows = [line.split("\t") for line in whole.stdout.splitlines()]
    assert rows[1:-1] == [
        ["txn_refund", "re_1", "refund", "-300", "-300", "USD/2"],
        ["txn_charge", "ch_1", "charge", "941", "941", "USD/2"],
        ["txn_2", "ch_2", "charge", "480", "480", "USD/2"],
    ]
    assert (rows[-1], whole.exit_code) == (
        ["3 balance transactions of 1121 USD/2; the same here."],
        0,
    )
    double.objects["balance_transactions"].append(txn("charge", 7, 0, "ch_9", id="txn_9"))
    double.compositions["po_1"].append("txn_9")
    other = said()
    assert ("txn_9\tch_9\tcharge\t7\t\tUSD/2" in other.stdout, other.exit_code) == (True, 1)


class Endless:
    """What the client answers for a long list, made as it is asked for."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.v1 = SimpleNamespace(
            balance_transactions=SimpleNamespace(list=self._page),
            payouts=SimpleNamespace(list=lambda asked: SimpleNamespace(data=[], has_more=False)),
            balance=SimpleNamespace(
                retrieve=lambda: SimpleNamespace(to_dict=lambda: {"available": [], "pending": []})
            ),
        )

    def _page(self, asked: dict[str, Any]) -> Any:
        first = int(asked.get("starting_after", "txn_-1").removeprefix("txn_")) + 1
        last = min(first + asked["limit"], self._count)
        bodies = [txn("charge", n + 1, 1, f"ch_{n}", id=f"txn_{n}") for n in range(first, last)]
        data = [SimpleNamespace(to_dict=lambda body=body: body) for body in bodies]
        return SimpleNamespace(data=data, has_more=last < self._count)


def test_memory_stays_bounded(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times as many balance transactions take no more memory, and progress is told of each page."""
    monkeypatch.setattr("ledger.reconciliation.sorting.RUN", 1_000)

    def peak(count: int) -> int:
        seen: list[int] = []
        tally = Tally()
        with closing(Reader(books.shop.database, 1)) as reader:
            tracemalloc.start()
            try:
                client: Any = Endless(count)
                comparison = StripeComparison(
                    client, reader, books.shop.name, START, END, tmp_path, seen.append
                )
                for finding in comparison.findings(1, tmp_path, iter):
                    tally.add(finding)
                assert tally.counts["missing_here"] == count
                assert len(seen) == 2 * count / 100
                assert seen == sorted(seen)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    # As many wait for their window as ever will; what Stripe answers takes a kilobyte each.
    small, large = peak(500), peak(2_500)
    assert large < small + 1_800_000
