"""Vouchers as the core decides them: their entries, their states, and who comes too late."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Outcome, Recorded, Refusal
from ledger.chart import ChartDocument
from ledger.events import Event, read_event
from ledger.reader import Reader
from ledger.vouchers import commands as v
from ledger.vouchers.streams import Voucher
from ledger.writer import Writer
from projections.audit import live
from tests import bookkeeping
from tests.bookkeeping import code, done, register, writing
from tests.postings import catalogue, entry

CHART = ChartDocument(assets=("NAD/2",), accounts=(), products=("vouchers",))


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def opened(writer: Writer, **settings: Any) -> None:
    """A ledger with the programme `relief` and 100,000 in its fund."""
    done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
    register(writer, "B1")
    done(do(writer, v.ProgrammeOpening(programme="relief", name="Relief", asset="NAD/2", **settings)))
    done(do(writer, on("relief", v.Funding(amount=100_000))))


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database, sweep_seconds=0.05) as writer:
        opened(writer)
        yield writer


def issue(name: str, amount: int = 10_000, secret: str = "", **more: Any) -> v.Issue:
    digest = hashed(secret or name)
    who = more.pop("beneficiary", "B1")
    return v.Issue(programme="relief", voucher=name, amount=amount, beneficiary=who, code_hash=digest, **more)


def redeem(amount: int | None = None, payee: str = "A1", **more: Any) -> v.Redemption:
    payee_type = more.pop("payee_type", "agent")
    return v.Redemption(amount=amount, payee_type=payee_type, payee=payee, **more)


def on(name: str, body: c.Body) -> c.Command:
    """A command about a programme or a voucher."""
    return c.command(body, name)


def do(writer: Writer, asked: c.Body | c.Command) -> Outcome:
    """One command and its outcome."""
    if isinstance(asked, c.Command):
        return bookkeeping.do(writer, asked.body, asked.subject)
    return bookkeeping.do(writer, asked)


def voucher(database: str, name: str = "V1") -> Voucher:
    with closing(Reader(database)) as reader:
        found = reader.stream("main", f"voucher:{name}")
    assert found is not None
    state: Voucher = found[0].state
    return state


def recorded(outcome: Outcome) -> Recorded:
    assert isinstance(outcome, Recorded), outcome
    return outcome


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def expired(database: str, name: str = "V1") -> None:
    """Wait until the service has the voucher expired."""
    deadline = time.monotonic() + 20
    while voucher(database, name).status != "expired":
        assert time.monotonic() < deadline, "it does not expire"
        time.sleep(0.05)


def last_event(database: str, stream: str) -> Event:
    """The event that a stream ends with."""
    query = (
        "SELECT body FROM daybook.events JOIN daybook.event_streams USING (ledger_id, seq) WHERE stream = %s"
    )
    with psycopg.connect(database) as connection:
        [*_, (body,)] = connection.execute(f"{query} ORDER BY version", (stream,))
    return read_event(body)


def balances(database: str) -> dict[str, int]:
    """Every account's posted balance, by what follows `vouchers:relief:`."""
    with closing(Reader(database)) as reader:
        accounts = reader.accounts("main", 0, 1_000, None, None)[0]
        return {
            a.address.removeprefix("vouchers:relief:"): sum(
                b.posted for b in reader.balances("main", a.address).balances
            )
            for a in accounts
        }


# ---------------------------------------------------------------- what is posted


