"""The courier: turns events into messages, and messages into attempts.

Who sends a message holds the lock of its row in an open transaction, and writes down what became of it in the
same one. So several processes share the work (SKIP LOCKED), and when one is killed, or the database goes away
between the sending and the writing, the message is simply there again, and is sent again with the same id: at
least once, never lost.

A subscription has at most ROOM messages under way; one that fails waits for its own time while later ones
flow. In one process a subscription's messages are sent one after another, so a hanging endpoint costs one
thread.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
import structlog

from ledger.events import read_event
from ledger.kredit.callbacks import callback
from ledger.text import iso, micros
from ledger.vault import Vault, VaultError
from ledger.wire import Connection
from projections.deliveries import schedule, signing
from projections.deliveries.sending import Answer, Sender
from projections.deliveries.signing import Message
from projections.versions import connect
from sql import load as load_queries

log = structlog.get_logger(__name__)

QUERIES = load_queries("deliveries.sql")

ROOM = 100  # messages of one subscription that wait, those for another attempt among them
SCAN = 1_000  # events looked at in one step
TURN = 50  # messages that one subscription sends before others have their turn
KEPT = timedelta(days=30)  # the delivery log

# Between two looks: at least, so that a writer who hints all the time is not disturbed; at most.
PAUSE_SECONDS = 0.1
POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0
CLEAR_SECONDS = 60.0
THREADS = 8


class Place(NamedTuple):
    """A subscription of a ledger."""

    ledger_id: int
    subscription: str


def utc_now() -> datetime:
    """The clock of this process."""
    return datetime.now(UTC)


class Courier:
    """The steps, each a transaction or a few. `now` and `chance` are where time and luck come in."""

    def __init__(
        self,
        sender: Sender,
        vault: Vault,
        now: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._sender = sender
        self._vault = vault
        self._now = now
        self._chance = chance

    def take(self, connection: Connection) -> bool:
        """Make messages of events, for every subscription that is behind; whether there were any."""
        places = [Place(*row) for row in connection.execute(QUERIES["behind"], {"room": ROOM})]
        for place in places:
            named = place._asdict() | {"room": ROOM, "scan": SCAN, "now": self._now()}
            with connection.transaction():
                if connection.execute(QUERIES["lock_behind"], named).rowcount:
                    connection.execute(QUERIES["take"], named)
        return bool(places)

    def due(self, connection: Connection) -> list[Place]:
        """Subscriptions that have something to send now."""
        return [Place(*row) for row in connection.execute(QUERIES["due"], {"now": self._now()})]

    def deliver(self, connection: Connection, place: Place) -> Answer | None:
        """Send the next message that is due, and write down what became of it; None: there is none."""
        asked = {**place._asdict(), "now": self._now()}
        with connection.transaction():
            row = connection.execute(QUERIES["claim"], asked, binary=True).fetchone()
            if row is None:
                return None
            seq, made, url, scheme, secret, former, _, ledger, incarnation, type, recorded_at, event, to = row
            id, at = signing.message_id(place.subscription, incarnation, seq), iso(micros(recorded_at))
            told = callback(read_event(event)) if scheme == "kredit" else None
            if told is not None:
                url, message = told.url(url), Message(id, told.event, told.body)
            elif to is not None:
                message = signing.to_provider(id, at, to, read_event(event))
            else:
                message = Message(id, type, signing.envelope(scheme, id, type, at, ledger, seq, event))
            answer = attempt(
                self._sender,
                self._vault,
                place.subscription,
                Endpoint(url, scheme, (secret, former)),
                message,
                self._now(),
            )
            # The address of a callback that is gone is not that of the next one.
            self._record(connection, place, seq, made + 1, answer, own=told is None)
        return answer

    def _record(
        self, connection: Connection, place: Place, seq: int, made: int, answer: Answer, *, own: bool
    ) -> None:
        now = self._now()
        named = {
            **place._asdict(),
            "seq": seq,
            "attempt": made,
            "now": now,
            "status": answer.status,
            "error": answer.error,
            "latency_ms": answer.latency_ms,
        }
        connection.execute(QUERIES["note"], named)
        # The subscription's row before the message's: who makes messages locks them in this order too.
        if answer.delivered:
            connection.execute(QUERIES["works"], named)
            connection.execute(QUERIES["delivered"], named)
            return
        [(failing_since,)] = connection.execute(QUERIES["fails"], named).fetchall()
        if answer.status == 410 and own:
            self._disable(connection, place, "the endpoint answered 410: it is gone for good")
        elif schedule.gives_up(failing_since, now):
            self._disable(connection, place, f"every attempt since {iso(micros(failing_since))} has failed")
        asked = None if answer.retry_after is None else schedule.parse_retry_after(answer.retry_after, now)
        next_at = schedule.next_attempt(made, now, self._chance(), asked)
        if answer.status == 410 and not own:
            next_at = None
        connection.execute(
            QUERIES["failed"],
            {**named, "attempts": made, "dead": next_at is None, "next_at": next_at or now},
        )
        if next_at is None:
            log.warning("deliveries.dead", subscription=place.subscription, seq=seq)

    def _disable(self, connection: Connection, place: Place, reason: str) -> None:
        if connection.execute(QUERIES["disable"], {**place._asdict(), "reason": reason}).rowcount:
            log.error("deliveries.disabled", subscription=place.subscription, reason=reason)

    def clear(self, connection: Connection) -> None:
        """Clear away what deleted subscriptions have left, and old attempts."""
        for name in ("clear_messages", "clear_attempts", "clear_subscriptions"):
            connection.execute(QUERIES[name])
        connection.execute(QUERIES["forget_attempts"], {"before": self._now() - KEPT})


class Endpoint(NamedTuple):
    """Where messages go, with the sealed secrets in force, the newest first."""

    url: str
    scheme: signing.Scheme
    sealed: tuple[bytes | None, ...]


def attempt(
    sender: Sender, vault: Vault, subscription: str, endpoint: Endpoint, message: Message, now: datetime
) -> Answer:
    """Sign and send."""
    try:
        keys = [vault.open(secret, subscription) for secret in endpoint.sealed if secret is not None]
    except VaultError as error:
        log.error("deliveries.vault", error=str(error))
        return Answer(None, "the secret cannot be opened here", None, 0)
    headers = signing.headers(endpoint.scheme, keys, message, now)
    return sender.send(endpoint.url, headers, message.body)


class Couriers:
    """The courier's threads in one process. `close` ends them, each after the attempt that it is at."""

    def __init__(self, conninfo: str, courier: Courier, *, threads: int = THREADS) -> None:
        """Starts the threads; one looks, the others have a connection only while there is work."""
        self._conninfo = conninfo
        self._courier = courier
        self._closing = threading.Event()
        self._hinted = threading.Event()
        self._room = threading.Semaphore(threads)
        self._lock = threading.Lock()
        self._busy: dict[Place, threading.Thread] = {}
        self._looker = threading.Thread(target=self._work, name="daybook-couriers", daemon=True)
        self._looker.start()

    def hint(self) -> None:
        """Something was written: look soon."""
        if not self._hinted.is_set():
            self._hinted.set()

    def close(self) -> None:
        """Finish the attempts under way and end the threads."""
        self._closing.set()
        self._hinted.set()
        self._looker.join()
        with self._lock:
            busy = list(self._busy.values())
        for thread in busy:
            thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection:
                    self._look(connection)
            except psycopg.Error as error:
                log.warning("deliveries.database", error=str(error).strip())
                self._closing.wait(RETRY_SECONDS)
            except Exception as error:
                log.error("deliveries.defect", exc_info=error)
                self._closing.wait(RETRY_SECONDS)

    def _look(self, connection: Connection) -> None:
        cleared = float("-inf")
        while not self._closing.is_set():
            self._hinted.clear()
            self._courier.take(connection)
            for place in self._courier.due(connection):
                if place not in self._busy:
                    self._begin(place)
            if time.monotonic() - cleared >= CLEAR_SECONDS:
                cleared = time.monotonic()
                self._courier.clear(connection)
            self._closing.wait(PAUSE_SECONDS)
            self._hinted.wait(POLL_SECONDS)

    def _begin(self, place: Place) -> None:
        while not self._room.acquire(timeout=POLL_SECONDS):
            if self._closing.is_set():
                return
        thread = threading.Thread(target=self._turn, args=(place,), name="daybook-courier", daemon=True)
        with self._lock:
            self._busy[place] = thread
        thread.start()

    def _turn(self, place: Place) -> None:
        try:
            with closing(connect(self._conninfo)) as connection:
                for _ in range(TURN):
                    answer = self._courier.deliver(connection, place)
                    if answer is None or not answer.delivered or self._closing.is_set():
                        return
        except psycopg.Error as error:
            log.warning("deliveries.database", error=str(error).strip())
            self._closing.wait(RETRY_SECONDS)
        except Exception as error:
            log.error("deliveries.defect", exc_info=error)
            self._closing.wait(RETRY_SECONDS)
        finally:
            with self._lock:
                del self._busy[place]
            self._room.release()
            self._hinted.set()
