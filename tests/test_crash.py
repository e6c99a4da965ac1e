"""kill -9 in the middle of a load: of the process that writes, and of PostgreSQL itself.

The client's own log is the witness: what it was told is there, once; what it was not told is there at most
once; and after it has asked again under the same keys, everything is there exactly once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.embedded import EmbeddedPostgres
from sql.migrate import migrate
from tests.audit import audited
from tests.bookkeeping import deposit, do, done, open_ledger, writing
from tests.books import Books
from tests.driver import CUSTOMERS, Told, client, read_log


def prepare(conninfo: str) -> None:
    """A ledger whose customers have something."""
    with writing(conninfo) as writer:
        open_ledger(writer)
        for n in range(CUSTOMERS):
            done(do(writer, deposit(n, 500)))


def wait_for(process: subprocess.Popen[bytes], log: Path, more: int) -> None:
    """Until the client has logged so many lines more."""
    deadline = time.monotonic() + 60
    wanted = lines(log) + more
    while lines(log) < wanted:
        assert process.poll() is None, "the load ended before it was to be disturbed"
        assert time.monotonic() < deadline, "the load does not get on"
        time.sleep(0.01)


def lines(log: Path) -> int:
    """How much a client has been told."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


def check(books: Books, told: Told) -> None:
    """Nothing that was acknowledged is lost, moved or doubled."""
    assert told.accepted.items() <= books.keys.items()
    assert set(told.refused) <= books.rejected_keys
    assert len(told.recorded) == len(set(told.recorded)), "a key was told to be new twice"


def finish(conninfo: str, log: Path, count: int) -> None:
    """Ask everything again, to the end: then all is there exactly once."""
    with client(conninfo, log, "a", count) as process:
        assert process.wait(240) == 0
    told = read_log(log)
    books = audited(conninfo)["main"]
    assert told.finished
    assert told.accepted == books.keys
    assert set(told.refused) == books.rejected_keys


@pytest.mark.parametrize(("kills", "count"), [(3, 1_500), pytest.param(25, 8_000, marks=pytest.mark.torture)])
def test_killing_the_writer_loses_and_doubles_nothing(
    database: str, tmp_path: Path, kills: int, count: int
) -> None:
    """kill -9 of the writing process again and again; each time it starts over with the same keys."""
    prepare(database)
    log = tmp_path / "log"
    for kill in range(kills):
        with client(database, log, "a", count) as process:
            wait_for(process, log, 40 + 120 * kill % 400)
            process.send_signal(signal.SIGKILL)
            assert process.wait(10) == -signal.SIGKILL
        told = read_log(log)
        assert not told.finished, "the load ended before it was killed"
        check(audited(database)["main"], told)
    finish(database, log, count)


@pytest.fixture
def own_server() -> Iterator[tuple[EmbeddedPostgres, Path, str]]:
    """An embedded server that a test may kill, its folder, and the conninfo of its migrated database."""
    folder = Path(tempfile.mkdtemp(prefix="daybook-crash-"))
    server = EmbeddedPostgres(folder)
    try:
        conninfo = server.start()
        migrate(conninfo)
        yield server, folder, conninfo
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.mark.parametrize(("kills", "count"), [(2, 1_500), pytest.param(12, 8_000, marks=pytest.mark.torture)])
def test_killing_postgresql_loses_and_doubles_nothing(
    own_server: tuple[EmbeddedPostgres, Path, str], tmp_path: Path, kills: int, count: int
) -> None:
    """kill -9 of the postmaster under load; the client learns what became of its commits and goes on."""
    server, folder, conninfo = own_server
    prepare(conninfo)
    log = tmp_path / "log"
    with client(conninfo, log, "a", count) as process:
        for _ in range(kills):
            wait_for(process, log, 150)
            kill_postmaster(folder)
            at_the_crash = read_log(log)
            assert not at_the_crash.finished, "the load ended before the crash"
            assert server.start() == conninfo
            process.send_signal(signal.SIGSTOP)  # it has gone on; the audit takes its time
            check(audited(conninfo)["main"], at_the_crash)
            process.send_signal(signal.SIGCONT)
        assert process.wait(240) == 0
    check(audited(conninfo)["main"], read_log(log))
    finish(conninfo, log, count)


@pytest.mark.parametrize("count", [1_200])
def test_killing_both_at_once_loses_and_doubles_nothing(
    own_server: tuple[EmbeddedPostgres, Path, str], tmp_path: Path, count: int
) -> None:
    """The machine goes: neither the client nor the server can clean up."""
    server, folder, conninfo = own_server
    prepare(conninfo)
    log = tmp_path / "log"
    with client(conninfo, log, "a", count) as process:
        wait_for(process, log, 300)
        process.send_signal(signal.SIGKILL)
        kill_postmaster(folder)
        process.wait(10)
    assert server.start() == conninfo
    check(audited(conninfo)["main"], read_log(log))
    finish(conninfo, log, count)


def kill_postmaster(folder: Path) -> None:
    """kill -9, as the first line of postmaster.pid says; its children notice and go by themselves."""
    os.kill(int((folder / "pgdata" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