def test_every_entry_is_that_of_the_catalogue(database: str, writer: Writer) -> None:
    """The operations of the document, carried out; not one heading is left over."""
    expected = catalogue("Vouchers")
    before = soon(-60)
    found: dict[str, Outcome] = {"fund": do(writer, on("relief", v.Funding(amount=100_000)))}
    found["issue"] = do(writer, issue("V1"))
    assert entry(recorded(do(writer, on("V1", v.Distribution(delivery="D-1")))).event) == []
    found["deliver"] = do(writer, on("V1", v.Delivery(delivery="D-1")))
    found["redeem in part at an agent"] = do(writer, on("V1", redeem(amount=4_000)))
    found["fee"] = do(writer, on("relief", v.Fee(payee="A1", amount=100)))
    found["fee paid from the operating bank account"] = do(
        writer, on("relief", v.FeePayment(payee="A1", amount=100))
    )
    found["settle the agent"] = do(writer, on("relief", v.Settlement(payees=[v.Payee("agent", "A1")])))
    found["fail"] = do(writer, on("V1", v.Failure(reason="no such phone")))
    found["issue again"] = do(writer, on("V1", v.Reissue(replacement="V1b", code_hash=hashed("V1b"))))
    found["cancel the rest"] = do(writer, on("V1b", v.Cancellation(reason="moved away")))
    done(do(writer, issue("V2", expires_at=soon(0.5))))
    expired(database, "V2")
    expiry = last_event(database, "voucher:V2")
    reported = on("V2", redeem(2_500, "W7", payee_type="wallet", reported=True, happened_at=before))
    found["redeemed before it expired, reported afterwards"] = do(writer, reported)
    found["return to the sponsor"] = do(writer, on("relief", v.Return(amount=1_500)))
    entries = {name: entry(recorded(outcome).event) for name, outcome in found.items()}
    entries["expire"] = entry(expiry)
    assert entries == expected
    report = live.check(database, "main")
    assert [x.sentence for x in report.verdicts if x.status == "failed"] == []
    assert voucher(database, "V2").expired == 7_500


# ---------------------------------------------------------------- states


def test_a_voucher_lives_from_issue_to_its_last_part(database: str, writer: Writer) -> None:
    """Issued, delivered, redeemed in parts by code or by name; the last part takes all that remains."""
    done(do(writer, issue("V1", secret="ABCD")))
    assert voucher(database).status == "issued"
    done(do(writer, on("V1", v.Delivery(delivery="D-1"))))
    assert (voucher(database).status, voucher(database).delivery) == ("delivered", "D-1")
    by_code = v.Redemption(code_hash=hashed("ABCD"), amount=4_000, payee_type="merchant", payee="M1")
    done(do(writer, by_code))
    assert (voucher(database).status, voucher(database).remaining) == ("partially_redeemed", 6_000)
    done(do(writer, on("V1", redeem())))
    state = voucher(database)
    assert (state.status, state.redeemed, state.remaining) == ("redeemed", 10_000, 0)
    assert balances(database) | {"trust": 0} == {
        "trust": 0,
        "fund": 90_000,
        "outstanding": 0,
        "payable:merchant:M1": 4_000,
        "payable:agent:A1": 6_000,
    }


def test_commands_that_cannot_be_are_refused(database: str, writer: Writer) -> None:
    """Each with its code; nothing is stored of them."""
    done(do(writer, issue("V1")))
    done(do(writer, issue("gone")))
    done(do(writer, on("gone", v.Cancellation(reason="moved away"))))
    done(do(writer, issue("there")))
    done(do(writer, on("there", v.Distribution(delivery="D-1"))))
    done(do(writer, on("there", v.Delivery())))
    done(do(writer, issue("failed")))
    done(do(writer, on("failed", v.Failure(reason="no such phone"))))
    before = balances(database)
    for body, refused in (
        (v.ProgrammeOpening(programme="relief", name="Again", asset="NAD/2"), "programme_exists"),
        (v.ProgrammeOpening(programme="other", name="Other", asset="USD/2"), "asset_not_in_chart"),
        (on("none", v.Funding(amount=1)), "programme_not_found"),
        (on("none", v.BeneficiaryErasure(reason="asked for")), "beneficiary_not_found"),
        (on("relief", v.Return(amount=100_000)), "insufficient_available"),
        (issue("V9", beneficiary="nobody"), "beneficiary_not_found"),
        (issue("V1", secret="new"), "voucher_exists"),
        (issue("V3", secret="V1"), "voucher_code_taken"),
        (issue("V3", 100_000), "insufficient_available"),
        (issue("V3", expires_at=soon(-1)), "expires_in_past"),
        (on("none", redeem()), "voucher_not_found"),
        (on("V1", redeem(amount=10_001)), "exceeds_voucher"),
        (on("V1", redeem(amount=1, decimals=0, reported=True)), "voucher_decimals_differ"),
        (on("V1", redeem(code_hash=hashed("guess"))), "voucher_code_wrong"),
        (v.Redemption(code_hash=hashed("guess"), payee_type="agent", payee="A1"), "voucher_code_wrong"),
        (on("gone", redeem()), "voucher_not_open"),
        (on("there", v.Distribution(delivery="D-2")), "voucher_already_distributed"),
        (on("there", v.Delivery()), "voucher_already_delivered"),
        (on("failed", v.Failure(reason="again")), "voucher_already_failed"),
        (on("gone", v.Reissue(replacement="V4", code_hash=hashed("V4"))), "voucher_not_open"),
        (on("relief", v.Settlement(payees=[v.Payee("agent", "A9")])), "nothing_to_settle"),
        (on("relief", v.Settlement(payees=[v.Payee("agent", "A9", 5)])), "insufficient_available"),
        (on("relief", v.FeePayment(payee="A1", amount=1)), "insufficient_available"),
        (on("V1", redeem(happened_at=soon(60))), "effective_at_in_future"),
    ):
        assert code(do(writer, body)) == refused, body
    assert {k: b for k, b in balances(database).items() if b} == {k: b for k, b in before.items() if b}


