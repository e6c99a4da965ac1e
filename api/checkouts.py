"""Checkouts over HTTP: a session at Stripe to pay an order in, and whether it is paid.

An order is placed before its session is made, so that whatever is paid finds what it is checked against. The
same request, asked again under its key, finds the order, and Stripe the session.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from msgspec import Meta, Struct, field

from adapters.adapter import text_at
from adapters.exponents import NotWhole
from adapters.inbox.endpoints import default_endpoint
from adapters.stripe_calls import (
    StripeApi,
    StripeKeyRefused,
    StripeNotFound,
    StripeRefused,
    StripeUnreachable,
)
from adapters.stripe_checkout import (
    Interval,
    Mode,
    Sale,
    is_paid,
    named_ledger,
    order_named,
    session_for,
)
from adapters.stripe_objects import PROVIDER, StripeEndpoint
from api.handlers import REPLAYED, Call, Reply, refused
from api.http import decode_body
from api.problems import Refused, make
from api.stripe_requests import StripeRequests
from ledger import commands as c
from ledger.batch import Recorded, Refusal, Replayed, Request
from ledger.credits.commands import Id, Owner
from ledger.credits.purchase_commands import DeclineOrder, OrderCredits
from ledger.credits.streams import Package
from ledger.credits.views import CreditOrder
from ledger.errors import Overloaded
from ledger.reader import Reader
from ledger.text import encode_canonical
from projections import credit_reads as reads

Url = Annotated[
    str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=2_000, examples=["https://myapp.com/success"])
]


class Checkout(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A package to be paid at Stripe: once, or every `interval` in the mode `subscription`.

    Without `successUrl` and `cancelUrl` the customer comes back below APP_URL. `savePaymentMethod`: it can be
    charged later without the customer, as top-ups are.
    """

    owner: Owner = field(name="userId")
    package: Id = field(name="packageId")
    mode: Mode = "payment"
    interval: Interval = "month"
    success_url: Url | None = None
    cancel_url: Url | None = None
    save_payment_method: bool = False

    def __post_init__(self) -> None:
        if self.interval != "month" and self.mode != "subscription":
            raise ValueError("`interval` is of a subscription")
        if self.save_payment_method and self.mode != "payment":
            raise ValueError("`savePaymentMethod` is for a payment: subscriptions save theirs")


class CheckoutView(Struct, frozen=True, rename="camel"):
    """Where the customer pays. `order` is empty for a subscription: each of its invoices is an order."""

    success: bool
    checkout_url: str
    session_id: str
    order: str


class CheckoutStatus(Struct, frozen=True, rename="camel"):
    """A session as Stripe has it. `success`: it is paid, or had nothing to be paid.

    `status`: paid, unpaid or no_payment_required; `session`: open, complete or expired. `order` is what was
    bought as it stands here: its `status` says whether credits were granted. `customer`, `paymentMethod`:
    what can be charged later, if it was saved.
    """

    success: bool
    status: str
    session: str
    metadata: dict[str, str]
    order: CreditOrder | None
    customer: str
    payment_method: str
    subscription: str


class Till(NamedTuple):
    """Stripe for one ledger: its whole name, its id, and what its endpoint is set to."""

    stripe: StripeRequests
    ledger: str
    id: str
    settings: StripeEndpoint


async def till(call: Call) -> Till:
    """Stripe, if it is set up for this ledger (LedgerNotFound, Refused)."""
    found = await call.bridge.read(call.reader.ledger, call.path["ledger"])
    stripe = call.bridge.stripe
    if stripe is None:
        raise Refused(make("stripe_not_configured", "STRIPE_SECRET_KEY is not set."))
    whole = call.whole_name(found.name)
    endpoint = await call.bridge.inbox.run(default_endpoint, PROVIDER)
    if endpoint is None or endpoint.ledger != whole:
        detail = "Stripe's default endpoint, where it tells of payments, is not of this ledger."
        raise Refused(make("stripe_not_configured", detail))
    assert isinstance(endpoint.settings, StripeEndpoint)
    return Till(stripe, whole, found.id, endpoint.settings)


