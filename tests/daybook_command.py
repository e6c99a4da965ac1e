"""Runs the `daybook` command as a person would: a process of its own, against a database of the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from sql.embedded import running

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "api.cli")

# Removed when the process ends; one folder in it for each database, as it is by default.
_KEYS = tempfile.TemporaryDirectory(prefix="daybook-test-keys-")

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
    return subprocess.run(
        (*COMMAND, *arguments),
        cwd=ROOT,
        env=environment(database, **settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


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
