"""`daybook serve` as a process: what it prints, what it refuses, and how it stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from api.settings import DEFAULT_PORT
from tests.daybook_command import COMMAND, ROOT, environment, fails, own_data

Service = subprocess.Popen[str]

_first_key: list[str] = []  # as they were printed


@contextmanager
def service(database: str | None, *options: str, **settings: str) -> Iterator[tuple[Service, dict[str, str]]]:
    """A running service and the lines that it printed at its start, by their first word."""
    process = subprocess.Popen(
        (*COMMAND, "serve", *options),
        cwd=ROOT,
        env=environment(database, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = {}
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            printed[word] = rest.strip()
            if word == "Ctrl-C":
                break
        assert "Ctrl-C" in printed, printed
        if "Key" in printed:
            _first_key.append(printed["Key"])
        yield process, printed
    finally:
        process.kill()
        process.wait()


def paste(curl: str) -> dict[str, object]:
    """What a printed line answers when it is pasted into a shell."""
    done = subprocess.run(curl, shell=True, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@contextmanager
def taken(port: int = 0) -> Iterator[int]:
    """A port on which somebody else listens; 8000 may be taken already, which serves as well."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:
        yield port
        return
    with listener:
        yield listener.getsockname()[1]


def test_the_printed_lines_work_as_they_stand(database: str) -> None:
    """The address answers, the documentation is there, and the curl line does the same every time."""
    with service(database, "--port", "0") as (_, printed):
        assert database.split("dbname=")[1].split()[0] in printed["Data"]
        assert urllib.request.urlopen(printed["Docs"], timeout=10).status == 200
        assert ledgers(printed) == []
        first = paste(printed["Try"])
        assert first["seq"] == 1
        assert paste(printed["Try"]) == first


def test_the_first_key_is_printed_once(database: str) -> None:
    """It is good at the next start, which does not show it and whose curl line takes it from AUTH."""
    with service(database, "--port", "0") as (_, printed):
        key = printed["Key"]
    with service(database, "--port", "0") as (_, again):
        assert "Key" not in again
        assert paste(f"{key}; {again['Try']}")["seq"] == 1


def test_a_taken_port_moves_the_service_only_if_nobody_named_it(database: str) -> None:
    """The next free port and a word about it; a named port is an error."""
    with taken(DEFAULT_PORT), service(database) as (_, printed):
        port = int(printed["API"].split(":")[2].split("/")[0])
        assert port > DEFAULT_PORT
        assert printed["Port"] == f"{DEFAULT_PORT} is taken; this is {port}."
    with taken() as port:
        said = f"Port {port} of 127.0.0.1 is taken: choose another with --port or DAYBOOK_PORT."
        assert said in fails(database, "serve", "--port", str(port))
        assert said in fails(database, "serve", DAYBOOK_PORT=str(port))


def test_a_host_or_port_that_cannot_be_is_one_sentence(database: str) -> None:
    """No traceback for a host that is not this machine's or a port that is no number."""
    assert "cannot be served on" in fails(database, "serve", "--host", "192.0.2.1", "--port", "0")
    assert "DAYBOOK_PORT is 'http'" in fails(database, "serve", DAYBOOK_PORT="http")


def test_it_refuses_to_serve_without_its_guards(database: str) -> None:
    """A trigger that was disabled is named, and nothing is served."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
    said = fails(database, "serve", "--port", "0")
    assert "does not guard the ledgers" in said
    assert "append_only" in said


def test_a_signal_stops_it_in_order_and_its_own_server_too() -> None:
    """After SIGTERM, exit code 0 and no PostgreSQL left behind; the data are there at the next start."""
    with own_data() as data:
        with service(None, "--port", "0", DAYBOOK_DATA=str(data)) as (process, printed):
            assert f"{data} (embedded PostgreSQL" in printed["Data"]
            paste(printed["Try"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert not (data / "pgdata" / "postmaster.pid").exists()
        with service(None, "--port", "0", DAYBOOK_DATA=str(data)) as (process, printed):
            assert ledgers(printed) == ["demo"]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


def test_what_is_under_way_when_the_signal_comes_is_answered(database: str) -> None:
    """Requests that wait for a locked ledger are answered after SIGTERM, and what they say is stored."""
    with service(database, "--port", "0") as (process, printed):
        paste(printed["Try"])
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(post(printed["API"], n))) for n in range(5)
        ]
        with psycopg.connect(database) as connection:
            connection.execute("SELECT FROM daybook.heads FOR UPDATE")
            for thread in threads:
                thread.start()
            wait_for_a_lock(database)
            process.send_signal(signal.SIGTERM)
            wait_until_nothing_listens(printed["API"])
        for thread in threads:
            thread.join(30)
        assert process.wait(30) == 0
    assert answers == [201] * 5
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM daybook.postings").fetchone() == (10,)


def authorized() -> dict[str, str]:
    """The header of the first administrator of the installation that was made last."""
    name, _, value = _first_key[-1].removeprefix("export AUTH='").rstrip("'").partition(": ")
    return {name: value}


def ledgers(printed: dict[str, str]) -> list[str]:
    """The names of the ledgers."""
    request = urllib.request.Request(f"{printed['API']}/ledgers", headers=authorized())
    return [ledger["name"] for ledger in json.load(urllib.request.urlopen(request, timeout=10))["ledgers"]]


def post(api: str, number: int) -> int:
    """The status that posting to the ledger `demo` is answered with."""
    postings = [
        {"account": "cash", "side": "debit", "amount": 100, "asset": "USD/2"},
        {"account": f"customers:{number}", "side": "credit", "amount": 100, "asset": "USD/2"},
    ]
    request = urllib.request.Request(
        f"{api}/ledgers/demo/transactions",
        json.dumps({"postings": postings}).encode(),
        {"content-type": "application/json", "idempotency-key": f"post-{number}", **authorized()},
    )
    return int(urllib.request.urlopen(request, timeout=30).status)


def wait_for_a_lock(database: str) -> None:
    """Until a writer waits for a head."""
    waiting = """SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(500):
            if connection.execute(waiting).fetchone() != (0,):
                return
            time.sleep(0.01)
    raise AssertionError("no writer came to wait for the lock")


def wait_until_nothing_listens(api: str) -> None:
    """Until the service takes no connection any more."""
    host, port = api.split("/")[2].split(":")
    for _ in range(500):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError("the service still takes connections")
