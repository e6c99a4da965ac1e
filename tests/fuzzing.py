"""Bad input without end: Schemathesis makes requests from the OpenAPI document and judges every answer.

`tests/test_schemathesis.py` runs it for seconds, always with the same requests. `make fuzz` runs it for ten
minutes, with others every time, against a service and a PostgreSQL of its own; what it finds, it prints with
a `curl` line and a seed.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import click
import psycopg
import structlog
from psycopg.conninfo import make_conninfo

import api.handlers
from api.examples import EXAMPLES
from sql.embedded import running
from sql.migrate import migrate
from tests.daybook_command import ROOT, own_data
from tests.keys import as_admin
from tests.loan_calls import furnish_loans
from tests.provider_calls import furnish_providers
from tests.senders import SECRETS, signed
from tests.served import Service, move, served

LEDGER = "/v1/ledgers/main"
CHART: dict[str, Any] = {
    "products": ["credits", "payments", "vouchers", "loans", "providers", "kredit"],
    "assets": ["USD/2", "EUR/2", "JPY/0", "NAD/2", "MYR/2", "CREDIT.enrichment/0"],
    "accounts": [
        {"pattern": "cash", "type": "asset"},
        {"pattern": "bank", "type": "asset"},
        {"pattern": "fees", "type": "income"},
        {"pattern": "retained", "type": "equity"},
        {"pattern": "customers:{customer}:wallet", "type": "liability"},
    ],
    "approval_above": {"EUR/2": 1_000},
}
# A read need not wait long for a seq that will not come.
PATIENCE_SECONDS = 0.05

_getaddrinfo = socket.getaddrinfo


class Found(NamedTuple):
    """What a run says: its exit code, its report, and how often each operation had each status."""

    code: int
    said: str
    answers: dict[str, Counter[int]]

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(sum(statuses.values()) for statuses in self.answers.values())


def furnish(service: Service) -> dict[str, str]:
    """The ledger `main` of the document's examples, with something in it; the ids of that."""

    def made(path: str, body: Any, key: str | None = None) -> Any:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        answer = service.call("POST", path, body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    made("/v1/ledgers", {"name": "main", "time_zone": "Europe/Prague", "chart": CHART})
    for n in range(12):
        made(f"{LEDGER}/transactions", move("cash", "customers:42:wallet", 5_000, pending=n % 3 == 1))
    furnish_credits(made)
    furnish_payments(made)
    asking = made("/v1/api-keys", {"name": "asks", "scopes": ["operator"]})["secret"]
    large = move("cash", "customers:42:wallet", 5_000, "EUR/2")
    waiting = [made(f"{LEDGER}/transactions", large, asking)["id"] for _ in range(2)]
    job = made(f"{LEDGER}/exports", {"formats": ["jsonl"]})["id"]
    deadline = time.monotonic() + 30
    while service.get(f"/v1/jobs/{job}")["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    furnish_reconciliation(service, made)
    vouchers = furnish_vouchers(service, made)
    own = service.get("/v1/api-keys")["keys"][0]["id"]
    key, other = (
        made("/v1/api-keys", {"name": f"spare {n}", "scopes": ["customer"]})["key"]["id"] for n in range(2)
    )
    made("/v1/tenants", {"name": "acme"})
    inbox = f"{LEDGER}/inbox"
    asked = {"provider": "buffr", "secret": SECRETS["buffr"]}
    door, spare = (made(f"{inbox}/endpoints", asked | {"default": not n})["endpoint"]["id"] for n in range(2))
    for n in range(20):
        body = json.dumps({"n": n}).encode()
        sent = service.client.post(f"/webhooks/buffr/{door}", content=body, headers=signed("buffr", body))
        assert sent.is_success, sent.text
    deadline = time.monotonic() + 30
    while {one["state"] for one in service.get(f"{inbox}")["states"]} != {"parked"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    numbers = [one["number"] for one in service.get(f"{inbox}/webhooks")["webhooks"]]
    loans = furnish_loans(service, LEDGER)
    furnish_kredit(service, made)
    hook = made(f"{LEDGER}/subscriptions", {"url": "https://hooks.invalid/ledger"})["subscription"]["id"]
    return {
        "job": job,
        "subscription": hook,
        "tile": "000.p/13",
        "key": key,
        "rotate_api_key.key": other,
        "own_key": own,
        "approval": waiting[0],
        "reject.approval": waiting[1],
        "provider": "buffr",
        "endpoint": door,
        "own_endpoint": door,
        "delete_endpoint.endpoint": spare,
        "number": str(numbers[0]),
        "replay_webhook.number": str(numbers[-1]),
        **vouchers,
        "void_hold.seq": "6",
        "reverse_transaction.seq": "4",
        **loans,
        **furnish_providers(service, LEDGER),
    }


def furnish_kredit(service: Service, made: Callable[[str, Any], Any]) -> None:
    """The lender of the document's examples, who pays afterwards, and has paid for its subscription."""
    made(f"{LEDGER}/inbox/endpoints", {"provider": "kredit", "secret": SECRETS["kredit"], "default": True})
    for path, operation in (
        ("tenant-created", "create_kredit_tenant"),
        ("subscription-payment-request", "request_kredit_payment"),
    ):
        body = json.dumps(EXAMPLES[operation]["body"]).encode()
        headers = signed("kredit", body)
        sent = service.client.post(f"/api/webhooks/kredit/{path}", content=body, headers=headers)
        assert sent.is_success, sent.text
    terms = {"billing": "postpaid"}
    assert service.call("PUT", f"{LEDGER}/kredit/tenants/cm7tenant", terms).is_success


def furnish_reconciliation(service: Service, made: Callable[[str, Any], Any]) -> None:
    """The run of the document's examples, with an item of it: what the bank tells and the book does not."""
    made(f"{LEDGER}/accounts", {"address": "bank"})
    query = {"account": "bank", "run": "stripe-2026-11-20", "date": "d", "amount": "a", "currency": "EUR"}
    sent = service.client.post(
        f"{LEDGER}/bank-statements",
        params=query,
        content=b"d,a\n2026-11-20,5.00\n",
        headers={"content-type": "text/csv"},
    )
    assert sent.is_success, sent.text


def furnish_vouchers(service: Service, made: Callable[[str, Any], Any]) -> dict[str, str]:
    """The programme of the document's examples, with money in every place of it, and vouchers to end."""
    for name in ("B-7", "B-8"):
        person = {"name": "Maria Shikongo"}
        assert service.call("PUT", f"{LEDGER}/beneficiaries/{name}", person).is_success
    programme = {"programme": "relief", "name": "Relief", "asset": "NAD/2"}
    made(f"{LEDGER}/programmes", programme)
    made(f"{LEDGER}/programmes/relief/fundings", {"amount": 10_000_000})
    made(f"{LEDGER}/programmes/relief/fees", {"payee": "A1", "amount": 100_000})

    def issued(name: str) -> str:
        body = {"programme": "relief", "voucher": name, "beneficiary": "B-7", "amount": 100_000}
        code: str = made(f"{LEDGER}/vouchers", body)["code"]
        return code

    ids = {}
    for fate in ("redeem", "distribute", "deliver", "expire", "cancel", "fail", "reissue"):
        issued(fate)
        ids[f"{fate}_voucher.voucher"] = fate
    issued("V-1")
    made(f"{LEDGER}/vouchers/V-1/redeem", {"amount": 4_000, "payee_type": "agent", "payee": "A1"})
    ids |= {"erase_beneficiary.beneficiary": "B-8"}
    return ids | {"voucher": "V-1", "redeem_code.code": issued("coded"), "open_programme.programme": "other"}


def furnish_payments(made: Callable[[str, Any], Any]) -> None:
    """What the examples of payments speak of: money that bought nothing, and what nobody has classified."""
    paid = {"charge": "ch_2", "payment": "pi_2", "amount": 500, "asset": "USD/2"}
    made(f"{LEDGER}/payments/charges", paid)
    other = {"txn": "txn_3", "amount": 5, "asset": "USD/2"}
    body = {"kind": "other", "type": "adjustment", "settlement": other}
    made(f"{LEDGER}/payments/balance-transactions", body)


def furnish_credits(made: Callable[[str, Any], Any]) -> None:
    """What the examples of credits speak of: a package, a use (16), holds (17 to 19), orders, disputes."""
    credits, wallet = f"{LEDGER}/credits", {"userId": "42", "creditType": "enrichment"}
    package = {"id": "starter", "name": "Starter pack", "creditType": "enrichment", "creditAmount": 100}
    made(f"{credits}/packages", {**package, "price": 999, "asset": "USD/2"})
    made(f"{credits}/add", {**wallet, "amount": 100_000, "transactionType": "promotional"})
    assert made(f"{credits}/deduct", {**wallet, "amount": 10})["id"] == 16
    assert [made(f"{credits}/holds", {**wallet, "amount": 30})["id"] for _ in range(3)] == [17, 18, 19]
    for number in range(1842, 1849):
        order = f"order-{number}"
        made(f"{credits}/purchases", {"userId": "42", "packageId": "starter", "order": order})
        if number > 1844:
            paid = {"order": order, "amount": 1_079, "tax": 80, "asset": "USD/2"}
            made(f"{credits}/orders/fulfil", paid)
        if number > 1846:
            made(f"{credits}/orders/freeze", {"order": order, "dispute": f"dp_{number}"})


def fuzz(service: Service, folder: Path, *options: str) -> Found:
    """One run of Schemathesis against a furnished service, with more options of its command line."""
    report = folder / "report.ndjson"
    ids = furnish(service)
    with (
        patch.object(api.handlers, "PATIENCE_SECONDS", PATIENCE_SECONDS),
        patch.object(socket, "getaddrinfo", _nowhere),
    ):
        done = subprocess.run(
            (
                *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
                *("--config-file", str(ROOT / "tests" / "schemathesis.toml")),
                *("run", f"{service.base}/openapi.json", "--no-color"),
                *("--report", "ndjson", "--report-ndjson-path", str(report)),
                *options,
            ),
            cwd=folder,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "DAYBOOK_TEST_IDS": json.dumps(ids),
                "DAYBOOK_TEST_SECRET": SECRETS["buffr"],
                "DAYBOOK_TEST_KREDIT_SECRET": SECRETS["kredit"],
                "DAYBOOK_TEST_KEY": as_admin(service.base)["authorization"].removeprefix("Bearer "),
            },
            capture_output=True,
            text=True,
        )
    return Found(done.returncode, done.stdout + done.stderr, dict(_answers(report)))


def _nowhere(host: Any, *more: Any, **options: Any) -> Any:
    """What is made up here is sent to nobody: only this machine has an address."""
    if host not in ("127.0.0.1", "localhost", None):
        raise socket.gaierror(f"{host} is not looked up")
    return _getaddrinfo(host, *more, **options)


def _answers(report: Path) -> Iterator[tuple[str, Counter[int]]]:
    found: dict[str, Counter[int]] = defaultdict(Counter)
    with report.open() as lines:
        for line in lines:
            event = json.loads(line)
            if "ScenarioFinished" not in event:
                continue
            recorder = event["ScenarioFinished"]["recorder"]
            for id, case in recorder.get("cases", {}).items():
                exchanged = recorder.get("interactions", {}).get(id, {})
                if exchanged.get("response"):
                    found[_label(case)][exchanged["response"]["status_code"]] += 1
    yield from found.items()


def _label(case: Any) -> str:
    value = case["value"]
    return f"{value['method']} {value['path']}"


@click.command()
@click.argument("seconds", type=int)
def main(seconds: int) -> None:
    """Send bad input for so many SECONDS, and say what came of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with own_data() as data, running(data) as server:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("CREATE DATABASE fuzzed")
        conninfo = make_conninfo(server, dbname="fuzzed")
        migrate(conninfo)
        with served(conninfo) as service:
            found = fuzz(service, data.parent, "--max-time", str(seconds))
    click.echo(found.said)
    click.echo(f"{found.requests} requests.")
    sys.exit(found.code)


if __name__ == "__main__":
    main()
