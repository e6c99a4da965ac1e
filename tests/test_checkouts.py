"""Checkouts: sessions that the official client makes at a double of Stripe, paid, told and granted once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, NamedTuple

import httpx
import pytest

from api.payment_operations import PAYMENT_OPERATIONS
from api.settings import SettingsError, StripeSettings, StripeWebhook, Work, read
from ledger.credits import deciding
from tests.conftest import NewDatabase
from tests.senders import SECRETS, signed
from tests.served import Book, Service, served
from tests.stripe_double import DECLINED, KEY, NOW, SLOW, StripeDouble, stripe_double
from tests.waiting import until

USD = "USD/2"
CHART: dict[str, Any] = {
    "assets": [USD, "JPY/0", "CREDIT.enrichment/0", "POINTS/2"],
    "accounts": [{"pattern": "costs", "type": "expense"}],
    "products": ["credits", "payments"],
}
APP = "https://app.example"
_numbers = count(1)


class Shop(NamedTuple):
    """A ledger whose packages are paid at the double, and that Stripe's default endpoint is of."""

    book: Book
    double: StripeDouble
    other: Book  # which it is not of

    def ask(self, path: str, body: Any, status: int = 201, **options: Any) -> Any:
        """A command of credits, and its answer."""
        answer = self.book.call("POST", f"/credits{path}", body, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def refused(self, path: str, body: Any, **options: Any) -> Any:
        """The problem that a command of credits is answered with."""
        answer = self.book.call("POST", f"/credits{path}", body, **options)
        assert answer.status_code >= 400, answer.text
        return answer.json()

    def package(self, **more: Any) -> str:
        """A package of 100 for 1,000."""
        body = {"name": "Starter", "creditType": "enrichment", "creditAmount": 100, "price": 1_000}
        id: str = self.ask("/packages", {**body, "asset": USD, "description": "To begin with", **more})["id"]
        return id

    def owner(self) -> str:
        """Somebody new."""
        return f"owner-{next(_numbers)}"

    def checkout(self, owner: str, package: str, **more: Any) -> Any:
        """A session."""
        return self.ask("/checkouts", {"userId": owner, "packageId": package, **more})

    def told(self, type: str, object: dict[str, Any], created: int = NOW) -> httpx.Response:
        """A webhook of Stripe's."""
        event = {"id": f"evt_{next(_numbers)}", "type": type, "created": created, "data": {"object": object}}
        body = json.dumps(event).encode()
        http = self.book.service.client
        answer = http.post("/webhooks/stripe", content=body, headers=signed("stripe", body))
        assert answer.status_code == 200, answer.text
        return answer

    def settled(self, answer: httpx.Response) -> Any:
        """What became of a webhook."""
        number = answer.json()["number"]
        until(lambda: self.webhook(number)["state"] != "received")
        return self.webhook(number)

    def webhook(self, number: int) -> Any:
        return self.book.get(f"/inbox/webhooks/{number}")["webhook"]

    def credits(self, owner: str) -> int:
        """What somebody has."""
        found = self.book.get("/credits/balance", userId=owner, creditType="enrichment")
        return int(found["balance"])


@pytest.fixture(scope="module")
def double() -> Iterator[StripeDouble]:
    with stripe_double() as double:
        yield double


@pytest.fixture(scope="module")
def service(new_database: NewDatabase, double: StripeDouble) -> Iterator[Service]:
    stripe = StripeSettings(KEY, double.address, APP)
    work = Work(stripe=stripe, stripe_webhook=StripeWebhook(SECRETS["stripe"]))
    with new_database() as conninfo, served(conninfo, work=work) as service:
        yield service


@pytest.fixture(scope="module")
def shop(service: Service, double: StripeDouble) -> Shop:
    book = service.open(CHART)
    asked = {"provider": "stripe", "default": True, "settings": {"packages": {"price_9": "monthly"}}}
    made = book.call("POST", "/inbox/endpoints", asked)
    assert (made.status_code, made.json()["secret"]) == (201, "")
    return Shop(book, double, service.open(CHART))


# ---------------------------------------------------------------- a session


def test_a_checkout_is_an_order_and_a_session_that_names_it(shop: Shop) -> None:
    """Package and price as line items, what the webhook needs as metadata, addresses below APP_URL."""
    package, owner = shop.package(), shop.owner()
    made = shop.checkout(owner, package)
    assert made["success"] is True
    assert made["checkoutUrl"] == f"https://checkout.stripe.com/c/pay/{made['sessionId']}"
    order = shop.book.get(f"/credits/orders/{made['order']}")
    assert (order["status"], order["price"], order["userId"]) == ("pending", 1_000, owner)
    asked = shop.double.sessions[made["sessionId"]]["asked"]
    price = {"currency": "usd", "unit_amount": "1000"}
    product = {"name": "Starter", "description": "To begin with"}
    assert asked["line_items"] == {"0": {"price_data": {**price, "product_data": product}, "quantity": "1"}}
    named = {"ledger": shop.book.name, "order": made["order"]}
    assert asked["metadata"] == named | {
        "userId": owner, "packageId": package, "creditType": "enrichment", "creditAmount": "100",
    }  # fmt: skip
    assert asked["payment_intent_data"]["metadata"] == named
    assert asked["client_reference_id"] == made["order"]
    assert asked["success_url"] == f"{APP}/checkout/success?session_id={{CHECKOUT_SESSION_ID}}"
    assert asked["cancel_url"] == f"{APP}/checkout/cancel"


def test_addresses_of_the_request_go_before_those_of_the_setting(shop: Shop) -> None:
    """And an amount is what Stripe counts: yen have no hundredths."""
    package = shop.package(price=500, asset="JPY/0")
    places = {"successUrl": "https://myapp.com/success", "cancelUrl": "http://localhost:3000/marketplace"}
    made = shop.checkout(shop.owner(), package, **places, savePaymentMethod=True)
    asked = shop.double.sessions[made["sessionId"]]["asked"]
    assert (asked["success_url"], asked["cancel_url"]) == tuple(places.values())
    assert asked["line_items"]["0"]["price_data"]["unit_amount"] == "500"
    assert asked["payment_intent_data"]["setup_future_usage"] == "off_session"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid_request", "userId"),
        ({"userId": "1", "packageId": "999"}, "package_not_found", None),
        ({"userId": "1", "packageId": "999", "mode": "subscription"}, "package_not_found", None),
        ({"userId": "1", "packageId": "999", "mode": "setup"}, "invalid_request", "mode"),
        ({"userId": "1", "packageId": "9", "interval": "year"}, "invalid_request", "interval"),
        ({"userId": "1", "packageId": "9", "successUrl": "javascript:x"}, "invalid_request", "successUrl"),
        ({"userId": "1", "packageId": "9", "cancelUrl": "https://?x"}, "invalid_request", "cancelUrl"),
        ({"userId": "1", "packageId": "9", "successUrl": "https://[x"}, "invalid_request", "successUrl"),
        ({"userId": "1", "packageId": "9", "price": 1}, "invalid_request", "price"),
    ],
)
def test_bad_input_names_its_field(shop: Shop, body: Any, code: str, field: str | None) -> None:
    """Nothing is asked of Stripe and nothing is ordered."""
    asked, head = len(shop.double.asked), shop.book.head()
    problem = shop.refused("/checkouts", body)
    assert (problem["code"], problem.get("field")) == (code, field)
    assert (len(shop.double.asked), shop.book.head()) == (asked, head)


