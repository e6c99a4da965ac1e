"""What the operations on reconciliations do: start runs, show what differs, settle it, and keep schedules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from anyio import to_thread
from msgspec import Meta, Struct, field

from adapters.statements.amounts import StatementError
from adapters.statements.csv_file import CsvColumns
from api.bank_side import Statement
from api.handlers import Call, Reply, carry_out
from api.http import decode_body
from api.problems import Refused, make, of_rejection, of_validation
from api.queries import Incarnation, Limit
from api.reconciling import RunRefused
from api.sides import period_of
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.chart import MAX_AMOUNT
from ledger.commands import Address
from ledger.reader import Reader
from ledger.reconciliation.commands import ResolveItem, RunName
from ledger.reconciliation.items import Outcome
from ledger.text import check_text
from projections import reconciliation_schedules as schedules
from projections.reconciliation_schedules import Due, ScheduleView, name_of

AskedSide = Literal["stripe", "buffr"]
XML, CSV = b"application/xml", b"text/csv"
MEDIA = (XML, CSV)
Text = Annotated[str, Meta(max_length=255)]


class ReconciliationOrder(Struct, forbid_unknown_fields=True):
    """Which side to ask, and for Stripe of which days of the ledger's time zone, both in.

    `run` names the run: the same name is one run, however often it is asked for. Absent: a new one, named by
    the days.
    """

    side: AskedSide
    first: Annotated[date, Meta(description="The first day; today, if absent.")] | None = field(
        name="from", default=None
    )
    last: Annotated[date, Meta(description="The last day; the first one, if absent.")] | None = field(
        name="to", default=None
    )
    run: RunName | None = None


class StatementQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """How to read a statement. From `date` on: what the columns of a CSV file mean."""

    account: Annotated[Address, Meta(description="The bank account in the ledger.")]
    run: (
        Annotated[RunName, Meta(description="Names the run; by the file and how it is read if absent.")]
        | None
    ) = None
    title: Annotated[Text, Meta(min_length=1, description="What people call the file.")] = "statement"
    window_days: Annotated[
        int, Meta(ge=0, le=366, description="How far apart days may be where no reference tells.")
    ] = 3
    statement_account: Annotated[Text, Meta(description="Which account of a camt.053 file.")] = ""
    date: Annotated[Text, Meta(description="The column of the booking date.")] = ""
    date_format: Annotated[Text, Meta(description="How dates are written (strptime).")] = "%Y-%m-%d"
    currency: Annotated[Text, Meta(description="The currency, where it is the same in all lines.")] = ""
    currency_column: Text = ""
    amount: Annotated[Text, Meta(description="The column of the amount with its sign.")] = ""
    credit: Text = ""
    debit: Text = ""
    reference: Text = ""
    id: Text = ""
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    decimal: Annotated[str, Meta(pattern=r"^[.,]\Z")] = "."
    encoding: Annotated[Text, Meta(min_length=1)] = "utf-8-sig"

    def __post_init__(self) -> None:
        for name in ("title", "statement_account", "date_format"):
            check_text(name, getattr(self, name))

    def columns(self) -> CsvColumns:
        """The mapping of a CSV file (msgspec.ValidationError)."""
        same = ("amount", "credit", "debit", "reference", "id", "delimiter", "decimal", "encoding")
        columns: dict[str, Any] = {name: getattr(self, name) for name in same}
        columns["date"] = {"column": self.date, "format": self.date_format}
        columns["currency"] = {"column": self.currency_column} if self.currency_column else self.currency
        return msgspec.convert(columns, CsvColumns)


class RunsQuery(Struct, forbid_unknown_fields=True):
    """Runs by name."""

    after: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")
    ] = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class ItemsQuery(Struct, forbid_unknown_fields=True):
    """Items of a run."""

    after: Annotated[
        str,
        Meta(
            pattern=r"^(?:[1-9][0-9]{0,8}\.[1-9][0-9]{0,2})?\Z",
            description="Go on beyond this item: `next` of the page before.",
        ),
    ] = ""
    limit: Limit = 100
    outcome: Annotated[Outcome, Meta(description="Only of this outcome.")] | None = None
    state: Annotated[Literal["open", "resolved"], Meta(description="Only those.")] | None = None
    incarnation: Incarnation | None = None


class ItemResolution(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How an item was settled: by a correcting transaction (its seq), an explanation, or both."""

    transaction: Annotated[int, Meta(ge=1, le=MAX_AMOUNT)] | None = None
    explanation: Annotated[str, Meta(max_length=1_000)] = ""

    def __post_init__(self) -> None:
        check_text("explanation", self.explanation)
        if self.transaction is None and not self.explanation.strip():
            raise ValueError("`transaction` or `explanation` says how the item was settled")


class SchedulesPage(Struct, frozen=True):
    """The schedules of a ledger."""

    schedules: list[ScheduleView]


# ---------------------------------------------------------------- reads


def runs(reader: Reader, path: dict[str, Any], query: RunsQuery) -> reads.RunsPage:
    """Runs by name."""
    found = reads.runs(reader, path["ledger"], query.after, query.limit)
    return reads.RunsPage(
        [reads.view(run) for run in found], found[-1].run if len(found) == query.limit else None
    )


