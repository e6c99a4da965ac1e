"""The feed over real HTTP: every event once and in order, through cuts, crashes, slow readers and filters."""

from __future__ import annotations

import json
import random
import signal
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from api import feeds
from api.app import create_app
from api.serve import _bind
from api.server import Server
from ledger.feed import head_seq
from ledger.keeping import Keeping
from tests.bookkeeping import deposit, do, done, open_ledger, writing
from tests.conftest import NewDatabase
from tests.feeds import STREAM, Follower, raw_request, socket, sse
from tests.keys import as_admin, introduce
from tests.served import Book, Service, move, served
from tests.test_api_crash import ask
from tests.test_api_crash import served as process

OVER = pytest.mark.parametrize("over", ["sse", "socket"])


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    return service.open()


def write(book: Book, batches: int, size: int = 100) -> None:
    """Post transactions of two legs in batches."""
    for _ in range(batches):
        batch = {"transactions": [move("cash", "fx", 1)] * size}
        assert book.call("POST", "/transactions/batch", batch).status_code == 200


def eventually(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def close_code(connection: ClientConnection) -> int | None:
    """What the server says when it closes."""
    with suppress(ConnectionClosed):
        while True:
            connection.recv(timeout=20)
    return connection.close_code


# ---------------------------------------------------------------- no gap, no double


@OVER
def test_what_is_there_and_what_comes(book: Book, over: str) -> None:
    """A feed begins with the past and goes on with the present, each event as the page shows it."""
    write(book, 1, size=3)
    got: list[Any] = []
    line = sse if over == "sse" else socket
    with line(book.service.base, book.path + "/events", after=1) as messages:
        for message in messages:
            if over == "sse" and "data" not in message:
                continue
            got.append(json.loads(message["data"]) if over == "sse" else message)
            if len(got) == 3:
                book.seq(move("cash", "fx", 7))
            if len(got) == 4:
                break
    assert got == book.get("/events", after=1)["events"]


@OVER
def test_cut_connections_and_a_concurrent_writer(book: Book, over: str) -> None:
    """Thousands of events while two clients write: through every cut, each event once and in order."""
    total = 1 + 2 * 20 * 100
    writers = [threading.Thread(target=write, args=(book, 20)) for _ in range(2)]
    follower = Follower(book.service.base, book.path + "/events", over)
    cut = random.Random(over)
    for thread in writers:
        thread.start()
    while follower.position < total:
        follower.take(cut.randrange(1, 900), total)
    for thread in writers:
        thread.join()
    assert follower.seqs == list(range(1, total + 1))
    assert follower.connections > 5


def test_a_server_killed_and_started_again(database: str) -> None:
    """kill -9 in the middle of feeds under load: the clients go on at the next server."""
    with writing(database) as writer:
        open_ledger(writer)
    followers = [Follower("", "/v1/ledgers/main/events", over) for over in ("sse", "socket")]

    def follow(follower: Follower) -> None:
        with suppress(httpx.HTTPError, OSError, EOFError):
            follower.take(10**9, 10**9)

    def load(base: str) -> None:
        with (
            httpx.Client(base_url=base, timeout=30, headers=as_admin(base)) as client,
            suppress(httpx.HTTPError),
        ):
            for n in range(10_000):
                ask(client, str(n))

    with process(database) as (base, server):
        for follower in followers:
            follower.base = base
        threads = [threading.Thread(target=follow, args=(follower,)) for follower in followers]
        threads.append(threading.Thread(target=load, args=(base,)))
        for thread in threads:
            thread.start()
        eventually(lambda: min(follower.position for follower in followers) > 200, 60)
        server.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join(60)
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT max(seq) FROM daybook.events").fetchone()
    assert row is not None
    with process(database) as (base, _):
        for follower in followers:
            follower.base = base
            follower.take(10**9, row[0])
            assert follower.seqs == list(range(1, row[0] + 1))


def test_a_database_that_stops_answering(database: str) -> None:
    """While the feed's connections are cut again and again, it waits, and goes on without a gap."""
    with served(database) as service:
        book = service.open()
        total = 1 + 15 * 100
        stop = threading.Event()

        def cut() -> None:
            eventually(lambda: follower.position > 0)
            with psycopg.connect(database, autocommit=True) as connection:
                while not stop.wait(0.02):
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND query LIKE '%scanned%'"
                        "   AND pid <> pg_backend_pid()"
                    )

        follower = Follower(service.base, book.path + "/events", "sse")
        threads = [threading.Thread(target=cut), threading.Thread(target=write, args=(book, 15))]
        for thread in threads:
            thread.start()
        try:
            follower.take(10**9, total)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert follower.seqs == list(range(1, total + 1))
        assert follower.connections == 1


