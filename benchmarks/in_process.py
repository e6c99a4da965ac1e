"""The writer in this process, against bare COPY of the same rows."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from queue import SimpleQueue

from benchmarks import workload
from ledger import commands as c
from ledger import store
from ledger.batch import Outcome, Plan, Recorded, Replayed, Request, decide_batch
from ledger.errors import WriterError
from ledger.state import State
from ledger.text import DEFAULT_TENANT, SECOND
from ledger.wire import Connection, Message
from ledger.writer import Answer, Writer

IN_FLIGHT = 4
NAMES = workload.names()


def open_ledger(writer: Writer) -> str:
    """A new ledger with every account open."""
    name = next(NAMES)
    writer.execute(name, workload.opening(name))
    writer.execute(name, workload.warm_up())
    return name


def drive(writer: Writer, ledger: str, requests: list[Request]) -> float:
    """Seconds to have every request answered, IN_FLIGHT at a time; every outcome must be a success."""
    room = threading.Semaphore(IN_FLIGHT)
    failures: list[object] = []

    def done(answer: Answer) -> None:
        if isinstance(answer, WriterError):
            failures.append(answer)
        else:
            failures.extend(o for o in answer if not isinstance(o, Recorded | Replayed))
        room.release()

    gc.collect()
    started = time.perf_counter()
    for request in requests:
        room.acquire()
        writer.submit(ledger, request, done)
    for _ in range(IN_FLIGHT):
        room.acquire()
    seconds = time.perf_counter() - started
    if failures:
        raise RuntimeError(f"{len(failures)} commands failed, the first with {failures[0]}")
    return seconds


def plain(writer: Writer, batches: int, *, hot: bool = False, replayed: float = 0.0) -> float:
    """Transactions a second in batches of 1,000 over 1,000 accounts."""
    ledger = open_ledger(writer)
    requests = workload.requests(batches, hot=hot, replayed=replayed)
    return batches * workload.BATCH / drive(writer, ledger, requests)


def holds(writer: Writer, batches: int) -> float:
    """Commands a second when every hold is placed and then posted; several batches under way."""
    ledger = open_ledger(writer)
    placed = workload.requests(batches, pending=True)
    answers: SimpleQueue[Answer] = SimpleQueue()
    waiting = placed[IN_FLIGHT:]
    gc.collect()
    started = time.perf_counter()
    for request in placed[:IN_FLIGHT]:
        writer.submit(ledger, request, answers.put)
    for _ in range(2 * batches):
        answer = answers.get()
        if isinstance(answer, WriterError):
            raise answer
        events = [outcome.event for outcome in answer if isinstance(outcome, Recorded)]
        assert len(events) == workload.BATCH
        if events[0].type == "transaction_held":
            commands = [c.command(c.HoldPosting(), event.seq, key=workload.key()) for event in events]
            writer.submit(ledger, Request(commands), answers.put)
        elif waiting:
            writer.submit(ledger, waiting.pop(), answers.put)
    return 2 * batches * workload.BATCH / (time.perf_counter() - started)


def many_ledgers(writer: Writer, ledgers: int, commands: int) -> float:
    """Transactions a second, one a request, round robin over many ledgers."""
    names = [next(NAMES) for _ in range(ledgers)]
    outcomes: list[list[Outcome]] = [writer.execute(name, workload.opening(name)) for name in names]
    assert all(isinstance(o[0], Recorded) for o in outcomes)
    finished = threading.Semaphore(0)
    requests = [Request([c.command(workload.transaction(), key=workload.key())]) for _ in range(commands)]
    started = time.perf_counter()
    for number, request in enumerate(requests):
        writer.submit(names[number % ledgers], request, lambda _: finished.release())
    for _ in requests:
        finished.acquire()
    return commands / (time.perf_counter() - started)


def several_processes(conninfo: str, writer: Writer, processes: int, batches: int) -> float:
    """Transactions a second of several processes on one ledger, from the common start to the last end."""
    ledger = open_ledger(writer)
    command = [sys.executable, "-m", "benchmarks.in_process", conninfo, ledger, str(batches // processes)]
    started = []
    for _ in range(processes):
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    clock = time.perf_counter()
    for process in started:
        process.communicate("go\n")
    seconds = time.perf_counter() - clock
    if any(process.returncode for process in started):
        raise RuntimeError("a writer process failed")
    return processes * (batches // processes) * workload.BATCH / seconds


def _one_of_several(conninfo: str, ledger: str, batches: int) -> None:
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    requests = workload.requests(batches)
    print("ready", flush=True)
    sys.stdin.readline()
    drive(writer, ledger, requests)
    writer.close()


def bare_copy(conninfo: str, writer: Writer, batches: int) -> float:
    """Transactions a second when the same rows, encoded before, are copied into the same tables.

    Serial, one commit a batch: the head row (the guards want it) and events, postings and keys. No look-up,
    no decision, no balances.
    """
    name = next(NAMES)
    writer.execute(name, workload.opening(name))
    with store.connect(conninfo, 2) as connection:
        wanted = {"tenant": DEFAULT_TENANT, "name": name}
        found = connection.execute(store.QUERIES["find_ledger"], wanted).fetchone()
        assert found is not None
        ledger_id, public_id = found
        head, now, _ = store.lock_head(connection, ledger_id)
        state = store.state_at(connection, ledger_id, public_id, head)
        connection.execute("ROLLBACK")
        plans = _plans(state, [workload.warm_up(), *workload.requests(batches)], now)
        store.lock_head(connection, ledger_id)
        store.write(connection, plans[0])
        gc.collect()
        started = time.perf_counter()
        for plan in plans[1:]:
            _copy(connection, plan)
        return batches * workload.BATCH / (time.perf_counter() - started)


def _plans(state: State, requests: list[Request], now: int) -> list[Plan]:
    for n in range(workload.ACCOUNTS):
        state.accounts[f"wallets:{n}"] = None
    return [decide_batch(state, [request], {}, now + SECOND + i) for i, request in enumerate(requests)]


def _copy(connection: Connection, plan: Plan) -> None:
    message = Message(connection)
    message.add("BEGIN;")
    message.add("SET LOCAL daybook.ledger_id TO %s;", [plan.ledger_id])
    message.add("SET LOCAL daybook.tenant TO %s;", [DEFAULT_TENANT])
    store.add_head(message, plan)
    store.add_copies(message, plan)
    message.add("COMMIT;")
    message.store([buffer for _, buffer in plan.copies])


if __name__ == "__main__":
    _one_of_several(sys.argv[1], sys.argv[2], int(sys.argv[3]))
