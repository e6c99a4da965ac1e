"""kill -9 of `daybook serve` under a load of HTTP requests: what it answered is there, once."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.audit import audited
from tests.bookkeeping import open_ledger, writing
from tests.daybook_command import COMMAND, ROOT, environment
from tests.keys import as_admin, introduce

CLIENTS = 8


@contextmanager
def served(database: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`daybook serve` on a free port, ended at the end if it still runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    process = subprocess.Popen(
        (*COMMAND, "serve", "--port", port),
        cwd=ROOT,
        env=environment(database),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.HTTPError):
                httpx.get(f"{base}/health/live")
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        introduce(base, database)
        yield base, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def ask(client: httpx.Client, key: str) -> httpx.Response:
    legs = [("cash", "debit"), ("customers:1", "credit")]
    postings = [{"account": a, "side": side, "amount": 1, "asset": "USD/2"} for a, side in legs]
    return client.post(
        "/v1/ledgers/main/transactions", json={"postings": postings}, headers={"Idempotency-Key": key}
    )


def test_killing_the_service_under_load_loses_and_doubles_nothing(database: str) -> None:
    """Each acknowledged key is stored with the seq answered; asked again, every key is stored once."""
    with writing(database) as writer:
        open_ledger(writer)
    asked: list[str] = []
    told: dict[str, int] = {}

    def load(client_number: int, base: str, life: int) -> None:
        with (
            httpx.Client(base_url=base, timeout=30, headers=as_admin(base)) as client,
            suppress(httpx.HTTPError),
        ):
            for n in range(10_000):
                key = f"{life}-{client_number}-{n}"
                asked.append(key)
                answer = ask(client, key)
                assert answer.status_code == 201
                told[key] = answer.json()["seq"]

    for life in range(2):
        with served(database) as (base, process):
            clients = [threading.Thread(target=load, args=(n, base, life)) for n in range(CLIENTS)]
            for thread in clients:
                thread.start()
            before = len(told)
            while len(told) < before + 150:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            for thread in clients:
                thread.join(60)
        books = audited(database)["main"]
        stored = {key: seqs[0] for key, seqs in books.keys.items() if key in told}
        assert stored == told
    with (
        served(database) as (base, _),
        httpx.Client(base_url=base, timeout=30, headers=as_admin(base)) as client,
    ):
        for key in asked:
            assert ask(client, key).status_code == 201
    books = audited(database)["main"]
    assert sorted(books.keys) == sorted(asked)
