"""Projections from outside, those that there are: the command line, and the API over real HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from api.settings import Work
from ledger import commands as c
from ledger.reader import Reader
from projections import balances_at, reports
from projections.activity import Activity
from projections.balances_at import Place
from projections.daily_balances import DailyBalances
from projections.projection import Projection
from projections.rebuild import rebuild, rollback
from projections.registry import PROJECTIONS
from projections.verify import verify
from projections.versions import connect, drop, live_version
from tests.bookkeeping import do, done, writing
from tests.conftest import NewDatabase
from tests.daybook_command import daybook, fails, succeeds
from tests.served import Service, move, served
from tests.tallies import caught_up, ledger, working
from tests.waiting import until

NAMES = [projection.name for projection in PROJECTIONS]


@pytest.fixture(scope="module")
def book(new_database: NewDatabase) -> Iterator[str]:
    """A database with two ledgers and all projections at their heads."""
    with new_database() as conninfo:
        ledger(conninfo, "main", 600)
        ledger(conninfo, "other", 20)
        assert succeeds(conninfo, "projections", "run", "--until-caught-up") == ""
        yield conninfo


@pytest.fixture(scope="module")
def service(book: str) -> Iterator[Service]:
    with served(book) as service:
        yield service


def table(printed: str) -> list[dict[str, str]]:
    """The rows of a table."""
    head, *rows = [line.split("\t") for line in printed.splitlines() if "\t" in line]
    return [dict(zip(head, row, strict=True)) for row in rows]


def spoil(conninfo: str, statement: str) -> None:
    """Change a row as superuser, behind everything's back."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("ALTER TABLE daybook.balances DISABLE TRIGGER USER")
        assert connection.execute(statement.encode()).rowcount == 1


def test_status_shows_every_projection(book: str) -> None:
    """A line for each, over all ledgers, and for one projection a line for each ledger."""
    rows = table(succeeds(book, "projections", "status"))
    assert [row["projection"] for row in rows if row["state"] == "live"] == sorted(NAMES)
    assert {(row["ledgers"], row["head"], row["checkpoint"], row["lag"]) for row in rows} == {
        ("2", "622", "622", "0")
    }
    rows = table(succeeds(book, "projections", "status", NAMES[0]))
    assert [(row["ledger"], row["state"], row["head"], row["lag"]) for row in rows] == [
        ("main", "running", "601", "0"),
        ("other", "running", "21", "0"),
    ]
    assert "is not a projection; there are" in fails(book, "projections", "status", "nothing", code=2)


def test_a_stopped_projection_is_seen_and_run_again(new_database: NewDatabase) -> None:
    """Status names ledger, seq and error, with exit code 1; health is degraded; `retry` tries again."""
    name = NAMES[0]
    with new_database() as conninfo:
        ledger(conninfo, "main", 20)
        succeeds(conninfo, "projections", "run", "--until-caught-up")
        with psycopg.connect(conninfo) as connection:
            connection.execute(
                "UPDATE projections.checkpoints SET state = 'stopped', error_seq = 22,"
                " error = 'Poison: bitter'"
                " WHERE projection = %s",
                (name,),
            )
        ledger(conninfo, "main", 5)
        stopped = daybook(conninfo, "projections", "status")
        assert stopped.returncode == 1
        assert f"{name} stopped in main at seq 22: Poison: bitter" in stopped.stdout
        row = next(row for row in table(stopped.stdout) if row["projection"] == name)
        assert (row["state"], row["lag"]) == ("live, stopped in 1", "5")
        with served(conninfo) as service:
            [shown] = [p for p in service.get("/v1/projections")["projections"] if p["projection"] == name]
            assert (shown["stopped"], shown["lag_events"], shown["errors"][0]["error_seq"]) == (1, 5, 22)
            assert service.get("/health/ready") == {
                "status": "degraded",
                "reasons": [
                    f"The projection {name} has stopped (ledgers: 1): see `daybook projections status`."
                ],
            }
            job = finished(service, f"/v1/projections/{name}/retry", {"ledger": "main"})
            assert job["result"] == {"resumed": 1}
            until(lambda: caught_up(conninfo))
            until(lambda: service.get("/health/ready") == {"status": "healthy"})
        assert daybook(conninfo, "projections", "status").returncode == 0


def finished(service: Service, path: str, body: Any = None) -> dict[str, Any]:
    """Ask for a job and wait for its end."""
    asked = service.call("POST", path, body)
    assert asked.status_code == 202, asked.text
    place = asked.headers["location"]
    until(lambda: service.get(place)["ended_at"] is not None)
    job: dict[str, Any] = service.get(place)
    return job


