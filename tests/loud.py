"""A service and commands that say all they can, and the search through everything that they said.

The processes are `daybook` at the most talkative level of logs, with one operation that has a defect.
"""

from __future__ import annotations

import base64
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from tests.daybook_command import ROOT, environment

# `daybook` that logs all it can, and has a defect: an operation that fails with a secret at hand.
LOUD = """
import logging
import api.console
configure = api.console.configure_logs
def loud(level):
    configure(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
api.console.configure_logs = loud
from api import operations
async def defect(call):
    credentials = call.exchange.authorization()
    PLANTED
    raise RuntimeError("a defect")
for operation in operations.OPERATIONS:
    if operation.id == "get_chart":
        operation.handler = defect
from api.cli import main
main()
"""


class Installation(NamedTuple):
    """A database and its settings, and the secrets that they hold, by name."""

    database: str
    settings: dict[str, str]
    secrets: dict[str, str]
    folder: Path


class Said(NamedTuple):
    """Everything that was said, by where; `shown` are the answers and lines that show a new secret once."""

    texts: dict[str, bytes]
    shown: dict[str, bytes]


def leaks(texts: Mapping[str, bytes], secrets: Mapping[str, str]) -> list[str]:
    """Which secret stands where, plain or in an encoding that a log or a URL would give it."""
    found = []
    for name, secret in secrets.items():
        raw = secret.encode()
        forms = {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), quote(secret, safe="").encode()}
        found += [f"{name} in {where}" for where, text in texts.items() if any(f in text for f in forms)]
    return found


class Running(NamedTuple):
    """A service that runs: its address, and where its output goes."""

    base: str
    output: list[bytes]


@contextmanager
def serving(installation: Installation, *, terminal: bool, planted: str = "pass") -> Iterator[Running]:
    """`daybook serve`, loud; its standard error is a terminal or a pipe."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        (sys.executable, "-c", LOUD.replace("PLANTED", planted), "serve", "--port", "0"),
        cwd=ROOT,
        env=environment(None, COLUMNS="500", **installation.settings),  # no secret is broken over two lines
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    output: list[bytes] = [b"", b""]

    def read_errors() -> None:
        with suppress(OSError):  # as the end of a terminal is
            while piece := os.read(ours, 65_536):
                output[1] += piece

    reader = Thread(target=read_errors)
    reader.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            output[0] += line
            if line.startswith(b"Ctrl-C"):
                break
        address = re.search(rb"API +(http://\S+)/v1", output[0])
        assert address is not None, output
        yield Running(address[1].decode(), output)
    finally:
        process.terminate()
        output[0] += process.communicate(timeout=60)[0] or b""
        reader.join()
        os.close(ours)


def command(installation: Installation, *arguments: str | Path, **settings: str) -> bytes:
    """All that a command says, whether it succeeds or not."""
    done = subprocess.run(
        (sys.executable, "-c", LOUD.replace("PLANTED", "pass"), *arguments),
        cwd=ROOT,
        env=environment(None, **{**installation.settings, **settings}),
        capture_output=True,
        timeout=60,
    )
    return done.stdout + done.stderr


class Client:
    """Asks, and keeps every answer."""

    def __init__(self, base: str, key: str, secrets: dict[str, str], said: Said) -> None:
        self.http = httpx.Client(base_url=base, timeout=60)
        self.key, self.secrets, self.said = key, secrets, said

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, **more: Any) -> Any:
        """An answer that must show no secret."""
        headers = more.pop("headers", {"authorization": f"Bearer {key or self.key}"})
        answer = self.http.request(method, path, json=body, headers=headers, **more)
        self.said.texts[f"answer {len(self.said.texts)}, {method} {path}, {answer.status_code}"] = (
            answer.content + str(answer.headers).encode()
        )
        return answer

    def make(self, name: str, path: str, body: Any) -> Any:
        """An answer that shows a new secret, this once."""
        answer = self.http.post(path, json=body, headers={"authorization": f"Bearer {self.key}"})
        assert answer.is_success, answer.text
        made = answer.json()
        self.secrets[name] = made["secret"].removeprefix("daybook_")[9:] if "key" in made else made["secret"]
        self.said.shown[name] = answer.content
        return made
