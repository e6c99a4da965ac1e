"""Subscriptions at Stripe, as they stand: told by events that come late, twice and in any order.

What was told last by Stripe's clock counts, and what has ended has ended. Of what was told in the same
second, the later stage counts. So a subscription's state is the greatest of all that was told of it, whatever
came first. They post nothing: money is told by charges, credits by invoices.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from ledger.commands import Command, Moment, ProductCommand, _integer, _utc
from ledger.entry import effective_moment, refuse
from ledger.events import Event
from ledger.payments.commands import Id
from ledger.product import record
from ledger.state import Accepted, State
from ledger.text import check_text, iso, micros

# In the order in which a subscription goes through them.
STAGES = (
    "incomplete",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "incomplete_expired",
    "canceled",
)
ENDED = ("incomplete_expired", "canceled")
PAYING = ("trialing", "active")
Text = Annotated[str, Meta(max_length=255)]


class RecordStripeSubscription(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A subscription as it stood at `told_at`, in Stripe's words; `owner` and `package` are ours."""

    operation: ClassVar[str] = "record_stripe_subscription"
    subscription: Id
    status: Annotated[str, Meta(pattern=r"^[a-z_]{1,64}\Z", examples=["active"])]
    told_at: Moment
    customer: Text = ""
    owner: Text = ""
    package: Text = ""
    current_period_end: Moment | None = None
    cancel_at_period_end: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.told_at = _utc("told_at", self.told_at)
        if self.current_period_end is not None:
            self.current_period_end = _utc("current_period_end", self.current_period_end)
        for name in ("customer", "owner", "package"):
            check_text(name, getattr(self, name))


class RecordInvoiceFailure(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An invoice of a subscription that was not paid; `next_attempt_at`: when Stripe tries again."""

    operation: ClassVar[str] = "record_invoice_failure"
    subscription: Id
    invoice: Id
    attempts: Annotated[int, Meta(ge=0, le=1_000)]
    told_at: Moment
    next_attempt_at: Moment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.attempts = _integer("attempts", self.attempts, 0)
        self.told_at = _utc("told_at", self.told_at)
        if self.next_attempt_at is not None:
            self.next_attempt_at = _utc("next_attempt_at", self.next_attempt_at)


class FailedInvoice(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The last invoice that was not paid."""

    told_at: str
    attempts: int
    invoice: str
    next_attempt_at: str = ""


class Subscription(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A subscription; moments as in bodies. `status` is empty while only a failure is known."""

    told_at: str = ""
    status: str = ""
    customer: str = ""
    owner: str = ""
    package: str = ""
    current_period_end: str = ""
    cancel_at_period_end: bool = False
    failure: FailedInvoice | None = None

    @property
    def failing(self) -> FailedInvoice | None:
        """The failure that still matters: nothing that was told later says that it is paid or over."""
        over = self.status in PAYING and self.failure is not None and self.told_at > self.failure.told_at
        return None if over or self.status in ENDED else self.failure


def _rank(told: Subscription) -> tuple[Any, ...]:
    """What counts is the greatest."""
    stage = STAGES.index(told.status) if told.status in STAGES else -1
    rest = told.cancel_at_period_end, told.current_period_end, told.customer, told.owner, told.package
    return told.status in ENDED, told.told_at, stage, told.status, *rest


def _failure_rank(failure: FailedInvoice | None) -> tuple[Any, ...]:
    if failure is None:
        return ()
    return failure.told_at, failure.attempts, failure.invoice, failure.next_attempt_at


def record_subscription(state: State, command: Command, now: int) -> Accepted:
    """A subscription as it stands now (Refused: something later, or the same, was told before)."""
    body = command.body
    assert isinstance(body, RecordStripeSubscription)
    name = f"stripe_subscription:{body.subscription}"
    end = body.current_period_end
    told = Subscription(
        told_at=iso(micros(body.told_at)),
        status=body.status,
        customer=body.customer,
        owner=body.owner,
        package=body.package,
        current_period_end="" if end is None else iso(micros(end)),
        cancel_at_period_end=body.cancel_at_period_end,
    )
    if _rank(told) <= _rank(_known(state, name)):
        refuse("already_recorded", what=name)
    data = {"subscription": body.subscription, "status": body.status, "told_at": told.told_at}
    for field in ("customer", "owner", "package", "current_period_end", "cancel_at_period_end"):
        if value := getattr(told, field):
            data[field] = value
    return _recorded(state, command, body, now, "stripe_subscription_recorded", name, data)


def record_failure(state: State, command: Command, now: int) -> Accepted:
    """An invoice that was not paid (Refused: a later failure, or this one, was told before)."""
    body = command.body
    assert isinstance(body, RecordInvoiceFailure)
    name = f"stripe_subscription:{body.subscription}"
    at = body.next_attempt_at
    told = FailedInvoice(
        told_at=iso(micros(body.told_at)),
        attempts=body.attempts,
        invoice=body.invoice,
        next_attempt_at="" if at is None else iso(micros(at)),
    )
    if _failure_rank(told) <= _failure_rank(_known(state, name).failure):
        refuse("already_recorded", what=name)
    data: dict[str, Any] = {"subscription": body.subscription, "invoice": told.invoice}
    data |= {"attempts": told.attempts, "told_at": told.told_at}
    if told.next_attempt_at:
        data["next_attempt_at"] = told.next_attempt_at
    return _recorded(state, command, body, now, "invoice_failure_recorded", name, data)


def _known(state: State, name: str) -> Subscription:
    stream = state.streams[name]
    return Subscription() if stream is None else stream.state


def _recorded(
    state: State,
    command: Command,
    body: ProductCommand,
    now: int,
    type: str,
    name: str,
    data: dict[str, Any],
) -> Accepted:
    at = effective_moment(state, body, now)
    return record(state, command, type, now, at, [], [name], data)


def evolve_subscription(state: Subscription | None, event: Event, stream: str) -> Subscription:
    """A subscription after what was told of it; events are of what counts at their time."""
    state, data = state or Subscription(), event.data
    if event.type == "invoice_failure_recorded":
        return replace(
            state,
            failure=FailedInvoice(
                told_at=data["told_at"],
                attempts=data["attempts"],
                invoice=data["invoice"],
                next_attempt_at=data.get("next_attempt_at", ""),
            ),
        )
    return Subscription(
        told_at=data["told_at"],
        status=data["status"],
        customer=data.get("customer", ""),
        owner=data.get("owner", ""),
        package=data.get("package", ""),
        current_period_end=data.get("current_period_end", ""),
        cancel_at_period_end=data.get("cancel_at_period_end", False),
        failure=state.failure,
    )