# ---------------------------------------------------------------- making a session


async def create(call: Call) -> Reply:
    """A session to pay a package in."""
    body: Checkout = decode_body(call.operation.decoder, await call.exchange.body())
    at = await till(call)
    places = _back_to(body, at)
    # Nobody else has this name: it is of the ledger and of the caller's key.
    name = sha256(f"{at.id}\n{call.exchange.key() or uuid4().hex}".encode()).hexdigest()[:40]
    package = await call.bridge.read(_package, call.reader, call.path["ledger"], body.package)
    if body.mode == "subscription":
        return await _subscribe(call, at, body, package, places, name)
    if package is not None:
        counted(lambda: session_for(_sale(at, body.owner, body.package, package), *places))
    order = f"co_{name}"
    placed = await _placed(call, body, order)
    if isinstance(placed, Reply):
        return placed
    seq, replayed = placed
    sale = await call.bridge.read(_ordered, call.reader, call.path["ledger"], at, order, seq)
    wanted = counted(lambda: session_for(sale, *places, save=body.save_payment_method))
    made = await _or_decline(call, at, order, lambda api: api.create_session(wanted, f"daybook:{order}"))
    return Reply(call.operation.status, _view(made, order), (REPLAYED,) if replayed else ())


async def _subscribe(
    call: Call, at: Till, body: Checkout, package: Package | None, places: tuple[str, str], name: str
) -> Reply:
    """A session for a subscription: nothing is ordered before an invoice is paid (Refused)."""
    if package is None:
        raise Refused(make("package_not_found", evidence={"package": body.package}))
    if not package.is_active:
        raise Refused(make("package_not_active", evidence={"package": body.package}))
    sale = _sale(at, body.owner, body.package, package)
    wanted = counted(lambda: session_for(sale, *places, interval=body.interval))
    made = await at.stripe.ask(lambda api: api.create_session(wanted, f"daybook:{name}"))
    return Reply(call.operation.status, _view(made, ""))


def _view(session: dict[str, Any], order: str) -> CheckoutView:
    return CheckoutView(True, text_at(session, "url"), text_at(session, "id"), order)


async def _placed(call: Call, body: Checkout, order: str) -> tuple[int, bool] | Reply:
    """The event that placed the order, and whether it did before; or what refuses it (Refused)."""
    ledger, key = call.path["ledger"], call.exchange.key()
    ordering = OrderCredits(owner=body.owner, package=body.package, order=order)
    asked = c.command(ordering, key=key, actor=call.principal.actor, request_id=call.exchange.asked_id)
    if key is not None:
        asked.fingerprint = sha256(encode_canonical(("create_checkout", body))).digest()
    (outcome,) = await call.submit(ledger, Request([asked]))
    if isinstance(outcome, Refusal):
        return await refused(call, ledger, [asked], outcome)
    assert isinstance(outcome, Recorded | Replayed)
    if isinstance(outcome, Recorded):
        return outcome.event.seq, False
    # Stripe forgets a session's key after a day, and would make another one.
    standing = await call.bridge.read(reads.order, call.reader, ledger, order)
    if standing.status == "fulfilled":
        evidence = {"order": order, "fulfilled_by": standing.fulfilled_by}
        raise Refused(make("order_fulfilled", evidence=evidence))
    return outcome.seq, True


def _back_to(body: Checkout, at: Till) -> tuple[str, str]:
    """Where the customer comes back to (Refused)."""
    places = []
    for name, given, path in (
        ("successUrl", body.success_url, "/checkout/success?session_id={CHECKOUT_SESSION_ID}"),
        ("cancelUrl", body.cancel_url, "/checkout/cancel"),
    ):
        if given is None and at.stripe.app_url is None:
            detail = f"`{name}` is missing, and APP_URL is not set."
            raise Refused(make("invalid_request", detail, field=name))
        place = given or f"{at.stripe.app_url}{path}"
        if not _host(place.replace("{CHECKOUT_SESSION_ID}", "")):
            raise Refused(make("invalid_request", f"`{name}` names no host.", field=name))
        places.append(place)
    return places[0], places[1]


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that are no address
        return None