def test_a_chart_without_the_product_opens_no_programme(database: str) -> None:
    """The accounts come with the product's patterns."""
    with writing(database) as writer:
        plain = ChartDocument(assets=("NAD/2",), accounts=())
        done(do(writer, c.LedgerOpening(name="main", chart=plain)))
        opening = v.ProgrammeOpening(programme="relief", name="Relief", asset="NAD/2")
        assert code(do(writer, opening)) == "account_not_in_chart"


def test_a_voucher_is_good_through_the_last_of_its_days(database: str) -> None:
    """Days of the ledger's time zone: it expires when the day after the last begins there."""
    with writing(database) as writer:
        opening = c.LedgerOpening(name="main", chart=CHART, time_zone="Africa/Windhoek")
        done(do(writer, opening))
        register(writer, "B1")
        done(
            do(
                writer,
                v.ProgrammeOpening(programme="relief", name="R", asset="NAD/2", expires_after_days=90),
            )
        )
        done(do(writer, on("relief", v.Funding(amount=100))))
        done(do(writer, issue("V1", 100, effective_at=datetime(2026, 10, 1, 22, 30, tzinfo=UTC))))
    # 00:30 on 2 October in Windhoek; good through 31 December there.
    expires_at = voucher(database).expires_at
    assert expires_at is not None
    assert datetime.fromtimestamp(expires_at / 1e6, UTC) == datetime(2026, 12, 31, 22, tzinfo=UTC)


def test_reissuing_kills_the_old_code(database: str, writer: Writer) -> None:
    """What remains moves to the new voucher; the old code redeems nothing, the promise stays as it was."""
    done(do(writer, issue("V1", secret="old")))
    done(do(writer, on("V1", redeem(amount=1_000))))
    done(do(writer, on("V1", v.Reissue(replacement="V2", code_hash=hashed("new")))))
    old, new = voucher(database), voucher(database, "V2")
    assert (old.status, old.remaining, old.replaced_by) == ("reissued", 0, "V2")
    assert (new.status, new.amount, new.replaces, new.beneficiary) == ("issued", 9_000, "V1", "B1")
    with_code = v.Redemption(code_hash=hashed("old"), payee_type="agent", payee="A1")
    assert code(do(writer, with_code)) == "voucher_not_open"
    assert balances(database)["outstanding"] == 9_000
    done(do(writer, v.Redemption(code_hash=hashed("new"), payee_type="agent", payee="A1")))
    assert balances(database)["outstanding"] == 0


# ---------------------------------------------------------------- reports from outside