def test_what_is_not_on_offer_or_not_in_money_is_not_sold(shop: Shop) -> None:
    """An inactive package, and an asset that Stripe has no currency for: told before anything is ordered."""
    package = shop.package()
    shop.ask("/packages/update", {"id": package, "isActive": False}, 200)
    head = shop.book.head() + 1
    points = shop.package(asset="POINTS/2")
    for mode in ("payment", "subscription"):
        body = {"userId": "1", "packageId": package, "mode": mode}
        assert shop.refused("/checkouts", body)["code"] == "package_not_active"
        problem = shop.refused("/checkouts", {**body, "packageId": points})
        assert (problem["code"], problem["field"]) == ("currency_not_taken", "packageId")
    assert shop.book.head() == head


def test_a_request_repeated_is_one_order_and_one_session(shop: Shop) -> None:
    """Under its key: also at once, also when Stripe's answer was lost; another request is refused."""
    package, owner = shop.package(), shop.owner()
    body = {"userId": owner, "packageId": package}
    named = {"Idempotency-Key": f"basket of {owner}"}
    shop.double.lost = 2  # more than the client tries by itself
    assert shop.refused("/checkouts", body, headers=named)["code"] == "stripe_unreachable"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: shop.ask("/checkouts", body, headers=named), range(4)))
    assert all(one == made[0] for one in made)
    sessions = [one for one in shop.double.sessions.values() if one["metadata"]["userId"] == owner]
    assert [one["id"] for one in sessions] == [made[0]["sessionId"]]
    again = shop.book.call("POST", "/credits/checkouts", body, headers=named)
    assert again.headers["idempotency-replayed"] == "true"
    other = {**body, "cancelUrl": "https://elsewhere.example"}
    assert shop.refused("/checkouts", other, headers=named)["code"] == "idempotency_key_reused"
    monthly = {**body, "mode": "subscription"}
    named = {"Idempotency-Key": f"plan of {owner}"}
    first, second = (shop.ask("/checkouts", monthly, headers=named) for _ in range(2))
    assert first == second
    yearly = {**monthly, "interval": "year"}
    assert shop.refused("/checkouts", yearly, headers=named)["code"] == "idempotency_key_reused"


