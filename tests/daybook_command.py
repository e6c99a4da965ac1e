"""Runs the `daybook` command as a person would: a process of its own, against a database of the test.

Each process is forked from one that has imported the command already, for that takes ten times as long as
most commands do. `COMMAND` starts one from nothing, as the console does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from api.cli import main
from sql.embedded import running

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "api.cli")

# Removed when the process ends; one folder in it for each database, as it is by default.
_KEYS = tempfile.TemporaryDirectory(prefix="daybook-test-keys-")

_IMPORTED = multiprocessing.get_context("forkserver")
_IMPORTED.set_forkserver_preload(
    ["api.cli", "api.export_command", *(place.partition(":")[0] for place in main.elsewhere.values())]
)

Done = subprocess.CompletedProcess[str]


def environment(database: str | None, **settings: str) -> dict[str, str]:
    """This process's environment with the settings of Daybook replaced by the given ones."""
    kept = {n: v for n, v in os.environ.items() if n != "DATABASE_URL" and not n.startswith("DAYBOOK_")}
    if database is not None:
        kept["DATABASE_URL"] = database
        kept["DAYBOOK_KEYS"] = f"{_KEYS.name}/{sha256(database.encode()).hexdigest()[:16]}"
    return kept | settings


def daybook(database: str | None, *arguments: str | Path, stdin: str = "", **settings: str) -> Done:
    """Run `daybook` with arguments to its end."""
    command = ["daybook", *map(str, arguments)]
    with tempfile.TemporaryDirectory(prefix="daybook-test-") as folder:
        streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(stdin)
        process = _IMPORTED.Process(target=_run, args=(command, environment(database, **settings), streams))
        process.start()
        process.join(60)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, 60)
        return Done(command, process.exitcode, streams[1].read_text(), streams[2].read_text())


def _run(command: list[str], environment: Mapping[str, str], streams: list[Path]) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    modes = ("r", "w", "w")
    for number, (stream, mode) in enumerate(zip(streams, modes, strict=True)):
        with stream.open(mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate(modes)
    )
    main(command[1:], prog_name=command[0])


def succeeds(database: str | None, *arguments: str | Path, **given: Any) -> str:
    """What `daybook` prints when all goes well."""
    done = daybook(database, *arguments, **given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(database: str | None, *arguments: str | Path, code: int = 1, **given: Any) -> str:
    """What `daybook` says when it fails, which is never a traceback."""
    done = daybook(database, *arguments, **given)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


@contextmanager
def own_data() -> Iterator[Path]:
    """A data directory for an embedded server, which is stopped at the end whoever left it running.

    Not in tmp_path: for root, pytest keeps the parents of that closed to the server's account.
    """
    folder = Path(tempfile.mkdtemp(prefix="daybook-test-"))
    folder.chmod(0o755)
    data = folder / "data"
    try:
        yield data
    finally:
        if (data / "pgdata").exists():
            with running(data):
                pass
        shutil.rmtree(folder)
