"""What people do with subscriptions: make, change, pause, rotate, replay, delete, and look at the outcome.

Every function works on a connection as daybook_projector and names its ledger. A secret is shown once, by the
call that makes it. What a caller is told is on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import uuid4

from msgspec import Meta, Struct

from ledger.chart import MAX_AMOUNT
from ledger.errors import LedgerNotFound
from ledger.events import SCHEMA_VERSIONS
from ledger.kredit.callbacks import CALLBACKS
from ledger.loans.terms import Id
from ledger.providers import telling
from ledger.providers.commands import MOST_PROVIDERS
from ledger.text import check_text, iso, micros, whose
from ledger.vault import Vault
from ledger.wire import Connection
from projections.deliveries import signing
from projections.deliveries.courier import QUERIES, Endpoint, utc_now
from projections.deliveries.sending import Answer
from projections.deliveries.signing import Message, Scheme

# Of one ledger; credit providers' apart from the others.
MAX_SUBSCRIPTIONS = 50
MAX_OF_PROVIDERS = 2 * MOST_PROVIDERS
FORMER_SECRET_FOR = timedelta(hours=24)
NEWEST = 2**63 - 1

Url = Annotated[str, Meta(min_length=1, max_length=2_000)]
EventTypes = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": sorted(SCHEMA_VERSIONS)})]],
    Meta(min_length=1, max_length=100),
]
Description = Annotated[str, Meta(max_length=1_000)]
Seq = Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
Secret = Annotated[str, Meta(max_length=255)]


class SubscriptionNotFound(LookupError):
    """No subscription of the ledger has this id."""


class TooManySubscriptions(Exception):
    """The ledger has as many as it may: `args[0]`."""


def _check_types(types: list[str] | None) -> None:
    for type in types or ():
        if type not in SCHEMA_VERSIONS:
            raise ValueError("`types` names what is no type of event")


def _types_of(scheme: Scheme, types: list[str] | None) -> list[str] | None:
    """What is sent in a scheme when these are asked for (ValueError): Kredit is told of callbacks alone."""
    if scheme != "kredit":
        return types
    if not set(types or ()) <= set(CALLBACKS):
        raise ValueError("`types` names an event that tells Kredit nothing")
    return types or list(CALLBACKS)


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a subscription's messages go and which there are; `types` absent: events of every type."""

    url: Url
    types: EventTypes | None = None
    description: Description = ""

    def __post_init__(self) -> None:
        _check_types(self.types)
        check_text("description", self.description)


class Opening(Struct, frozen=True, forbid_unknown_fields=True):
    """A subscription to be made.

    `after`: begin beyond this seq; absent: with what comes from now on. `secret`: absent, one is made. In
    scheme `kredit` `url` is the address of Kredit's backend; events that tell it nothing are not sent.
    `provider`: a credit provider, which is told in its own words what concerns it (docs/providers.md).
    """

    url: Url
    types: EventTypes | None = None
    provider: Id | None = None
    scheme: Scheme = "standard"
    secret: Secret | None = None
    description: Description = ""
    after: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)] | None = None

    def __post_init__(self) -> None:
        _check_types(self.types)
        check_text("description", self.description)
        _types_of(self.scheme, self.types)
        if self.secret is not None:
            signing.check_secret(self.scheme, self.secret)
        if self.provider is not None and (self.types is not None or self.scheme == "kredit"):
            raise ValueError("`types` of a `provider` are what concerns it, in a scheme that is not Kredit's")


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    """A new secret: this one, or one that is made."""

    secret: Secret | None = None


class Replay(Struct, frozen=True, forbid_unknown_fields=True):
    """Send again everything beyond this seq."""

    after: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]


class Revival(Struct, frozen=True, forbid_unknown_fields=True):
    """Dead messages to send again; absent: all."""

    seqs: Annotated[list[Seq], Meta(min_length=1, max_length=1_000)] | None = None


class Subscription(Struct, frozen=True):
    """A subscription. All wanted events up to `checkpoint` were delivered or are messages.

    `waiting` messages will be tried (again), `dead` ones have used up their attempts. `failing_since`: the
    first failure after the last success. `former_secret_until`: so long the secret before the last rotation
    signs too.
    """

    id: str
    url: str
    scheme: Scheme
    types: list[str] | None
    description: str
    state: Literal["active", "paused", "disabled"]
    disabled_reason: str | None
    checkpoint: int
    failing_since: str | None
    made_at: str
    former_secret_until: str | None
    waiting: int
    dead: int
    provider: str | None = None


