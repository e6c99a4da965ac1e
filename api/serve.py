"""`daybook serve`: one process that answers HTTP until it is told to stop, and then stops in order.

On SIGTERM or Ctrl-C no connection is taken any more, what is under way is answered, the writer empties its
queue, and the embedded server stops if nobody else uses it.
"""

from __future__ import annotations

import errno
import json
import logging
import resource
import shlex
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
import psycopg

from api.access.keys import Grant, KeyRing
from api.app import create_app
from api.console import configure_logs
from api.database import Database, opened
from api.protocol import MAX_CONNECTIONS
from api.server import TAKES_NOTHING_SECONDS, Server
from api.settings import DEFAULT_PORT, Settings
from ledger import guards
from ledger.keeping import TREE_HEADS, Keeping
from ledger.reader import Reader
from ledger.text import DEFAULT_TENANT
from projections.tree_heads import TreeHeads

NEXT_PORTS = 100
BACKLOG = 2_048

DEMO = {
    "name": "demo",
    "chart": {
        "assets": ["USD/2"],
        "accounts": [
            {"pattern": "cash", "type": "asset"},
            {"pattern": "customers:{customer}", "type": "liability"},
        ],
    },
}


class ServeError(RuntimeError):
    """The service cannot start; the message says why."""


def serve(settings: Settings, host: str, port: int | None) -> None:
    """Serve until a signal. `port` None: 8000 or the next free one (ServeError and those of `opened`)."""
    configure_logs(logging.INFO)
    # Until uvicorn takes the signals, SIGTERM unwinds what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _listening(host, port) as listener, opened(settings, migrating=True) as database:
            keeping = Keeping(settings.keys_dir, settings.key_file)
            _check_guards(database)
            _check_tree_heads(database, keeping)
            _announce(database, keeping, listener, port, _first_key(database))
            _run(database, listener, keeping, settings)
    except KeyboardInterrupt:
        pass
    click.echo("Daybook has stopped.")


@contextmanager
def _listening(host: str, port: int | None) -> Iterator[socket.socket]:
    listener = _bind(host, port) if port is not None else _bind_free(host)
    with listener:
        yield listener


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # It listens at once: two processes can both bind a port on which none listens yet.
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServeError(
                f"Port {port} of {host} is taken: choose another with --port or DAYBOOK_PORT."
            ) from error
        raise ServeError(f"{host}, port {port}, cannot be served on: {error.strerror}.") from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; the connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING_SECONDS * 1_000)
    return listener


def _bind_free(host: str) -> socket.socket:
    for port in range(DEFAULT_PORT, DEFAULT_PORT + NEXT_PORTS):
        try:
            return _bind(host, port)
        except ServeError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                raise
    raise ServeError(f"Ports {DEFAULT_PORT} to {DEFAULT_PORT + NEXT_PORTS - 1} of {host} are all taken.")


def _check_guards(database: Database) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        problems = guards.problems(connection)
    if problems:
        raise ServeError("\n  ".join(["The database does not guard the ledgers as it should:", *problems]))


def _check_tree_heads(database: Database, keeping: Keeping) -> None:
    keeping.key()  # made now, so that whoever cannot write the folder hears it now
    with closing(Reader(database.conninfo, 1)) as reader:
        differences = TreeHeads(reader, keeping).differences(database.conninfo)
    if differences:
        raise ServeError(
            "\n  ".join(
                [
                    "This database is not what the tree heads that were kept of it say:",
                    *map(str, differences),
                    "If it is another database than it should be, start with the right one, or name another "
                    "folder with DAYBOOK_KEYS. If a backup was restored, `daybook restore` goes on from it. "
                    f"The tree heads are in {keeping.folder / TREE_HEADS}.",
                ]
            )
        )


def _first_key(database: Database) -> str | None:
    """The first administrator's key, made when there has never been any."""
    with closing(KeyRing(database.conninfo)) as keys:
        made = keys.bootstrap(DEFAULT_TENANT, Grant("first administrator", ["admin", "service:admin"]))
    return None if made is None else made.secret


def _announce(
    database: Database, keeping: Keeping, listener: socket.socket, named: int | None, key: str | None
) -> None:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
    for name in database.applied:
        click.echo(f"Applied {name}.")
    if named is None and port != DEFAULT_PORT:
        click.echo(f"Port {DEFAULT_PORT} is taken; this is {port}.")
    body = shlex.quote(json.dumps(DEMO, separators=(",", ":")))
    if key is not None:
        click.echo(
            f"Key   export AUTH='authorization: Bearer {key}'\n"
            "      The first administrator's key, shown this once: keep it."
        )
    credentials = "$AUTH" if key is None else f"authorization: Bearer {key}"
    click.echo(
        f"Data  {database.place}\n"
        f"Keys  {keeping.folder}\n"
        f"API   {address}/v1\n"
        f"Docs  {address}/docs\n"
        "Try   curl -sS "
        f'{address}/v1/ledgers -H "{credentials}" '
        f"-H 'content-type: application/json' -H 'idempotency-key: demo' -d {body}\n"
        "Ctrl-C stops it."
    )


def _make_room_for_connections() -> None:
    """As many files as connections need, and as much again for the database, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(2 * MAX_CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run(database: Database, listener: socket.socket, keeping: Keeping, settings: Settings) -> None:
    app = create_app(database.conninfo, keeping, settings.exports_dir, settings.work, settings.access)
    _make_room_for_connections()
    server = Server(app)
    # After its shutdown uvicorn raises the signal again, for whoever handled it before.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        server.run(sockets=[listener])
    finally:
        # What remains, stopping the database in order, is not to be cut short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not server.started:
        raise ServeError("The API did not start; the log says why.")
