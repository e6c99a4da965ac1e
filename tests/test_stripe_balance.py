"""Stripe's balance transactions: fetched by the official client from a double, posted once, in any order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from stripe import StripeError

from adapters import stripe_worker
from adapters.inbox.connections import connect
from adapters.stripe_balance import NOTHING, Fetched, client_of, fetch
from api.settings import StripeSettings, Work
from ledger.payment_reads import OpenItem, open_items
from ledger.reader import Reader
from ledger.wire import Connection
from ledger.writer import Writer
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.daybook_command import daybook, succeeds
from tests.senders import SECRETS
from tests.served import served
from tests.stripe_double import KEY, StripeDouble, stripe_double
from tests.stripe_events import (
    CREATED,
    Event,
    Shop,
    charge,
    dispute,
    payout,
    refund,
    session,
    txn,
    withdrawal,
)
from tests.waiting import until

USD, MYR = "USD/2", "MYR/2"
START = datetime.fromtimestamp(CREATED, UTC) - timedelta(hours=1)
END = START + timedelta(days=2)


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def writer(database: str) -> Iterator[Writer]:
    with writing(database) as writer:
        yield writer


@pytest.fixture(scope="module")
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        yield connection


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with stripe_double() as double:
        yield double


@pytest.fixture
def shop(database: str, writer: Writer, connection: Connection, tmp_path: Path) -> Shop:
    return Shop(database, tmp_path, writer, connection)


def source(told: Event) -> dict[str, Any]:
    """The object that an event tells of."""
    found: dict[str, Any] = told["data"]["object"]
    return found


def fetched(shop: Shop, double: StripeDouble, start: datetime = START, end: datetime = END) -> Fetched:
    """What became of everything in a time."""
    whole = NOTHING
    with closing(Reader(shop.database, 1)) as reader:
        client = client_of(KEY, double.address)
        for page in fetch(client, reader, shop.writer.execute, shop.name, start, end):
            whole = whole.plus(page)
    return whole


PURCHASE = txn("charge", 1_000, 59, source(charge()))


def test_a_charge_is_settled_and_its_fee_is_known(shop: Shop, double: StripeDouble) -> None:
    """Clearing has what Stripe's balance has; nothing is open; a second time nothing happens."""
    double.objects["balance_transactions"] = [PURCHASE]
    shop.deliver(session())
    shop.deliver(charge())
    assert fetched(shop, double) == Fetched(1, 0, ())
    balances = shop.balances()
    assert balances["stripe:clearing", USD] == 941
    assert balances["stripe:processing_fee", USD] == 59
    assert ("stripe:unsettled", USD) not in balances
    assert shop.open_items() == {}
    assert fetched(shop, double) == Fetched(0, 1, ())
    assert shop.balances() == balances


def test_a_charge_brings_its_balance_transaction_along(shop: Shop, double: StripeDouble) -> None:
    """charge.updated, with the transaction in it rather than its id: settled at once, and only once."""
    shop.deliver(charge())
    brought = txn("charge", 1_000, 59, "ch_1")
    number = shop.deliver(charge("charge.updated", balance_transaction=brought))
    assert len(shop.found(number).seqs or []) == 2
    assert shop.balances()["stripe:clearing", USD] == 941
    double.objects["balance_transactions"] = [PURCHASE]
    assert fetched(shop, double) == Fetched(0, 1, ())
    assert shop.open_items() == {"payment:pi_1": {USD: -1_000}}


def test_a_balance_of_many_pages_is_fetched_whole(shop: Shop, double: StripeDouble) -> None:
    """250 in one day and one on another: each once, by pages, each day apart."""
    double.objects["balance_transactions"] = [
        txn("stripe_fee", -1, 0, None, id=f"txn_{n:03}", created=CREATED + n) for n in range(250)
    ] + [txn("stripe_fee", -1, 0, None, id="txn_later", created=CREATED + 30 * 3_600)]
    assert fetched(shop, double) == Fetched(251, 0, ())
    assert shop.balances()["stripe:clearing", USD] == -251
    assert len(double.asked) == 4
    # As a run that was cut short goes on.
    double.objects["balance_transactions"].append(txn("stripe_fee", -1, 0, None, id="txn_new"))
    assert fetched(shop, double) == Fetched(1, 251, ())