def test_an_order_that_is_paid_is_not_offered_to_be_paid_again(shop: Shop) -> None:
    """Not when Stripe has forgotten its session either, and the same request comes back."""
    owner = shop.owner()
    body = {"userId": owner, "packageId": shop.package()}
    named = {"Idempotency-Key": f"basket of {owner}"}
    made = shop.ask("/checkouts", body, headers=named)
    shop.double.pay(made["sessionId"])
    shop.ask("/checkouts/fulfil", {"sessionId": made["sessionId"]}, 200)
    asked = len(shop.double.sessions)
    problem = shop.refused("/checkouts", body, headers=named)
    assert (problem["code"], problem["evidence"]["order"]) == ("order_fulfilled", made["order"])
    assert len(shop.double.sessions) == asked


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("STRIPE_SECRET_KEY", "sk test", "STRIPE_SECRET_KEY is not a key"),
        ("STRIPE_WEBHOOK_SECRET", "secret", "STRIPE_WEBHOOK_SECRET is not a signing secret"),
        ("STRIPE_API", "http://stripe.example", "STRIPE_API is not an https URL"),
        ("APP_URL", "myapp.com", "APP_URL is not an https URL"),
    ],
)
def test_settings_of_stripe_are_looked_at_at_the_start(name: str, value: str, says: str) -> None:
    """Each names itself when it cannot be used; a key never goes over the net in clear."""
    with pytest.raises(SettingsError, match=says):
        read({"STRIPE_SECRET_KEY": KEY, name: value})
    found = read({"STRIPE_SECRET_KEY": KEY, "APP_URL": f"{APP}/", "STRIPE_WEBHOOK_SECRET": SECRETS["stripe"]})
    assert found.stripe == StripeSettings(KEY, None, APP)
    assert found.work.stripe_webhook == StripeWebhook(SECRETS["stripe"])
    assert not [secret for secret in (KEY, SECRETS["stripe"]) if secret in repr(found)]


def test_a_new_secret_of_the_setting_is_taken_by_rotating(shop: Shop) -> None:
    """Of the default endpoint, without showing it; another endpoint needs one of its own."""
    endpoint = shop.book.get("/inbox/endpoints")["endpoints"][0]
    rotated = shop.book.call("POST", f"/inbox/endpoints/{endpoint['id']}/rotate")
    assert (rotated.status_code, rotated.json()["secret"]) == (200, "")
    problem = shop.book.call("POST", "/inbox/endpoints", {"provider": "stripe"}).json()
    assert (problem["code"], problem["field"]) == ("invalid_request", "secret")


def test_what_stripe_says_no_to_is_told_with_the_field(shop: Shop) -> None:
    """And what was ordered waits for no payment any more."""
    owner = shop.owner()
    cheap = {"userId": owner, "packageId": shop.package(price=5)}
    problem = shop.refused("/checkouts", cheap)
    assert (problem["code"], problem["status"]) == ("stripe_refused", 422)
    assert problem["evidence"]["reason"] == "amount_too_small"
    wrong = {**cheap, "packageId": shop.package(), "successUrl": "https://example.invalid/x"}
    problem = shop.refused("/checkouts", wrong)
    assert (problem["code"], problem["field"]) == ("stripe_refused", "successUrl")
    (event,) = shop.book.get("/events", after=shop.book.head() - 1)["events"]
    assert event["body"]["type"] == "purchase_declined"
    assert event["body"]["data"]["reason"] == "url_invalid"


def test_a_stripe_that_fails_or_does_not_take_the_key_is_told_apart(
    new_database: NewDatabase, double: StripeDouble
) -> None:
    """Its errors and a server that is not there: 503, ask again. A bad key: for the operator."""
    with new_database() as conninfo:
        for stripe, code, status in (
            (None, "stripe_not_configured", 409),
            (StripeSettings("sk_wrong", double.address, APP), "stripe_key_refused", 502),
            (StripeSettings(KEY, "http://127.0.0.1:9", APP), "stripe_unreachable", 503),
            (StripeSettings(KEY, double.address), "invalid_request", 400),
        ):
            work = Work(projecting=False, sending=False, stripe=stripe)
            with served(conninfo, work=work) as service:
                shop = Shop(service.open(CHART), double, service.open(CHART))
                bare = shop.refused("/checkouts", {"userId": "1", "packageId": "1"})
                assert bare["code"] == "stripe_not_configured"
                opening = {"provider": "stripe", "secret": SECRETS["stripe"], "default": True}
                made = shop.book.call("POST", "/inbox/endpoints", opening)
                problem = shop.refused("/checkouts", {"userId": "1", "packageId": shop.package()})
                assert (problem["code"], problem["status"]) == (code, status), problem
                assert KEY not in str(problem)
                if status == 400:
                    assert problem["field"] == "successUrl"
                where = f"/inbox/endpoints/{made.json()['endpoint']['id']}"
                assert shop.book.call("DELETE", where).is_success
    assert double.failures == 0


def test_an_error_of_stripes_own_is_for_asking_again(shop: Shop) -> None:
    """The order waits, and the same request goes on with it."""
    owner = shop.owner()
    body = {"userId": owner, "packageId": shop.package()}
    shop.double.failures = 2
    named = {"Idempotency-Key": f"basket of {owner}"}
    answer = shop.book.call("POST", "/credits/checkouts", body, headers=named)
    assert (answer.status_code, answer.json()["code"]) == (503, "stripe_unreachable")
    assert answer.headers["retry-after"] == "5"
    assert shop.ask("/checkouts", body, headers=named)["order"]


