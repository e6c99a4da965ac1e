"""`daybook inbox` and what `daybook doctor` says of it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from adapters.inbox.connections import connect
from adapters.inbox.door import Letter, receive
from adapters.inbox.endpoints import EndpointOpening, create
from adapters.inbox.settling import Settler
from api.database import Database
from api.doctor import Finding, examine
from ledger.chart import AccountPattern, ChartDocument, Limits
from ledger.commands import AccountLimits, LedgerOpening
from ledger.keeping import Keeping
from ledger.vault import Vault
from tests.bookkeeping import do, writing
from tests.daybook_command import daybook, fails, succeeds
from tests.senders import SECRETS, signed

CHART = ChartDocument(
    ("USD/2",),
    (
        AccountPattern("paystack:unsettled", "asset", limits={"*": Limits(max_balance=500)}),
        AccountPattern("payments:unapplied", "liability"),
    ),
)


class Shop:
    """The ledger `shop` with an endpoint of Paystack's, and its webhooks."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        with writing(database) as writer, connect(database) as connection:
            do(writer, LedgerOpening(name="shop", chart=CHART), ledger="shop")
            vault = Vault(folder)
            opening = EndpointOpening("paystack", secret=SECRETS["paystack"])
            endpoint = create(connection, vault, "shop", opening).endpoint.id
            for id, amount, currency in ((1, 400, "USD"), (2, 200, "USD"), (3, 200, "XAU")):
                data = {"id": id, "status": "success", "amount": amount, "currency": currency}
                body = json.dumps({"event": "charge.success", "data": data}).encode()
                headers = [(name.lower(), value) for name, value in signed("paystack", body).items()]
                receive(connection, vault, "paystack", endpoint, Letter(headers, body))
            Settler(writer.submit).settle(connection, "default")

    def lift(self) -> None:
        """Mend what one of them was refused for."""
        with writing(self.database) as writer:
            do(writer, AccountLimits({}), "paystack:unsettled", ledger="shop")


@pytest.fixture
def shop(database: str, tmp_path: Path) -> Shop:
    return Shop(database, tmp_path)


def doctor(database: str) -> list[Finding]:
    """What it finds in the inbox."""
    found = examine(Database(database, "a test", None, []), Keeping(Path("/nowhere")))
    return [finding for finding in found if finding.check == "inbox"]


def test_what_is_parked_is_listed_shown_and_replayed(shop: Shop) -> None:
    """A table and JSON; a replay posts at once and says as what, or why not (exit code 1)."""
    head, *rows = (line.split("\t") for line in succeeds(shop.database, "inbox", "list", "shop").splitlines())
    assert head[:3] == ["number", "received", "provider"]
    assert [row[6] for row in rows] == ["max_balance_exceeded", "currency_not_known"]
    everything = succeeds(shop.database, "inbox", "list", "shop", "--all", "--json").splitlines()
    first, second, third = (json.loads(line) for line in everything)
    assert (first["state"], first["seqs"]) == ("posted", [2])
    number = str(second["number"])
    shown = succeeds(shop.database, "inbox", "show", "shop", number)
    for part in ("over_by: 100", "x-paystack-signature: ", '"event": "charge.success"'):
        assert part in shown
    shop.lift()
    assert succeeds(shop.database, "inbox", "replay", "shop", number) == f"{number} posted as 4\n"
    assert fails(shop.database, "inbox", "replay", "shop", number).endswith("was posted, or waits to be.\n")
    said = daybook(shop.database, "inbox", "replay", "shop", "--parked")
    assert said.stdout.startswith(f"{third['number']} parked: currency_not_known: ")
    assert said.stderr.endswith("1 of 1 are still not settled.\n")
    assert said.returncode == 1


def test_the_doctor_tells_what_waits_for_people_and_what_for_the_service(shop: Shop) -> None:
    """Parked is worth knowing; failed, or waiting for more than a minute, is a problem."""
    assert {finding.status for finding in doctor(shop.database)} == {"note"}
    assert "shop: webhooks parked for max_balance_exceeded: 1" in str(doctor(shop.database))
    with psycopg.connect(shop.database) as connection:
        connection.execute("UPDATE inbox.webhooks SET state = 'failed', reason = 'defect' WHERE number = 2")
        connection.execute(
            "UPDATE inbox.webhooks SET state = 'received', settled_at = NULL, reason = NULL,"
            " received_at = now() - interval '2 minutes' WHERE number = 3"
        )
    problems = [finding.detail for finding in doctor(shop.database) if finding.status == "problem"]
    assert "shop: webhooks failed for defect: 1" in problems
    [waiting] = [detail for detail in problems if "waiting: 1" in detail]
    assert waiting.endswith("is the service running?")


def test_an_empty_inbox_is_in_order(database: str) -> None:
    """One line that says so."""
    [finding] = doctor(database)
    assert (finding.status, finding.detail) == ("ok", "every webhook was posted or ignored")


def test_what_is_not_there_is_told_in_a_sentence(shop: Shop) -> None:
    """No ledger, no webhook, no numbers."""
    assert "There is no ledger nowhere" in fails(shop.database, "inbox", "list", "nowhere")
    assert "has no webhook 99" in fails(shop.database, "inbox", "replay", "shop", "99")
    fails(shop.database, "inbox", "replay", "shop", code=2)