def _package(reader: Reader, ledger: str, package: str) -> Package | None:
    found = reader.stream(ledger, f"package:{package}")
    return None if found is None else found[0].state


def _sale(at: Till, owner: str, package_id: str, package: Package, order: str = "") -> Sale:
    return Sale(
        ledger=at.ledger,
        owner=owner,
        package=package_id,
        order=order,
        name=package.name,
        description=package.description,
        credit_type=package.credit_type,
        credit_amount=package.credit_amount,
        price=package.price,
        asset=package.asset,
    )


def _ordered(reader: Reader, ledger: str, at: Till, name: str, seq: int) -> Sale:
    """What was ordered, as it was then: so that Stripe is asked the same each time."""
    order = reads.order_at(reader, ledger, name, seq)
    package = reads.package_at(reader, ledger, order.package_id, seq)
    return Sale(
        ledger=at.ledger,
        owner=order.user_id,
        package=order.package_id,
        order=name,
        name=package.name,
        description=package.description,
        credit_type=order.credit_type,
        credit_amount=order.credit_amount,
        price=order.price,
        asset=order.asset,
    )


def counted(make_it: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return make_it()
    except NotWhole as error:
        raise Refused(make("currency_not_taken", f"{error}.", field="packageId")) from None


async def _or_decline(
    call: Call, at: Till, order: str, question: Callable[[StripeApi], dict[str, Any]]
) -> dict[str, Any]:
    """Ask; where Stripe says no, the order waits for no payment any more (the errors of `stripe_calls`).

    Nor does it after any other error, if the request has no key: nobody can ask for this order again.
    """
    try:
        return await at.stripe.ask(question)
    except (StripeRefused, StripeUnreachable, StripeKeyRefused, Overloaded) as error:
        said = error.code if isinstance(error, StripeRefused) else ""
        if isinstance(error, StripeRefused) or call.exchange.key() is None:
            reason = said or type(error).__name__
            declined = c.command(DeclineOrder(order=order, reason=reason), actor=call.principal.actor)
            await call.submit(call.path["ledger"], Request([declined]))
        raise


# ---------------------------------------------------------------- what became of it


async def verify(call: Call) -> Reply:
    """A session as it stands at Stripe. It grants nothing."""
    at = await till(call)
    session, order = await session_of(call, at, call.path["session"])
    intent = session.get("payment_intent")
    status = CheckoutStatus(
        success=is_paid(session),
        status=text_at(session, "payment_status"),
        session=text_at(session, "status"),
        metadata={str(name): str(value) for name, value in (session.get("metadata") or {}).items()},
        order=order,
        customer=_link(session, "customer"),
        payment_method=_link(intent, "payment_method"),
        subscription=_link(session, "subscription"),
    )
    return Reply(call.operation.status, status)


def _link(body: Any, name: str) -> str:
    return text_at(body, name) or text_at(body, name, "id")


async def session_of(call: Call, at: Till, id: str) -> tuple[dict[str, Any], CreditOrder | None]:
    """A session of this ledger, and its order (Refused: it is another's, or nobody's)."""
    try:
        session = await at.stripe.ask(lambda api: api.session(id))
    except StripeNotFound:
        raise Refused(make("checkout_not_found", evidence={"session": id})) from None
    named = named_ledger(session)
    order_id = order_named(session)
    order = await call.bridge.read(order_if_any, call.reader, call.path["ledger"], order_id)
    # One that was not made here is of this ledger if its order is.
    if named != at.ledger and (named or order is None):
        raise Refused(make("checkout_not_found", evidence={"session": id}))
    return session, order


def order_if_any(reader: Reader, ledger: str, order: str) -> CreditOrder | None:
    try:
        return reads.order(reader, ledger, order)
    except reads.OrderNotFound:
        return None
