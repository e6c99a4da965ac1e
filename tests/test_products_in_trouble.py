"""Products that fail, that fall due without end, that a chart leaves out: the ledger goes on and is right."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from ledger import batch, store
from ledger import commands as c
from ledger import writer as writer_module
from ledger.batch import Plan, Recorded, Request
from ledger.chart import MAX_AMOUNT, AccountPattern, ChartDocument
from ledger.commands import Command
from ledger.entry import refuse
from ledger.errors import Defect, Stopped
from ledger.events import Event, read_event
from ledger.product import credit, debit, record
from ledger.products import PRODUCTS
from ledger.reader import Reader
from ledger.state import Accepted, NotLoaded, State
from ledger.wire import Connection
from ledger.writer import Writer
from projections.audit import live
from tests.bookkeeping import CHART, USD, code, deposit, do, done, head_locked, outcomes, submit, writing
from tests.meters import METERS, Meter, PutIn, SetTariff, meters
from tests.test_products import WITH_METERS, failed, meter, posted, put_in

POISON = 13
_KIND = METERS.kinds["meter"]


@pytest.fixture(autouse=True)
def _meters() -> Iterator[None]:
    with meters():
        yield


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What was logged; not printed, for tracebacks with their variables take seconds."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database, sweep_seconds=3_600) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=WITH_METERS)))
        done(do(writer, SetTariff(street="high", seconds=600)))
        yield writer


@pytest.fixture
def poisonous(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decider with a defect: thirteen coins."""
    sound = METERS.deciders[PutIn]

    def decide(state: State, command: Command, now: int) -> Accepted:
        body = command.body
        assert isinstance(body, PutIn)
        assert body.coins != POISON, "thirteen coins"
        return sound(state, command, now)

    monkeypatch.setitem(METERS.deciders, PutIn, decide)


# ---------------------------------------------------------------- defects of deciders


@pytest.mark.usefixtures("poisonous")
def test_a_decider_that_fails_fails_its_own_request_alone(database: str, writer: Writer) -> None:
    """What was queued with it is decided without it, in one batch under the lock and in batches ahead."""
    with head_locked(database):
        answers = [submit(writer, c.command(put_in("m1", 1))) for _ in range(3)]
        poison = submit(writer, c.command(put_in("m1", POISON)))
        answers += [submit(writer, c.command(put_in("m1", 1))) for _ in range(200)]
        late = submit(writer, c.command(put_in("m1", POISON)))
        answers += [submit(writer, c.command(put_in("m1", 1))) for _ in range(200)]
    for answer in answers:
        done(outcomes(answer)[0])
    for answer in (poison, late):
        with pytest.raises(Defect):
            outcomes(answer)
    assert meter(database, "m1")[0].coins == 403
    assert failed(live.check(database, "main")) == []