def test_an_order_that_nobody_can_ask_for_again_waits_for_no_payment(shop: Shop) -> None:
    """Without a key another request is another order, and one that waited would keep top-ups back."""
    body = {"userId": shop.owner(), "packageId": shop.package()}
    shop.double.failures = 2
    assert shop.refused("/checkouts", body)["code"] == "stripe_unreachable"
    (event,) = shop.book.get("/events", after=shop.book.head() - 1)["events"]
    assert event["body"]["type"] == "purchase_declined"
    assert event["body"]["data"]["reason"] == "StripeUnreachable"


# ---------------------------------------------------------------- paid


def test_a_webhook_grants_what_its_session_paid_for(shop: Shop) -> None:
    """And its charge meets it: nothing is open but what is not settled yet."""
    owner = shop.owner()
    made = shop.checkout(owner, shop.package())
    unpaid = shop.book.get(f"/credits/checkouts/{made['sessionId']}")
    assert (unpaid["success"], unpaid["status"], unpaid["session"]) == (False, "unpaid", "open")
    paid = shop.double.pay(made["sessionId"], tax=80)
    for _ in range(3):  # asking grants nothing
        found = shop.book.get(f"/credits/checkouts/{made['sessionId']}")
        assert (found["success"], found["status"], found["order"]["status"]) == (True, "paid", "pending")
    assert shop.credits(owner) == 0
    assert shop.settled(shop.told("checkout.session.completed", paid))["state"] == "posted"
    assert shop.credits(owner) == 100
    charge = {
        "id": f"ch_{owner}", "payment_intent": paid["payment_intent"], "amount": 1_080, "paid": True,
        "captured": True, "status": "succeeded", "currency": "usd", "created": NOW,
        "metadata": paid["asked"]["payment_intent_data"]["metadata"],
    }  # fmt: skip
    assert shop.settled(shop.told("charge.succeeded", charge))["state"] == "posted"
    open_now = shop.book.get("/payments/open-items", kind="payment")["items"]
    assert [one for one in open_now if one["item"] == f"payment:{paid['payment_intent']}"] == []
    found = shop.book.get(f"/credits/checkouts/{made['sessionId']}")
    assert (found["order"]["status"], found["order"]["paid"]) == ("fulfilled", 1_080)
    assert found["metadata"]["userId"] == owner
    assert found["customer"].startswith("cus_of_")
    assert found["paymentMethod"] == f"pm_{paid['payment_intent']}"


def test_granting_by_hand_is_for_what_is_paid_and_for_administrators(shop: Shop) -> None:
    """Not paid, not there, not a session: clear problems. Again: the same. The webhook: nothing new."""
    owner = shop.owner()
    made = shop.checkout(owner, shop.package())
    body = {"sessionId": made["sessionId"]}
    problem = shop.refused("/checkouts/fulfil", body)
    assert (problem["code"], problem["evidence"]["status"]) == ("checkout_unpaid", "unpaid")
    missing = shop.refused("/checkouts/fulfil", {"sessionId": "cs_nowhere"})
    assert (missing["code"], missing["evidence"]) == ("checkout_not_found", {"session": "cs_nowhere"})
    assert shop.refused("/checkouts/fulfil", {"sessionId": "../invoices"})["field"] == "sessionId"
    assert shop.book.call("GET", "/credits/checkouts/cs_nowhere").status_code == 404
    paid = shop.double.pay(made["sessionId"])
    first, again = (shop.ask("/checkouts/fulfil", body, 200) for _ in range(2))
    assert first == again
    assert (first["status"], first["session"]) == ("fulfilled", made["sessionId"])
    seen = shop.settled(shop.told("checkout.session.completed", paid))
    assert (seen["state"], seen["seqs"]) == ("posted", [first["fulfilledBy"]])
    assert shop.credits(owner) == 100


def test_hand_and_webhook_at_once_grant_once(shop: Shop) -> None:
    """Many of both at the same time: one grant of each session."""
    package = shop.package()
    chance = random.Random(7)
    for _ in range(3):
        owner = shop.owner()
        made = shop.checkout(owner, package)
        paid = shop.double.pay(made["sessionId"])

        def by_hand(session: str = made["sessionId"]) -> str:
            answer = shop.ask("/checkouts/fulfil", {"sessionId": session}, 200)
            return str(answer["fulfilledBy"])

        def by_webhook(paid: dict[str, Any] = paid) -> str:
            return str(shop.settled(shop.told("checkout.session.completed", paid))["seqs"][0])

        turns = [by_hand] * 5 + [by_webhook] * 5
        chance.shuffle(turns)
        with ThreadPoolExecutor(10) as pool:
            found = set(pool.map(lambda turn: turn(), turns))
        assert len(found) == 1
        assert shop.credits(owner) == 100


