"""A client in a process of its own: drives a Writer, and logs what it was told before it goes on.

    python driver.py CONNINFO LOG CLIENT COUNT [SHARED]

Task i of a client is always the same request under the same key, so that a client that is started again
asks again. Every third task is a lifecycle: a hold, then a part of it and its rest, its void, or nothing; a
deposit, then its reversal in two halves. SHARED tasks of ten are shared: every client asks them under the
same keys, and some of them with a request of its own, which only one can have. An acknowledgement is a line
of JSON, [key, outcome, seq, events], on disk before it counts; at the end stands "finished".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ledger import commands as c
from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.errors import Overloaded, Unavailable
from ledger.writer import Answer, Writer
from tests.bookkeeping import deposit, transaction, withdrawal

CUSTOMERS = 20
IN_FLIGHT = 200

Then = Callable[[int], None]  # what follows once the seq is known


class Driver:
    """Keeps IN_FLIGHT tasks under way."""

    def __init__(self, writer: Writer, log: int, client: str, shared: int) -> None:
        self._writer = writer
        self._log = log
        self._client = client
        self._shared = shared
        self._room = threading.Semaphore(IN_FLIGHT)

    def run(self, count: int) -> None:
        """Do tasks 0 .. count - 1, in an order of the client's own, and wait for all."""
        for task in Random(self._client).sample(range(count), count):
            self._room.acquire()
            self._start(task)
        for _ in range(IN_FLIGHT):
            self._room.acquire()
        self._note(["finished"])

    def _start(self, task: int) -> None:
        shared = task % 10 < self._shared
        name = f"shared-{task}" if shared else f"{self._client}-{task}"
        random = Random(name)
        customer = random.randrange(CUSTOMERS)
        amount = random.randrange(1, 50)
        kind = task % 6
        if kind == 0:
            body = withdrawal(customer, amount, pending=True, timeout_seconds=random.choice((1, 3_600)))
            self._ask(name, body, then=lambda seq: self._end_hold(name, seq, amount, random))
        elif kind == 3:
            body = deposit(customer, 2 * amount)
            self._ask(name, body, then=lambda seq: self._reverse(name, seq, amount))
        elif kind == 5:
            contested = self._client if shared else ""
            self._ask(name, transaction("cash", "fees", amount, description=contested))
        else:
            self._ask(name, (deposit if random.random() < 0.6 else withdrawal)(customer, amount))

    def _end_hold(self, name: str, seq: int, amount: int, random: Random) -> None:
        fate = random.random()
        if fate < 0.3:
            self._room.release()  # left to expire
        elif fate < 0.6:
            self._ask(f"{name}-void", c.HoldVoid(), seq)
        elif amount > 1:
            part = c.HoldPosting(amounts=[1, 1])
            self._ask(f"{name}-part", part, seq, lambda _: self._ask(f"{name}-rest", c.HoldPosting(), seq))
        else:
            self._ask(f"{name}-post", c.HoldPosting(final=True), seq)

    def _reverse(self, name: str, seq: int, amount: int) -> None:
        half = c.Reversal(amounts=[amount, amount])
        self._ask(f"{name}-half", half, seq, lambda _: self._ask(f"{name}-all", c.Reversal(), seq))

    def _ask(self, key: str, body: c.Body, subject: int | str = "", then: Then | None = None) -> None:
        request = Request([c.command(body, subject, key=key)])

        def answered(answer: Answer) -> None:
            if isinstance(answer, Unavailable):
                self._ask_again(request, answered)
                return
            assert isinstance(answer, list), answer
            self._note([key, *describe(answer[0])])
            seq = accepted(answer[0])
            if then is not None and seq is not None:
                then(seq)
            else:
                self._room.release()

        self._ask_again(request, answered)

    def _ask_again(self, request: Request, answered: Callable[[Answer], None]) -> None:
        try:
            self._writer.submit("main", request, answered)
        except (Overloaded, Unavailable):
            threading.Timer(0.1, self._ask_again, (request, answered)).start()

    def _note(self, line: list[object]) -> None:
        os.write(self._log, json.dumps(line).encode() + b"\n")
        os.fdatasync(self._log)


def describe(outcome: Outcome) -> tuple[str, int, int]:
    """Outcome, first seq, number of events."""
    if isinstance(outcome, Recorded):
        return "recorded", outcome.event.seq, 1
    if isinstance(outcome, Replayed):
        return "replayed", outcome.seq, outcome.events
    assert isinstance(outcome, Refusal)
    return outcome.rejection.code, 0, 0


def accepted(outcome: Outcome) -> int | None:
    """The seq that the key stands for, if it was accepted."""
    _, seq, events = describe(outcome)
    return seq if events else None


@dataclass
class Told:
    """What the log of one client says."""

    accepted: dict[str, tuple[int, int]] = field(default_factory=dict)  # first seq, events
    recorded: list[str] = field(default_factory=list)  # keys, as often as they were said to be new
    refused: dict[str, str] = field(default_factory=dict)  # codes
    finished: bool = False


def read_log(path: Path) -> Told:
    """What a client was told; a line cut off by its death does not count."""
    told = Told()
    for line in path.read_bytes().split(b"\n")[:-1]:
        key, *rest = json.loads(line)
        if not rest:
            told.finished = True
            continue
        outcome, seq, events = rest
        if not events:
            assert told.refused.setdefault(key, outcome) == outcome, f"{key} was refused in two ways"
            continue
        assert told.accepted.setdefault(key, (seq, events)) == (seq, events), f"{key} has two outcomes"
        if outcome == "recorded":
            told.recorded.append(key)
    return told


@contextmanager
def client(
    conninfo: str, log: Path, name: str, count: int, shared: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """A client in a process of its own, killed at the end if it still runs."""
    command = [sys.executable, __file__, conninfo, str(log), name, str(count), str(shared)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    with (
        open(os.devnull, "wb") as nowhere,
        subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=nowhere) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def main(conninfo: str, log: str, client: str, count: str, shared: str = "0") -> None:
    """Run one client to its end."""
    descriptor = os.open(Path(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    writer = Writer(conninfo, batch_size=300, sweep_seconds=0.3)
    Driver(writer, descriptor, client, int(shared)).run(int(count))
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