@pytest.mark.parametrize("projection", PROJECTIONS, ids=NAMES)
def test_every_projection_is_rebuilt_rolled_back_and_verified(book: str, projection: Projection) -> None:
    """Rebuilt, it is what it was; rolled back, it is what it was; and both are what the bodies say."""
    rebuilt = rebuild(book, projection, workers=3)
    assert (rebuilt.compared, rebuilt.events, rebuilt.difference) == (2, 622, None)
    assert [found.finding for found in verify(book, projection, None)] == [None, None]
    assert rollback(book, projection).version == rebuilt.previous
    assert [found.finding for found in verify(book, projection, None)] == [None, None]


def test_what_a_report_has_looked_up_is_not_dropped(book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: before its first look at a read model, and between two of them."""
    dropped: list[bool] = []

    def places(*args: Any) -> Iterator[Place]:
        with closing(connect(book)) as connection:
            for projection in (DailyBalances(), Activity()):
                dropped.append(drop(connection, projection, live_version(connection, projection)))
        return balances_at.places(*args)

    monkeypatch.setattr(reports, "places", places)
    with closing(Reader(book, 1)) as reader:
        reports.income_statement(reader, "main", date(2020, 1, 1), None, None, 1)
        reports.balance_sheet(reader, "main", None, None, 1)
        reports.trial_balance(reader, "main", None, 5, 0, 10)
    assert dropped == [False] * 8


def test_a_projection_is_rebuilt_and_rolled_back_by_command(book: str) -> None:
    """The commands say which versions took part; what cannot be done is said in a sentence."""
    name = NAMES[0]
    printed = succeeds(book, "projections", "rebuild", name, "--workers", "3")
    assert "It is the same as before in 2 ledgers." in printed
    first = re.search(rf"{name} version (\d+) is live, version (\d+) is kept: 622 events in", printed)
    assert first is not None
    assert f"{name} version {first[2]} is live again." in succeeds(book, "projections", "rollback", name)
    with psycopg.connect(book, autocommit=True) as connection:
        change = "UPDATE projections.versions SET code_version = code_version + %s WHERE state = 'kept'"
        connection.execute(change, (1,))
        assert "roll back with the release that filled it" in fails(book, "projections", "rollback", name)
        connection.execute(change, (-1,))


def test_verify_without_names_covers_projections_and_the_inline_tables(book: str) -> None:
    """Each says in how many ledgers it is right; JSON has a line for each ledger."""
    printed = succeeds(book, "projections", "verify").splitlines()
    assert [line.split(":")[0] for line in printed] == [*NAMES, "inline"]
    assert all("right in 2 of 2 ledgers, 622 events" in line for line in printed)
    [found] = succeeds(book, "projections", "verify", "inline", "--ledger", "other", "--json").splitlines()
    assert json.loads(found)["seq"] == 21
    assert "There is no ledger nowhere" in fails(book, "projections", "verify", "--ledger", "nowhere")


def test_a_wrong_inline_balance_is_named(new_database: NewDatabase) -> None:
    """The inline tables too are recomputed: a balance changed as superuser is found, over the API as well."""
    with new_database() as conninfo:
        ledger(conninfo, "main", 5)
        spoil(
            conninfo,
            "UPDATE daybook.balances SET debits_posted = debits_posted + 7 WHERE account_id = 1",
        )
        wrong = daybook(conninfo, "projections", "verify", "inline")
        assert wrong.returncode == 1
        assert "inline of main at seq 6:" in wrong.stdout
        assert "inline: right in 0 of 1 ledgers, 6 events." in wrong.stdout
        with served(conninfo) as service:
            job = finished(service, "/v1/projections/inline/verify")
            assert job["state"] == "done"
            assert job["result"]["wrong"]["difference"]["table"] == "balances"
            assert job["result"]["wrong"]["difference"]["stored"] == "12"
            assert job["result"]["wrong"]["difference"]["expected"] == "5"


def test_projections_are_rebuilt_over_http(service: Service, book: str) -> None:
    """Rebuild, verify and roll back as jobs; the result is that of the command; lists show the versions."""
    name = NAMES[0]
    job = finished(service, f"/v1/projections/{name}/rebuild", {"workers": 3})
    assert (job["state"], job["progress"], job["error"]) == ("done", job["total"], None)
    assert job["result"]["compared"] == 2
    verified = finished(service, f"/v1/projections/{name}/verify", {"ledger": "main"})
    assert verified["result"] == {"ledgers": 1, "events": 601, "wrong": None}
    back = finished(service, f"/v1/projections/{name}/rollback")
    assert back["result"] == {"version": job["result"]["previous"]}
    states = {
        row["version"]: row["state"]
        for row in service.get("/v1/projections")["projections"]
        if row["projection"] == name
    }
    assert states[job["result"]["version"]] == "kept"
    page = service.get(f"/v1/projections/{name}", limit=1)
    assert [row["ledger"] for row in page["ledgers"]] == [page["next"]] == ["main"]
    page = service.get(f"/v1/projections/{name}", after="main")
    assert ([row["ledger"] for row in page["ledgers"]], page["next"]) == (["other"], None)


def test_what_cannot_be_asked_is_refused(service: Service) -> None:
    """Unknown projections are not found, a job that fails says why, bad bodies name the field."""
    for path in ("", "/rebuild", "/verify", "/rollback", "/retry"):
        method = "POST" if path else "GET"
        answer = service.call(method, f"/v1/projections/nothing{path}")
        assert answer.json()["code"] == "projection_not_found", path
    assert service.call("POST", "/v1/projections/inline/rebuild").json()["code"] == "projection_not_found"
    workers = service.call("POST", f"/v1/projections/{NAMES[0]}/rebuild", {"workers": 0})
    assert workers.json()["field"] == "workers"
    job = finished(service, f"/v1/projections/{NAMES[-1]}/verify", {"ledger": "nowhere"})
    assert (job["state"], job["error"]) == ("failed", "There is no ledger nowhere.")


def test_a_service_keeps_projections_unless_told_not_to(new_database: NewDatabase) -> None:
    """What is posted over HTTP reaches every projection by itself."""
    with new_database() as conninfo, served(conninfo) as service:
        book = service.open()
        book.seq(move("cash", "customers:1", 100))
        until(lambda: caught_up(conninfo))
    with new_database() as conninfo, served(conninfo, work=Work(projecting=False)) as service:
        service.open()
        assert service.get("/v1/projections")["projections"] == []


def test_real_projections_survive_kill_9(new_database: NewDatabase) -> None:
    """Workers of every projection are killed under load, again and again: then all is what the bodies say."""
    random = Random(3)
    command = [sys.executable, "-m", "api.cli", "projections", "run"]
    with new_database() as conninfo:
        for kill in range(3):
            with subprocess.Popen(
                command, cwd=Path(__file__).parents[1], env=os.environ | {"DATABASE_URL": conninfo}
            ) as process:
                wanted = progress(conninfo) + 1
                for _ in range(3):
                    ledger(conninfo, f"ledger-{kill % 2}", 150)
                until(partial(reached, conninfo, wanted))
                time.sleep(random.random() / 5)
                process.send_signal(signal.SIGKILL)
        succeeds(conninfo, "projections", "run", "--until-caught-up")
        printed = succeeds(conninfo, "projections", "verify")
        assert printed.count("right in 2 of 2 ledgers, 1,352 events") == len(NAMES) + 1


def progress(conninfo: str) -> int:
    """Events applied, all checkpoints together."""
    with psycopg.connect(conninfo) as connection:
        [(seqs,)] = connection.execute(
            "SELECT coalesce(sum(seq), 0)::bigint FROM projections.checkpoints"
        ).fetchall()
    return int(seqs)


def reached(conninfo: str, wanted: int) -> bool:
    """Whether so many are."""
    return progress(conninfo) >= wanted


def test_run_works_until_it_is_told_to_stop(new_database: NewDatabase) -> None:
    """The separate process keeps projections and runs jobs; SIGTERM ends it in order."""
    with new_database() as conninfo:
        command = [sys.executable, "-m", "api.cli", "projections", "run", "--workers", "1"]
        environment = os.environ | {"DATABASE_URL": conninfo}
        with subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment) as process:
            try:
                ledger(conninfo, "main", 30)
                until(lambda: caught_up(conninfo))
                with served(conninfo, work=Work(projecting=False)) as service:
                    job = finished(service, f"/v1/projections/{NAMES[0]}/verify")
                    assert job["result"] == {"ledgers": 1, "events": 31, "wrong": None}
                process.send_signal(signal.SIGTERM)
                assert process.wait(15) == 0
            finally:
                process.kill()


def test_events_of_every_kind_are_applied(new_database: NewDatabase) -> None:
    """No projection stops at an event that the core writes, and each is what the bodies say."""
    with new_database() as conninfo:
        ledger(conninfo, "main", 3)
        with writing(conninfo) as writer:
            hold = done(do(writer, c.Transaction(postings=_LEGS, pending=True)))
            done(do(writer, c.HoldPosting(amounts=[1, 1]), hold))
            done(do(writer, c.HoldVoid(), hold))
            done(do(writer, c.Reversal(), 2))
            done(do(writer, c.Annotation(metadata={"a": "b"}), 3))
            done(do(writer, c.AccountLimits(limits={}), "cash"))
        with working(conninfo, *PROJECTIONS):
            until(lambda: caught_up(conninfo))
        printed = succeeds(conninfo, "projections", "verify")
        assert printed.count("right in 1 of 1 ledgers, 10 events") == len(NAMES) + 1


_LEGS = [c.Posting("cash", "debit", 3, "USD/2"), c.Posting("fees", "credit", 3, "USD/2")]