def test_clearing_is_stripes_balance_whatever_moves_it(shop: Shop, double: StripeDouble) -> None:
    """Charges, refunds, disputes, payouts and what nobody knows: clearing is the sum of net."""
    listed = [
        PURCHASE,
        txn("refund", -300, 0, source(refund("refund.created", "re_1", 300))),
        txn("adjustment", -700, 1_500, source(dispute("created", "needs_response"))),
        txn("payout", -1_100, 0, source(payout("created", "pending"))),
        txn("payout_failure", 1_100, 0, source(payout("failed", "failed"))),
        txn("stripe_fee", -77, 0, None),
        txn("refund_failure", 300, 0, source(refund("refund.failed", "re_1", 300))),
    ]
    double.objects["balance_transactions"] = listed
    assert fetched(shop, double) == Fetched(7, 0, ())
    assert shop.balances()["stripe:clearing", USD] == sum(one["net"] for one in listed)
    assert shop.balances()["stripe:unclassified", USD] == -77
    assert shop.open_items()["txn:txn_stripe_fee"] == {USD: 77}


def test_webhooks_and_balance_transactions_meet_in_any_order(
    database: str, writer: Writer, connection: Connection, tmp_path: Path, double: StripeDouble
) -> None:
    """A purchase in another currency, refunded, told by webhooks and the balance: the same books always."""
    told = [session(), charge(), refund("refund.created")]
    balance = [
        txn("charge", 4_230, 180, source(charge()), currency="myr"),
        txn("refund", -4_260, 0, source(refund("refund.created")), currency="myr"),
    ]
    steps: list[Any] = [*told, *balance]
    orders = list(permutations(range(5)))
    books: set[str] = set()
    for order in [orders[0], orders[-1], *random.Random("meet").sample(orders, 10)]:
        shop = Shop(database, tmp_path, writer, connection)
        double.objects["balance_transactions"] = []
        for step in order:
            if step < 3:
                shop.deliver(steps[step])
            else:
                double.objects["balance_transactions"].append(steps[step])
                fetched(shop, double)
        shop.end()
        assert shop.open_items() == {}
        books.add(str(sorted(shop.balances().items())))
    assert len(books) == 1
    balances = shop.balances()
    assert balances["stripe:clearing", MYR] == 4_230 - 180 - 4_260
    assert balances["fx:realised_loss", MYR] == 30
    assert {key for key in balances if key[0].startswith(("fx:position", "payments:"))} == set()


def test_a_disputes_balance_transaction_is_posted_once(shop: Shop, double: StripeDouble) -> None:
    """It comes with the dispute's webhook and by the balance."""
    double.objects["balance_transactions"] = [
        txn("adjustment", -1_000, 1_500, source(dispute("created", "needs_response")), id="txn_w")
    ]
    shop.deliver(dispute("created", "needs_response", withdrawal()))
    assert fetched(shop, double) == Fetched(0, 1, ())
    assert shop.balances()["stripe:clearing", USD] == -2_500


def test_what_cannot_be_posted_is_told_and_does_not_stop_the_rest(shop: Shop, double: StripeDouble) -> None:
    """A currency that the chart has not, a charge without its id: named with a reason; others are posted."""
    double.objects["balance_transactions"] = [
        txn("charge", 5, 0, source(charge(id="ch_9", currency="eur")), id="txn_a", currency="eur"),
        txn("charge", 5, 0, {"currency": "usd"}, id="txn_b"),
        txn("stripe_fee", -5, 0, None, id="txn_c"),
    ]
    done = fetched(shop, double)
    assert (done.posted, done.known) == (1, 0)
    assert {trouble.txn: trouble.reason for trouble in done.troubles} == {
        "txn_a": "asset_not_in_chart",
        "txn_b": "`id` is missing",
    }


def test_a_failure_of_stripe_is_tried_again_and_then_told(shop: Shop, double: StripeDouble) -> None:
    """The client tries again by itself; what it gives up on can be fetched later."""
    double.objects["balance_transactions"] = [PURCHASE]
    double.failures = 1
    assert fetched(shop, double).posted == 1
    double.failures = 100
    with pytest.raises(StripeError):
        fetched(shop, double)