def test_a_report_that_contradicts_a_final_state_changes_nothing(database: str, writer: Writer) -> None:
    """It is an event, so that somebody reconciles it; the money and the state stay."""
    done(do(writer, issue("V1")))
    done(do(writer, on("V1", v.Cancellation(reason="moved away"))))
    before = balances(database)
    for number, body in enumerate(
        (
            on("V1", redeem(reported=True)),
            on("V1", redeem(amount=500, reported=True)),
            on("V1", v.Expiry(reported=True)),
            on("V1", v.Failure(reason="lost", reported=True)),
            on("V1", v.Delivery(reported=True)),
        ),
        1,
    ):
        event = recorded(do(writer, body)).event
        assert (event.type, event.postings) == ("voucher_contradicted", [])
        assert event.data["status"] == "cancelled"
        assert voucher(database).contradictions == number
    assert voucher(database).status == "cancelled"
    assert balances(database) == before


def test_a_report_of_what_is_known_contradicts_nothing(database: str, writer: Writer) -> None:
    """What expired here expires there too; what was issued again is dead there. Nothing of it is an item."""
    for name, end in (
        ("V1", v.Expiry()),
        ("V2", v.Cancellation(reason="moved away")),
        ("V3", v.Reissue(replacement="V4", code_hash=hashed("V4"))),
    ):
        done(do(writer, issue(name)))
        done(do(writer, on(name, end)))
    for body in (
        on("V1", v.Expiry(reported=True)),
        on("V2", v.Cancellation(reason="as told", reported=True)),
        on("V3", v.Cancellation(reason="as told", reported=True)),
        on("V3", v.Failure(reason="lost", reported=True)),
    ):
        assert code(do(writer, body)) == "already_recorded"
    assert recorded(do(writer, on("V1", v.Cancellation(reason="x", reported=True)))).event.data["page"] == 1
    assert code(do(writer, on("V1", v.Expiry()))) == "voucher_not_open"


def test_a_report_of_more_than_remains_is_a_contradiction(database: str, writer: Writer) -> None:
    """Half of it cannot be paid by us: people look at it; a report without an amount means what remains."""
    done(do(writer, issue("V1")))
    done(do(writer, on("V1", redeem(amount=4_000))))
    event = recorded(do(writer, on("V1", redeem(amount=7_000, reported=True)))).event
    assert (event.type, event.data["said"], event.data["amount"]) == (
        "voucher_contradicted",
        "redeemed",
        "7000",
    )
    assert voucher(database).remaining == 6_000
    assert recorded(do(writer, on("V1", redeem(reported=True)))).event.data["amount"] == "6000"
    assert code(do(writer, on("V1", redeem(reported=True)))) == "voucher_not_open"  # said and known already


def test_delivery_may_be_reported_after_redemption(database: str, writer: Writer) -> None:
    """Reports come in any order; that it was delivered contradicts nothing."""
    done(do(writer, issue("V1")))
    done(do(writer, on("V1", redeem(reported=True))))
    done(do(writer, on("V1", v.Delivery(reported=True))))
    state = voucher(database)
    assert (state.status, state.delivered_at is not None) == ("redeemed", True)


def test_a_redemption_before_the_expiry_takes_it_back(database: str, writer: Writer) -> None:
    """By the provider's time of the event, in parts too; one after the expiry is a contradiction."""
    before = soon(-5)
    done(do(writer, issue("V1", expires_at=soon(0.4))))
    expired(database)
    assert balances(database)["fund"] == 100_000
    late = on("V1", redeem(amount=1_000, reported=True, happened_at=soon(-0.001)))
    assert recorded(do(writer, late)).event.type == "voucher_contradicted"
    assert (
        recorded(do(writer, on("V1", redeem(amount=1_000, reported=True)))).event.type
        == "voucher_contradicted"
    )
    for amount, status in ((4_000, "expired"), (None, "redeemed")):
        event = recorded(do(writer, on("V1", redeem(amount=amount, reported=True, happened_at=before)))).event
        assert event.data["expiry_reversed"] is True
        assert voucher(database).status == status
    assert balances(database)["fund"] == 90_000
    assert balances(database)["payable:agent:A1"] == 10_000
    report = live.check(database, "main")
    assert [x.sentence for x in report.verdicts if x.status == "failed"] == []