def test_a_refusal_that_is_remembered_does_not_keep_the_hand_from_granting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook was refused and parked; somebody mends the cause and grants; the webhook replayed agrees."""
    owner = shop.owner()
    made = shop.checkout(owner, shop.package())
    paid = shop.double.pay(made["sessionId"])
    shop.ask("/add", {"userId": owner, "creditType": "enrichment", "amount": 1})
    monkeypatch.setattr(deciding, "MAX_LOTS", 1)
    parked = shop.settled(shop.told("checkout.session.completed", paid))
    assert (parked["state"], parked["reason"]) == ("parked", "too_many_lots")
    body = {"sessionId": made["sessionId"]}
    assert shop.refused("/checkouts/fulfil", body)["code"] == "too_many_lots"
    monkeypatch.undo()
    granted = shop.ask("/checkouts/fulfil", body, 200)
    replayed = shop.book.call("POST", f"/inbox/webhooks/{parked['number']}/replay")
    assert replayed.status_code == 200
    seen = shop.settled(replayed)
    assert (seen["state"], seen["seqs"]) == ("posted", [granted["fulfilledBy"]])
    assert shop.credits(owner) == 101


def test_a_session_of_one_ledger_grants_nothing_in_another(shop: Shop, service: Service) -> None:
    """Asked there, it is not found, though Stripe knows it; told there, it is ignored."""
    owner = shop.owner()
    made = shop.checkout(owner, shop.package())
    paid = shop.double.pay(made["sessionId"])
    endpoint = shop.other.call(
        "POST", "/inbox/endpoints", {"provider": "stripe", "secret": SECRETS["stripe"]}
    )
    body = json.dumps({"id": "evt_o", "type": "checkout.session.completed", "data": {"object": paid}})
    raw = body.encode()
    path = endpoint.json()["endpoint"]["path"]
    number = service.client.post(path, content=raw, headers=signed("stripe", raw)).json()["number"]
    until(lambda: shop.other.get(f"/inbox/webhooks/{number}")["webhook"]["state"] != "received")
    seen = shop.other.get(f"/inbox/webhooks/{number}")["webhook"]
    assert (seen["state"], shop.book.name in seen["detail"]) == ("ignored", True)
    for path, method in (("fulfil", "POST"), (made["sessionId"], "GET")):
        asked = {"sessionId": made["sessionId"]} if method == "POST" else None
        problem = shop.other.call(method, f"/credits/checkouts/{path}", asked).json()
        assert problem["code"] == "stripe_not_configured"
    named = paid["metadata"]
    paid["metadata"] = {**named, "ledger": shop.other.name}
    assert shop.refused("/checkouts/fulfil", {"sessionId": made["sessionId"]})["code"] == "checkout_not_found"
    paid["metadata"] = {"order": "of-nobody"}
    assert shop.book.call("GET", f"/credits/checkouts/{made['sessionId']}").status_code == 404
    assert shop.credits(owner) == 0
    paid["metadata"] = {"order": named["order"]}  # made by somebody else, for an order of ours
    assert shop.ask("/checkouts/fulfil", {"sessionId": made["sessionId"]}, 200)["status"] == "fulfilled"


def test_a_session_whose_amount_is_not_the_orders_grants_nothing(shop: Shop) -> None:
    """By hand neither: the order knows its price, whatever the session's metadata say."""
    owner = shop.owner()
    made = shop.checkout(owner, shop.package())
    shop.double.pay(made["sessionId"])["amount_total"] = 900
    problem = shop.refused("/checkouts/fulfil", {"sessionId": made["sessionId"]})
    assert (problem["code"], problem["evidence"]["paid"]) == ("payment_differs", "900")
    setup = shop.double.sessions[made["sessionId"]]
    setup |= {"mode": "setup", "payment_status": "no_payment_required"}
    problem = shop.refused("/checkouts/fulfil", {"sessionId": made["sessionId"]})
    assert problem["code"] == "checkout_grants_nothing"
    assert shop.credits(owner) == 0


# ---------------------------------------------------------------- charged later


def test_a_top_up_is_charged_to_what_the_customer_saved(shop: Shop) -> None:
    """Once, however often it is asked for or told; what the bank declines is declined here, once too."""
    owner, package = shop.owner(), shop.package()
    top_up = {"threshold": 5, "packageId": package}
    settings = {"userId": owner, "creditType": "enrichment", "autoTopUp": top_up}
    assert shop.book.call("PUT", "/credits/wallet-settings", settings).is_success
    until(lambda: _ordered(shop, owner) != [])
    [order] = _ordered(shop, owner)
    saved = {"order": order, "customer": "cus_1", "paymentMethod": "pm_1"}
    shop.double.lost = 2
    assert shop.refused("/orders/charge", saved)["code"] == "stripe_unreachable"
    first, again = (shop.ask("/orders/charge", saved, 200) for _ in range(2))
    assert (first["status"], first["paid"]) == ("fulfilled", 1_000)
    assert first == again
    [intent] = [one for one in shop.double.intents.values() if _charges(one) == order]
    assert intent["amount"] == 1_000
    seen = shop.settled(shop.told("payment_intent.succeeded", intent))
    assert (seen["state"], seen["seqs"]) == ("posted", [first["fulfilledBy"]])
    assert shop.credits(owner) == 100


