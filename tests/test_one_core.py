"""The threads of a process share a core, whichever the scheduler last chose; those of jobs are free."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from api.one_core import CHOOSING_SECONDS, OneCore
from projections.jobs import THREAD

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a thread choose its cores")


@contextmanager
def thread(name: str) -> Iterator[int]:
    """The native id of a thread that waits."""
    ending = threading.Event()
    waiting = threading.Thread(target=ending.wait, name=name)
    waiting.start()
    assert waiting.native_id is not None
    try:
        yield waiting.native_id
    finally:
        ending.set()
        waiting.join()


async def settled(*threads: int) -> list[set[int]]:
    """The cores of some threads, once the first has a single one."""
    for _ in range(500):
        if len(os.sched_getaffinity(threads[0])) == 1:
            return [os.sched_getaffinity(one) for one in threads]
        await asyncio.sleep(CHOOSING_SECONDS)
    raise AssertionError("nothing was chosen")


@asynccontextmanager
async def kept() -> AsyncIterator[None]:
    """The threads of this process kept on one core."""
    one_core = OneCore()
    try:
        yield
    finally:
        one_core.close()


def test_threads_share_a_core_and_jobs_are_free() -> None:
    """A thread that is started meanwhile joins them, or is freed if it is a job's; in the end all are."""
    cores = os.sched_getaffinity(0)

    async def run(working: int, job: int) -> None:
        loop = threading.get_native_id()
        async with kept():
            found = await settled(loop, working, job)
            assert found[0] == found[1]
            assert found[0] <= cores
            assert found[2] == cores
            with thread("late") as late, thread(f"{THREAD}-late") as late_job:
                assert os.sched_getaffinity(late_job) == found[0]
                for _ in range(500):
                    if os.sched_getaffinity(late_job) == cores:
                        break
                    await asyncio.sleep(CHOOSING_SECONDS)
                found = await settled(loop, working, late, late_job)
                assert found[0] == found[1] == found[2]
                assert found[3] == cores
        assert os.sched_getaffinity(loop) == os.sched_getaffinity(working) == cores

    with thread("working") as working, thread(f"{THREAD}-0") as job:
        asyncio.run(run(working, job))


def test_without_a_file_to_open_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be looked up is looked up the next time."""

    def refuse() -> int:
        monkeypatch.undo()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("api.one_core.SECONDS", CHOOSING_SECONDS)
    monkeypatch.setattr("api.one_core._core", refuse)

    async def run() -> None:
        async with kept():
            await settled(threading.get_native_id())

    asyncio.run(run())


def test_a_process_with_one_core_is_left_alone() -> None:
    """There is nothing to choose, and what its operator chose stays."""
    cores = os.sched_getaffinity(0)

    async def run() -> None:
        os.sched_setaffinity(0, {min(cores)})
        async with kept():
            await asyncio.sleep(3 * CHOOSING_SECONDS)
        assert os.sched_getaffinity(0) == {min(cores)}

    try:
        asyncio.run(run())
    finally:
        os.sched_setaffinity(0, cores)
