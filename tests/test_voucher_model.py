"""The read model of vouchers: what it lists, and that it is what the events make, however they are cut."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Recorded
from ledger.chart import ChartDocument
from ledger.vouchers import commands as v
from ledger.vouchers.codes import hash_of
from projections import vouchers
from projections.verify import verify
from projections.voucher_reads import percent
from projections.vouchers import Vouchers
from tests.bookkeeping import do, done, register, writing
from tests.conftest import NewDatabase
from tests.histories import project
from tests.served import Service, served

STEPS = 150


def live(conninfo: str, seed: int) -> int:
    """A ledger with programmes and vouchers that went through everything; its head."""
    chance = random.Random(seed)
    chart = ChartDocument(assets=("NAD/2",), accounts=(), products=("vouchers",))
    head = 0
    with writing(conninfo) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=chart)))
        register(writer, "B0", "B1", "B2")
        for name, distributor in (("a", "buffr"), ("b", "")):
            opening = v.ProgrammeOpening(programme=name, name=name, asset="NAD/2", distributor=distributor)  # type: ignore[arg-type]
            done(do(writer, opening))
            head = done(do(writer, v.Funding(amount=10_000_000), name))
        for step in range(STEPS):
            name = f"V{chance.randrange(20)}"
            about: dict[str, Any] = {"reported": chance.random() < 0.7}
            amount = chance.choice([None, 40, 100])
            body, subject = chance.choice(
                [
                    (_issue(name, chance), ""),
                    (_issue(name, chance), ""),
                    (v.Distribution(delivery="D"), name),
                    (v.Delivery(**about), name),
                    (v.Redemption(amount=amount, payee_type="agent", payee="A", **about), name),
                    (v.Redemption(amount=amount, payee_type="agent", payee="A", **about), name),
                    (_before_expiry(), name),
                    (v.Expiry(**about), name),
                    (v.Cancellation(reason="x", **about), name),
                    (v.Failure(reason="x", **about), name),
                    (v.Reissue(replacement=f"R{step}", code_hash=hash_of(f"R{step}")), name),
                    (v.Fee(payee="A", amount=1), "a"),
                ]
            )
            outcome = do(writer, body, subject)
            if isinstance(outcome, Recorded):
                head = outcome.event.seq
    return head


def _issue(name: str, chance: random.Random) -> v.Issue:
    return v.Issue(
        programme=chance.choice("ab"),
        voucher=name,
        beneficiary=f"B{chance.randrange(3)}",
        amount=chance.choice([100, 250]),
        code_hash=hash_of(name),
    )


def _before_expiry() -> v.Redemption:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    return v.Redemption(amount=30, payee_type="agent", payee="A", reported=True, happened_at=long_ago)


def rows(conninfo: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT * FROM projections.vouchers ORDER BY voucher").fetchall()


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_are_what_the_events_make_however_they_are_cut(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """In ranges of one, of seven and of all; compared with a fold of the events in several parts."""
    monkeypatch.setattr(vouchers, "PART", 7)
    found = []
    for size in (1, 7, 1_000):
        with new_database() as conninfo:
            head = live(conninfo, seed)
            project(conninfo, 1, head, size, (Vouchers(),))
            [verdict] = verify(conninfo, Vouchers(), "main")
            assert verdict.difference is None, verdict
            found.append([(row[2:7], row[9:]) for row in rows(conninfo)])
    assert found[0] == found[1] == found[2]
    assert len({row[1][-1] for row in found[0]}) >= 5  # statuses


@pytest.mark.parametrize(
    ("column", "value"), [("status", "'redeemed'"), ("remaining", "remaining + 1"), ("beneficiary", "'B9'")]
)
def test_a_row_that_differs_is_found(database: str, column: str, value: str) -> None:
    """The verification names the difference."""
    head = live(database, 0)
    project(database, 1, head, 1_000, (Vouchers(),))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            f"UPDATE projections.vouchers SET {column} = {value}"
            " WHERE voucher = (SELECT min(voucher) FROM projections.vouchers WHERE status <> 'redeemed')"
        )
    [verdict] = verify(database, Vouchers(), "main")
    assert verdict.difference is not None


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo:
        live(conninfo, 1)
        with served(conninfo) as service:
            yield service


def test_lists_are_filtered_and_are_what_each_voucher_says(service: Service) -> None:
    """By programme, status and beneficiary, in pages; each line as the voucher itself at head."""
    ledger = "/v1/ledgers/main"
    head = service.get(ledger)["seq"]
    everything: list[dict[str, Any]] = []
    after = ""
    while True:
        page = service.get(f"{ledger}/vouchers", min_seq=head, limit=7, after=after)
        everything += page["vouchers"]
        if page["next"] is None:
            break
        after = page["next"]
    assert [one["voucher"] for one in everything] == sorted(one["voucher"] for one in everything)
    assert len(everything) >= 20
    for line in everything:
        state = service.get(f"{ledger}/vouchers/{line['voucher']}")
        for name in ("programme", "status", "amount", "redeemed", "remaining", "beneficiary", "seq"):
            assert line[name] == state[name], (name, line, state)
        assert line["expired"] == state.get("expired", 0)
        assert line["contradictions"] == state.get("contradictions", 0)
    for name in ("programme", "status", "beneficiary"):
        for value in {one[name] for one in everything}:
            wanted = [one["voucher"] for one in everything if one[name] == value]
            found = service.get(f"{ledger}/vouchers", **{name: value, "limit": 1_000})["vouchers"]
            assert [one["voucher"] for one in found] == wanted
    metrics = service.get(f"{ledger}/voucher-metrics")
    assert metrics["issued"] == len(everything)
    assert metrics["discrepancies"] == sum(one["contradictions"] for one in everything) > 0
    assert metrics["webhook_latency_mean_ms"] is None


def test_a_rate_is_in_percent_with_two_decimals() -> None:
    """Half up; of nothing there is none."""
    assert [percent(0, 0), percent(0, 3), percent(2, 1), percent(1, 7), percent(3, 0)] == [
        None,
        "0.00",
        "66.67",
        "12.50",
        "100.00",
    ]