def test_a_declined_charge_declines_its_order(shop: Shop) -> None:
    """402 with the bank's reason; its webhook finds it declined; a method that takes its time is pending."""
    package, owner = shop.package(), shop.owner()
    order = shop.ask("/purchases", {"userId": owner, "packageId": package})["id"]
    saved = {"order": order, "customer": "cus_1", "paymentMethod": DECLINED}
    problem = shop.refused("/orders/charge", saved)
    assert (problem["code"], problem["status"]) == ("payment_declined", 402)
    assert problem["evidence"]["reason"] == "insufficient_funds"
    [intent] = [one for one in shop.double.intents.values() if _charges(one) == order]
    assert shop.settled(shop.told("payment_intent.payment_failed", intent))["state"] == "posted"
    assert shop.book.get(f"/credits/orders/{order}")["status"] == "declined"
    assert shop.refused("/orders/charge", saved)["code"] == "order_not_pending"
    slow = shop.ask("/purchases", {"userId": owner, "packageId": package})["id"]
    saved = {"order": slow, "customer": "cus_1", "paymentMethod": SLOW}
    assert shop.ask("/orders/charge", saved, 200)["status"] == "pending"
    shop.double.forget()
    assert shop.ask("/orders/charge", saved, 200)["status"] == "pending"
    [intent] = [one for one in shop.double.intents.values() if _charges(one) == slow]
    intent |= {"status": "succeeded", "amount_received": 1_000}
    assert shop.settled(shop.told("payment_intent.succeeded", intent))["state"] == "posted"
    assert shop.credits(owner) == 100
    given_up = shop.ask("/purchases", {"userId": owner, "packageId": package})["id"]
    assert shop.ask("/orders/charge", {**saved, "order": given_up}, 200)["status"] == "pending"
    [intent] = [one for one in shop.double.intents.values() if _charges(one) == given_up]
    intent |= {"status": "canceled", "cancellation_reason": "abandoned"}
    assert shop.settled(shop.told("payment_intent.canceled", intent))["state"] == "posted"
    assert shop.book.get(f"/credits/orders/{given_up}")["status"] == "declined"
    unknown = {**saved, "customer": "cus_nobody", "order": slow}
    assert shop.ask("/orders/charge", unknown, 200)["status"] == "fulfilled"
    third = shop.ask("/purchases", {"userId": owner, "packageId": package})["id"]
    problem = shop.refused("/orders/charge", {**unknown, "order": third})
    assert (problem["code"], problem["field"]) == ("stripe_refused", "customer")
    assert shop.refused("/orders/charge", {**saved, "order": "none"})["code"] == "order_not_found"


def _charges(intent: dict[str, Any]) -> Any:
    return intent.get("metadata", {}).get("charged_order")


def _ordered(shop: Shop, owner: str) -> list[str]:
    events = shop.book.get("/events", types="top_up_ordered", limit=1_000)["events"]
    return [e["body"]["data"]["order"] for e in events if e["body"]["data"]["owner"] == owner]


# ---------------------------------------------------------------- subscriptions


def test_a_subscription_grants_with_each_invoice_once(shop: Shop) -> None:
    """The first by hand or webhook, the next month's by its own invoice, however often they are told."""
    package, owner = shop.package(), shop.owner()
    made = shop.checkout(owner, package, mode="subscription", interval="year")
    asked = shop.double.sessions[made["sessionId"]]["asked"]
    assert made["order"] == ""
    assert asked["line_items"]["0"]["price_data"]["recurring"] == {"interval": "year"}
    metadata = {"ledger": shop.book.name, "userId": owner, "packageId": package}
    assert asked["subscription_data"]["metadata"] == metadata
    paid = shop.double.pay(made["sessionId"])
    assert shop.settled(shop.told("checkout.session.completed", paid))["state"] == "ignored"
    first = shop.ask("/checkouts/fulfil", {"sessionId": made["sessionId"]}, 200)
    assert (first["id"], first["status"]) == (paid["invoice"], "fulfilled")
    invoice = shop.double.invoices[paid["invoice"]]
    for type in ("invoice.paid", "invoice.payment_succeeded", "invoice.paid"):
        assert shop.settled(shop.told(type, invoice))["state"] == "posted"
    assert shop.ask("/checkouts/fulfil", {"sessionId": made["sessionId"]}, 200) == first
    assert shop.credits(owner) == 100
    next_one = shop.double.bill(paid["subscription"], f"in_{owner}", 1_000, "usd", f"pi_{owner}")
    for _ in range(2):
        assert shop.settled(shop.told("invoice.paid", next_one))["state"] == "posted"
    assert shop.credits(owner) == 200


def test_a_subscriptions_session_shows_nobodys_order(shop: Shop) -> None:
    """Its reference is its owner, who may be called as somebody else's order is."""
    package, order = shop.package(), f"both-{next(_numbers)}"
    placed = shop.ask("/purchases", {"userId": shop.owner(), "packageId": package, "order": order})
    assert placed["id"] == order
    made = shop.checkout(order, package, mode="subscription")
    shown = shop.book.get(f"/credits/checkouts/{made['sessionId']}")
    assert (shown["metadata"]["userId"], shown["order"]) == (order, None)


