"""The embedded server: one for all its users, there for the next one, and no less durable for being private.

Attacks invariant 7 (durable) where it is the server's part: its processes are killed, and what was
committed must be there when it runs again.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from sql.embedded import EmbeddedPostgres, EmbeddedPostgresError, default_data_dir, running

CHECKOUT = Path(__file__).resolve().parents[1]

# Uses the server of argv[1] until its standard input ends.
USER = """
import sys
from pathlib import Path
from sql.embedded import running
with running(Path(sys.argv[1])) as conninfo:
    print(conninfo, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path: for root, pytest keeps the parents of that closed to the server's account."""
    path = Path(tempfile.mkdtemp(prefix="daybook-test-"))
    path.chmod(0o755)
    yield path
    for pid in postgres_processes(path):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path)


def postgres_processes(folder: Path) -> list[int]:
    """Ids of the PostgreSQL processes that work anywhere in the folder."""
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        cwd = process.info["cwd"]
        if process.info["name"] == "postgres" and cwd and Path(cwd).is_relative_to(folder):
            found.append(process.pid)
    return found


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "pgdata" / "postmaster.pid").read_text().split()[0])


def execute(conninfo: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def start_user(data_dir: Path) -> tuple["subprocess.Popen[str]", str]:
    """Another process that uses the server, and the conninfo that it got."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def leave(process: "subprocess.Popen[str]") -> None:
    process.communicate()
    assert process.returncode == 0


def test_server_is_durable_private_and_stops_with_its_last_user(folder: Path) -> None:
    with running(folder / "data") as conninfo:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
        }.items():
            assert execute(conninfo, f"SHOW {setting}") == [(value,)], setting
        assert execute(conninfo, "SELECT current_database()") == [("daybook",)]
        assert (folder / "data" / "socket").stat().st_mode & 0o777 == 0o700
    assert postgres_processes(folder) == []


def test_data_outlives_a_restart(folder: Path) -> None:
    with running(folder) as conninfo:
        execute(conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
    with running(folder) as conninfo:
        assert execute(conninfo, "SELECT answer FROM kept") == [(42,)]


def test_users_share_one_server_until_the_last_one_leaves(folder: Path) -> None:
    with running(folder) as conninfo:
        first = postmaster(folder)
        other, others_conninfo = start_user(folder)
        assert others_conninfo == conninfo
    assert postmaster(folder) == first, "the server must stay for the other process"
    assert execute(others_conninfo, "SELECT 1") == [(1,)]
    leave(other)
    assert postgres_processes(folder) == []


def test_users_that_come_and_go_at_once_always_find_a_server(folder: Path) -> None:
    for _ in range(3):
        users = [start_user(folder) for _ in range(3)]
        for user, conninfo in users:
            assert execute(conninfo, "SELECT 1") == [(1,)]
            assert user.stdin is not None
            user.stdin.close()  # it stops the server, if the last, while the next ones start it
    for user, _ in users:
        user.wait()
    assert postgres_processes(folder) == []


@pytest.mark.torture
def test_server_left_behind_by_a_killed_user_is_found_and_used(folder: Path) -> None:
    user, conninfo = start_user(folder)
    left_behind = postmaster(folder)
    execute(conninfo, "CREATE TABLE kept AS SELECT 42 AS answer")
    user.kill()
    user.communicate()
    with running(folder) as conninfo:
        assert postmaster(folder) == left_behind
        assert execute(conninfo, "SELECT answer FROM kept") == [(42,)]
    assert postgres_processes(folder) == [], "the killed user holds nothing any more"


@pytest.mark.torture
def test_start_recovers_a_server_that_was_killed(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    conninfo = server.start()
    execute(conninfo, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 100000) AS n")
    os.kill(postmaster(folder), signal.SIGKILL)
    assert server.start() == conninfo
    assert execute(conninfo, "SELECT count(*) FROM kept") == [(100_000,)]
    server.stop()
    assert postgres_processes(folder) == []


@pytest.mark.torture
def test_stop_after_the_server_was_killed_leaves_nothing(folder: Path) -> None:
    with running(folder):
        os.kill(postmaster(folder), signal.SIGKILL)
    assert postgres_processes(folder) == []


@pytest.mark.torture
def test_process_id_files_that_name_a_stranger_do_not_stop_the_start(folder: Path) -> None:
    """As after a container's restart, where the old server's process id is now another program's."""
    server = EmbeddedPostgres(folder)
    server.start()
    killed = postmaster(folder)
    os.kill(killed, signal.SIGKILL)
    while postgres_processes(folder):
        time.sleep(0.01)
    account = (folder / "pgdata").stat().st_uid
    stranger = subprocess.Popen(["sleep", "600"], user=account if os.geteuid() == 0 else None)
    try:
        for file in (folder / "pgdata" / "postmaster.pid", folder / "socket" / ".s.PGSQL.5432.lock"):
            file.write_text(file.read_text().replace(str(killed), str(stranger.pid), 1))
        assert execute(server.start(), "SELECT 1") == [(1,)]
        server.stop()
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("name", ["long" * 40, "two words, and 'quotes'"])
def test_any_path_will_do(folder: Path, name: str) -> None:
    """A socket's path holds about 100 bytes, and commas and quotes have a meaning in settings."""
    with running(folder / name) as conninfo:
        assert execute(conninfo, "SELECT 1") == [(1,)]
    with running(folder / name) as conninfo:
        assert execute(conninfo, "SELECT 1") == [(1,)]


def test_failed_start_says_what_the_server_said(folder: Path) -> None:
    with running(folder):
        pass
    (folder / "pgdata" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedPostgresError, match=r"initialized by PostgreSQL version 9\.6"):
        EmbeddedPostgres(folder).start()


def test_ordinary_user_needs_nothing_of_root(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests show it: they are not run as root")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        done = subprocess.run(
            [sys.executable, "-c", USER, str(folder / "data")],
            cwd=CHECKOUT,
            env={"PATH": os.defpath},
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except PermissionError:
        pytest.skip("the interpreter or the checkout is closed to other users")
    assert done.returncode == 0, done.stderr
    assert (folder / "data" / "pgdata").stat().st_uid == nobody.pw_uid
    assert postgres_processes(folder) == []
    with running(folder / "data") as conninfo:  # root can use what is another's, as that other
        assert execute(conninfo, "SELECT 1") == [(1,)]
    assert (folder / "data" / "postgres.log").stat().st_uid == nobody.pw_uid


def test_data_directory_is_the_checkouts_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAYBOOK_DATA", raising=False)
    if os.geteuid() == 0:
        assert default_data_dir().parent == Path("/var/lib/daybook")
        assert default_data_dir().name.startswith(f"{CHECKOUT.name}-")
    else:
        assert default_data_dir() == CHECKOUT / ".daybook"
    monkeypatch.setenv("DAYBOOK_DATA", "somewhere")
    assert default_data_dir() == Path.cwd() / "somewhere"
