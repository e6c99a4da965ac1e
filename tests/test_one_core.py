"""The loop's thread and the writer's share a core, whichever the scheduler last chose; others are free."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.one_core import CHOOSING_SECONDS, OneCore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a thread choose its cores")


@contextmanager
def thread() -> Iterator[int]:
    """The native id of a thread that waits."""
    ending = threading.Event()
    waiting = threading.Thread(target=ending.wait)
    waiting.start()
    assert waiting.native_id is not None
    yield waiting.native_id
    ending.set()
    waiting.join()


async def settled(*threads: int) -> list[set[int]]:
    """The cores of some threads, once the first has a single one."""
    for _ in range(500):
        if len(os.sched_getaffinity(threads[0])) == 1:
            return [os.sched_getaffinity(one) for one in threads]
        await asyncio.sleep(CHOOSING_SECONDS)
    raise AssertionError("nothing was chosen")


def test_they_share_a_core_and_others_are_free() -> None:
    """Also a thread that the loop starts while it is bound is free at the next choice; all are at the end."""
    cores = os.sched_getaffinity(0)

    async def run(working: int, other: int) -> None:
        loop = threading.get_native_id()
        one_core = OneCore([loop, working])
        found = await settled(loop, working, other)
        assert found[0] == found[1]
        assert found[0] <= cores
        assert found[2] == cores
        with thread() as started:
            assert os.sched_getaffinity(started) == found[0]
            one_core._choose()
            assert os.sched_getaffinity(started) == os.sched_getaffinity(loop) == cores
            found = await settled(loop, working, started)
        assert found[0] == found[1]
        assert found[2] == cores
        one_core.close()
        assert os.sched_getaffinity(loop) == os.sched_getaffinity(working) == cores

    with thread() as working, thread() as other:
        asyncio.run(run(working, other))


def test_a_process_with_one_core_is_left_alone() -> None:
    """There is nothing to choose, and what its operator chose stays."""
    cores = os.sched_getaffinity(0)

    async def run() -> None:
        os.sched_setaffinity(0, {min(cores)})
        one_core = OneCore([threading.get_native_id()])
        await asyncio.sleep(3 * CHOOSING_SECONDS)
        one_core.close()
        assert os.sched_getaffinity(0) == {min(cores)}

    try:
        asyncio.run(run())
    finally:
        os.sched_setaffinity(0, cores)


def test_a_thread_that_has_ended_keeps_nobody_else_from_a_core() -> None:
    """Its number is nobody's any more."""
    with thread() as ended:
        pass

    async def run() -> None:
        loop = threading.get_native_id()
        one_core = OneCore([ended, loop])
        [found] = await settled(loop)
        assert len(found) == 1
        one_core.close()

    asyncio.run(run())
