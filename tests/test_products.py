"""The seam that products stand on: streams, what falls due, their accounts, and the audit of it all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from ledger import batch
from ledger import commands as c
from ledger.batch import Outcome, Previewed, Recorded, Refusal, Replayed, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.reader import Reader
from ledger.text import iso
from ledger.writer import Writer
from projections.audit import live
from projections.audit.verdicts import Report
from tests.bookkeeping import CHART, USD, code, deposit, do, done, transaction, writing
from tests.meters import METERS, Meter, PutIn, Remove, SetTariff, meters
from tests.tampering import unguarded
from tests.waiting import until

WITH_METERS = ChartDocument(CHART.assets, CHART.accounts, ("meters",))


@pytest.fixture(autouse=True)
def _meters() -> Iterator[None]:
    with meters():
        yield


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database, sweep_seconds=0.05) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=WITH_METERS)))
        yield writer


def put_in(meter: str, coins: int, street: str = "high", **extra: Any) -> PutIn:
    return PutIn(meter=meter, street=street, coins=coins, **extra)


def posted(database: str, account: str) -> int:
    with closing(Reader(database)) as reader:
        return next((b.posted for b in reader.balances("main", account).balances), 0)


def meter(database: str, name: str) -> tuple[Meter, int, int]:
    """State, version and last seq of a meter's stream."""
    with closing(Reader(database)) as reader:
        found = reader.stream("main", f"meter:{name}")
    assert found is not None
    stream, last_seq = found
    return stream.state, stream.version, last_seq


def failed(report: Report) -> list[str]:
    return [f"{v.name} {v.seq}: {v.sentence}" for v in report.verdicts if v.status == "failed"]


# ---------------------------------------------------------------- commands and streams


def test_a_command_is_one_event_with_its_postings_and_its_streams(database: str, writer: Writer) -> None:
    """The event says which number it is in its stream, and the state is what the events made of it."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    for number, coins in enumerate((2, 3), 1):
        outcome = do(writer, put_in("m1", coins))
        assert isinstance(outcome, Recorded)
        assert outcome.event.streams == {"meter:m1": number}
        assert [(p.account, p.side, p.amount) for p in outcome.event.postings] == [
            ("cash", "debit", str(coins)),
            ("meters:unearned", "credit", str(coins)),
        ]
    state, version, last_seq = meter(database, "m1")
    assert (state.coins, version, last_seq) == (5, 2, 4)
    assert posted(database, "meters:unearned") == 5
    assert failed(live.check(database, "main")) == []


def test_commands_of_one_batch_see_each_other(database: str, writer: Writer) -> None:
    """What a command names only because of the one before it is fetched; a preview leaves nothing."""
    batch = [SetTariff(street="low", seconds=60), put_in("m1", 1, "low"), put_in("m1", 1, "low")]
    for atomic in (False, True):
        outcomes = writer.execute(
            "main", Request([c.command(body) for body in batch], preview=not atomic, atomic=atomic)
        )
        wanted = Recorded if atomic else Previewed
        assert all(isinstance(outcome, wanted) for outcome in outcomes), outcomes
    assert meter(database, "m1")[0].coins == 2
    separate: list[Outcome] = []
    for answer in writer.execute(
        "main", Request([c.command(b) for b in (SetTariff(street="new", seconds=60), put_in("m9", 1, "new"))])
    ):
        separate.append(answer)
    assert all(isinstance(outcome, Recorded) for outcome in separate)
    assert failed(live.check(database, "main")) == []


def test_a_refused_group_leaves_streams_as_they_were(database: str, writer: Writer) -> None:
    """All or none, for streams too, and for what another process reads afterwards."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    done(do(writer, put_in("m1", 1)))
    before = meter(database, "m1")
    group = [c.command(put_in("m1", 5)), c.command(put_in("m2", 5)), c.command(put_in("m1", 5, "nowhere"))]
    outcomes = writer.execute("main", Request(group, atomic=True))
    assert [code(outcome) for outcome in outcomes] == ["linked_failed", "linked_failed", "account_not_found"]
    assert meter(database, "m1") == before
    assert done(do(writer, put_in("m1", 1))) == before[2] + 1
    assert meter(database, "m1")[0].coins == 2


