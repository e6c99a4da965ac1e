"""A double of Stripe's HTTP API, as far as Daybook asks it: a real server that the official client talks to.

It is test equipment: it keeps what it is given and answers as Stripe's documents say: lists page by page, the
same request again under its idempotency key with the first answer, another one under it with an error.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

KEY = "sk_test_of_the_double"
DECLINED = "pm_declined"
SLOW = "pm_slow"
LEAST = 50  # of a charge, in units of its currency
NOW = 1_760_000_000

Answer = tuple[int, dict[str, Any]]
Objects = dict[str, dict[str, Any]]


class StripeDouble:
    """`objects`: what there is, by list; `asked`: paths and queries; `failures`: of so many requests.

    `compositions`: the balance transactions that each payout paid out. `balance_off`: by how much the balance
    is not what its transactions add up to. `seconds`: what each answer takes.

    `lost`: so many requests are carried out, and their answers do not arrive.
    """

    def __init__(self, pays_at_once: bool = False) -> None:
        self.pays_at_once = pays_at_once
        self.objects: dict[str, list[dict[str, Any]]] = {"balance_transactions": [], "payouts": []}
        self.compositions: dict[str, list[str]] = {}
        self.balance_off = 0
        self.sessions: Objects = {}
        self.invoices: Objects = {}
        self.subscriptions: Objects = {}
        self.intents: Objects = {}
        self.seconds = 0.0
        self.asked: list[str] = []
        self.failures = 0
        self.lost = 0
        self.address = ""
        self._lock = threading.Lock()
        self._answered: dict[str, tuple[str, Answer]] = {}  # by idempotency key: what was asked, and said
        self._numbers = count(1)

    def answer(self, path: str, authorization: str) -> Answer:
        """Status and body of a GET."""
        refused = self._refused(path, authorization)
        if refused is not None:
            return refused
        url = urlsplit(path)
        name = url.path.removeprefix("/v1/")
        if name == "balance":
            return 200, self._balance()
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        if name == "payment_intents":
            return self._payments_of(query)
        kind, _, id = name.rpartition("/")
        things = {"checkout/sessions": self.sessions, "invoices": self.invoices}.get(kind)
        if things is not None:
            found = things.get(id)
            return _no_such(id) if found is None else (200, self._expanded(found))
        if name not in self.objects:
            return 404, {"error": {"type": "invalid_request_error", "message": f"no {url.path}"}}
        return 200, self._list(name, query)

    def carry_out(self, method: str, path: str, authorization: str, key: str | None, form: str) -> Answer:
        """Status and body of a POST or DELETE."""
        with self._lock:
            refused = self._refused(path, authorization)
            if refused is not None:
                return refused
            if key is not None and key in self._answered:
                asked, answer = self._answered[key]
                return answer if asked == path + form else _error(400, "idempotency_error", "used", "key")
            wanted = nested(form)
            made = self._make(method, path.removeprefix("/v1/"), wanted)
            if key is not None and made[0] not in (400, 404):  # what fails validation is not kept
                self._answered[key] = path + form, made
            return made

    def _refused(self, path: str, authorization: str) -> Answer | None:
        self.asked.append(path)
        time.sleep(self.seconds)
        if authorization != f"Bearer {KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
        if self.failures:
            self.failures -= 1
            return 500, {"error": {"type": "api_error", "message": "something is wrong at the double"}}
        return None

    def _make(self, method: str, name: str, wanted: dict[str, Any]) -> Answer:
        if name == "checkout/sessions":
            return self._session(wanted)
        if name == "payment_intents":
            return self._intent(wanted)
        kind, _, id = name.partition("/")
        found = self.subscriptions.get(id)
        if kind != "subscriptions" or found is None:
            return _no_such(id)
        if method == "DELETE":
            found |= {"status": "canceled", "ended_at": NOW}
        else:
            found["cancel_at_period_end"] = wanted.get("cancel_at_period_end") == "true"
        return 200, found

    def _session(self, wanted: dict[str, Any]) -> Answer:
        price = wanted["line_items"]["0"]["price_data"]
        amount = int(price["unit_amount"])
        if amount < LEAST:
            return _error(400, "amount_too_small", "at least 50", "line_items[0][price_data][unit_amount]")
        if "example.invalid" in wanted["success_url"]:
            return _error(400, "url_invalid", "Not a valid URL", "success_url")
        id = f"cs_test_{next(self._numbers)}"
        self.sessions[id] = {
            "id": id, "object": "checkout.session", "url": f"https://checkout.stripe.com/c/pay/{id}",
            "status": "open", "payment_status": "unpaid", "mode": wanted["mode"],
            "metadata": wanted.get("metadata", {}), "client_reference_id": wanted["client_reference_id"],
            "currency": price["currency"], "amount_total": amount, "payment_intent": None, "invoice": None,
            "customer": None, "subscription": None, "success_url": wanted["success_url"],
            "cancel_url": wanted["cancel_url"], "created": NOW, "asked": wanted,
            "total_details": {"amount_tax": 0, "amount_discount": 0},
        }  # fmt: skip
        if self.pays_at_once:
            self.pay(id)
        return 200, self.sessions[id]

    def _intent(self, wanted: dict[str, Any]) -> Answer:
        id = f"pi_{next(self._numbers)}"
        slow = wanted["payment_method"] == SLOW
        intent = self.intents[id] = {
            "id": id, "object": "payment_intent", "amount": int(wanted["amount"]),
            "created": int(time.time()),
            "amount_received": 0 if slow else int(wanted["amount"]), "currency": wanted["currency"],
            "status": "processing" if slow else "succeeded", "metadata": wanted.get("metadata", {}),
            "payment_method": wanted["payment_method"], "customer": wanted["customer"],
        }  # fmt: skip
        if wanted["customer"] == "cus_nobody":
            return _error(400, "resource_missing", "No such customer", "customer")
        if wanted["payment_method"] == DECLINED:
            error = {"code": "card_declined", "decline_code": "insufficient_funds"}
            intent |= {"status": "requires_payment_method", "amount_received": 0, "last_payment_error": error}
            return 402, {"error": {"type": "card_error", **error, "message": "No.", "payment_intent": intent}}
        return 200, intent

    def pay(self, session: str, tax: int = 0) -> dict[str, Any]:
        """The customer pays: a session as its webhook tells of it."""
        paid = self.sessions[session]
        asked = paid["asked"]
        intent = f"pi_{next(self._numbers)}"
        paid |= {"status": "complete", "payment_status": "paid", "customer": f"cus_of_{intent}"}
        paid["amount_total"] += tax
        paid["total_details"] = {"amount_tax": tax, "amount_discount": 0}
        if paid["mode"] == "payment":
            self.intents[intent] = {
                "id": intent,
                "object": "payment_intent",
                "payment_method": f"pm_{intent}",
            }
            paid["payment_intent"] = intent
            return paid
        subscription, invoice = f"sub_{next(self._numbers)}", f"in_{next(self._numbers)}"
        metadata = asked["subscription_data"]["metadata"]
        self.subscriptions[subscription] = {
            "id": subscription, "object": "subscription", "status": "active", "metadata": metadata,
            "customer": paid["customer"], "cancel_at_period_end": False,
            "items": {"object": "list", "data": [{"current_period_end": NOW + 30 * 86_400}]},
        }  # fmt: skip
        self.bill(subscription, invoice, paid["amount_total"], paid["currency"], intent)
        paid |= {"subscription": subscription, "invoice": invoice}
        return paid

    def bill(
        self, subscription: str, invoice: str, amount: int, currency: str, intent: str
    ) -> dict[str, Any]:
        """A paid invoice of a subscription."""
        details = {"subscription": subscription, "metadata": self.subscriptions[subscription]["metadata"]}
        self.invoices[invoice] = {
            "id": invoice, "object": "invoice", "status": "paid", "amount_paid": amount, "currency": currency,
            "created": NOW, "attempt_count": 1, "total_taxes": [], "total_discount_amounts": [],
            "parent": {"type": "subscription_details", "subscription_details": details},
            "payments": {"object": "list", "data": [{"payment": {"payment_intent": intent}}]},
        }  # fmt: skip
        return self.invoices[invoice]

    def _expanded(self, found: dict[str, Any]) -> dict[str, Any]:
        intent = self.intents.get(str(found.get("payment_intent")))
        shown = {name: value for name, value in found.items() if name != "asked"}
        return shown if intent is None else {**shown, "payment_intent": intent}

    def _balance(self) -> dict[str, Any]:
        """Half of what the transactions leave is available, the rest pending."""
        sums: dict[str, int] = {}
        for one in self.objects["balance_transactions"]:
            sums[one["currency"]] = sums.get(one["currency"], self.balance_off) + one["net"]
        parts = {
            "available": {c: n // 2 for c, n in sums.items()},
            "pending": {c: n - n // 2 for c, n in sums.items()},
        }
        lists = {
            part: [{"amount": amount, "currency": currency} for currency, amount in amounts.items()]
            for part, amounts in parts.items()
        }
        return {"object": "balance", "livemode": False, **lists}

    def forget(self) -> None:
        """A day passes: keys may be used again."""
        self._answered.clear()

    def _payments_of(self, query: dict[str, str]) -> Answer:
        """A customer's, all on one page."""
        if query["customer"] == "cus_nobody":
            return _error(400, "resource_missing", "No such customer", "customer")
        since = int(query["created[gte]"])
        found = [
            one
            for one in self.intents.values()
            if one.get("customer") == query["customer"] and one["created"] >= since
        ]
        return 200, {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": found[::-1]}

    def _list(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        """The newest first, as Stripe lists."""
        found = sorted(self.objects[name], key=lambda one: (one["created"], one["id"]), reverse=True)
        found = [
            one
            for one in found
            if int(query.get("created[gte]", 0)) <= one["created"] < int(query.get("created[lt]", 2**40))
        ]
        if "payout" in query:
            paid_out = self.compositions.get(query["payout"], ())
            found = [one for one in found if one["id"] in paid_out]
        after = query.get("starting_after")
        if after is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        limit = int(query.get("limit", 10))
        expanded = query.get("expand[0]") == "data.source"
        data = [one if expanded else {**one, "source": _id(one.get("source"))} for one in found[:limit]]
        return {"object": "list", "url": f"/v1/{name}", "has_more": len(found) > limit, "data": data}


def nested(form: str) -> dict[str, Any]:
    """A form whose names have brackets, as an object."""
    whole: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place, path = whole, [first, *rest]
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = value
    return whole


def _error(status: int, code: str, message: str, param: str) -> Answer:
    type = code if code == "idempotency_error" else "invalid_request_error"
    return status, {"error": {"type": type, "code": code, "message": message, "param": param}}


def _no_such(id: str) -> Answer:
    return _error(404, "resource_missing", f"No such object: {id}", "id")


def _id(source: Any) -> Any:
    return source["id"] if isinstance(source, dict) else source


@contextmanager
def stripe_double(*, pays_at_once: bool = False) -> Iterator[StripeDouble]:
    """A double on a free port of the loopback interface. `pays_at_once`: customers pay when they can."""
    double = StripeDouble(pays_at_once)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(*double.answer(self.path, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            key = self.headers.get("Idempotency-Key")
            authorization = self.headers.get("Authorization", "")
            answer = double.carry_out(self.command, self.path, authorization, key, form)
            if double.lost:
                double.lost -= 1
                self.close_connection = True
                return
            self._say(*answer)

        do_DELETE = do_POST

        def _say(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    double.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