def test_what_was_returned_cannot_be_redeemed_after_all(database: str, writer: Writer) -> None:
    """The fund is never below zero: the report is refused, for now, and somebody has to see to it."""
    before = soon(-5)
    done(do(writer, issue("V1", expires_at=soon(0.4))))
    expired(database)
    done(do(writer, on("relief", v.Return(amount=95_000))))
    body = on("V1", redeem(reported=True, happened_at=before))
    outcome = do(writer, body)
    assert isinstance(outcome, Refusal)
    assert outcome.rejection.code == "insufficient_available"


# ---------------------------------------------------------------- races and laws


def test_a_code_is_redeemed_once_however_many_try(database: str, writer: Writer) -> None:
    """Threads in two writers race with the same code: in total no more than it promised is paid."""
    done(do(writer, issue("V1", 10_000, secret="ABCD")))
    results: list[Outcome] = []

    def attempt(own: Writer, payee: str) -> None:
        body = v.Redemption(code_hash=hashed("ABCD"), amount=4_000, payee_type="agent", payee=payee)
        results.append(do(own, body))

    with writing(database) as other:
        threads = [
            threading.Thread(target=attempt, args=((writer, other)[n % 2], f"A{n}")) for n in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    accepted = [r for r in results if isinstance(r, Recorded)]
    refused = [r.rejection.code for r in results if isinstance(r, Refusal)]
    assert (len(accepted), set(refused), len(refused)) == (2, {"exceeds_voucher"}, 10)
    assert balances(database)["outstanding"] == 2_000


@pytest.mark.parametrize("seed", range(6))
def test_the_books_balance_at_every_step_of_a_random_life(database: str, seed: int) -> None:
    """Liability is what open vouchers promise; the trust account is liability, unsettled and fund together.

    The promise is counted by a naive model that knows amounts only: what was issued, paid and given back.
    """
    chance = random.Random(seed)
    model: dict[str, int] = {}
    with writing(database, sweep_seconds=0.05) as writer:
        opened(writer)
        for step in range(120):
            name = f"V{chance.randrange(12)}"
            reported = chance.random() < 0.5
            amount = chance.choice([None, 1_000, 3_000, 9_000])
            body: Any = chance.choice(
                [
                    issue(f"V{step}" if chance.random() < 0.6 else name, chance.choice([2_000, 5_000])),
                    on(name, v.Delivery(reported=reported)),
                    on(name, redeem(amount, f"A{step % 3}", reported=reported)),
                    on(name, redeem(amount, f"A{step % 3}", reported=reported)),
                    on(name, v.Expiry(reported=reported)),
                    on(name, v.Cancellation(reason="random")),
                    on(name, v.Failure(reason="random", reported=reported)),
                    on(name, v.Reissue(replacement=f"R{step}", code_hash=hashed(f"R{step}"))),
                    on("relief", v.Settlement(payees=[v.Payee("agent", f"A{step % 3}")])),
                    on("relief", v.Funding(amount=500)),
                    on("relief", v.Return(amount=700)),
                ]
            )
            outcome = do(writer, body)
            if isinstance(outcome, Recorded):
                follow(model, outcome.event)
            held = balances(database)
            unsettled = sum(b for account, b in held.items() if account.startswith("payable:"))
            assert held.get("outstanding", 0) == sum(model.values()), body
            assert held["trust"] == held.get("outstanding", 0) + unsettled + held["fund"], body
    report = live.check(database, "main")
    assert [x.sentence for x in report.verdicts if x.status == "failed"] == []
    with closing(Reader(database)) as reader:
        stored = [s.state for s, _ in reader.streams("main", "voucher", limit=1_000)]
    assert {s.voucher: s.remaining for s in stored} == {name: model.get(name, 0) for name in model}


def follow(model: dict[str, int], event: Event) -> None:
    """What open vouchers promise, after an event, by its words alone."""
    data = event.data
    if event.type == "voucher_issued":
        model[data["voucher"]] = int(data["amount"])
    elif event.type == "voucher_redeemed":
        model[data["voucher"]] -= int(data["amount"])
    elif event.type in ("voucher_expired", "voucher_cancelled"):
        model[data["voucher"]] = 0
    elif event.type == "voucher_reissued":
        model[data["replacement"]], model[data["voucher"]] = model[data["voucher"]], 0
