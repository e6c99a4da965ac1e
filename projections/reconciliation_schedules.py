"""When a ledger is reconciled by itself: one schedule for each side, and the job of each time that is due.

What is due becomes a job in the transaction that moves the schedule on, so a process that dies makes neither
two of one time nor none. The next time waits for the job of the last one; a job that failed is asked for
again. Every period begins where the one before it ended, so none is left out, whatever was changed or down.

Every function works on a connection as daybook_projector.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct
from psycopg.types.json import Jsonb

from ledger.days import day_of, end_of
from ledger.errors import LedgerNotFound
from ledger.text import DEFAULT_TENANT, iso, micros, whose
from ledger.wire import Connection
from sql import load as load_queries

QUERIES = load_queries("reconciliation_schedules.sql")

AGAIN_AFTER = timedelta(minutes=10)
_DAY = timedelta(days=1)

Clock = Annotated[str, Meta(pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z", examples=["06:00"])]


class ScheduleNotFound(LookupError):
    """The ledger has no schedule for this side."""


class Schedule(Struct, frozen=True, forbid_unknown_fields=True):
    """When to reconcile: daily at a time of the ledger's time zone, or every so many minutes."""

    daily_at: Clock | None = None
    every_minutes: Annotated[int, Meta(ge=15, le=10_080)] | None = None

    def __post_init__(self) -> None:
        if (self.daily_at is None) == (self.every_minutes is None):
            raise ValueError("`daily_at` or `every_minutes` says when, not both")


class ScheduleView(Struct, frozen=True):
    """A schedule. The next run compares from `from_at` on; `job` is that of the last one."""

    side: str
    daily_at: str | None
    every_minutes: int | None
    from_at: str
    next_at: str
    job: str | None


class Due(NamedTuple):
    """A time that has come: the side of a ledger (its whole name), and the days or moments to compare."""

    ledger: str
    side: str
    start: datetime
    end: datetime
    name: str


def put(connection: Connection, ledger: str, side: str, schedule: Schedule, now: datetime) -> ScheduleView:
    """Make or change a schedule; what has been compared stays so (LedgerNotFound)."""
    with connection.transaction():
        ledger_id, time_zone = _ledger(connection, ledger)
        zone = ZoneInfo(time_zone)
        next_at = _first(schedule, now, zone)
        from_at = now if schedule.daily_at is None else end_of(day_of(next_at, zone) - 2 * _DAY, zone)
        values = {
            "ledger_id": ledger_id,
            "side": side,
            "daily_at": schedule.daily_at,
            "every_minutes": schedule.every_minutes,
            "from_at": from_at,
            "next_at": next_at,
        }
        connection.execute(QUERIES["put"], values)
        return one(connection, ledger, side)


def listed(connection: Connection, ledger: str) -> list[ScheduleView]:
    """The schedules of a ledger by side (LedgerNotFound)."""
    ledger_id, _ = _ledger(connection, ledger)
    return [_view(row) for row in connection.execute(QUERIES["list"], {"ledger_id": ledger_id, "side": None})]


def one(connection: Connection, ledger: str, side: str) -> ScheduleView:
    """The schedule of a side (LedgerNotFound, ScheduleNotFound)."""
    ledger_id, _ = _ledger(connection, ledger)
    row = connection.execute(QUERIES["list"], {"ledger_id": ledger_id, "side": side}).fetchone()
    if row is None:
        raise ScheduleNotFound(side)
    return _view(row)


def delete(connection: Connection, ledger: str, side: str) -> ScheduleView:
    """End a schedule; how it stood. A job of it goes on (LedgerNotFound, ScheduleNotFound)."""
    with connection.transaction():
        stood = one(connection, ledger, side)
        ledger_id, _ = _ledger(connection, ledger)
        connection.execute(QUERIES["delete"], {"ledger_id": ledger_id, "side": side})
        return stood


