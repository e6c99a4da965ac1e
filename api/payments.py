"""Payments over HTTP: the work list, subscriptions at Stripe, and ending one."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from adapters.adapter import at, text_at
from adapters.stripe_calls import StripeNotFound
from api.checkouts import till
from api.handlers import Call, Reply
from api.http import decode_body
from api.problems import Refused, make
from api.queries import Incarnation, Limit
from ledger import payment_reads as reads
from ledger.credits.commands import Owner
from ledger.reader import Reader

Path = dict[str, Any]


class OpenItemsQuery(Struct, forbid_unknown_fields=True):
    """Open items by name, of all kinds or of one."""

    kind: Annotated[reads.Kind, Meta(description="Only of this kind.")] | None = None
    after: Annotated[
        str,
        Meta(
            pattern=r"^([a-z]+:[A-Za-z0-9_.\-]+)?\Z",
            max_length=220,
            description="Go on beyond this item: `next` of the page before.",
        ),
    ] = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class StripeSubscriptionsQuery(Struct, forbid_unknown_fields=True):
    """Subscriptions at Stripe by id, all or some."""

    status: (
        Annotated[str, Meta(pattern=r"^[a-z_]{1,64}\Z", description="Only in this status: past_due.")] | None
    ) = None
    user_id: Annotated[Owner, Meta(description="Only of this owner.")] | None = None
    after: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.\-]*\Z",
            max_length=200,
            description="Go on beyond this id: `next` of the page before.",
        ),
    ] = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class SubscriptionEnding(Struct, forbid_unknown_fields=True):
    """How a subscription ends: when what is paid for ends, or at once."""

    at_period_end: bool = True


class SubscriptionEnded(Struct, frozen=True):
    """What Stripe says of it now; here it stands when Stripe's webhook has told of it."""

    subscription: str
    status: str
    cancel_at_period_end: bool


def open_items(reader: Reader, path: Path, query: OpenItemsQuery) -> reads.OpenItems:
    kinds = reads.KINDS if query.kind is None else (query.kind,)
    found = reads.open_items(reader, path["ledger"], kinds, after=query.after, limit=query.limit)
    return reads.OpenItems(found, found[-1].item if len(found) == query.limit else None)


def subscriptions(reader: Reader, path: Path, query: StripeSubscriptionsQuery) -> reads.StripeSubscriptions:
    return reads.subscriptions(reader, path["ledger"], query.status, query.user_id, query.after, query.limit)


def subscription(reader: Reader, path: Path, query: Any) -> reads.StripeSubscriptionView:
    return reads.subscription(reader, path["ledger"], path["stripe_subscription"])


async def cancel(call: Call) -> Reply:
    """End a subscription that this ledger knows."""
    body: SubscriptionEnding = decode_body(
        call.operation.decoder, await call.exchange.body() or call.operation.empty_body
    )
    asked = await till(call)
    id = call.path["stripe_subscription"]
    await call.bridge.read(reads.subscription, call.reader, call.path["ledger"], id)
    try:
        found = await asked.stripe.ask(lambda api: api.end_subscription(id, body.at_period_end))
    except StripeNotFound:
        raise Refused(make("stripe_subscription_not_found", evidence={"subscription": id})) from None
    ends = at(found, "cancel_at_period_end") is True
    return Reply(call.operation.status, SubscriptionEnded(id, text_at(found, "status"), ends))
