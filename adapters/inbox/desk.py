"""What people see of the inbox and ask of it: lists, one webhook with its bytes, counts, replays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from adapters.inbox.connections import QUERIES, shown, utc_now, working_for
from ledger.text import whose
from ledger.wire import Connection

State = Literal["received", "posted", "ignored", "parked", "failed"]


class WebhookNotFound(LookupError):
    """The ledger's inbox has no webhook of this number."""


class WebhookSettled(Exception):
    """It was posted, or waits to be: there is nothing to replay."""


class WebhookView(Struct, frozen=True):
    """A webhook. `reason` is a code, `detail` a sentence; `seqs` the events that it became.

    received: it waits, until `next_at` when something was in the way; posted; ignored: it means nothing to
    the ledger; parked: somebody must look at it; failed: a defect of ours.
    """

    number: int
    endpoint: str
    provider: str
    event_id: str
    type: str
    subject: str
    state: State
    reason: str | None
    detail: str | None
    seqs: list[int] | None
    attempts: int
    received_at: str
    settled_at: str | None
    next_at: str | None


class WholeWebhook(Struct, frozen=True):
    """A webhook as it came: `headers` in their order, without credentials, and the body that was signed."""

    webhook: WebhookView
    headers: list[tuple[str, str]]
    body: str


class StateCount(Struct, frozen=True):
    """How many are in a state, and when the first of them came in."""

    state: State
    webhooks: int
    oldest_received_at: str


class Replayed(Struct, frozen=True):
    """How many webhooks will be tried again."""

    replayed: int


@contextmanager
def _work(connection: Connection, ledger: str) -> Iterator[dict[str, Any]]:
    tenant, name = whose(ledger)
    with working_for(connection, tenant):
        yield {"ledger": name, "now": utc_now()}


def webhooks(
    connection: Connection, ledger: str, state: str | None, provider: str | None, after: int, limit: int
) -> list[WebhookView]:
    """A ledger's webhooks in the order of their coming, in a state or of a provider, beyond a number."""
    with _work(connection, ledger) as named:
        page = {**named, "state": state, "provider": provider, "after": after, "limit": limit}
        return [_view(row) for row in connection.execute(QUERIES["webhooks"], page)]


def webhook(connection: Connection, ledger: str, number: int) -> WholeWebhook:
    """One, with what was sent (WebhookNotFound)."""
    with _work(connection, ledger) as named:
        row = connection.execute(QUERIES["webhook"], named | {"number": number}).fetchone()
    if row is None:
        raise WebhookNotFound(number)
    headers, body = row[-2:]
    pairs = msgspec.json.decode(headers, type=list[tuple[str, str]])
    return WholeWebhook(_view(row[:-2]), pairs, body.decode())


class WebhookFigures(Struct, frozen=True):
    """A provider's webhooks of a ledger. Latency: from coming in to being settled; None: none was yet."""

    webhooks: int
    repeats: int
    waiting: int
    unposted: int
    latency_mean_ms: float | None
    latency_p95_ms: float | None


def figures(connection: Connection, ledger: str, provider: str) -> WebhookFigures:
    """How many came in, how often again, how fast they were settled. `ledger` is its whole name."""
    tenant, name = whose(ledger)
    with working_for(connection, tenant):
        row = connection.execute(QUERIES["metrics"], {"ledger": name, "provider": provider}).fetchone()
    assert row is not None
    *numbers, mean, p95 = row
    return WebhookFigures(
        *map(int, numbers), *(None if t is None else round(float(t), 3) for t in (mean, p95))
    )


def strangers(
    connection: Connection, ledger: str, provider: str, reason: str, after: str, limit: int
) -> list[str]:
    """What a provider's webhooks that are parked for a reason are about, by name, beyond one."""
    with _work(connection, ledger) as named:
        page = {**named, "provider": provider, "reason": reason, "after": after, "limit": limit}
        return [subject for (subject,) in connection.execute(QUERIES["strangers"], page)]


def counts(connection: Connection, ledger: str) -> list[StateCount]:
    """How many webhooks there are in each state that has some."""
    with _work(connection, ledger) as named:
        return [
            StateCount(state, count, shown(oldest))
            for state, count, oldest in connection.execute(QUERIES["counts"], named)
        ]


def replay(connection: Connection, ledger: str, number: int) -> WebhookView:
    """Try one again that was ignored, parked or failed (WebhookNotFound, WebhookSettled)."""
    with _work(connection, ledger) as named:
        asked = {**named, "number": number, "reason": None}
        done = connection.execute(QUERIES["replay"], asked).fetchone()
        row = connection.execute(QUERIES["webhook"], asked).fetchone()
    if row is None:
        raise WebhookNotFound(number)
    if done is None:
        raise WebhookSettled(number)
    return _view(row[:-2])


def replay_parked(connection: Connection, ledger: str, reason: str | None) -> list[int]:
    """Try all again that are parked, or only those for one reason; their numbers."""
    with _work(connection, ledger) as named:
        found = connection.execute(QUERIES["replay"], {**named, "number": None, "reason": reason})
        return [number for (number,) in found]


def _view(row: tuple[Any, ...]) -> WebhookView:
    number, endpoint, provider, event_id, type, subject, state, reason, detail, seqs, attempts, *times = row
    received_at, settled_at, next_at = times
    return WebhookView(
        number=number,
        endpoint=endpoint,
        provider=provider,
        event_id=event_id,
        type=type,
        subject=subject,
        state=state,
        reason=reason,
        detail=detail,
        seqs=seqs,
        attempts=attempts,
        received_at=shown(received_at),
        settled_at=_maybe(settled_at),
        next_at=_maybe(next_at),
    )


def _maybe(moment: datetime | None) -> str | None:
    return None if moment is None else shown(moment)