def ask_due(connection: Connection, sides: Iterable[str], now: datetime) -> int:
    """Ask for a job of each schedule of these sides that is due, of the next time alone; how many."""
    asked = 0
    wanted = {"sides": list(sides), "now": now, "failed_before": now - AGAIN_AFTER}
    with connection.transaction():
        for row in connection.execute(QUERIES["due"], wanted).fetchall():
            ledger_id, tenant, name, time_zone, side, daily_at, every_minutes, from_at, next_at, failed = row
            key = {"ledger_id": ledger_id, "side": side}
            if failed is not None:
                _ask(connection, key, side, failed)
                asked += 1
                continue
            schedule, zone = Schedule(daily_at, every_minutes), ZoneInfo(time_zone)
            whole, begins, ends = whole_name(tenant, name), from_at.astimezone(UTC), next_at.astimezone(UTC)
            due = _due(whole, side, schedule, begins, ends, zone)
            if due.start < due.end:
                _ask(connection, key, side, parameters(due, anew=False))
                asked += 1
            moved = {"from_at": max(due.start, due.end), "next_at": _after(schedule, next_at, zone)}
            connection.execute(QUERIES["move"], key | moved)
    return asked


def waiting(connection: Connection, sides: Iterable[str], now: datetime) -> int:
    """How many jobs of these sides have not ended, and schedules have not been asked for that are due."""
    wanted = {"sides": list(sides), "kinds": [kind_of(side) for side in sides], "now": now}
    [(count,)] = connection.execute(QUERIES["waiting"], wanted).fetchall()
    return int(count)


def failed(connection: Connection, sides: Iterable[str]) -> list[tuple[str, str, str]]:
    """Ledgers and sides whose last scheduled run failed, and why."""
    rows = connection.execute(QUERIES["failed"], {"sides": list(sides)}).fetchall()
    return [(whole_name(tenant, name), side, error) for tenant, name, side, error in rows]


def whole_name(tenant: str, ledger: str) -> str:
    """A ledger as the whole installation names it."""
    return ledger if tenant == DEFAULT_TENANT else f"{tenant}/{ledger}"


def kind_of(side: str) -> str:
    """The kind of the jobs that reconcile with a side: only who can ask it takes them up."""
    return f"reconcile_{side}"


def parameters(due: Due, *, anew: bool) -> dict[str, Any]:
    """Of the job."""
    return {
        "ledger": due.ledger,
        "side": due.side,
        "start": iso(micros(due.start)),
        "end": iso(micros(due.end)),
        "run": due.name,
        "anew": anew,
    }


def name_of(side: str, first: date, last: date) -> str:
    """What runs of a side for some days are called, unless somebody names them."""
    return f"{side}-{first.isoformat()}" + (f"-{last.isoformat()}" if last != first else "")


def _ask(connection: Connection, key: dict[str, Any], side: str, asked: dict[str, Any]) -> None:
    connection.execute(QUERIES["ask"], key | {"kind": kind_of(side), "parameters": Jsonb(asked)})


def _due(
    ledger: str, side: str, schedule: Schedule, from_at: datetime, next_at: datetime, zone: ZoneInfo
) -> Due:
    """Daily: the days before the one on which it is due. Else: what has passed since the last time."""
    if schedule.daily_at is None:
        return Due(ledger, side, from_at, next_at, f"scheduled-{side}-{from_at:%Y%m%dT%H%M%SZ}")
    last = day_of(next_at, zone) - _DAY
    name = name_of(side, day_of(from_at, zone), last)
    return Due(ledger, side, from_at, end_of(last, zone), f"scheduled-{name}")


def _first(schedule: Schedule, now: datetime, zone: ZoneInfo) -> datetime:
    if schedule.every_minutes is not None:
        return now + timedelta(minutes=schedule.every_minutes)
    today = now.astimezone(zone).date()
    at = _at(today, schedule, zone)
    return at if at > now else _at(today + _DAY, schedule, zone)


def _after(schedule: Schedule, next_at: datetime, zone: ZoneInfo) -> datetime:
    if schedule.every_minutes is not None:
        return next_at + timedelta(minutes=schedule.every_minutes)
    return _at(next_at.astimezone(zone).date() + _DAY, schedule, zone)


def _at(day: date, schedule: Schedule, zone: ZoneInfo) -> datetime:
    assert schedule.daily_at is not None
    return datetime.combine(day, time.fromisoformat(schedule.daily_at), zone).astimezone(UTC)


def _ledger(connection: Connection, ledger: str) -> tuple[int, str]:
    tenant, name = whose(ledger)
    row = connection.execute(QUERIES["ledger"], {"tenant": tenant, "name": name}).fetchone()
    if row is None:
        raise LedgerNotFound(ledger)
    return row[0], row[1]


def _view(row: tuple[Any, ...]) -> ScheduleView:
    side, daily_at, every_minutes, from_at, next_at, job = row
    return ScheduleView(side, daily_at, every_minutes, iso(micros(from_at)), iso(micros(next_at)), job)
