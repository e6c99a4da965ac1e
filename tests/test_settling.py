"""What becomes of stored webhooks, also when the ledger or the process is in trouble: nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import providers
from adapters.adapter import Adapter, Event, Ignore, Park, Post, members
from adapters.inbox import desk
from adapters.inbox.connections import connect, utc_now
from adapters.inbox.door import Letter, receive
from adapters.inbox.endpoints import EndpointOpening, create
from adapters.inbox.settling import Settler, key_of, pause
from adapters.signatures import BUFFR
from ledger import commands as c
from ledger.batch import Request
from ledger.errors import ClockBehind, Defect, Overloaded, Unavailable, WriterError
from ledger.reader import AccountNotFound, Reader
from ledger.vault import Vault
from ledger.wire import Connection
from ledger.writer import Writer
from tests.audit import audited
from tests.bookkeeping import open_ledger, writing
from tests.daybook_command import ROOT
from tests.senders import SECRETS, signed


def deposit(amount: int, credit: str = "customers:1") -> c.Command:
    postings = [c.Posting("cash", "debit", amount, "USD/2"), c.Posting(credit, "credit", amount, "USD/2")]
    return c.command(c.Transaction(postings=postings))


def translate(event: Event, settings: Any) -> Post | Ignore | Park:
    """Does what the event says."""
    body = event.body
    match event.type:
        case "ignore":
            return Ignore("Nothing of ours.")
        case "break":
            raise ZeroDivisionError("the secret is sesame")
        case "once":
            return Post([deposit(body["amount"])], once=body["fact"])
        case "bad":
            return Post([deposit(0, "no address")])
    return Post([deposit(amount, body.get("credit", "customers:1")) for amount in body["amounts"]])


class Inbox:
    """An inbox for the ledger `main`, with a provider whose events say what to post."""

    def __init__(self, database: str, keys: Path, writer: Writer, connection: Connection) -> None:
        self.database = database
        self.writer = writer
        self.connection = connection
        self.vault = Vault(keys)
        self.now = utc_now()
        self.settler = Settler(writer.submit, lambda: self.now, lambda: 1.0)
        opening = EndpointOpening("buffr", secret=SECRETS["buffr"])
        self.endpoint = create(connection, self.vault, "main", opening).endpoint.id

    def receive(self, **event: Any) -> int:
        body = json.dumps(event).encode()
        headers = [(name.lower(), value) for name, value in signed("buffr", body).items()]
        stored = receive(self.connection, self.vault, "buffr", self.endpoint, Letter(headers, body))
        self.now = max(self.now, utc_now())
        return stored.received.number

    def settle(self, settler: Settler | None = None) -> int:
        return (settler or self.settler).settle(self.connection, "default")

    def found(self, number: int) -> desk.WebhookView:
        return desk.webhook(self.connection, "main", number).webhook

    def balance(self) -> int:
        """What customer 1 has; nothing, before anything was posted."""
        with closing(Reader(self.database, 1)) as reader, suppress(AccountNotFound):
            return reader.balances("main", "customers:1").balances[0].posted
        return 0


@pytest.fixture
def inbox(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    taught = Adapter("buffr", BUFFR, members(("id",), ("type",), ("fact",)), translate)
    monkeypatch.setitem(providers.ADAPTERS, "buffr", taught)
    with writing(database) as writer, connect(database) as connection:
        open_ledger(writer)
        yield Inbox(database, tmp_path, writer, connection)


def test_several_commands_are_posted_all_or_none(inbox: Inbox) -> None:
    """One key for the group; when one is refused none is posted, and its own reason is told."""
    good = inbox.receive(id="a", amounts=[1, 2, 3])
    bad = inbox.receive(id="b", amounts=[1, 2], credit="nobody:1")
    assert inbox.settle() == 2
    seqs = inbox.found(good).seqs
    assert seqs is not None
    assert seqs == list(range(seqs[0], seqs[0] + 3))
    assert (inbox.found(bad).state, inbox.found(bad).reason) == ("parked", "account_not_in_chart")
    assert inbox.balance() == 6
    assert inbox.settle() == 0
    assert audited(inbox.database)["main"].keys.keys() == {"buffr:a"}


def test_what_a_translation_says_is_written_down(inbox: Inbox) -> None:
    """Ignored with its sentence; what cannot be posted is parked; a defect fails, and tells no secret."""
    ignored = inbox.receive(id="1", type="ignore")
    bad = inbox.receive(id="2", type="bad")
    broken = inbox.receive(id="3", type="break")
    missing = inbox.receive(id="4")  # no amounts: a KeyError
    inbox.settle()
    assert (inbox.found(ignored).state, inbox.found(ignored).detail) == ("ignored", "Nothing of ours.")
    assert (inbox.found(bad).state, inbox.found(bad).reason) == ("parked", "not_postable")
    for number in (broken, missing):
        found = inbox.found(number)
        assert (found.state, found.reason) == ("failed", "defect")
        assert "sesame" not in str(found.detail)
        assert desk.replay(inbox.connection, "main", number).state == "received"


def test_events_that_tell_of_one_fact_post_it_once(inbox: Inbox) -> None:
    """Whichever comes first; the others find the same entry, whatever they would have posted."""
    numbers = [
        inbox.receive(id=id, type="once", fact="ch_1", amount=amount) for id, amount in (("a", 5), ("b", 7))
    ]
    for number in numbers:
        inbox.settler.settle(inbox.connection, "default", number)
    first, second = (inbox.found(number) for number in numbers)
    assert first.state == second.state == "posted"
    assert first.seqs == second.seqs
    assert inbox.balance() == 5


@pytest.mark.parametrize("trouble", [Unavailable("gone"), Overloaded("too many"), ClockBehind("main")])
def test_trouble_that_passes_is_waited_out(inbox: Inbox, trouble: WriterError) -> None:
    """It stays received, with the reason and the time of the next try, later each time; then it is posted."""
    number = inbox.receive(id="a", amounts=[9])
    troubled = Settler(lambda ledger, request, done: done(trouble), lambda: inbox.now, lambda: 1.0)
    for attempt in range(1, 4):
        assert inbox.settle(troubled) == 1
        found = inbox.found(number)
        assert (found.state, found.attempts) == ("received", attempt)
        assert found.reason in ("unavailable", "overloaded")
        assert inbox.settle() == 0, "its time has not come"
        inbox.now += timedelta(seconds=2 ** (attempt - 1))
    assert inbox.settle() == 1
    assert (inbox.found(number).state, inbox.balance()) == ("posted", 9)


def test_a_full_queue_is_trouble_that_passes(inbox: Inbox) -> None:
    """Overloaded is raised, not answered."""

    def refuse(*asked: Any) -> None:
        raise Overloaded("full")

    number = inbox.receive(id="a", amounts=[9])
    inbox.settle(Settler(refuse, lambda: inbox.now))
    assert (inbox.found(number).state, inbox.found(number).reason) == ("received", "overloaded")


def test_a_defect_of_the_writer_waits_for_somebody(inbox: Inbox) -> None:
    """It fails, is not tried again by itself, and a replay posts it under the same key."""
    number = inbox.receive(id="a", amounts=[9])
    inbox.settle(Settler(lambda ledger, request, done: done(Defect("bug")), lambda: inbox.now))
    assert (inbox.found(number).state, inbox.found(number).reason) == ("failed", "defect")
    inbox.now += timedelta(days=1)
    assert inbox.settle() == 0
    desk.replay(inbox.connection, "main", number)
    inbox.now += timedelta(seconds=1)
    assert inbox.settle() == 1
    assert audited(inbox.database)["main"].keys.keys() == {"buffr:a"}


def test_a_replay_after_a_refusal_has_a_key_of_its_own(inbox: Inbox) -> None:
    """The first key stays refused for ever; each refusal that was written down uses up one."""
    number = inbox.receive(id="a", amounts=[9], credit="nobody:1")
    for _ in range(2):
        assert inbox.settle() == 1
        assert inbox.found(number).reason == "account_not_in_chart"
        desk.replay(inbox.connection, "main", number)
        inbox.now += timedelta(seconds=1)
    keys: list[Any] = []

    def note(ledger: str, request: Request, done: Any) -> None:
        keys.append(request.commands[0].key)
        inbox.writer.submit(ledger, request, done)

    inbox.settle(Settler(note, lambda: inbox.now))
    assert keys == ["buffr:a~3"]


def test_a_refusal_that_was_not_written_down_is_replayed_with_its_own_key(inbox: Inbox) -> None:
    """Killed between the refusal and writing it down: the same key again, the same refusal, no other key."""
    number = inbox.receive(id="a", amounts=[9], credit="nobody:1")

    class Killed(BaseException):
        pass

    def die(ledger: str, request: Request, done: Any) -> None:
        inbox.writer.execute(ledger, request)
        raise Killed

    with pytest.raises(Killed):
        inbox.settle(Settler(die, lambda: inbox.now))
    assert inbox.found(number).state == "received"
    assert inbox.settle() == 1
    assert inbox.found(number).reason == "account_not_in_chart"


# Where a process is killed: before its commands are submitted, and after they are committed.
DYING = """
import os, signal, sys
from pathlib import Path
from adapters import providers
from adapters.adapter import Adapter, members
from adapters.inbox.connections import connect
from adapters.inbox.settling import Settler
from adapters.signatures import BUFFR
from ledger.writer import Writer
from tests.test_settling import translate