def test_events_of_another_process_are_found_by_looking(database: str) -> None:
    """No hint comes for what another process writes; the poll finds it."""
    with served(database) as service:
        book = service.open()
        follower = Follower(service.base, book.path + "/events", "sse")
        follower.take(2, 1)
        thread = threading.Thread(target=follower.take, args=(10**9, 2))
        thread.start()
        with writing(database) as writer:
            done(do(writer, deposit(1, 5), ledger=book.name))
        thread.join(10)
        assert follower.seqs == [1, 2]


# ---------------------------------------------------------------- slow, dead, many


def test_a_slow_reader_costs_a_page(database: str) -> None:
    """Clients that take nothing of 20 MB keep the server's memory where it was; one then takes all of it."""
    count, text = 2_500, "x" * 1_000
    with process(database) as (base, server):
        book = Service(base).open()
        body = {**move("cash", "fx", 1), "metadata": {f"m{n}": text for n in range(8)}}
        for _ in range(count // 500):
            answer = book.call("POST", "/transactions/batch", {"transactions": [body] * 500})
            assert answer.status_code == 200
        follower = Follower(base, book.path + "/events", "sse")
        follower.take(10**9, count)  # whatever reading costs at all has been paid
        before = psutil.Process(server.pid).memory_info().rss
        host, port = base.removeprefix("http://").split(":")
        with ExitStack() as stack:
            lines = []
            for _ in range(6):
                line = stack.enter_context(sockets.create_connection((host, int(port))))
                line.sendall(raw_request(base, book.path + "/events"))
                lines.append(line)
            for _ in range(6):
                stack.enter_context(socket(base, book.path + "/events"))
            time.sleep(1.5)
            grown = psutil.Process(server.pid).memory_info().rss - before
            assert grown < 25 * 2**20, f"{grown:,} bytes for 12 slow readers of {count * 8_000:,}"
            received = b""
            lines[0].settimeout(10)
            while f"id: {count}\n".encode() not in received[-100_000:]:
                part = lines[0].recv(2**20)
                assert part
                received += part
        assert received.count(b"\nid: ") >= count - 1


def test_feeds_are_bounded_and_dead_clients_make_room(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, 503 with Retry-After; a client that has gone makes room at once."""
    monkeypatch.setattr(feeds, "MAX_FEEDS", 2)
    base, path = book.service.base, book.path + "/events"
    with ExitStack() as stack:
        eventually(lambda: opens(base, path, stack))  # those of other tests have gone
        eventually(lambda: opens(base, path, stack))
        answer = httpx.get(base + path, headers=as_admin(base, **STREAM))
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_feeds")
        assert int(answer.headers["retry-after"]) > 0
        with pytest.raises(InvalidStatus) as refused:
            connect(base.replace("http", "ws", 1) + path, additional_headers=as_admin(base))
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body or b"")["evidence"] == {"limit": 2}
        book.get("/events")  # pages are not feeds
    with ExitStack() as stack:
        eventually(lambda: opens(base, path, stack))
        eventually(lambda: opens(base, path, stack))


def opens(base: str, path: str, stack: ExitStack) -> bool:
    """Whether one more feed can be opened; it stays open as long as the stack does."""
    try:
        next(stack.enter_context(socket(base, path)))
    except InvalidStatus:
        return False
    return True


@pytest.mark.skipif(not hasattr(sockets, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_a_client_that_takes_nothing_is_cut_off(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener of `daybook serve` says for how long; its connections inherit it and make room again."""
    monkeypatch.setattr(feeds, "MAX_FEEDS", 1)
    listener = _bind("127.0.0.1", 0)
    option = (sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT)
    assert listener.getsockopt(*option) == 60_000
    listener.setsockopt(*option, 1_000)  # a minute is long for a test
    server = Server(create_app(database, Keeping(tmp_path), tmp_path))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        eventually(lambda: server.started)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        introduce(base, database)
        book = Service(base).open()
        for _ in range(10):
            big = {**move("cash", "fx", 1), "metadata": {f"m{n}": "x" * 2_000 for n in range(20)}}
            book.call("POST", "/transactions/batch", {"transactions": [big] * 50})
        with sockets.create_connection(("127.0.0.1", listener.getsockname()[1])) as stuck:
            stuck.sendall(raw_request(base, book.path + "/events"))
            assert stuck.recv(15) == b"HTTP/1.1 200 OK"
            assert refused(base, book.path + "/events")
            eventually(lambda: not refused(base, book.path + "/events"))
    finally:
        server.should_exit = True
        thread.join()


def refused(base: str, path: str) -> bool:
    """Whether there is no room for a feed."""
    with httpx.stream("GET", base + path, headers=as_admin(base, **STREAM)) as answer:
        return answer.status_code == 503


def test_one_look_serves_all_feeds_of_a_ledger(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty idle feeds look at the head as often as one does."""
    looks: list[str] = []

    def counted(reader: Any, ledger: str) -> int:
        looks.append(ledger)
        return head_seq(reader, ledger)

    with ExitStack() as stack:
        for _ in range(20):
            messages = stack.enter_context(sse(book.service.base, book.path + "/events"))
            assert {"id", "data"} <= next(m for m in messages if "id" in m).keys()
        monkeypatch.setattr(feeds, "head_seq", counted)
        time.sleep(1.5)
        assert 1 <= len(looks) <= 4
        assert set(looks) == {book.name}


def test_a_quiet_feed_shows_that_it_lives(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments keep a line open on which nothing happens."""
    monkeypatch.setattr(feeds, "HEARTBEAT_SECONDS", 0.05)
    with sse(book.service.base, book.path + "/events") as messages:
        first = [next(messages) for _ in range(5)]
    assert first[0] == {"retry": "1000"}
    assert first[1]["id"] == "1"
    assert first[2:] == [{"": ""}] * 3


# ---------------------------------------------------------------- the end


def test_a_server_that_stops_ends_its_feeds(database: str) -> None:
    """Each ends whole and soon: an answer that is complete, a close frame; one that takes nothing is cut."""
    ended: dict[str, Any] = {}

    def follow_sse(base: str, path: str) -> None:
        with sse(base, path) as messages:
            ended["sse"] = [message.get("id") for message in messages]  # a cut answer would raise

    def follow_socket(base: str, path: str) -> None:
        url = base.replace("http", "ws", 1) + path
        with connect(url, additional_headers=as_admin(base)) as connection:
            ended["socket"] = close_code(connection)

    with served(database) as service:
        book = service.open()
        path = book.path + "/events"
        big = {**move("cash", "fx", 1), "metadata": {f"m{n}": "x" * 2_000 for n in range(20)}}
        for _ in range(10):
            book.call("POST", "/transactions/batch", {"transactions": [big] * 50})
        port = int(service.base.rpartition(":")[2])
        stuck = sockets.create_connection(("127.0.0.1", port))
        stuck.sendall(raw_request(service.base, path))
        threads = [
            threading.Thread(target=follow, args=(service.base, path))
            for follow in (follow_sse, follow_socket)
        ]
        for thread in threads:
            thread.start()
        time.sleep(1)
        began = time.monotonic()
    took = time.monotonic() - began
    for thread in threads:
        thread.join(10)
    stuck.close()
    assert ended["sse"][-1] == "501"
    assert ended["socket"] in (1001, 1012)
    assert took < 8


# ---------------------------------------------------------------- filters


def lives(book: Book, seed: int) -> list[dict[str, Any]]:
    """A ledger of many kinds of events; the bodies of all of them."""
    pick = random.Random(seed)
    held: list[int] = []
    for _ in range(60):
        kind = pick.randrange(5)
        if kind == 0 or not held:
            held.append(book.seq({**move("cash", "fx", 10), "pending": True}))
        elif kind == 1:
            book.call("POST", f"/transactions/{pick.choice(held)}/post", {"amounts": [1, 1]})
        elif kind == 2:
            book.call("POST", f"/transactions/{pick.choice(held)}/annotate", {"metadata": {"a": "b"}})
        elif kind == 3:
            book.call("POST", f"/transactions/{held.pop()}/void", {})
        else:
            book.seq(move("cash", "fx", 1))
    return [event["body"] for event in book.get("/events", limit=1_000)["events"]]


@pytest.mark.parametrize("seed", [1, 2])
def test_filters_let_through_what_the_bodies_say(book: Book, seed: int) -> None:
    """By type, by stream, by both: pages of any size and feeds give what a look at every body gives."""
    bodies = lives(book, seed)
    busiest = max((name for body in bodies for name in body.get("streams", ())), key=str(bodies).count)
    for types, stream in [
        ("hold_posted", None),
        ("transaction_posted,hold_voided", None),
        (None, busiest),
        ("transaction_annotated", busiest),
        ("chart_set", None),
        (None, "transaction:999"),
    ]:
        query = {name: value for name, value in (("types", types), ("stream", stream)) if value}
        expected = [
            body["seq"]
            for body in bodies
            if (types is None or body["type"] in types.split(","))
            and (stream is None or stream in body.get("streams", {}))
        ]
        for limit in (1, 3, 1_000):
            assert paged(book, limit, query) == (expected, len(bodies))
        for over in ("sse", "socket"):
            follower = Follower(book.service.base, book.path + "/events", over, **query)
            follower.take(10**9, len(bodies))
            assert (follower.seqs, follower.position) == (expected, len(bodies))


def paged(book: Book, limit: int, query: dict[str, Any]) -> tuple[list[int], int]:
    """The seqs of all pages, and the position at the end."""
    seqs: list[int] = []
    after: int | None = 0
    while after is not None:
        page = book.get("/events", after=after, limit=limit, **query)
        seqs += [event["seq"] for event in page["events"]]
        assert page["next"] in (None, page["position"])
        after = page["next"]
    return seqs, page["position"]


@OVER
def test_a_filter_that_lets_nothing_through_still_tells_its_position(book: Book, over: str) -> None:
    """A client that comes back goes on where the server had looked to, thousands of events later."""
    write(book, 25)
    follower = Follower(book.service.base, book.path + "/events", over, types="account_closed")
    follower.take(1_000, 2_501)
    assert (follower.seqs, follower.position) == ([], 2_501)
    thread = threading.Thread(target=follower.take, args=(1_000, 2_503))
    thread.start()
    assert book.call("POST", "/accounts", {"address": "customers:9"}).status_code == 201
    assert book.call("POST", "/accounts/customers:9/close", {}).status_code == 201
    thread.join(10)
    assert (follower.seqs, follower.position) == ([2_503], 2_503)


def test_a_filtered_feed_under_load(book: Book) -> None:
    """While thousands of other events are written, each wanted event comes once and in order."""
    writers = [threading.Thread(target=write, args=(book, 20)) for _ in range(2)]
    for thread in writers:
        thread.start()
    wanted = [book.seq({**move("cash", "fx", 1), "pending": True}) for _ in range(40)]
    follower = Follower(book.service.base, book.path + "/events", "sse", types="transaction_held")
    cut = random.Random(1)
    while follower.position < wanted[-1]:
        follower.take(cut.randrange(1, 20), wanted[-1])
    for thread in writers:
        thread.join()
    assert follower.seqs == wanted


# ---------------------------------------------------------------- bad requests


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("types=", {}, "types"),
        ("types=transaction_posted,", {}, "types"),
        ("types=money_printed", {}, "types"),
        ("types=A", {}, "types"),
        ("types=hold_posted&types=hold_voided", {}, "types"),
        ("stream=", {}, "stream"),
        ("stream=%00", {}, "stream"),
        (f"stream={'a' * 256}", {}, "stream"),
        ("after=-1", {}, "after"),
        ("after=x", {}, "after"),
        ("x=1", {}, "x"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "-1"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "9223372036854775808"}, "Last-Event-ID"),
        ("", {"X-Request-Id": ""}, "X-Request-Id"),
    ],
)
def test_bad_feeds_are_refused(book: Book, query: str, headers: dict[str, str], field: str) -> None:
    """400 that names the parameter, before anything is sent: as a page, a stream and a WebSocket."""
    url = f"{book.service.base}{book.path}/events?{query}"
    for accept in ({}, STREAM):
        answer = httpx.get(url, headers=as_admin(book.service.base, **headers, **accept))
        book.service.check_declared(answer)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
    with pytest.raises(InvalidStatus) as caught:
        connect(url.replace("http", "ws", 1), additional_headers=as_admin(book.service.base, **headers))
    response = caught.value.response
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(response.body or b"")["field"] == field


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/ledgers/nowhere/events", 404, "ledger_not_found"),
        ("/v1/ledgers/Main/events", 400, "invalid_request"),
        ("{book}/events?after=99", 409, "cursor_ahead"),
        ("{book}/events?incarnation=2", 409, "incarnation_ended"),
        ("{book}/accounts", 404, "not_found"),
    ],
)
def test_feeds_of_what_is_not_there(book: Book, path: str, status: int, code: str) -> None:
    """A problem instead of a stream; a WebSocket elsewhere finds nothing."""
    url = book.service.base + path.format(book=book.path)
    with pytest.raises(InvalidStatus) as caught:
        connect(url.replace("http", "ws", 1), additional_headers=as_admin(book.service.base))
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"")["code"] == code
    if code != "not_found":
        answer = httpx.get(url, headers=as_admin(book.service.base, **STREAM))
        book.service.check_declared(answer)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:1"])
