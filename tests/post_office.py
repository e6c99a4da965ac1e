"""A courier whose clock stands where the test puts it, and the subscriptions it works for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ledger.vault import Vault
from ledger.writer import Writer
from projections.deliveries import subscriptions as s
from projections.deliveries.courier import Courier
from projections.deliveries.sending import Sender
from projections.versions import connect
from tests.bookkeeping import deposit, do, done, open_ledger, writing


class PostOffice:
    """The ledger `main`, and everything on the way from it."""

    def __init__(self, database: str, keys: Path, writer: Writer, connection: Any) -> None:
        self.database = database
        self.writer = writer
        self.connection = connection
        self.now = datetime.now(UTC)
        self.chance = 0.5
        self.vault = Vault(keys)
        self.sender = Sender(insecure=True, deadline=1.0)
        self.courier = Courier(self.sender, self.vault, lambda: self.now, lambda: self.chance)

    def subscribe(self, url: str, **asked: Any) -> s.WithSecret:
        """A subscription from now on, or as asked."""
        return s.create(self.connection, self.vault, "main", s.Opening(url, **asked))

    def post(self, count: int = 1) -> list[int]:
        """Record deposits; their seqs."""
        return [done(do(self.writer, deposit(1, 1))) for _ in range(count)]

    def run(self) -> int:
        """Everything that can be done without time going on; how many attempts that were."""
        attempts = 0
        while True:
            self.courier.take(self.connection)
            places = self.courier.due(self.connection)
            if not places:
                return attempts
            for place in places:
                while self.courier.deliver(self.connection, place) is not None:
                    attempts += 1

    def later(self, **span: float) -> int:
        """Let time pass, and run."""
        self.now += timedelta(**span)
        return self.run()

    def see(self, id: str) -> s.Subscription:
        """How a subscription stands."""
        return s.subscription(self.connection, "main", id)

    def messages(self, id: str, dead: bool | None = None) -> list[s.MessageView]:
        """What was not delivered."""
        return s.messages(self.connection, "main", id, dead, 0, 1_000)

    def log(self, id: str) -> list[s.AttemptView]:
        """The delivery log, the oldest first."""
        return s.attempts(self.connection, "main", id, None, None, 1_000)[::-1]

    def body(self, seq: int) -> bytes:
        """The event as it is stored."""
        [(body,)] = self.connection.execute(
            "SELECT body FROM daybook.events WHERE seq = %s", [seq]
        ).fetchall()
        return bytes(body)


@contextmanager
def post_office(database: str, keys: Path) -> Iterator[PostOffice]:
    """A ledger with one event, and a courier."""
    with writing(database) as writer, closing(connect(database)) as connection:
        open_ledger(writer)
        yield PostOffice(database, keys, writer, connection)