def test_the_command_fetches_and_says_what_became_of_it(shop: Shop, double: StripeDouble) -> None:
    """Posted, then known; 1 where something could not be posted; one sentence without a key."""
    double.objects["balance_transactions"] = [PURCHASE]
    settings = {"STRIPE_SECRET_KEY": KEY, "STRIPE_API": double.address}
    asked = ("stripe", "fetch", shop.name, "--from", START.date().isoformat(), "--to", END.date().isoformat())
    first = daybook(shop.database, *asked, **settings)
    assert (first.returncode, first.stdout) == (0, "1 posted, 0 known, 0 not posted.\n"), first.stderr
    assert daybook(shop.database, *asked, **settings).stdout == "0 posted, 1 known, 0 not posted.\n"
    double.objects["balance_transactions"].append(
        txn("stripe_fee", -5, 0, None, id="txn_eur", currency="eur")
    )
    failed = daybook(shop.database, *asked, **settings)
    assert failed.returncode == 1
    assert "asset_not_in_chart" in failed.stdout
    without = daybook(shop.database, *asked)
    assert (without.returncode, "STRIPE_SECRET_KEY is not set" in without.stderr) == (1, True)


def test_the_service_fetches_by_itself(
    new_database: NewDatabase, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the ledger of Stripe's default endpoint, as soon as there is one."""
    monkeypatch.setattr(stripe_worker, "POLL_SECONDS", 0.05)
    now = int(datetime.now(UTC).timestamp())
    double.objects["balance_transactions"] = [txn("stripe_fee", -5, 0, None, created=now - 60)]
    work = Work(stripe=StripeSettings(KEY, double.address))
    with new_database() as conninfo, served(conninfo, work=work) as service:
        book = service.open({"assets": [USD], "accounts": [], "products": ["payments"]})
        opening = {"provider": "stripe", "secret": SECRETS["stripe"], "default": True}
        assert book.call("POST", "/inbox/endpoints", opening).status_code == 201
        until(lambda: book.head() == 2)
        assert book.balance("stripe:unclassified")[0] == -5


def test_what_is_open_is_shown_to_whoever_works_on_it(shop: Shop) -> None:
    """Page by page and by kind; what is settled is not there; the command says the same."""
    shop.deliver(session())
    shop.deliver(charge())
    shop.deliver(dispute("created", "needs_response", withdrawal()))
    shop.deliver(payout("created", "pending"))
    shop.deliver(charge(id="ch_2", payment_intent="pi_2", amount_captured=7, metadata={"order": "o-2"}))
    shop.deliver(charge("charge.refunded", amount_refunded=300))
    with closing(Reader(shop.database, 1)) as reader:
        whole = open_items(reader, shop.name, limit=100)
        paged: list[OpenItem] = []
        while page := open_items(reader, shop.name, after=paged[-1].item if paged else "", limit=2):
            paged += page
        payments = open_items(reader, shop.name, ["payment"], limit=100)
    assert [(one.item, one.order) for one in whole] == [
        ("charge:ch_1", "o"),
        ("charge:ch_2", "o-2"),
        ("dispute:dp_1", "o"),
        ("payment:pi_1", "o"),
        ("payment:pi_2", "o-2"),
        ("payout:po_1", ""),
    ]
    assert paged == whole
    assert [(one.item, one.balance, one.refunds_missing) for one in payments] == [
        ("payment:pi_1", {}, {USD: 300}),
        ("payment:pi_2", {USD: -7}, {}),
    ]
    assert whole[2].status == "needs_response"
    said = succeeds(shop.database, "stripe", "open", shop.name, "--kind", "payment", "--kind", "dispute")
    rows = [line.split("\t")[:5] for line in said.splitlines()[1:]]
    assert rows == [
        ["dispute:dp_1", "1000", USD, "o", "needs_response"],
        ["payment:pi_1", "300", USD, "o", "refunds missing"],
        ["payment:pi_2", "-7", USD, "o-2", ""],
    ]