def run(reader: Reader, path: dict[str, Any], query: Any) -> reads.RunView:
    """One run."""
    return reads.view(reads.run(reader, path["ledger"], path["run"]))


def items(reader: Reader, path: dict[str, Any], query: ItemsQuery) -> reads.ItemsPage:
    """What differs in a run."""
    return reads.items_page(
        reader,
        path["ledger"],
        path["run"],
        after=query.after,
        limit=query.limit,
        outcome=query.outcome,
        resolved=None if query.state is None else query.state == "resolved",
    )


def item(reader: Reader, path: dict[str, Any], query: Any) -> reads.ItemView:
    """One difference."""
    return reads.item(reader, path["ledger"], path["run"], path["item"])


# ---------------------------------------------------------------- runs


async def order(call: Call) -> Reply:
    """Queue the job that asks a side and compares."""
    ledger = call.path["ledger"]
    body: ReconciliationOrder = decode_body(call.operation.decoder, await call.exchange.body())
    opened = await call.bridge.read(call.reader.ledger, ledger)
    await _served(call, body.side)
    now = datetime.now(UTC)
    first = body.first or now.astimezone(ZoneInfo(opened.time_zone)).date()
    last = body.last or first
    try:
        start, end = period_of(first, last, opened.time_zone, now)
    except (ValueError, OverflowError) as error:
        raise Refused(make("invalid_request", f"{error}.", field="from")) from None
    name = body.run or name_of(body.side, first, last)
    due = Due(call.whole_name(ledger), body.side, start, end, name)
    asked = schedules.parameters(due, anew=body.run is None)
    job = await call.bridge.engine.ask(schedules.kind_of(body.side), asked)
    call.bridge.reconcilers.hint()
    return Reply(call.operation.status, job, ((b"location", f"/v1/jobs/{job.id}".encode()),))


async def statement(call: Call) -> Reply:
    """Take a bank's statement in, and compare the account with it."""
    ledger, query = call.path["ledger"], call.query
    await call.bridge.read(call.reader.incarnation, ledger)
    with call.bridge.reconcilers.room(), TemporaryDirectory(prefix="daybook-statement-") as folder:
        file = Path(folder) / "statement"
        media = await call.exchange.upload(file, MEDIA)
        try:
            columns = query.columns() if media == CSV else None
            given = Statement(
                file=file, title=query.title, columns=columns, of_account=query.statement_account
            )
            done = await call.bridge.reconcilers.statement(
                call.whole_name(ledger), query.account, given, query.window_days, query.run
            )
        except msgspec.ValidationError as error:
            raise Refused(of_validation(error)) from None
        except (StatementError, UnicodeError) as error:
            raise Refused(make("statement_unreadable", str(error))) from None
        except LookupError as error:
            # Of Python's codecs; what the ledger does not find has types of its own.
            if type(error) is not LookupError:
                raise
            raise Refused(make("invalid_request", f"{error}.", field="encoding")) from None
        except RunRefused as error:
            return Reply(0, of_rejection(error.rejection))
    place = f"/v1/ledgers/{ledger}/reconciliations/{done.run}"
    return Reply(call.operation.status, reads.view(done), ((b"location", place.encode()),))


async def resolve(call: Call) -> Reply:
    """Settle an item."""
    body: ItemResolution = decode_body(call.operation.decoder, await call.exchange.body())
    if body.transaction is not None:
        await call.bridge.read(call.reader.transaction, call.path["ledger"], body.transaction)
    asked = ResolveItem(
        run=call.path["run"],
        item=call.path["item"],
        transaction=body.transaction,
        explanation=body.explanation,
    )
    exchange, actor = call.exchange, call.principal.actor
    command = c.command(asked, key=exchange.key(), actor=actor, request_id=exchange.asked_id)
    return await carry_out(call, call.path, command)


# ---------------------------------------------------------------- schedules


async def put_schedule(call: Call) -> Reply:
    """Reconcile with a side by itself from now on."""
    ledger, side = call.whole_name(call.path["ledger"]), call.path["side"]
    body: schedules.Schedule = decode_body(call.operation.decoder, await call.exchange.body())
    await call.bridge.read(call.reader.incarnation, call.path["ledger"])
    await _served(call, side)
    made = await call.bridge.engine.run(schedules.put, ledger, side, body, datetime.now(UTC))
    return Reply(call.operation.status, made)


async def list_schedules(call: Call) -> Reply:
    """When a ledger is reconciled."""
    ledger = call.whole_name(call.path["ledger"])
    return Reply(200, SchedulesPage(await call.bridge.engine.run(schedules.listed, ledger)))


async def delete_schedule(call: Call) -> Reply:
    """End it."""
    ledger = call.whole_name(call.path["ledger"])
    return Reply(200, await call.bridge.engine.run(schedules.delete, ledger, call.path["side"]))


async def _served(call: Call, side: str) -> None:
    ledger = call.whole_name(call.path["ledger"])
    if not await to_thread.run_sync(call.bridge.reconcilers.serves, side, ledger):
        raise Refused(make("side_unavailable", evidence={"side": side}))