@pytest.mark.usefixtures("poisonous")
def test_what_is_due_and_cannot_be_decided_stops_the_ledger_and_is_said(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    """Nobody is answered from a book that lacks it; once the code is mended, the ledger goes on."""
    done(do(writer, SetTariff(street="short", seconds=1)))
    done(do(writer, put_in("m1", 1, "short")))

    def refusing(state: State, command: Command, now: int) -> Accepted:
        refuse("amount_overflow", account="meters:earned", asset=USD)

    monkeypatch.setitem(PRODUCTS.__dict__["_by_kind"], "meter", (METERS._replace(due=refusing), _KIND))
    time.sleep(1.1)
    began = time.monotonic()
    with head_locked(database):
        answers = [submit(writer, c.command(put_in("m2", 1))) for _ in range(300)]
    for answer in answers:
        with pytest.raises(Stopped, match=r"meter:m1.*amount_overflow"):
            outcomes(answer)
    assert time.monotonic() - began < 10
    assert any(entry["event"] == "writer.defect" for entry in logged)
    monkeypatch.undo()
    assert done(do(writer, put_in("m2", 1))) > 5
    assert meter(database, "m1")[0] == Meter()
    assert failed(live.check(database, "main")) == []


def test_a_state_half_a_batch_further_is_used_by_nobody(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ahead of a commit, something may not be there to be loaded after half a batch was decided: again, then.

    Two writers, so that predecessors fail too.
    """
    ahead, plan_ahead, put = threading.local(), Writer._plan_ahead, METERS.deciders[PutIn]
    asked = count(1)

    def planning(self: Writer, *arguments: Any) -> None:
        ahead.here = True
        try:
            plan_ahead(self, *arguments)
        finally:
            ahead.here = False

    def decide(state: State, command: Command, now: int) -> Accepted:
        if getattr(ahead, "here", False) and next(asked) % 40 == 0:
            raise NotLoaded("what cannot be loaded now")
        return put(state, command, now)

    monkeypatch.setattr(Writer, "_plan_ahead", planning)
    monkeypatch.setitem(METERS.deciders, PutIn, decide)
    options: dict[str, Any] = {"sweep_seconds": 3_600, "batch_size": 50}
    with writing(database, **options) as one, writing(database, **options) as other:
        done(do(one, c.LedgerOpening(name="main", chart=WITH_METERS)))
        answers = []
        for i in range(400):
            street = f"s{i}"
            bodies = [put_in("m1", 1, "s0"), SetTariff(street=street, seconds=9), put_in(f"m{i}", 1, street)]
            answers += [submit((one, other)[i % 50 == 49], *map(c.command, bodies))]
        got = [outcome for answer in answers for outcome in outcomes(answer)]
    assert next(asked) > 80, "hardly anything was decided ahead"
    assert sum(isinstance(outcome, Recorded) for outcome in got) >= 2 * 400
    assert failed(live.check(database, "main")) == []


def test_a_load_that_fails_leaves_no_stream_that_is_taken_for_absent(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state says that a stream is not there only when the database has said so."""
    done(do(writer, put_in("m1", 1)))
    with psycopg.connect(database) as connection:
        (row,) = connection.execute("SELECT ledger_id, seq FROM daybook.heads").fetchall()
        state = State(row[0], "", lambda name: None)  # type: ignore[arg-type, return-value]
        state.seq = row[1]
        with pytest.raises(psycopg.Error):  # there are no prepared statements here, as after a failover
            store.load(connection, state, [c.command(put_in("m1", 1))])
        assert state.streams == {}


# ---------------------------------------------------------------- what falls due


def test_a_stream_that_falls_due_over_and_over_does_not_make_a_batch_endless(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many in one batch, then the next one; what was asked is decided after all of them."""

    def evolve(state: Meter | None, event: Event, stream: str) -> Meter:
        if event.type == "meter_run_out" and state is not None and state.ends_at is not None:
            left = state.coins - 1
            return Meter(left, state.ends_at + 1 if left else None)
        evolved: Meter = _KIND.evolve(state, event, stream)
        return evolved

    def run_out(state: State, command: Command, now: int) -> Accepted:
        stream = state.streams[str(command.subject)]
        assert stream is not None
        at = stream.state.ends_at
        lines = [debit("meters:unearned", USD, 1), credit("meters:earned", USD, 1)]
        return record(state, command, "meter_run_out", now, at, lines, [stream.name], {})

    ticking = (METERS._replace(due=run_out), _KIND._replace(evolve=evolve))
    monkeypatch.setitem(PRODUCTS.__dict__["_by_kind"], "meter", ticking)
    monkeypatch.setattr(batch, "DUE_PER_BATCH", 10)
    sizes: list[int] = []
    write = store.write

    def writing_it(connection: Connection, plan: Plan) -> None:
        sizes.append(len(plan.accepted))
        write(connection, plan)

    done(do(writer, SetTariff(street="now", seconds=0)))
    done(do(writer, put_in("m1", 95, "now")))
    monkeypatch.setattr(store, "write", writing_it)
    last = done(do(writer, put_in("m2", 1)))
    assert last == 4 + 95 + 1
    assert max(sizes) <= 11
    assert len(sizes) >= 10
    with closing(Reader(database)) as reader:
        moments = [reader.transaction("main", seq).effective_at for seq in range(5, last)]
    assert moments == sorted(moments)
    assert failed(live.check(database, "main")) == []


def test_nothing_is_decided_ahead_while_something_is_due(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the ledger's own time, which a slow clock of this process cannot be behind."""
    real = time.time_ns

    class Slow:
        """The module `time`, half a second late."""

        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time_ns() -> int:
            return real() - 500_000_000

    monkeypatch.setattr(writer_module, "time", Slow)
    done(do(writer, SetTariff(street="now", seconds=0)))
    answers = [submit(writer, c.command(put_in(f"m{i % 5}", 1, "now"))) for i in range(2_000)]
    for answer in answers:
        done(outcomes(answer)[0])
    with psycopg.connect(database) as connection:
        bodies = connection.execute("SELECT body FROM daybook.events WHERE seq > 3 ORDER BY seq").fetchall()
    waiting: dict[str, str] = {}
    for event in (read_event(body) for (body,) in bodies):
        due = min(waiting.values(), default="9")
        assert event.type == "meter_run_out" or due >= event.recorded_at, f"{event.seq}: {due} was due"
        (name,) = event.streams
        if event.type == "meter_run_out":
            del waiting[name]
        else:
            waiting[name] = event.data["ends_at"]
    assert failed(live.check(database, "main")) == []


# ---------------------------------------------------------------- charts and bounds


def test_a_product_that_a_ledger_has_stays_in_its_chart(database: str, writer: Writer) -> None:
    """Its streams fall due by themselves and post to accounts that only the chart can open."""
    done(do(writer, SetTariff(street="short", seconds=1)))
    done(do(writer, put_in("m1", 1, "short")))
    assert code(do(writer, CHART)) == "product_stays"
    assert code(do(writer, ChartDocument((), ()))) == "product_stays"
    time.sleep(1.1)
    done(do(writer, deposit(1, 1)))
    assert posted(database, "meters:earned") == 1


@pytest.mark.parametrize("kept", [True, False])
def test_a_product_does_not_come_to_a_ledger_that_has_its_accounts(database: str, kept: bool) -> None:
    """Opened before it, they are for anybody to limit and close, and what falls due could not post there."""
    before = ChartDocument(CHART.assets, (*CHART.accounts, AccountPattern("meters:{n}", "income")))
    with writing(database, sweep_seconds=3_600) as one:
        done(do(one, c.LedgerOpening(name="main", chart=before)))
        done(do(one, c.AccountOpening("meters:earned")))
        done(do(one, c.AccountClosing(), "meters:earned"))
        if kept:
            assert code(do(one, WITH_METERS)) == "account_before_product"
    with writing(database, sweep_seconds=3_600) as other:
        assert code(do(other, WITH_METERS)) == "account_before_product"
        bodies: list[c.Body] = [
            c.LedgerOpening(name="second", chart=before),
            c.AccountOpening("meters:unearned"),
            WITH_METERS,
        ]
        *_, last = other.execute("second", Request([c.command(body) for body in bodies]))
        assert code(last) == "account_before_product"
        done(do(other, c.LedgerOpening(name="third", chart=before), ledger="third"))
        done(do(other, c.AccountOpening("meters:2"), ledger="third"))
        done(do(other, WITH_METERS, ledger="third"))


def test_what_falls_due_always_fits_into_the_counters_of_its_accounts(database: str, writer: Writer) -> None:
    """Counters only grow, to 64 bits: commands stop at half, and the rest is for what falls due."""
    done(do(writer, SetTariff(street="short", seconds=0)))
    done(do(writer, put_in("m1", MAX_AMOUNT // 2, "short")))
    done(do(writer, SetTariff(street="high", seconds=600)))
    assert posted(database, "meters:earned") == MAX_AMOUNT // 2
    assert code(do(writer, put_in("m2", 1, "short"))) == "amount_overflow"
    done(do(writer, deposit(1, 1)))


# ---------------------------------------------------------------- the audit


@pytest.mark.parametrize(
    "error", [AssertionError("no"), IndexError("no"), ZeroDivisionError("no"), KeyError("no")]
)
def test_an_event_that_cannot_be_folded_is_a_finding_and_not_the_audits_end(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever `evolve` says to events that somebody has forged."""
    done(do(writer, put_in("m1", 1)))

    def evolve(state: Meter | None, event: Event, stream: str) -> Meter:
        raise error

    broken = (METERS, _KIND._replace(evolve=evolve))
    monkeypatch.setitem(PRODUCTS.__dict__["_by_kind"], "meter", broken)
    [found] = failed(live.check(database, "main"))
    assert found.startswith("projections 3"), found
