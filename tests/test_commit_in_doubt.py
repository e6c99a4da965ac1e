"""When the network or another process fails in the middle of a commit: never guessed, never doubled.

`relay` cuts the connection exactly at COMMIT. The stalled holder is a real process that has locked the head,
begun a COPY, and is then stopped (SIGSTOP): no time-out of PostgreSQL fires there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Recorded, Refusal
from tests.audit import audited
from tests.bookkeeping import (
    USD,
    deposit,
    do,
    done,
    head_locked,
    open_ledger,
    outcomes,
    submit,
    withdrawal,
    writing,
)
from tests.forgery import about
from tests.relay import Cut, relayed

CUTS: tuple[Cut, ...] = ("before COMMIT", "after COMMIT")


@pytest.mark.parametrize("cut", CUTS)
def test_a_lost_commit_reply_is_looked_up(database: str, cut: Cut) -> None:
    """Whether or not the commit took place, the command is acknowledged as recorded and is there once."""
    with relayed(database) as relay, writing(relay.conninfo) as writer:
        open_ledger(writer)
        relay.cut(cut)
        assert isinstance(do(writer, deposit(1, 100)), Recorded)
        assert relay.made == [cut]
        assert isinstance(do(writer, deposit(1, 10)), Recorded)
    books = audited(database)["main"]
    assert len(books.events) == 3
    assert books.posted("customers:1", USD) == 110


@pytest.mark.parametrize("cut", CUTS)
def test_a_lost_reply_about_a_rejection_is_looked_up(database: str, cut: Cut) -> None:
    """A batch of nothing but a remembered rejection moves no seq; its key tells whether it was stored."""
    with relayed(database) as relay, writing(relay.conninfo) as writer:
        open_ledger(writer)
        relay.cut(cut)
        refused = do(writer, withdrawal(1, 100), key="k")
        assert isinstance(refused, Refusal)
        assert (refused.rejection.code, refused.replayed) == ("insufficient_available", False)
        assert relay.made == [cut]
        done(do(writer, deposit(1, 100)))
        assert do(writer, withdrawal(1, 100), key="k") == Refusal(refused.rejection, replayed=True)
    assert audited(database)["main"].rejected_keys == {"k"}


@pytest.mark.parametrize("cut", CUTS)
def test_a_lost_reply_while_the_ledger_goes_on_is_looked_up(database: str, cut: Cut) -> None:
    """Also when another process has written since: what took place is found where it belongs."""
    with relayed(database) as relay, writing(relay.conninfo) as writer, writing(database) as other:
        open_ledger(writer)
        with head_locked(database):
            answers = [submit(writer, c.command(deposit(1, 1), key=f"a{i}")) for i in range(50)]
            beside = [submit(other, c.command(deposit(2, 1), key=f"b{i}")) for i in range(50)]
            relay.cut(cut)
        told = {f"a{i}": (done(outcomes(answer)[0]), 1) for i, answer in enumerate(answers)}
        told |= {f"b{i}": (done(outcomes(answer)[0]), 1) for i, answer in enumerate(beside)}
        assert relay.made == [cut]
    assert audited(database)["main"].keys == told


def test_under_load_every_kind_of_cut_leaves_each_command_there_once(database: str) -> None:
    """Eight cuts among batches decided ahead: without keys too, each command is recorded exactly once."""
    with relayed(database) as relay, writing(relay.conninfo, batch_size=300) as writer:
        open_ledger(writer)
        relay.cut(*CUTS, *CUTS, "after COMMIT", "after COMMIT", "before COMMIT", "before COMMIT")
        answers = [submit(writer, c.command(deposit(i % 10, 1))) for i in range(6_000)]
        replies = [outcomes(answer)[0] for answer in answers]
        assert len(relay.made) == 8
    assert all(isinstance(reply, Recorded) for reply in replies)
    assert sorted(done(reply) for reply in replies) == list(range(2, 6_002))
    books = audited(database)["main"]
    assert sum(books.posted(f"customers:{n}", USD) for n in range(10)) == 6_000


# ---------------------------------------------------------------- a stalled holder of the head's lock

HOLDER = """
import sys, psycopg
with psycopg.connect(sys.argv[1], options="-c role=daybook_writer") as connection:
    for name, value in (('tenant', 'default'), ('ledger_id', '1')):
        connection.execute("SELECT set_config('daybook.' || %s, %s, true)", (name, value))
    connection.execute("SELECT FROM daybook.heads WHERE ledger_id = 1 FOR UPDATE")
    connection.execute(
        "UPDATE daybook.heads SET seq = seq + 1, previous_seq = seq, recorded_at = now() WHERE ledger_id = 1")
    with connection.cursor().copy("COPY daybook.events FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"PGCOPY\\n\\xff\\r\\n\\x00" + bytes(8))
        print("in the middle of COPY", flush=True)
        sys.stdin.read()
"""


@contextmanager
def holder(database: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a COPY, with the head's lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle of COPY\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_holder_that_works_is_waited_for(database: str) -> None:
    """Three seconds are more than the lock time-out and less than a stall: both transactions take place."""
    with writing(database) as writer:
        open_ledger(writer)
        with psycopg.connect(database) as connection:
            about(connection, 1)
            connection.execute("SELECT FROM daybook.heads WHERE ledger_id = 1 FOR UPDATE")
            answer = submit(writer, c.command(deposit(1, 100)))
            time.sleep(3)
            connection.execute("UPDATE daybook.heads SET next_expiry = now() WHERE ledger_id = 1")
            assert not answer.done()
            connection.commit()
        done(outcomes(answer)[0])
    assert audited(database)["main"].posted("customers:1", USD) == 100


def test_a_stalled_holder_is_terminated_and_the_ledger_goes_on(database: str) -> None:
    """Once the holder's transaction is older than 10 s, and within 15 s: nothing of it remains."""
    with writing(database) as writer:
        open_ledger(writer)
        with holder(database) as process:
            os.kill(process.pid, signal.SIGSTOP)
            stalled = time.monotonic()
            answers = [submit(writer, c.command(deposit(1, 10), key=f"k{i}")) for i in range(10)]
            told = {f"k{i}": (done(outcomes(answer)[0]), 1) for i, answer in enumerate(answers)}
            assert 8 < time.monotonic() - stalled < 15
    assert audited(database)["main"].keys == told