class WithSecret(Struct, frozen=True):
    """A subscription and its new secret, which is shown this once."""

    subscription: Subscription
    secret: str


class MessageView(Struct, frozen=True):
    """An event that was not delivered yet. `next_at`: the next attempt; of a dead one, null."""

    seq: int
    type: str
    attempts: int
    dead: bool
    next_at: str | None


class AttemptView(Struct, frozen=True):
    """One attempt. `seq` null: a ping. `status` null: there was no answer, and `error` says why."""

    number: int
    seq: int | None
    attempt: int
    made_at: str
    status: int | None
    error: str | None
    latency_ms: int


@contextmanager
def _work(connection: Connection, ledger: str, subscription: str | None = None) -> Iterator[dict[str, Any]]:
    """A transaction that is on disk at its end, and the parameters of its queries (LedgerNotFound)."""
    with connection.transaction():
        connection.execute(QUERIES["durably"])
        tenant, name = whose(ledger)
        row = connection.execute(QUERIES["ledger"], {"tenant": tenant, "name": name}).fetchone()
        if row is None:
            raise LedgerNotFound(ledger)
        yield {"ledger_id": row[0], "head": row[1], "subscription": subscription, "now": utc_now()}


def create(connection: Connection, vault: Vault, ledger: str, asked: Opening) -> WithSecret:
    """Make a subscription (LedgerNotFound, TooManySubscriptions, VaultError)."""
    secret = asked.secret or signing.new_secret(asked.scheme)
    subscription = str(uuid4())
    with _work(connection, ledger, subscription) as named:
        named |= {"provider": asked.provider}
        [(count,)] = connection.execute(QUERIES["count"], named).fetchall()
        limit = MAX_SUBSCRIPTIONS if asked.provider is None else MAX_OF_PROVIDERS
        if count >= limit:
            raise TooManySubscriptions(limit)
        head = named["head"]
        stored = {
            "scheme": asked.scheme,
            "url": asked.url,
            "description": asked.description,
            "types": sorted(telling.TELLING) if asked.provider else _types_of(asked.scheme, asked.types),
            "secret": vault.seal(secret, subscription),
            "checkpoint": head if asked.after is None else min(asked.after, head),
        }
        connection.execute(QUERIES["create"], named | stored)
        return WithSecret(_one(connection, named), secret)


def subscriptions(connection: Connection, ledger: str) -> list[Subscription]:
    """All of a ledger, the oldest first (LedgerNotFound)."""
    with _work(connection, ledger) as named:
        return [_view(row) for row in connection.execute(QUERIES["list"], named)]


def subscription(connection: Connection, ledger: str, id: str) -> Subscription:
    """One (LedgerNotFound, SubscriptionNotFound; so do all below)."""
    with _work(connection, ledger, id) as named:
        return _one(connection, named)


def change(connection: Connection, ledger: str, id: str, asked: Change) -> Subscription:
    """Replace URL, types and description; messages that wait go to the new URL (ValueError: bad types)."""
    with _work(connection, ledger, id) as named:
        scheme = _one(connection, named).scheme
        types = _types_of(scheme, asked.types)
        new = {"url": asked.url, "types": types, "description": asked.description}
        connection.execute(QUERIES["change"], named | new)
        return _one(connection, named)


def pause(connection: Connection, ledger: str, id: str) -> Subscription:
    """Send nothing until it is resumed; nothing is lost meanwhile."""
    return _do(connection, ledger, id, "pause")


def resume(connection: Connection, ledger: str, id: str) -> Subscription:
    """Go on, also after it was disabled; what waits is tried at once."""
    return _do(connection, ledger, id, "resume", then="hurry")


def delete(connection: Connection, ledger: str, id: str) -> Subscription:
    """End it for ever; its messages go too. An attempt under way is still made."""
    with _work(connection, ledger, id) as named:
        last = _one(connection, named)
        connection.execute(QUERIES["delete"], named)
        return last


