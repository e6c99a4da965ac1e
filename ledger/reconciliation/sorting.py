"""Sorting more than memory holds: sorted runs in files, merged as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from tempfile import NamedTemporaryFile

RUN = 100_000


class Sorter:
    """Lines (bytes without a newline) that come out in order; at most RUN of them are in memory."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes the files; who made it removes it."""
        self._folder = folder
        self._lines: list[bytes] = []
        self._runs: list[Path] = []

    def add(self, line: bytes) -> None:
        """One more line."""
        self._lines.append(line)
        if len(self._lines) >= RUN:
            self._spill()

    def _spill(self) -> None:
        self._lines.sort()
        with NamedTemporaryFile(dir=self._folder, delete=False, buffering=1 << 18) as file:
            file.writelines(line + b"\n" for line in self._lines)
        self._runs.append(Path(file.name))
        self._lines = []

    def __iter__(self) -> Iterator[bytes]:
        """All lines in order, once: the files are removed as they end."""
        if not self._runs:
            self._lines.sort()
            yield from self._lines
            self._lines = []
            return
        self._spill()
        with ExitStack() as stack:
            runs = [stack.enter_context(run.open("rb", buffering=1 << 16)) for run in self._runs]
            for line in merge(*runs):
                yield line[:-1]
        for run in self._runs:
            run.unlink()
        self._runs = []
