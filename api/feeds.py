"""Feeds: readers of the event log that stay, whatever carries the events to them (`api/streaming`).

The log's table is the queue. A feed holds one page of bounded size, sends it, and reads the next one when the
client has taken it; a slow client costs one page. One task a ledger looks at the head for all feeds of that
ledger: when somebody in this process has written (a hint, which may be lost), and otherwise twice a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
import structlog
from anyio import CapacityLimiter, to_thread

from api.http import encode
from api.problems import Refused, make
from ledger.feed import Filter, head_seq, read_page
from ledger.reader import Reader

T = TypeVar("T")

log = structlog.get_logger("daybook.feeds")

MAX_FEEDS = 200  # open at once in this process
READERS = 2  # connections that all feeds share
PAGE_EVENTS = 500
PAGE_BYTES = 2**18
POLL_SECONDS = 0.5
PAUSE_SECONDS = 0.05  # between two looks at a head, however often it is hinted at
HEARTBEAT_SECONDS = 15.0


class Chunk:
    """A page as it is sent: (seq, encoded event) pairs, and how far it has looked."""

    __slots__ = ("events", "position")

    def __init__(self, events: list[tuple[int, bytes]], position: int) -> None:
        self.events = events
        self.position = position


class _Watch:
    """The head of a ledger that feeds follow."""

    def __init__(self) -> None:
        self.feeds = 0
        self.head = 0
        self.moved = asyncio.Event()
        self.hint = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Feeds:
    """All feeds of one process, for coroutines of one event loop."""

    def __init__(self, conninfo: str) -> None:
        """The connections are made when they are needed."""
        self._reader = Reader(conninfo, READERS)
        self._limiter = CapacityLimiter(READERS)
        self._watches: dict[str, _Watch] = {}
        self._open = 0
        self._ending = False

    def hint(self, ledger: str) -> None:
        """Say that a ledger may have new events."""
        watch = self._watches.get(ledger)
        if watch is not None:
            watch.hint.set()

    def end(self) -> None:
        """Let every feed end after the page that it is sending; new ones are refused."""
        self._ending = True
        for watch in self._watches.values():
            watch.moved.set()

    async def close(self) -> None:
        """Close the connections."""
        self.end()
        await to_thread.run_sync(self._reader.close)

    @contextmanager
    def room(self) -> Iterator[None]:
        """A place among the open feeds (Refused)."""
        if self._open >= MAX_FEEDS or self._ending:
            raise Refused(make("too_many_feeds", evidence={"limit": MAX_FEEDS}))
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def first(self, ledger: str, after: int, wanted: Filter) -> Chunk:
        """The page that a feed begins with (LedgerNotFound, Refused for a cursor beyond the head)."""
        chunk = await self._chunk(ledger, after, wanted)
        if chunk.position == after:
            head = await self._read(lambda: head_seq(self._reader, ledger))
            if after > head:
                raise Refused(make("cursor_ahead", evidence={"after": after, "head": head}))
        return chunk

    async def follow(self, ledger: str, after: int, wanted: Filter) -> AsyncGenerator[Chunk | None, None]:
        """Pages beyond `after` for ever, each read when the one before was taken; None to keep a line open.

        Ends when the process does. While the database does not answer, it waits.
        """
        with self._watched(ledger) as watch:
            while not self._ending:
                if watch.head <= after and not await _happens(watch.moved, HEARTBEAT_SECONDS):
                    yield None
                    continue
                if self._ending:
                    return
                try:
                    chunk = await self._chunk(ledger, after, wanted)
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    log.warning("feeds.unavailable", ledger=ledger, error=type(error).__name__)
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                if chunk.position > after:
                    after = chunk.position
                    yield chunk

    async def _chunk(self, ledger: str, after: int, wanted: Filter) -> Chunk:
        def chunk() -> Chunk:
            page = read_page(self._reader, ledger, after, PAGE_EVENTS, wanted, PAGE_BYTES)
            return Chunk([(event.seq, encode(event)) for event in page.events], page.position)

        return await self._read(chunk)

    async def _read(self, function: Callable[[], T]) -> T:
        return await to_thread.run_sync(function, limiter=self._limiter)

    # ------------------------------------------------------------ one look at a head for all

    @contextmanager
    def _watched(self, ledger: str) -> Iterator[_Watch]:
        watch = self._watches.setdefault(ledger, _Watch())
        if watch.task is None:
            watch.task = asyncio.create_task(self._look(ledger, watch))
        watch.feeds += 1
        try:
            yield watch
        finally:
            watch.feeds -= 1
            if not watch.feeds:
                watch.task.cancel()
                del self._watches[ledger]

    async def _look(self, ledger: str, watch: _Watch) -> None:
        while not self._ending:
            watch.hint.clear()  # before the look: a hint that comes during it leads to another
            try:
                head = await self._read(lambda: head_seq(self._reader, ledger))
            except psycopg.Error:
                pass  # the feeds go on waiting, and this goes on looking
            else:
                if head > watch.head:
                    watch.head = head
                    # Whoever waits is woken by this event; whoever comes later compares with the head.
                    watch.moved.set()
                    watch.moved = asyncio.Event()
            await asyncio.sleep(PAUSE_SECONDS)
            await _happens(watch.hint, POLL_SECONDS)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