def rotate(connection: Connection, vault: Vault, ledger: str, id: str, asked: Rotation) -> WithSecret:
    """A new secret. The former one signs beside it for a day (VaultError; ValueError for a bad secret)."""
    with _work(connection, ledger, id) as named:
        row = connection.execute(QUERIES["scheme"], named).fetchone()
        if row is None:
            raise SubscriptionNotFound(id)
        if asked.secret is not None:
            signing.check_secret(row[0], asked.secret)
        secret = asked.secret or signing.new_secret(row[0])
        sealed = {"secret": vault.seal(secret, id), "former_until": named["now"] + FORMER_SECRET_FOR}
        connection.execute(QUERIES["rotate"], named | sealed)
        return WithSecret(_one(connection, named), secret)


def replay(connection: Connection, ledger: str, id: str, after: int) -> Subscription:
    """Send again every wanted event beyond a seq, dead ones among them; ids stay as they were."""
    return _do(connection, ledger, id, "replay_from", {"after": after, "seqs": None}, then="revive")


def revive(connection: Connection, ledger: str, id: str, seqs: list[int] | None) -> Subscription:
    """Give dead messages their whole schedule again."""
    with _work(connection, ledger, id) as named:
        _one(connection, named)
        connection.execute(QUERIES["revive"], {**named, "after": 0, "seqs": seqs})
        return _one(connection, named)


def messages(
    connection: Connection, ledger: str, id: str, dead: bool | None, after: int, limit: int
) -> list[MessageView]:
    """What was not delivered yet, by seq."""
    with _work(connection, ledger, id) as named:
        _one(connection, named)
        page = {**named, "dead": dead, "after": after, "limit": limit}
        return [
            MessageView(seq, type, attempts, dead, None if dead else _at(next_at))
            for seq, type, attempts, dead, next_at in connection.execute(QUERIES["messages"], page)
        ]


def attempts(
    connection: Connection, ledger: str, id: str, seq: int | None, before: int | None, limit: int
) -> list[AttemptView]:
    """The delivery log, the newest first."""
    with _work(connection, ledger, id) as named:
        _one(connection, named)
        page = {**named, "seq": seq, "before": NEWEST if before is None else before, "limit": limit}
        return [
            AttemptView(number, seq, attempt, _at(made_at), status, error, latency_ms)
            for number, seq, attempt, made_at, status, error, latency_ms in connection.execute(
                QUERIES["attempts"], page
            )
        ]


def endpoint(connection: Connection, ledger: str, id: str) -> Endpoint:
    """Where a ping goes."""
    with _work(connection, ledger, id) as named:
        row = connection.execute(QUERIES["endpoint"], named, binary=True).fetchone()
        if row is None:
            raise SubscriptionNotFound(id)
        return Endpoint(row[0], row[1], (row[2], row[3]))


def ping(scheme: Scheme, ledger: str, now: datetime) -> Message:
    """A message without an event: of type `ping`, with seq 0."""
    id = f"ping_{uuid4().hex}"
    return Message(id, "ping", signing.envelope(scheme, id, "ping", _at(now), ledger, 0, b"{}"))


def note_ping(connection: Connection, ledger: str, id: str, answer: Answer) -> AttemptView:
    """Write down what became of a ping. It changes nothing else."""
    with _work(connection, ledger, id) as named:
        said = {"status": answer.status, "error": answer.error, "latency_ms": answer.latency_ms}
        connection.execute(QUERIES["note"], {**named, **said, "seq": None, "attempt": 1})
    return attempts(connection, ledger, id, None, None, 1)[0]


def _do(
    connection: Connection,
    ledger: str,
    id: str,
    query: str,
    parameters: dict[str, Any] | None = None,
    then: str | None = None,
) -> Subscription:
    with _work(connection, ledger, id) as named:
        named |= parameters or {}
        connection.execute(QUERIES[query], named)
        if then is not None:
            connection.execute(QUERIES[then], named)
        return _one(connection, named)


def _one(connection: Connection, named: dict[str, Any]) -> Subscription:
    row = connection.execute(QUERIES["list"], named).fetchone()
    if row is None:
        raise SubscriptionNotFound(named["subscription"])
    return _view(row)


def _view(row: tuple[Any, ...]) -> Subscription:
    id, url, scheme, types, description, state, reason, checkpoint, *rest = row
    failing, made, former, waiting, dead, provider = rest
    return Subscription(
        id,
        url,
        scheme,
        types,
        description,
        state,
        reason,
        checkpoint,
        None if failing is None else _at(failing),
        _at(made),
        None if former is None else _at(former),
        waiting,
        dead,
        provider,
    )


def _at(moment: datetime) -> str:
    return iso(micros(moment))
