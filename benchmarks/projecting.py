"""Projections: catching up, rebuilding beside a bare aggregate of the same rows, keeping up with a writer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from benchmarks import in_process, workload
from ledger.batch import Request
from ledger.writer import Answer, Writer
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS, find
from projections.status import status
from projections.versions import connect, ensure_live

PACE_SECONDS = 0.05
LOOK_SECONDS = 0.1


def run(conninfo: str, *arguments: str) -> subprocess.Popen[bytes]:
    """`daybook projections run` in a process of its own."""
    command = [sys.executable, "-m", "api.cli", "projections", "run", *arguments]
    return subprocess.Popen(command, env=os.environ | {"DATABASE_URL": conninfo}, stdout=subprocess.DEVNULL)


def catch_up_seconds(conninfo: str) -> float:
    """Seconds until every projection is at every head, in a process of its own, its start included."""
    started = time.perf_counter()
    process = run(conninfo, "--until-caught-up")
    if process.wait():
        raise RuntimeError("the projections do not catch up")
    return time.perf_counter() - started


def aggregate_seconds(conninfo: str) -> float:
    """Seconds of a bare sequential aggregate of all posting rows, in one process of PostgreSQL."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        started = time.perf_counter()
        connection.execute(
            "SELECT ledger_id, account_id, asset_id, sum(amount) FROM daybook.postings GROUP BY 1, 2, 3"
        ).fetchall()
        return time.perf_counter() - started


def rebuild_seconds(conninfo: str, projection: str) -> float:
    """Seconds of a rebuild: building, comparing with the live version, swapping."""
    started = time.perf_counter()
    rebuild(conninfo, find(projection), workers=1)
    return time.perf_counter() - started


@contextmanager
def _kept(conninfo: str) -> Iterator[None]:
    process = run(conninfo)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def lag_seconds(conninfo: str, rate: float, seconds: float) -> tuple[float, float]:
    """The greatest lag of any projection while a writer posts `rate` transactions a second; its real rate.

    The workers are in another process, and at the heads when it begins.
    """
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    ledger = in_process.open_ledger(writer)
    each = max(1, round(rate * PACE_SECONDS))
    made = iter(_requests(each, round(seconds / PACE_SECONDS)))
    greatest = 0.0
    ending = threading.Event()

    def watch() -> None:
        nonlocal greatest
        with closing(connect(conninfo)) as connection:
            while not ending.wait(LOOK_SECONDS):
                live = [row.lag_seconds for row in status(connection, PROJECTIONS) if row.state == "live"]
                greatest = max(greatest, *live)

    failures: list[Answer] = []
    with closing(connect(conninfo)) as connection, _kept(conninfo):
        ensure_live(connection, PROJECTIONS)
        while any(row.lag_events for row in status(connection, PROJECTIONS) if row.state == "live"):
            time.sleep(LOOK_SECONDS)
        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.perf_counter()
        count = 0
        for number, request in enumerate(made):
            time.sleep(max(0.0, started + number * PACE_SECONDS - time.perf_counter()))
            writer.submit(
                ledger, request, lambda answer: failures.append(answer) if _failed(answer) else None
            )
            count += each
        writer.close()
        real = count / (time.perf_counter() - started)
        ending.set()
        watcher.join()
    if failures:
        raise RuntimeError(f"{len(failures)} requests failed")
    return greatest, real


def _requests(each: int, count: int) -> list[Request]:
    batches = workload.requests(each * count // workload.BATCH + 1)
    commands = [command for request in batches for command in request.commands]
    return [Request(commands[n * each : (n + 1) * each]) for n in range(count)]


def _failed(answer: Answer) -> bool:
    return not isinstance(answer, list)
