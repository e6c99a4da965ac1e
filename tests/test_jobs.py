"""Jobs: run once, wherever; taken up again when their process dies; cancelled and failed in the open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.wire import Connection
from projections import jobs
from projections.jobs import JobFailed, JobNotFound, Run, Runner, Task, ask, cancel, job
from projections.versions import connect
from tests.served import served
from tests.waiting import until


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with closing(connect(database)) as connection:
        yield connection


@contextmanager
def running(conninfo: str, threads: int = 1, **kinds: Run) -> Iterator[Runner]:
    """A runner, closed at the end."""
    runner = Runner(conninfo, kinds, threads=threads)
    try:
        yield runner
    finally:
        runner.close()


def state(connection: Connection, id: str) -> str:
    """How a job stands."""
    return job(connection, id).state


def count_up(task: Task) -> dict[str, Any]:
    """Work in steps."""
    for done in range(task.parameters["to"]):
        task.report(done + 1, task.parameters["to"])
    return {"reached": task.parameters["to"]}


def endless(task: Task) -> dict[str, Any]:
    """Work that ends when it is cancelled."""
    while True:
        task.report(1, None)
        time.sleep(0.01)


def test_a_job_is_run_and_its_result_kept(database: str, connection: Connection) -> None:
    """Queued, run, done: with its parameters, progress and result."""
    asked = ask(connection, "count", {"to": 7})
    assert (asked.state, asked.progress, asked.result) == ("queued", 0, None)
    with running(database, count=count_up):
        until(lambda: state(connection, asked.id) == "done")
    found = job(connection, asked.id)
    assert (found.kind, found.parameters, found.result) == ("count", {"to": 7}, {"reached": 7})
    assert (found.progress, found.total, found.attempts, found.error) == (7, 7, 1, None)
    assert found.ended_at is not None
    with pytest.raises(JobNotFound):
        job(connection, "00000000-0000-0000-0000-000000000000")


def test_a_job_of_another_kind_is_left_alone(database: str, connection: Connection) -> None:
    """Who does not know a kind does not touch it."""
    other, mine = ask(connection, "other", {}), ask(connection, "count", {"to": 1})
    with running(database, count=count_up):
        until(lambda: state(connection, mine.id) == "done")
    assert state(connection, other.id) == "queued"


def test_each_job_is_run_by_one(database: str, connection: Connection) -> None:
    """Many runners, many jobs: each begins once."""
    asked = [ask(connection, "count", {"to": 2}).id for _ in range(40)]
    with running(database, 3, count=count_up), running(database, 3, count=count_up):
        until(lambda: all(state(connection, id) == "done" for id in asked))
    assert {job(connection, id).attempts for id in asked} == {1}


def test_a_failed_job_says_why(database: str, connection: Connection) -> None:
    """A failure that the work foresees is its sentence; any other is named by its type; others go on."""

    def foreseen(task: Task) -> dict[str, Any]:
        raise JobFailed("There is no such ledger.")

    def unforeseen(task: Task) -> dict[str, Any]:
        raise KeyError("ledger")

    first, second = ask(connection, "foreseen", {}), ask(connection, "unforeseen", {})
    last = ask(connection, "count", {"to": 1})
    with running(database, foreseen=foreseen, unforeseen=unforeseen, count=count_up):
        until(lambda: state(connection, last.id) == "done")
    assert job(connection, first.id).error == "There is no such ledger."
    assert job(connection, second.id).error == "KeyError: 'ledger'"
    assert {state(connection, first.id), state(connection, second.id)} == {"failed"}


def test_a_job_is_cancelled(database: str, connection: Connection) -> None:
    """Before it begins at once, under way at its next report, afterwards not at all."""
    assert cancel(connection, ask(connection, "endless", {}).id).state == "cancelled"
    under_way, done = ask(connection, "endless", {}), ask(connection, "count", {"to": 1})
    with running(database, endless=endless, count=count_up):
        until(lambda: state(connection, under_way.id) == "running")
        assert cancel(connection, under_way.id).cancelling
        until(lambda: state(connection, done.id) == "done")
    assert state(connection, under_way.id) == "cancelled"
    assert cancel(connection, done.id).state == "done"


def test_a_job_goes_on_in_the_next_process(database: str, connection: Connection) -> None:
    """A runner that closes leaves its job, which the next one takes up, as often as it may be: none died."""
    asked = ask(connection, "work", {"to": 3})
    begun = threading.Semaphore(0)

    def work(task: Task) -> dict[str, Any]:
        begun.release()
        return endless(task)

    for _ in range(jobs.ATTEMPTS + 1):
        with running(database, work=work):
            assert begun.acquire(timeout=30)
        assert state(connection, asked.id) == "running"
    with running(database, work=count_up):
        until(lambda: state(connection, asked.id) == "done")
    assert job(connection, asked.id).attempts == 1


def test_a_job_whose_process_is_killed_is_taken_up_again(database: str, connection: Connection) -> None:
    """kill -9: the lock dies with the process, and another runs the job, but not while the first lives."""
    asked = ask(connection, "endless", {"to": 3})
    command = [sys.executable, "-m", "tests.test_jobs", database]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], env=os.environ) as process:
        try:
            until(lambda: state(connection, asked.id) == "running")
            with running(database, endless=count_up):
                time.sleep(1.5)
                assert state(connection, asked.id) == "running"
                process.send_signal(signal.SIGKILL)
                until(lambda: state(connection, asked.id) == "done")
        finally:
            process.kill()
    assert job(connection, asked.id).attempts == 2


def test_a_job_that_kills_its_process_is_given_up(database: str, connection: Connection) -> None:
    """After so many attempts it has failed."""
    asked = ask(connection, "count", {"to": 1})
    connection.execute("UPDATE projections.jobs SET state = 'running', attempts = %s", (jobs.ATTEMPTS,))
    with running(database, count=count_up):
        until(lambda: state(connection, asked.id) == "failed")
    assert job(connection, asked.id).error == "The process that ran it died, 5 times."


def test_a_job_that_has_lost_its_session_ends(database: str, connection: Connection) -> None:
    """Its lock is gone, so another may run it: the first notices at its next report."""
    asked = ask(connection, "endless", {})
    ended = threading.Event()

    def noticed(task: Task) -> dict[str, Any]:
        try:
            return endless(task)
        except psycopg.OperationalError:
            ended.set()
            raise

    with running(database, endless=noticed):
        until(lambda: state(connection, asked.id) == "running")
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database"
                " WHERE datname = current_database())"
            )
        assert ended.wait(10)
        until(lambda: job(connection, asked.id).attempts == 2)


def test_a_job_is_asked_after_and_cancelled_over_http(database: str, connection: Connection) -> None:
    """GET shows it, POST cancels it; an id that is none is refused, one that is unknown is not found."""
    asked = ask(connection, "unheard of", {"some": "thing"})
    with served(database) as service:
        found = service.get(f"/v1/jobs/{asked.id}")
        assert (found["state"], found["parameters"]) == ("queued", {"some": "thing"})
        assert service.call("POST", f"/v1/jobs/{asked.id}/cancel").json()["state"] == "cancelled"
        unknown = service.call("GET", "/v1/jobs/00000000-0000-0000-0000-000000000000")
        assert unknown.json()["code"] == "job_not_found"
        assert service.call("GET", "/v1/jobs/7").json()["field"] == "job"


if __name__ == "__main__":
    Runner(sys.argv[1], {"endless": endless})
    threading.Event().wait()