database, moment = sys.argv[1:]
providers.ADAPTERS["buffr"] = Adapter("buffr", BUFFR, members(("id",), ("type",), ("fact",)), translate)
writer = Writer(database, connections=1)

def submit(ledger, request, done):
    if moment == "posted":
        writer.execute(ledger, request)
    os.kill(os.getpid(), signal.SIGKILL)

with connect(database) as connection:
    Settler(submit).settle(connection, "default")
"""


@pytest.mark.torture
@pytest.mark.parametrize("moment", ["stored", "posted"])
def test_a_process_that_is_killed_leaves_it_to_the_next(inbox: Inbox, moment: str) -> None:
    """kill -9 between stored and posted, or posted and written down: posted once, by the next process."""
    number = inbox.receive(id="a", amounts=[4, 5])
    dying = [sys.executable, "-c", DYING, inbox.database, moment]
    died = subprocess.run(dying, cwd=ROOT, timeout=60, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert died.returncode == -signal.SIGKILL
    assert inbox.found(number).state == "received"
    assert inbox.balance() == (9 if moment == "posted" else 0)
    while not inbox.settle():
        inbox.now = utc_now()  # until PostgreSQL has seen that the other one is gone
    found = inbox.found(number)
    assert (found.state, found.attempts, inbox.balance()) == ("posted", 0, 9)
    books = audited(inbox.database)["main"]
    assert found.seqs is not None
    assert books.keys == {"buffr:a": (found.seqs[0], 2)}


def test_two_processes_share_what_waits(inbox: Inbox) -> None:
    """What one works on, another passes by."""
    number = inbox.receive(id="a", amounts=[9])
    with connect(inbox.database) as other:
        seen: list[int] = []

        def meanwhile(ledger: str, request: Request, done: Any) -> None:
            seen.append(inbox.settler.settle(other, "default"))
            inbox.writer.submit(ledger, request, done)

        inbox.settle(Settler(meanwhile, lambda: inbox.now))
        assert seen == [0]
    assert (inbox.found(number).state, inbox.balance()) == ("posted", 9)


def test_the_pause_grows_to_five_minutes() -> None:
    """1, 2, 4, ... seconds, jittered by a half at most, never longer than five minutes."""
    assert [pause(n, 1.0).total_seconds() for n in (0, 1, 2, 8, 9, 1_000_000)] == [1, 2, 4, 256, 300, 300]
    assert pause(3, 0.0) == timedelta(seconds=4)


def test_a_key_fits_the_ledger() -> None:
    """Whatever an adapter calls a fact: at most 255 printable characters, another one for another name."""
    long = [key_of("stripe", "x" * 300 + str(n)) for n in range(2)]
    assert len(set(long)) == 2
    assert all(len(key) <= 255 for key in long)
    assert key_of("stripe", "evt_1") == "stripe:evt_1"
    assert key_of("stripe", "evt_1", 1) == "stripe:evt_1~2"
