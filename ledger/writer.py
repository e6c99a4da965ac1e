"""The writer: one writer at a time per ledger, group commit, every ledger its own queue.

Commands queue by ledger. A worker takes what queued (no timer), locks the ledger's head, loads what the
batch needs, decides, writes, commits, and only then answers. When enough is waiting, a second worker decides
the next batch while the first is being committed, on the state that the first will leave, and sends lock,
rows and commit as one message. The database refuses it if that prediction fails (another process wrote, the
commit failed, the clocks disagree): then the batch is decided again under the lock. At most two batches of a
ledger are under way, so an outcome is either stored or in the predecessor's plan.

A lost connection leaves a commit in doubt; the head lock on a new connection waits for the old backend, and
the stored leaves tell whether the batch took place. It is never guessed.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from uuid import uuid4

import psycopg
import structlog

from ledger import batch as batches
from ledger import store
from ledger.batch import Due, DueFailed, Outcome, Plan, Request, decide_batch, due_command
from ledger.commands import Command, LedgerOpening
from ledger.errors import ClockBehind, Defect, LedgerNotFound, Overloaded, Stopped, Unavailable, WriterError
from ledger.link import Link
from ledger.state import KeyOutcome, State
from ledger.store import Head, Trouble
from ledger.text import DEFAULT_TENANT, SECOND, whose
from ledger.wire import Connection

log = structlog.get_logger(__name__)

CLOCK_TOLERANCE = 10 * SECOND
AHEAD_TOLERANCE = SECOND
HANDOVER_SECONDS = 0.01
LARGE_BATCH = 256
SMALL_BATCH = 8
# How long a thread that computes may keep the interpreter from one that comes back from the socket. A large
# batch computes for tens of milliseconds; beside a small one, to be interrupted costs more than to wait.
SWITCH_SECONDS = 0.001
SWITCH_SECONDS_LARGE = 0.0001


Answer = list[Outcome] | WriterError
Done = Callable[[Answer], None]


class _Batch:
    """Requests taken together, and the batch of the same ledger that was under way when they were."""

    def __init__(self, requests: list[tuple[Request, Done]], predecessor: _Batch | None) -> None:
        self.requests = requests
        self.predecessor = predecessor
        self.size = sum(max(1, len(request.commands)) for request, _ in requests)
        self.plan: Plan | None = None
        self.asked = threading.Event()  # it has asked for the lock or has it, or is done
        self.finished = threading.Event()

    def commands(self) -> list[Command]:
        return [command for request, _ in self.requests for command in request.commands]

    def keys(self) -> list[str]:
        keys = [
            command.key
            for request, _ in self.requests
            for command in request.commands
            if command.key is not None
        ]
        return keys + [request.key for request, _ in self.requests if request.key is not None]


class _Book:
    """A ledger at work in this process: its queue, its cached state, its batches under way."""

    def __init__(self, full_name: str) -> None:
        self.full_name = full_name
        self.tenant, self.name = whose(full_name)
        self.ledger_id = 0
        self.public_id = ""
        self.queue: deque[tuple[Request, Done]] = deque()
        self.queued = 0
        self.ready = False
        self.under_way: list[_Batch] = []
        self.state: State | None = None
        self.cached = 0


class Writer:
    """Decides and stores commands. Threads start at construction; `close` drains the queues and ends them.

    `submit` may be called from any thread; `done` is called from a worker's thread, once, after the commit.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        connections: int = 4,
        batch_size: int = 2_000,
        queue_limit: int = 50_000,
        cache_limit: int = 500_000,
        sweep_seconds: float = 1.0,
    ) -> None:
        """In all ledgers `queue_limit` commands may wait, `cache_limit` accounts and holds are kept."""
        # A batch makes tens of thousands of objects that die with it: to look for cycles among them is waste.
        gc.set_threshold(500_000, 10, 10)
        self._conninfo = conninfo
        self._batch_size = batch_size
        self._ahead = min(batch_size, LARGE_BATCH)
        self._queue_limit = queue_limit
        self._cache_limit = cache_limit
        self._waiting = 0
        self._cached = 0
        self._books: dict[str, _Book] = {}
        self._recent: OrderedDict[str, _Book] = OrderedDict()
        self._ready: deque[_Book] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"daybook-writer-{i}", daemon=True)
            for i in range(connections)
        ]
        self._stop_sweeping = threading.Event()
        self._threads.append(
            threading.Thread(target=self._sweep, args=(sweep_seconds,), name="daybook-sweeper", daemon=True)
        )
        for thread in self._threads:
            thread.start()

    def submit(self, ledger: str, request: Request, done: Done) -> None:
        """Queue a request for a ledger, `tenant/name` or of the default tenant.

        Raises Overloaded; every other answer comes through `done`.
        """
        size = max(1, len(request.commands))
        with self._changed:
            if self._closing:
                raise Unavailable("the writer is closing")
            if self._waiting + size > self._queue_limit:
                raise Overloaded(f"{self._waiting} commands are waiting")
            if "/" not in ledger:
                ledger = f"{DEFAULT_TENANT}/{ledger}"
            book = self._books.get(ledger)
            if book is None:
                book = self._books[ledger] = _Book(ledger)
            book.queue.append((request, done))
            book.queued += size
            self._waiting += size
            self._make_ready(book)

    def execute(self, ledger: str, request: Request) -> list[Outcome]:
        """Submit and wait for the outcomes (WriterError)."""
        future: Future[Answer] = Future()
        self.submit(ledger, request, future.set_result)
        answer = future.result()
        if isinstance(answer, WriterError):
            raise answer
        return answer

    def close(self) -> None:
        """Answer what is queued, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._stop_sweeping.set()
        for thread in self._threads:
            thread.join()

    # ------------------------------------------------------------ scheduling (under self._changed)

    def _make_ready(self, book: _Book) -> None:
        """A ledger is ready when something waits and no batch, or one already decided, is under way."""
        if book.ready or not book.queue:
            return
        if book.under_way and not (
            len(book.under_way) == 1
            and book.under_way[0].plan is not None
            and book.queued >= self._enough(book.under_way[0])
        ):
            return
        book.ready = True
        self._ready.append(book)
        self._changed.notify()

    def _enough(self, under_way: _Batch) -> int:
        """How many commands are worth a batch of their own beside this one: half as many, within bounds."""
        return min(self._ahead, max(SMALL_BATCH, under_way.size // 2))

    def _take(self, book: _Book) -> _Batch:
        requests: list[tuple[Request, Done]] = []
        taken = 0
        while book.queue and (not requests or taken + len(book.queue[0][0].commands) <= self._batch_size):
            if requests and book.queue[0][0].alone:
                break
            request, done = book.queue.popleft()
            requests.append((request, done))
            taken += max(1, len(request.commands))
            if request.alone:
                break
        book.queued -= taken
        self._waiting -= taken
        sys.setswitchinterval(SWITCH_SECONDS if taken < LARGE_BATCH else SWITCH_SECONDS_LARGE)
        batch = _Batch(requests, book.under_way[0] if book.under_way else None)
        book.under_way.append(batch)
        return batch

    def _decided(self, book: _Book, batch: _Batch, plan: Plan) -> None:
        with self._changed:
            batch.plan = plan
            self._make_ready(book)

    def _discard(self, book: _Book, batch: _Batch) -> None:
        """A plan that does not hold takes its state with it, which a successor may be deciding on right now.

        First the plan, then the state; `_plan_ahead` compares the two, since it may see one old and one new.
        """
        batch.plan = None
        book.state = None

    def _finish(self, book: _Book, batch: _Batch) -> None:
        with self._changed:
            book.under_way.remove(batch)
            batch.asked.set()
            batch.finished.set()
            self._make_ready(book)
            self._keep(book)
            follower = book.under_way[0] if book.under_way else None
        if follower is not None and follower.plan is not None:
            # The ledger waits for it to ask for the lock, so it has the interpreter first; answers can wait.
            follower.asked.wait(HANDOVER_SECONDS)

    def _keep(self, book: _Book) -> None:
        """Bound what is cached: the ledgers used least recently forget first."""
        state = book.state
        size = 0 if state is None else len(state.accounts) + len(state.subjects) + len(state.streams)
        self._cached += size - book.cached
        book.cached = size
        if not size:
            self._recent.pop(book.full_name, None)
            return
        self._recent[book.full_name] = book
        self._recent.move_to_end(book.full_name)
        while self._cached > self._cache_limit:
            _, oldest = self._recent.popitem(last=False)
            oldest.state = None
            self._cached -= oldest.cached
            oldest.cached = 0

    # ------------------------------------------------------------ workers

    def _work(self) -> None:
        link = Link(self._conninfo)
        while True:
            with self._changed:
                while not self._ready:
                    if self._closing and not self._waiting:
                        self._changed.notify_all()
                        link.drop()
                        return
                    self._changed.wait()
                book = self._ready.popleft()
                book.ready = False
                batch = self._take(book)
            answers: Sequence[Answer]
            try:
                answers = self._answers(link, book, batch)
            except WriterError as error:
                answers = [error] * len(batch.requests)
            except Exception:
                log.exception("writer.defect", ledger=book.full_name)
                link.drop()
                book.state = None
                answers = [Defect("the writer failed; nothing of this batch is known to be stored")] * len(
                    batch.requests
                )
            finally:
                self._finish(book, batch)
            _tell(book.full_name, batch, answers)
            # What it was made of is given back now, not when the next one has been decided.
            del batch, answers

    def _answers(self, link: Link, book: _Book, batch: _Batch) -> Sequence[Answer]:
        if not self._resolve(link, book, batch):
            return [LedgerNotFound(book.name)] * len(batch.requests)
        predecessor = batch.predecessor
        if predecessor is not None:
            self._plan_ahead(link, book, batch, predecessor)
            # The one before that is done. To free its rows takes a millisecond that nobody waits for here.
            predecessor.predecessor = None
            # A batch decided ahead queues for the lock right behind its predecessor, and so has it at once.
            (predecessor.finished if batch.plan is None else predecessor.asked).wait()
        try:
            return self._commit(link, book, batch).outcomes
        except Defect as error:
            if len(batch.requests) == 1 or isinstance(error, Stopped):
                log.error("writer.defect", ledger=book.full_name, exc_info=error)
                raise
            # One request among these is poison. Halves find it; what is stored on the way is answered.
            middle = len(batch.requests) // 2
            answers: list[Answer] = []
            for half in (batch.requests[:middle], batch.requests[middle:]):
                try:
                    answers += self._answers(link, book, _Batch(half, None))
                except WriterError as error:
                    answers += [error] * len(half)
            return answers

    def _resolve(self, link: Link, book: _Book, batch: _Batch) -> bool:
        """Find the ledger's number; a ledger that is to be opened gets its row and its head."""
        if book.ledger_id:
            return True
        opening = any(isinstance(command.body, LedgerOpening) for command in batch.commands())
        for connection in link.tries():
            try:
                wanted = {"tenant": book.tenant, "name": book.name}
                found = connection.execute(store.QUERIES["find_ledger"], wanted).fetchone()
                if found is None and opening:
                    store.reserve_ledger(connection, book.tenant, book.name, str(uuid4()))
                    found = connection.execute(store.QUERIES["find_ledger"], wanted).fetchone()
                break
            except psycopg.Error as error:
                if link.failed(error) is None:
                    raise
        if found is None:
            with self._changed:
                if not book.queue:
                    self._books.pop(book.full_name, None)
            return False
        book.ledger_id, book.public_id = found
        return True

    def _plan_ahead(self, link: Link, book: _Book, batch: _Batch, predecessor: _Batch) -> None:
        """Decide on the state that the predecessor will leave, while it is being committed."""
        state, before = book.state, predecessor.plan  # in this order: see _discard
        if state is None or before is None:
            return
        now = max(time.time_ns() // 1_000, state.recorded_at + 1)
        if state.next_expiry is not None and state.next_expiry <= now:
            return
        if not before.accepted:
            return  # it moves no token, so nothing would tell whether it took place
        if (state.seq, state.root) != (before.head[0], before.head[2]):
            return  # the plan and the state are not of one making: somebody is deciding again
        try:
            connection = link.connection()
            known = store.load_keys(connection, book.ledger_id, batch.keys())
            known.update(before.keys)
            if not store.load(connection, state, batch.commands()):
                return
        except psycopg.Error as error:
            link.failed(error)
            return
        requests = [request for request, _ in batch.requests]
        fetch = partial(store.fetch, connection, state)
        try:
            plan = decide_batch(state, requests, known, now, next_expiry=state.next_expiry, fetch=fetch)
        except Exception as error:
            # The state is half of a batch further. A defect shows itself again under the lock.
            book.state = None
            if isinstance(error, psycopg.Error):
                link.failed(error)
            return
        if plan.accepted:  # else there is no event whose refusal would tell that the head was another
            self._decided(book, batch, plan)

    def _commit(self, link: Link, book: _Book, batch: _Batch) -> Plan:
        """Lock, decide unless that was done ahead and still holds, write, commit."""
        plan = batch.plan
        in_doubt: Plan | None = None
        refused = False
        for connection in link.tries():
            ahead = plan is not None
            try:
                if plan is not None:
                    in_doubt = plan
                    store.lock_and_write(connection, plan, AHEAD_TOLERANCE, batch.asked.set, book.tenant)
                    return plan
                head, clock, known = store.lock_head(connection, book.ledger_id, batch.keys(), book.tenant)
                batch.asked.set()
                if in_doubt is not None and store.stored(connection, in_doubt):
                    connection.execute("ROLLBACK")
                    return in_doubt
                in_doubt = None
                if clock + CLOCK_TOLERANCE < head.recorded_at:
                    connection.execute("ROLLBACK")
                    raise ClockBehind(book.name)
                plan = self._decide_locked(connection, book, batch, head, clock, known)
                while plan is None:
                    head, clock, known = store.lock_head(
                        connection, book.ledger_id, batch.keys(), book.tenant
                    )
                    plan = self._decide_locked(connection, book, batch, head, clock, known)
                self._decided(book, batch, plan)
                if not plan.writes:
                    connection.execute("ROLLBACK")
                    return plan
                in_doubt = plan
                store.write(connection, plan)
                return plan
            except psycopg.Error as error:
                trouble = link.failed(error)
                self._discard(book, batch)
                if ahead and store.is_outdated(error):
                    in_doubt = None
                elif trouble is Trouble.LOCKED:
                    link.terminate_stalled(book.ledger_id)
                elif trouble is not Trouble.CONNECTION:
                    if plan is in_doubt:
                        in_doubt = None  # its own transaction was refused
                    if in_doubt is None and (refused or trouble is None):
                        raise Defect(f"{type(error).__name__}: {error}") from error
                    refused = True
                if ahead and batch.predecessor is not None:
                    batch.predecessor.finished.wait()  # it may be in trouble, and goes first
                plan = None
        raise AssertionError("tries() ends by raising")

    def _decide_locked(
        self,
        connection: Connection,
        book: _Book,
        batch: _Batch,
        head: Head,
        clock: int,
        known: dict[str, KeyOutcome],
    ) -> Plan | None:
        """`_plan_locked`; what fails there by a defect of the code was not sent to the database (Defect)."""
        try:
            return self._plan_locked(connection, book, batch, head, clock, known)
        except psycopg.Error:
            raise
        except Exception as error:
            if isinstance(error.__cause__, psycopg.Error):
                raise error.__cause__ from None
            self._discard(book, batch)
            connection.execute("ROLLBACK")
            kind = Stopped if isinstance(error, DueFailed) else Defect
            raise kind(str(error) or type(error).__name__) from error

    def _plan_locked(
        self,
        connection: Connection,
        book: _Book,
        batch: _Batch,
        head: Head,
        clock: int,
        known: dict[str, KeyOutcome],
    ) -> Plan | None:
        """Decide under the lock; None: a batch of due holds was committed, and more are due."""
        state = book.state
        if state is None or state.token != head.token:
            state = book.state = store.state_at(connection, book.ledger_id, book.public_id, head)
        now = max(clock, head.recorded_at + 1)
        due: list[Due] = []
        next_expiry = head.next_expiry
        fetch = partial(store.fetch, connection, state)
        if next_expiry is not None and next_expiry <= now and not batch.requests[0][0].alone:
            due, next_expiry = store.first_due(connection, book.ledger_id, now, batches.DUE_PER_BATCH)
            store.load(connection, state, [due_command(what) for _, what in due])
        if not due or next_expiry is None or next_expiry > now:
            store.load(connection, state, batch.commands())
        requests = [request for request, _ in batch.requests]
        plan = decide_batch(state, requests, known, now, due, next_expiry, fetch)
        if plan.more_due:
            store.write(connection, plan)
            return None
        return plan

    def _sweep(self, seconds: float) -> None:
        """Wake idle ledgers whose holds are due."""
        link = Link(self._conninfo)
        while not self._stop_sweeping.wait(seconds):
            try:
                due = link.connection().execute(store.QUERIES["due_ledgers"]).fetchall()
                for (ledger,) in due:
                    self.submit(ledger, Request([]), partial(_swept, ledger))
            except psycopg.Error as error:
                link.failed(error)
            except WriterError:
                pass  # busy or closing: the ledger is awake, or nobody is
        link.drop()


def _tell(ledger: str, batch: _Batch, answers: Sequence[Answer]) -> None:
    for (_, done), answer in zip(batch.requests, answers, strict=True):
        try:
            done(answer)
        except Exception:
            log.exception("writer.answer", ledger=ledger)


def _swept(ledger: str, answer: Answer) -> None:
    """Nobody waits for this answer, so what is wrong with what fell due is said here."""
    if isinstance(answer, Defect):
        log.error("writer.due", ledger=ledger, error=str(answer))
