"""Granting by hand what was paid at Stripe, and charging what a customer has saved there.

Who grants by hand does what the webhook does, under the webhook's key: whichever comes first grants, once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from adapters.adapter import Park, Post, Translation, text_at
from adapters.inbox.settling import fact, key_of, postable
from adapters.stripe_calls import StripeDeclined
from adapters.stripe_checkout import as_told, charge_for, is_paid, meaning
from adapters.stripe_objects import PROVIDER
from api.checkouts import counted, order_if_any, session_of, till
from api.handlers import Call, Reply, refused
from api.http import SessionId, decode_body
from api.problems import Refused, make
from ledger import commands as c
from ledger.batch import Outcome, Refusal, Request
from ledger.credits.commands import Id
from ledger.credits.purchase_commands import DeclineOrder, FulfilOrder
from ledger.credits.views import CreditOrder
from projections import credit_reads as reads

MOST_REFUSALS = 20  # of one session, written down under its key one after another


class Fulfilment(Struct, forbid_unknown_fields=True, rename="camel"):
    """Which session to grant."""

    session_id: SessionId


class SavedCharge(Struct, forbid_unknown_fields=True, rename="camel"):
    """An order to be paid by a payment method that the customer saved."""

    order: Id
    customer: Annotated[str, Meta(pattern=r"^cus_[A-Za-z0-9_]+\Z", max_length=200, examples=["cus_1"])]
    payment_method: Annotated[
        str, Meta(pattern=r"^[a-z]+_[A-Za-z0-9_]+\Z", max_length=200, examples=["pm_1"])
    ]


async def fulfil(call: Call) -> Reply:
    """Grant what a session paid for, if its webhook has not."""
    body: Fulfilment = decode_body(call.operation.decoder, await call.exchange.body())
    at = await till(call)
    session, _ = await session_of(call, at, body.session_id)
    if not is_paid(session):
        evidence = {"session": body.session_id, "status": text_at(session, "payment_status")}
        raise Refused(make("checkout_unpaid", evidence=evidence))
    found: Translation = await at.stripe.ask(lambda api: meaning(api, session, at.ledger, at.settings))
    translation = postable(found)
    if not isinstance(translation, Post):
        evidence = {"session": body.session_id}
        if isinstance(translation, Park):
            evidence["reason"] = translation.code
        raise Refused(make("checkout_grants_nothing", translation.reason, evidence=evidence))
    order = next(one.body for one in translation.commands if isinstance(one.body, FulfilOrder))
    return await _granted(call, translation, order)


async def _granted(call: Call, post: Post, order: FulfilOrder) -> Reply:
    """Grant under the webhook's key. What would be refused uses no key up, or the webhook's own would be."""
    ledger = call.path["ledger"]
    looked = await call.submit(ledger, Request(list(post.commands), preview=True))
    refusal = _refusal(looked)
    refusals = 0
    while refusal is None or (refusal.replayed and refusals < MOST_REFUSALS):
        key = key_of(PROVIDER, post.once, refusals)
        asked = fact(post.commands, key, call.principal.actor, call.exchange.asked_id)
        refusal = _refusal(await call.submit(ledger, asked))
        if refusal is None:
            break
        refusals += 1
    if refusal is not None:
        standing = await call.bridge.read(order_if_any, call.reader, ledger, order.order)
        if not _is_granted(standing, order):
            return await refused(call, ledger, post.commands, Refusal(refusal.rejection))
    view = await call.bridge.read(reads.order, call.reader, ledger, order.order)
    return Reply(call.operation.status, view)


def _refusal(outcomes: list[Outcome]) -> Refusal | None:
    found = [one for one in outcomes if isinstance(one, Refusal)]
    return next((one for one in found if one.rejection.code != "linked_failed"), None)


def _is_granted(standing: CreditOrder | None, wanted: FulfilOrder) -> bool:
    """Whether the order was fulfilled by this very session or invoice."""
    if standing is None or standing.status != "fulfilled":
        return False
    return standing.session == wanted.session if wanted.session else True


async def charge(call: Call) -> Reply:
    """An order paid by a saved payment method: fulfilled, declined, or still pending."""
    body: SavedCharge = decode_body(call.operation.decoder, await call.exchange.body())
    at = await till(call)
    ledger = call.path["ledger"]
    standing = await call.bridge.read(reads.order, call.reader, ledger, body.order)
    if standing.status == "declined":
        evidence = {"order": body.order, "status": standing.status}
        raise Refused(make("order_not_pending", evidence=evidence))
    if standing.status == "fulfilled":
        return Reply(call.operation.status, standing)
    wanted = counted(lambda: charge_for(at.ledger, standing, body.customer, body.payment_method))
    key = f"daybook:{at.id}:{body.order}:charge"
    since = datetime.fromisoformat(standing.created_at) - timedelta(hours=1)  # clocks differ
    try:
        intent = await at.stripe.ask(lambda api: api.charge(wanted, key, since))
    except StripeDeclined as error:
        declined = c.command(DeclineOrder(order=body.order, reason=error.code or "declined"))
        name = key_of(PROVIDER, f"{error.payment or body.order}:declined")
        await call.submit(ledger, fact([declined], name, call.principal.actor, call.exchange.asked_id))
        raise
    told = as_told("payment_intent.succeeded", intent, at.ledger, at.settings)
    if text_at(intent, "status") != "succeeded" or not isinstance(told, Post):
        return Reply(call.operation.status, standing)  # a method that takes its time; its webhook tells
    order = told.commands[0].body
    assert isinstance(order, FulfilOrder)
    return await _granted(call, told, order)
