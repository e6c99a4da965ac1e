"""One core for the threads of this process that need the interpreter's lock.

CPython lets one thread of a process compute at a time. Where the kernel spreads the threads over the cores,
each hand-over of the lock wakes another core, often in vain, and PostgreSQL finds that core taken. So they
stay together, on the core where the scheduler last had the event loop. It chooses anew every second: whatever
else runs on the machine, nobody is bound to a core that has become busy. Jobs, which hash and compress
without the lock, run where they may.

Linux only. Elsewhere, and where the process has a single core, the threads are left alone.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from contextlib import suppress

from projections.jobs import THREAD

SECONDS = 1.0
CHOOSING_SECONDS = 0.02
MOST_CORES = 1_024  # that a mask of Linux names
STAT = "/proc/thread-self/stat"


class OneCore:
    """Keeps the threads on the core of the event loop that makes it, until `close`.

    The scheduler chooses among the cores that the process may use when this is made.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._cores: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._next: asyncio.TimerHandle | None = None
        if len(self._cores) > 1 and os.path.exists(STAT):
            self._next = self._loop.call_later(CHOOSING_SECONDS, self._stay)

    def close(self) -> None:
        """Let the threads run where they may."""
        if self._next is not None:
            self._next.cancel()
            self._free()

    def _stay(self) -> None:
        self._next = self._loop.call_later(SECONDS, self._choose)
        with suppress(OSError):  # as many files are open as may be: the next time, then
            core = {_core()}
            for thread in threading.enumerate():
                if thread.native_id is not None and not thread.name.startswith(THREAD):
                    _bind(thread.native_id, core)

    def _choose(self) -> None:
        self._next = self._loop.call_later(CHOOSING_SECONDS, self._stay)
        self._free()

    def _free(self) -> None:
        for thread in threading.enumerate():
            if thread.native_id is not None and not _bind(thread.native_id, self._cores):
                # Those of the start may be taken from the process. Of all, the kernel uses those that it has.
                _bind(thread.native_id, range(MOST_CORES))


def _bind(thread: int, cores: Iterable[int]) -> bool:
    """Whether it could be done: the thread is alive, and one of the cores is the process's."""
    try:
        os.sched_setaffinity(thread, cores)
    except OSError:
        return False
    return True


def _core() -> int:
    """The core that this thread runs on (OSError)."""
    with open(STAT, "rb", buffering=0) as stat:
        # The name, in parentheses, may hold anything; the processor is field 39.
        return int(stat.read().rpartition(b")")[2].split()[36])