def test_pages_of_other_origins_get_no_socket(book: Book, origin: str) -> None:
    """Any page may try, in the browser of whoever can reach the service; its own origin's may succeed."""
    url = book.service.base.replace("http", "ws", 1) + book.path + "/events"
    with pytest.raises(InvalidStatus) as caught:
        connect(url, origin=Origin(origin), additional_headers=as_admin(book.service.base))
    assert caught.value.response.status_code == 403
    problem = json.loads(caught.value.response.body or b"")
    assert (problem["code"], problem["evidence"]) == ("origin_not_allowed", {"origin": origin})
    base = book.service.base
    with connect(url, origin=Origin(base), additional_headers=as_admin(base)) as connection:
        assert json.loads(connection.recv(timeout=10))["seq"] == 1


def test_a_client_that_talks_is_closed(book: Book) -> None:
    """There is nothing that a WebSocket's client could say: 1003."""
    base = book.service.base
    url = base.replace("http", "ws", 1) + book.path + "/events"
    with connect(url, additional_headers=as_admin(base)) as connection:
        connection.send("hello")
        assert close_code(connection) == 1003


def test_head_and_other_media_get_the_page(book: Book) -> None:
    """Only who asks for a stream gets one."""
    assert "events" in book.get("/events")
    url, base = f"{book.service.base}{book.path}/events", book.service.base
    answer = httpx.get(url, headers=as_admin(base, Accept="*/*"))
    assert answer.headers["content-type"] == "application/json"
    answer = httpx.head(url, headers=as_admin(base, **STREAM))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