def test_an_invoice_that_was_paid_otherwise_is_parked_and_not_granted_by_hand(shop: Shop) -> None:
    """Paid from the customer's balance at Stripe: less money than tax alone; a sentence says so."""
    package, owner = shop.package(), shop.owner()
    made = shop.checkout(owner, package, mode="subscription")
    invoice = shop.double.invoices[shop.double.pay(made["sessionId"])["invoice"]]
    invoice |= {"amount_paid": 0, "total_taxes": [{"amount": 80}]}
    assert shop.settled(shop.told("invoice.paid", invoice))["reason"] == "not_postable"
    problem = shop.refused("/checkouts/fulfil", {"sessionId": made["sessionId"]})
    assert (problem["code"], problem["evidence"]["reason"]) == ("checkout_grants_nothing", "not_postable")


def test_an_invoices_package_is_found_by_its_price(shop: Shop) -> None:
    """Where the subscription's metadata name none, and the endpoint's settings do."""
    owner = shop.owner()
    shop.package(id="monthly")
    new: dict[str, Any] = {"pricing": {"price_details": {"price": "price_9", "product": "prod_1"}}}
    old: dict[str, Any] = {"price": {"id": "price_9"}}
    bill: dict[str, Any] = {"amount_paid": 1_000, "currency": "usd"}
    for n, line in enumerate((new, old)):
        bill |= {"id": f"in_{owner}_{n}", "payment_intent": f"pi_{owner}_{n}"}
        bill["lines"] = {"data": [{**line, "metadata": {"userId": owner}}]}
        assert shop.settled(shop.told("invoice.paid", bill))["state"] == "posted"
    assert shop.credits(owner) == 200
    unknown = {"price": {"id": "price_0"}, "metadata": {"userId": owner}}
    bill |= {"id": f"in_{owner}_z", "lines": {"data": [unknown]}}
    assert shop.settled(shop.told("invoice.paid", bill))["reason"] == "order_not_named"


def _states(id: str, owner: str) -> list[tuple[str, dict[str, Any], int]]:
    """The life of a subscription, in the order in which Stripe made its events."""

    def state(status: str, **more: Any) -> dict[str, Any]:
        return {
            "id": id, "status": status, "customer": "cus_1", "cancel_at_period_end": False,
            "metadata": {"userId": owner, "packageId": "monthly"}, "current_period_end": NOW + 1_000, **more,
        }  # fmt: skip

    failure = {
        "id": "in_1", "attempt_count": 1, "next_payment_attempt": NOW + 2_000,
        "parent": {"subscription_details": {"subscription": id, "metadata": {}}},
    }  # fmt: skip
    return [
        ("customer.subscription.created", state("incomplete"), NOW),
        ("customer.subscription.updated", state("active"), NOW),  # in the same second
        ("invoice.payment_failed", failure, NOW + 1_000),
        ("customer.subscription.updated", state("past_due"), NOW + 1_000),
    ]


def test_a_subscription_stands_as_stripe_told_last_whatever_came_first(shop: Shop) -> None:
    """Past due, with the invoice that failed; listed by status and owner, page by page."""
    for n in range(3):
        id, owner = f"sub_order_{n}", f"member-{n}"
        life = _states(id, owner)
        for one in (*life[n:], *life[:n], life[0]):
            assert shop.settled(shop.told(*one))["state"] == "posted"
        view = shop.book.get(f"/payments/stripe-subscriptions/{id}")
        assert (view["status"], view["customer"], view["package"]) == ("past_due", "cus_1", "monthly")
        assert (view["failure"]["invoice"], view["failure"]["attempts"]) == ("in_1", 1)
    path = "/payments/stripe-subscriptions"
    mine = shop.book.get(path, status="past_due", user_id="member-1")
    assert [one["subscription"] for one in mine["subscriptions"]] == ["sub_order_1"]
    assert shop.book.get(path, status="unpaid")["subscriptions"] == []
    pages: list[str] = []
    after: str | None = ""
    while after is not None:
        page = shop.book.get(path, status="past_due", limit="2", after=after)
        pages += [one["subscription"] for one in page["subscriptions"]]
        after = page["next"]
    assert pages == [f"sub_order_{n}" for n in range(3)]


def test_a_subscription_recovers_ends_with_its_period_and_stays_ended(shop: Shop) -> None:
    """Active again, the failure is over; told that it will end, it says so; canceled, nothing revives it."""
    life = _states("sub_end", "ender")
    for one in life:
        shop.settled(shop.told(*one))
    shown = f"/payments/stripe-subscriptions/{life[0][1]['id']}"
    again = {**life[1][1], "status": "active"}
    shop.settled(shop.told("customer.subscription.updated", again, NOW + 3_000))
    assert (shop.book.get(shown)["status"], shop.book.get(shown)["failure"]) == ("active", None)
    ending = {**again, "cancel_at_period_end": True}
    shop.settled(shop.told("customer.subscription.updated", ending, NOW + 4_000))
    assert shop.book.get(shown)["cancel_at_period_end"] is True
    over = {**again, "status": "canceled"}
    shop.settled(shop.told("customer.subscription.deleted", over, NOW + 5_000))
    shop.settled(shop.told("customer.subscription.updated", again, NOW + 6_000))
    assert shop.book.get(shown)["status"] == "canceled"
    assert shop.book.call("GET", "/payments/stripe-subscriptions/sub_none").status_code == 404