def test_keys_hold_for_products_too(writer: Writer) -> None:
    """A replay answers with the first event; another command under the key is refused."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    first = done(do(writer, put_in("m1", 1), key="k"))
    again = do(writer, put_in("m1", 1), key="k")
    assert isinstance(again, Replayed)
    assert again.seq == first
    assert code(do(writer, put_in("m1", 2), key="k")) == "idempotency_key_reused"


def test_writers_of_several_processes_see_each_others_streams(database: str, writer: Writer) -> None:
    """A cached stream is dropped when somebody else has written."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    with writing(database) as other:
        for number in range(6):
            done(do((writer, other)[number % 2], put_in("m1", 1)))
    assert meter(database, "m1")[:2] == (Meter(6, meter(database, "m1")[0].ends_at), 6)
    assert failed(live.check(database, "main")) == []


def test_what_ended_once_does_not_end_again(database: str, writer: Writer) -> None:
    """Even a decider that forgets to look is stopped by the database's key; the ledger goes on."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    done(do(writer, put_in("m1", 1)))
    done(do(writer, Remove(meter="m1")))
    with pytest.raises(Exception, match="endings"):
        do(writer, Remove(meter="m1"))
    done(do(writer, put_in("m2", 1)))
    assert failed(live.check(database, "main")) == []


# ---------------------------------------------------------------- what falls due


def test_a_due_stream_is_decided_at_its_moment_before_anything_later(database: str, writer: Writer) -> None:
    """The meter runs out when its time does, in a closed period too, whoever asks for what afterwards."""
    done(do(writer, SetTariff(street="high", seconds=1)))
    done(do(writer, put_in("m1", 1)))
    ends_at = meter(database, "m1")[0].ends_at
    assert ends_at is not None
    deadline = time.monotonic() + 20
    while meter(database, "m1")[0].ends_at is not None:
        assert time.monotonic() < deadline, "nobody looks after idle ledgers"
        time.sleep(0.05)
    with closing(Reader(database)) as reader:
        entry = reader.transaction("main", meter(database, "m1")[2])
    assert (entry.type, entry.effective_at) == ("meter_run_out", iso(ends_at))
    assert (entry.status, entry.remaining) == ("posted", [])
    assert (posted(database, "meters:unearned"), posted(database, "meters:earned")) == (0, 1)
    assert failed(live.check(database, "main")) == []


def test_holds_and_streams_fall_due_in_one_order(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many at once, over several batches, the earliest first; then the ledger decides what was asked."""
    monkeypatch.setattr(batch, "DUE_PER_BATCH", 7)
    with writing(database, sweep_seconds=3600) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=WITH_METERS)))
        done(do(writer, SetTariff(street="high", seconds=1)))
        done(do(writer, deposit(1, 100)))
        hold = transaction("customers:1", "cash", 1, pending=True, timeout_seconds=1)
        bodies = [body for number in range(40) for body in (put_in(f"m{number}", 1), hold)]
        for outcome in writer.execute("main", Request([c.command(body) for body in bodies])):
            done(outcome)
        time.sleep(1.2)
        last = done(do(writer, deposit(1, 1)))
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT seq, type, effective_at FROM daybook.events WHERE type = ANY (%s) ORDER BY seq",
            (["meter_run_out", "hold_expired"],),
        ).fetchall()
    assert Counter(type for _, type, _ in found) == {"meter_run_out": 40, "hold_expired": 40}
    assert [at for _, _, at in found] == sorted(at for _, _, at in found)
    assert found[-1][0] < last
    assert failed(live.check(database, "main")) == []


# ---------------------------------------------------------------- accounts


def test_only_the_product_moves_its_accounts(writer: Writer) -> None:
    """Plain transactions, limits and closings are refused on a product's accounts."""
    for body in (
        transaction("cash", "meters:unearned", 1),
        transaction("cash", "meters:unearned", 1, pending=True),
        transaction("cash", "meters:unearned", 1, up_to=True),
    ):
        assert code(do(writer, body)) == "account_of_product"
    done(do(writer, SetTariff(street="high", seconds=600)))
    paid = done(do(writer, put_in("m1", 1)))
    assert code(do(writer, c.AccountLimits({}), "meters:unearned")) == "account_of_product"
    assert code(do(writer, c.AccountClosing(), "meters:unearned")) == "account_of_product"
    assert code(do(writer, c.Reversal(), paid)) == "transaction_not_found"


def test_a_period_closes_over_what_a_product_earned(database: str) -> None:
    """Closing entries are transactions: they clear the product's income, and nothing else of it."""
    books = (*CHART.accounts, AccountPattern("retained", "equity"))
    with writing(database, sweep_seconds=0.05) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=ChartDocument(CHART.assets, books, ("meters",)))))
        done(do(writer, SetTariff(street="high", seconds=1)))
        done(do(writer, put_in("m1", 7)))
        until(lambda: meter(database, "m1")[0].ends_at is None)
        done(do(writer, transaction("meters:earned", "retained", 7)))
    assert (posted(database, "meters:earned"), posted(database, "retained")) == (0, 7)
    assert failed(live.check(database, "main")) == []


