"""One core for the threads that share the interpreter's lock and work for every request.

CPython lets one thread of a process compute at a time. Where the kernel spreads the event loop and the
writer's threads over the cores, each hand-over of the lock wakes another core, often in vain, and PostgreSQL
finds that core taken. So they stay together, on the core where the scheduler last had the loop. It chooses
anew every second: whatever else runs on the machine, nobody is bound to a core that has become busy.

Linux only. Elsewhere, and where the process has a single core, the threads are left alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress

SECONDS = 1.0
CHOOSING_SECONDS = 0.02
THREADS = "/proc/self/task"


class OneCore:
    """Keeps some threads on the core of the event loop's thread, which must be the one that makes it."""

    def __init__(self, threads: Iterable[int]) -> None:
        """`threads`: native ids, the loop's own among them. `close` frees them."""
        self._threads = set(threads)
        self._loop = asyncio.get_running_loop()
        self._cores: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._next: asyncio.TimerHandle | None = None
        if len(self._cores) > 1 and os.path.isdir(THREADS):
            self._next = self._loop.call_later(CHOOSING_SECONDS, self._stay)

    def close(self) -> None:
        """Let the threads run where they may."""
        if self._next is not None:
            self._next.cancel()
            self._free()

    def _stay(self) -> None:
        core = _core()
        for thread in self._threads:
            with suppress(OSError):  # it has ended, or the process may not run there any more
                os.sched_setaffinity(thread, {core})
        self._next = self._loop.call_later(SECONDS, self._choose)

    def _choose(self) -> None:
        self._free()
        self._next = self._loop.call_later(CHOOSING_SECONDS, self._stay)

    def _free(self) -> None:
        # Threads that the loop started meanwhile began with its core alone: they are freed with the others.
        for thread in os.listdir(THREADS):
            with suppress(OSError):
                os.sched_setaffinity(int(thread), self._cores)


def _core() -> int:
    """The core that this thread runs on."""
    with open("/proc/thread-self/stat", "rb", buffering=0) as stat:
        # The name, in parentheses, may hold anything; the processor is field 39.
        return int(stat.read().rpartition(b")")[2].split()[36])