def test_a_subscription_is_ended_at_stripe_and_stands_when_stripe_says_so(shop: Shop) -> None:
    """With its period or at once; only one that this ledger knows."""
    made = shop.checkout(shop.owner(), shop.package(), mode="subscription")
    paid = shop.double.pay(made["sessionId"])
    id = paid["subscription"]
    path = f"/payments/stripe-subscriptions/{id}"
    assert shop.book.call("POST", f"{path}/cancel").json()["code"] == "stripe_subscription_not_found"
    created = {**shop.double.subscriptions[id]}
    shop.settled(shop.told("customer.subscription.created", created))
    answer = shop.book.call("POST", f"{path}/cancel")
    assert answer.json() == {"subscription": id, "status": "active", "cancel_at_period_end": True}
    assert shop.book.get(path)["cancel_at_period_end"] is False
    shop.settled(shop.told("customer.subscription.updated", shop.double.subscriptions[id], NOW + 1))
    assert shop.book.get(path)["cancel_at_period_end"] is True
    ended = shop.book.call("POST", f"{path}/cancel", {"at_period_end": False})
    assert ended.json()["status"] == "canceled"


# ---------------------------------------------------------------- the work list


def test_the_work_list_is_paged_and_worked_off(shop: Shop) -> None:
    """Unapplied money, an unclassified transaction, a dispute and a payout: each has its operation."""
    book = shop.book
    told: set[str] = set()

    def fact(path: str, body: Any) -> None:
        headers = {"Idempotency-Key": f"{path} {body}"}
        answer, again = (book.call("POST", f"/payments{path}", body, headers=headers) for _ in range(2))
        assert answer.status_code == 201, answer.text
        assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
        told.add(path)

    settled = {"amount": -500, "asset": USD}
    fact("/charges", {"charge": "ch_w", "payment": "pi_w", "amount": 700, "asset": USD})
    fact("/balance-transactions", {"kind": "other", "type": "x", "settlement": {"txn": "txn_w", **settled}})
    withdrawn = {"txn": "txn_d", **settled}
    lost = {"dispute": "dp_w", "payment": "pi_w2", "status": "lost", "settlements": [withdrawn]}
    fact("/disputes", lost)
    fact("/payouts", {"payout": "po_w", "amount": 900, "asset": USD})
    fact("/refunded-totals", {"charge": "ch_w", "payment": "pi_w", "amount": 100, "asset": USD})
    fact("/refunds", {"refund": "re_w", "payment": "pi_w", "amount": 100, "asset": USD})
    mine = {"payment:pi_w": {USD: -600}, "txn:txn_w": {USD: 500}, "dispute:dp_w": {USD: 500}}
    mine |= {"payout:po_w": {USD: 900}, "charge:ch_w": {USD: 700}}

    def listed(**query: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        after: str | None = ""
        while after is not None:
            page = book.get("/payments/open-items", after=after, limit="2", **query)
            found |= {one["item"]: one["balance"] for one in page["items"]}
            after = page["next"]
        return {item: balance for item, balance in found.items() if item in mine}

    order = shop.ask("/purchases", {"userId": shop.owner(), "packageId": shop.package()})
    bought = {"order": order["id"], "amount": 1_000, "asset": USD, "payment": "in_w"}
    assert book.call("POST", "/credits/orders/fulfil", bought).status_code == 201
    mine["payment:in_w"] = {USD: 1_000}
    assert listed() == mine
    fact("/invoice-payments", {"invoice": "in_w", "payment": "py_w"})
    fact("/charges", {"charge": "py_w", "payment": "py_w", "amount": 1_000, "asset": USD})
    del mine["payment:in_w"]
    assert listed() == mine
    assert listed(kind="dispute") == {"dispute:dp_w": {USD: 500}}
    fact("/open-items/apply", {"item": "payment:pi_w", "account": "costs", "description": "A tip"})
    fact("/open-items/apply", {"item": "dispute:dp_w", "account": "costs"})
    fact("/balance-transactions/classify", {"txn": "txn_w", "account": "costs"})
    fact("/payouts/match", {"payout": "po_w", "amount": 900, "asset": USD})
    clear = {"txn": "txn_c", "amount": 700, "asset": USD}
    body = {"kind": "charge", "type": "charge", "settlement": clear, "source": "ch_w", "payment": "pi_w"}
    fact("/balance-transactions", body)
    assert listed() == {}
    keyed = {one.path.partition("/payments")[2] for one in PAYMENT_OPERATIONS if one.keyed}
    assert told | {""} == keyed  # the empty one is a checkout, which is repeated above
    again = book.call("POST", "/payments/open-items/apply", {"item": "payment:pi_w", "account": "costs"})
    assert (again.status_code, again.json()["code"]) == (409, "item_not_open")
    for wrong, field in (("payout:po_w", "item"), ("payment:", "item")):
        answer = book.call("POST", "/payments/open-items/apply", {"item": wrong, "account": "costs"})
        assert answer.json()["field"] == field
    assert book.call("GET", "/payments/open-items", params={"after": "x y"}).json()["field"] == "after"
    assert book.call("GET", "/payments/open-items", params={"kind": "refund"}).json()["field"] == "kind"