def test_a_chart_brings_its_products_patterns_in(writer: Writer) -> None:
    """The event has them all, so a chart that was read can be set again; nobody else can mark a pattern."""
    outcome = do(writer, WITH_METERS)
    assert isinstance(outcome, Recorded)
    whole = outcome.event.data["chart"]
    assert whole.accounts == (*CHART.accounts, *METERS.patterns)
    again = do(writer, whole)
    assert isinstance(again, Recorded)
    assert again.event.data["chart"] == whole
    mine = AccountPattern("mine", "liability", product="meters")
    for document, refused in (
        (ChartDocument((USD,), (), ("boats",)), "product_unknown"),
        (ChartDocument((USD,), (mine,), ("meters",)), "pattern_not_of_product"),
        (ChartDocument((USD,), METERS.patterns), "pattern_not_of_product"),
        (
            ChartDocument((USD,), (AccountPattern("meters:{x}", "asset"),), ("meters",)),
            "chart_patterns_overlap",
        ),
    ):
        assert code(do(writer, document)) == refused


# ---------------------------------------------------------------- reading and auditing


def test_streams_are_read_by_kind_and_page(database: str, writer: Writer) -> None:
    """In the order of their names, as far as they begin with what is asked for."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    for name in ("a.1", "a.2", "a.3", "b.1"):
        done(do(writer, put_in(name, 1)))
    with closing(Reader(database)) as reader:

        def names(**wanted: Any) -> list[str]:
            return [stream.name for stream, _ in reader.streams("main", "meter", **wanted)]

        assert names(limit=9) == ["meter:a.1", "meter:a.2", "meter:a.3", "meter:b.1"]
        assert names(limit=2, prefix="a.") == ["meter:a.1", "meter:a.2"]
        assert names(limit=2, prefix="a.", after="meter:a.2") == ["meter:a.3"]
        assert names(limit=2, prefix="zz") == []
        assert reader.stream("main", "meter:zz") is None


def test_a_state_of_another_version_is_folded_again(database: str, writer: Writer) -> None:
    """After an upgrade the events say what the state is, for readers and for the next decision."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    done(do(writer, put_in("m1", 2)))
    with unguarded(database) as connection:
        connection.execute("UPDATE daybook.streams SET state_version = 0, state = '{\"old\":1}'")
    assert meter(database, "m1")[0].coins == 2
    with writing(database) as other:
        done(do(other, put_in("m1", 1)))
    assert meter(database, "m1")[:2] == (Meter(3, meter(database, "m1")[0].ends_at), 2)


@pytest.mark.parametrize(
    ("tampering", "verdict"),
    [
        (
            "UPDATE daybook.streams SET state = replace(state, '5', '6') WHERE stream = 'meter:m1'",
            "projections 4",
        ),
        (
            "UPDATE daybook.streams SET due_at = due_at + interval '1s' WHERE stream = 'meter:m1'",
            "projections 4",
        ),
        ("DELETE FROM daybook.streams WHERE stream = 'meter:m1'", "projections 4"),
        (
            "INSERT INTO daybook.streams SELECT ledger_id, version, last_seq, state_version, kind, 'meter:x',"
            " state FROM daybook.streams WHERE stream = 'meter:m1'",
            "projections None",
        ),
        ("DELETE FROM daybook.event_streams WHERE stream = 'meter:m1' AND version = 2", "projections 3"),
        ("INSERT INTO daybook.endings VALUES (1, 4, 'meter:m1')", "projections 4"),
    ],
)
def test_tampering_with_streams_is_found(database: str, writer: Writer, tampering: str, verdict: str) -> None:
    """A state, a due moment, a row too few or too many: the audit folds the events and compares."""
    done(do(writer, SetTariff(street="high", seconds=600)))
    done(do(writer, put_in("m1", 2)))
    done(do(writer, put_in("m1", 3)))
    assert failed(live.check(database, "main")) == []
    with unguarded(database) as connection:
        connection.execute(tampering.encode())
    [found] = failed(live.check(database, "main"))
    assert found.startswith(verdict), found


def test_a_refusal_is_not_a_defect(writer: Writer) -> None:
    """A product refuses like the ledger does, and the refusal is remembered under its key."""
    outcome = do(writer, put_in("m1", 1, "nowhere"), key="k")
    assert isinstance(outcome, Refusal)
    again = do(writer, put_in("m1", 1, "nowhere"), key="k")
    assert isinstance(again, Refusal)
    assert again.replayed
