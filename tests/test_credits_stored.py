"""Credits in a real database: stored, read by one row, expired by the sweeper, audited."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Recorded, Refusal, Request
from ledger.credits.change import Change
from ledger.credits.commands import AddCredits, CreatePackage, DeductCredits, HoldCredits, RefundCredits
from ledger.credits.purchase_commands import (
    AutoTopUp,
    FulfilOrder,
    OrderCredits,
    SetCreditSettings,
    SetWalletSettings,
    TypeSettings,
)
from ledger.credits.wallet import Wallet
from ledger.reader import QUERIES, Reader
from ledger.writer import Writer
from projections import credit_reads
from projections.audit import live
from tests.bookkeeping import code, do, done, writing
from tests.credit_desk import CHART

W: dict[str, Any] = {"owner": "42", "credit_type": "enrichment"}


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database, sweep_seconds=0.05) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
        yield writer


def wallet(database: str) -> Wallet:
    with closing(Reader(database)) as reader:
        found = reader.stream("main", "wallet:42:enrichment")
    assert found is not None
    state = found[0].state
    assert isinstance(state, Wallet)
    return state


def audited(database: str) -> None:
    report = live.check(database, "main")
    assert [v.sentence for v in report.verdicts if v.status == "failed"] == []


def test_what_was_bought_is_used_refunded_and_expires(database: str, writer: Writer) -> None:
    """A wallet's life, its end brought about by the sweeper alone; the audit folds the same state."""
    package = CreatePackage(
        package="p", name="P", credit_type="enrichment", credit_amount=100, price=1_000, asset="USD/2"
    )
    done(do(writer, package))
    done(do(writer, OrderCredits(owner="42", package="p", order="o")))
    done(do(writer, FulfilOrder(order="o", amount=1_000, asset="USD/2"), key="evt_1"))
    done(do(writer, FulfilOrder(order="o", amount=1_000, asset="USD/2"), key="evt_1"))
    assert (
        code(do(writer, FulfilOrder(order="o", amount=1_000, asset="USD/2"), key="evt_2"))
        == "order_fulfilled"
    )
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    done(do(writer, AddCredits(amount=20, transaction_type="promotional", expires_at=soon, **W)))
    used = done(do(writer, DeductCredits(amount=30, **W)))
    done(do(writer, RefundCredits(transaction_id=used)))
    done(do(writer, HoldCredits(amount=5, timeout_seconds=1, **W)))
    assert wallet(database).available == 115
    deadline = time.monotonic() + 20
    while wallet(database).available != 100 or wallet(database).held:
        assert time.monotonic() < deadline, "nobody looks after idle wallets"
        time.sleep(0.05)
    audited(database)


def test_another_process_goes_on_from_what_is_stored(database: str, writer: Writer) -> None:
    """The state in the row is the whole wallet."""
    done(do(writer, AddCredits(amount=10, cost=95, asset="USD/2", **W)))
    with writing(database) as other:
        first = done(do(other, DeductCredits(amount=3, **W)))
        done(do(writer, RefundCredits(transaction_id=first)))
        assert code(do(other, RefundCredits(transaction_id=first))) == "usage_already_refunded"
        done(do(other, DeductCredits(amount=10, **W)))
    assert wallet(database).lots == ()
    audited(database)


def test_a_low_balance_is_said_and_topped_up_by_itself(database: str, writer: Writer) -> None:
    """The sweeper brings both about, each an event of its own, in a process that has loaded nothing of it."""
    package = CreatePackage(
        package="p", name="P", credit_type="enrichment", credit_amount=50, price=500, asset="USD/2"
    )
    rules = SetCreditSettings(credit_type="enrichment", settings=TypeSettings(low_balance=10))
    top_up = SetWalletSettings(**W, auto_top_up=AutoTopUp(threshold=5, package="p"))
    with writing(database, sweep_seconds=3_600) as other:
        for body in (package, rules, AddCredits(amount=20, **W), top_up, DeductCredits(amount=15, **W)):
            done(do(other, body))
    deadline = time.monotonic() + 20
    while not wallet(database).pending:
        assert time.monotonic() < deadline, "nobody looks after low balances"
        time.sleep(0.05)
    with closing(Reader(database)) as reader:
        found = reader.streams("main", "order", limit=10)
        types = [event.type for event in credit_reads.events(reader, "main", [7, 8])]
    assert types == ["credits_low", "top_up_ordered"]
    (order,) = [stream.name.partition(":")[2] for stream, _ in found]
    done(do(writer, FulfilOrder(order=order, amount=500, asset="USD/2")))
    assert (wallet(database).available, wallet(database).pending) == (55, 0)
    audited(database)


def test_a_balance_is_one_row_found_by_its_key(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wallets and however long their histories: no list is passed over, nothing is added up."""
    asked: list[Any] = []
    execute = psycopg.Connection.execute

    def noted(self: Any, query: Any, *given: Any, **named: Any) -> Any:
        if query and threading.current_thread() is threading.main_thread():
            asked.append(query)  # the writer's threads have queries of their own
        return execute(self, query, *given, **named)

    grants = [AddCredits(owner=f"u{n}", credit_type="enrichment", amount=n) for n in range(1, 2_001)]
    writer.execute("main", Request([c.command(grant) for grant in grants]))
    done(do(writer, AddCredits(owner="u7", credit_type="enrichment", amount=1)))
    with closing(Reader(database)) as reader:
        assert credit_reads.balance(reader, "main", "u7", "enrichment").balance == 8
        monkeypatch.setattr(psycopg.Connection, "execute", noted)
        assert credit_reads.check(reader, "main", "u9", "enrichment", 10).shortfall == 1
    monkeypatch.undo()
    # Whose ledger it is, and the wallet.
    book = [QUERIES["set_tenant"], QUERIES["find_ledger"]]
    assert asked == [*book, QUERIES["product_stream"]]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ANALYZE daybook.streams")
        wanted = {"ledger_id": 1, "stream": "wallet:u7:enrichment"}
        cursor = psycopg.ClientCursor(connection)
        query = cursor.mogrify(QUERIES["product_stream"], wanted)
        plan = [row for (row,) in connection.execute(f"EXPLAIN (ANALYZE) {query}".encode())]
    assert "Index Scan using streams_pkey" in plan[0]
    assert "rows=1" in plan[0].partition("actual")[2]


def test_lots_expire_at_exactly_their_moment(database: str, writer: Writer) -> None:
    """Brought about by the sweeper a little later, the expiry counts from its own microsecond."""
    moment = datetime.now(UTC) + timedelta(seconds=2)
    done(do(writer, AddCredits(amount=5, cost=50, asset="USD/2", expires_at=moment, **W)))
    deadline = time.monotonic() + 20
    while wallet(database).lots:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with closing(Reader(database)) as reader:
        found = reader.stream("main", "wallet:42:enrichment")
        assert found is not None
        entry = reader.transaction("main", found[1])
    assert entry.type == "credits_expired"
    assert datetime.fromisoformat(entry.effective_at) == moment
    audited(database)


@pytest.mark.parametrize(
    ("lost", "account"),
    [
        ("USD/2", "credits:contract_liability:enrichment"),
        ("CREDIT.enrichment/0", "customers:42:credits:enrichment"),
    ],
)
def test_an_audit_compares_the_lots_with_their_accounts(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch, lost: str, account: str
) -> None:
    """A decider that posts less than its slices say makes events that balance and fold: the tie-out fails."""
    done(do(writer, AddCredits(amount=10, cost=100, asset="USD/2", **W)))
    audited(database)
    whole = Change.lines
    monkeypatch.setattr(
        Change, "lines", lambda *given, **named: [x for x in whole(*given, **named) if x.asset != lost]
    )
    done(do(writer, DeductCredits(amount=5, **W)))
    failed = [v for v in live.check(database, "main").verdicts if v.status == "failed"]
    assert [v.name for v in failed] == ["accounting"]
    assert account in failed[0].sentence


@pytest.mark.torture
def test_a_hot_wallet_is_never_overdrawn(database: str, writer: Writer) -> None:
    """Ten threads ask for more than there is; exactly what there is is used."""
    for _ in range(5):
        done(do(writer, AddCredits(amount=20, cost=33, asset="USD/2", **W)))
    start = threading.Barrier(10)

    def use(_: int) -> int:
        start.wait()
        outcomes = [do(writer, DeductCredits(amount=3, **W)) for _ in range(5)]
        assert all(isinstance(o, Recorded) or code(o) == "insufficient_credits" for o in outcomes)
        return sum(not isinstance(o, Refusal) for o in outcomes)

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(use, range(10))) == 33
    state = wallet(database)
    assert (state.available, state.used) == (1, 99)
    assert sum(lot.cost for lot in state.lots) == 2
    audited(database)
