"""`daybook vouchers`: issue a file of them, show them, settle payees.

Issuing can end anywhere and be repeated: a voucher's name is its idempotency key, and its code is derived, so
that the second run issues what is missing and the file of codes has all of them.
"""

from __future__ import annotations

import csv
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO, get_args

import click
import msgspec
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.inbox import desk
from adapters.inbox.connections import connect
from api.console import explain, moment, money, show, show_json
from api.data_commands import as_json
from api.database import opened, reading, writing
from api.import_files import InputError
from api.lazy_group import LazyGroup
from api.own_keys import to_ask_again
from api.settings import Settings
from api.voucher_figures import with_webhooks
from api.vouchers import bulk_issue
from ledger import commands as c
from ledger import voucher_reads as reads
from ledger.batch import Recorded, Refusal, Request
from ledger.errors import WriterError
from ledger.reader import Reader
from ledger.vault import Vault
from ledger.vouchers import commands as v
from ledger.vouchers.codes import PURPOSE, code_of
from ledger.vouchers.streams import Status
from ledger.writer import Answer, Writer
from projections import voucher_reads

BATCH = 1_000
IN_FLIGHT = 4
SHOWN = 20
ACTOR = "daybook vouchers"
_COLUMNS = ("voucher", "programme", "status", "amount", "redeemed", "remaining", "beneficiary")
_FIGURES = ("amount", "redeemed", "remaining")
COLUMNS = {"programme", "voucher", "beneficiary", "amount", "grant_type", "expires_at"}


@click.group("vouchers", cls=LazyGroup, elsewhere={"trust": "api.trust_command:trust_command"})
def voucher_group() -> None:
    """Issue vouchers, look at them, settle those who paid them out."""


@voucher_group.command("issue")
@click.argument("ledger")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--codes", type=click.Path(path_type=Path), required=True, help="Where the codes are written.")
@click.pass_obj
def issue_command(settings: Settings, ledger: str, file: Path, codes: Path) -> None:
    """Issue the vouchers of a CSV file. Running it again issues nothing twice.

    Columns: programme, voucher, beneficiary, amount (minor units), and, where wanted, grant_type and
    expires_at. The file of codes is yours alone to read (mode 600): voucher, code and seq of each.
    """
    total = rows_of(file)
    key = Vault(settings.keys_dir).derive(PURPOSE)
    part = codes.with_name(f"{codes.name}.part")
    began = time.monotonic()
    with writing(settings) as (writer, reader), file.open(encoding="utf-8-sig", newline="") as lines:
        reader.ledger(ledger)
        with _private(part) as target:
            run = _Run(writer, ledger, key, csv.writer(target, lineterminator="\n"))
            run.target.writerow(("voucher", "code", "seq"))
            with progress_of("vouchers") as progress:
                task = progress.add_task("", total=total)
                for done in run.issue(_vouchers(lines)):
                    progress.update(task, completed=done)
            target.flush()
            os.fsync(target.fileno())
        os.replace(part, codes)
    seconds = time.monotonic() - began
    rate = (run.issued + run.already) / seconds
    click.echo(
        f"{run.issued:,} issued, {run.already:,} already there, {run.refused:,} refused; "
        f"{rate:,.0f} vouchers/s over {seconds:.1f} s. Codes: {codes}"
    )
    if run.refused:
        raise SystemExit(1)


class _Run:
    """Vouchers on their way, at most IN_FLIGHT batches at once, in the order of the file."""

    def __init__(self, writer: Writer, ledger: str, key: bytes, target: Any) -> None:
        self._writer = writer
        self._ledger = ledger
        self._key = key
        self.target = target
        self.issued = self.already = self.refused = 0

    def issue(self, vouchers: Iterator[tuple[int, v.NewVoucher | str]]) -> Iterator[int]:
        """Issue; yields after each batch how many rows are done (WriterError, InputError)."""
        under_way: deque[tuple[list[tuple[int, c.Command]], Future[Answer]]] = deque()
        batch: list[tuple[int, v.NewVoucher]] = []
        for line, voucher in vouchers:
            if isinstance(voucher, str):
                self._refuse(line, voucher)
                continue
            batch.append((line, voucher))
            if len(batch) == BATCH:
                under_way.append(self._submit(batch))
                batch = []
            if len(under_way) == IN_FLIGHT:
                yield self._settle(*under_way.popleft())
        if batch:
            under_way.append(self._submit(batch))
        while under_way:
            yield self._settle(*under_way.popleft())

    def _submit(
        self, batch: list[tuple[int, v.NewVoucher]]
    ) -> tuple[list[tuple[int, c.Command]], Future[Answer]]:
        codes = [code_of(self._key, self._ledger, voucher.voucher) for _, voucher in batch]
        commands = [
            bulk_issue(voucher, code, actor=ACTOR) for (_, voucher), code in zip(batch, codes, strict=True)
        ]
        answer: Future[Answer] = Future()
        self._writer.submit(self._ledger, Request(commands), answer.set_result)
        return [(line, command) for (line, _), command in zip(batch, commands, strict=True)], answer

    def _settle(self, batch: list[tuple[int, c.Command]], future: Future[Answer]) -> int:
        answer = future.result()
        if isinstance(answer, WriterError):
            raise answer
        commands, outcomes = [command for _, command in batch], list(answer)
        while again := to_ask_again(commands, outcomes):
            answers = self._writer.execute(self._ledger, Request(list(again.values())))
            for (index, command), outcome in zip(again.items(), answers, strict=True):
                commands[index], outcomes[index] = command, outcome
        for (line, command), outcome in zip(batch, outcomes, strict=True):
            name = command.body.voucher  # type: ignore[union-attr]
            if isinstance(outcome, Refusal):
                self._refuse(line, explain(outcome.rejection))
                continue
            fresh = isinstance(outcome, Recorded)
            self.issued += fresh
            self.already += not fresh
            seq = outcome.event.seq if isinstance(outcome, Recorded) else outcome.seq  # type: ignore[union-attr]
            self.target.writerow((name, code_of(self._key, self._ledger, name), seq))
        return self.issued + self.already + self.refused

    def _refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        if self.refused <= SHOWN:
            click.echo(f"line {line}: {reason}", err=True)


def rows_of(file: Path) -> int:
    """How many rows a CSV file has below its first line (InputError)."""
    try:
        with file.open("rb") as lines:
            return max(0, sum(1 for line in lines if line.strip()) - 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error


def _vouchers(lines: TextIO) -> Iterator[tuple[int, v.NewVoucher | str]]:
    """The file's vouchers with their line, or why a line is none (InputError)."""
    rows = csv.DictReader(lines)
    unknown = set(rows.fieldnames or ()) - COLUMNS
    missing = {"programme", "voucher", "beneficiary", "amount"} - set(rows.fieldnames or ())
    if unknown or missing:
        wrong = f"has no column {min(missing)}" if missing else f"has the unknown column {min(unknown)}"
        raise InputError(f"The file {wrong}.")
    try:
        for row in rows:
            given = {name: text for name, text in row.items() if text}
            try:
                yield rows.line_num, msgspec.convert(given, v.NewVoucher)
            except msgspec.ValidationError as error:
                yield rows.line_num, f"{error}."
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The file is no CSV in UTF-8 after line {rows.line_num}: {error}.") from error


def _private(path: Path) -> TextIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def progress_of(what: str) -> Progress:
    """A bar that counts them."""
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


@voucher_group.command("show")
@click.argument("ledger")
@click.argument("voucher")
@as_json
@click.pass_obj
def show_command(settings: Settings, ledger: str, voucher: str, json_: bool) -> None:
    """What became of a voucher."""
    with reading(settings) as reader:
        found = _found(lambda: reads.voucher(reader, ledger, voucher))
    if json_:
        show_json(found)
        return
    ends = "" if found.expires_at is None else moment(found.expires_at)
    row = (found.voucher, found.programme, found.status, *_money(found), found.beneficiary, ends)
    show((*_COLUMNS, "expires"), [row], right=_FIGURES)


@voucher_group.command("list")
@click.argument("ledger")
@click.option("--programme", help="Only of this programme.")
@click.option("--status", type=click.Choice(get_args(Status)), help="Only these.")
@click.option("--beneficiary", help="Only for this beneficiary.")
@click.option("--after", default="", help="Go on beyond this name.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@as_json
@click.pass_obj
def list_command(
    settings: Settings,
    ledger: str,
    programme: str | None,
    status: Status | None,
    beneficiary: str | None,
    after: str,
    limit: int,
    json_: bool,
) -> None:
    """Vouchers by name, as far as their read model has come."""
    with reading(settings) as reader:
        page = voucher_reads.vouchers(
            reader,
            ledger,
            programme=programme,
            status=status,
            beneficiary=beneficiary,
            after=after,
            limit=limit,
        )
    if json_:
        show_json(page)
        return
    rows = [
        (one.voucher, one.programme, one.status, *_money(one), one.beneficiary, moment(one.issued_at))
        for one in page.vouchers
    ]
    show((*_COLUMNS, "issued"), rows, right=_FIGURES)


@voucher_group.command("metrics")
@click.argument("ledger")
@as_json
@click.pass_obj
def metrics_command(settings: Settings, ledger: str, json_: bool) -> None:
    """Distribution, discrepancies, and Buffr's webhooks: how often again, how fast settled."""
    with (
        opened(settings) as database,
        closing(Reader(database.conninfo, connections=1)) as reader,
        closing(connect(database.conninfo)) as inbox,
    ):
        counted = voucher_reads.counts(reader, ledger)
        found = with_webhooks(counted, desk.figures(inbox, ledger, "buffr"))
    if json_:
        show_json(found)
        return
    rows = [(name.replace("_", " "), _figure(value)) for name, value in structs.asdict(found).items()]
    show(("figure", "value"), rows, right=("value",))


def _figure(value: Any) -> str:
    return "-" if value is None else str(value)


@voucher_group.command("programme")
@click.argument("ledger")
@click.argument("programme")
@as_json
@click.pass_obj
def programme_command(settings: Settings, ledger: str, programme: str, json_: bool) -> None:
    """A programme's money, and what its trust account lacks."""
    with reading(settings) as reader:
        found = _found(lambda: reads.programme(reader, ledger, programme))
    if json_:
        show_json(found)
        return
    names = ("trust", "fund", "outstanding", "unsettled", "fees_unpaid", "deficiency")
    rows = [(name.replace("_", " "), money(getattr(found, name), found.asset)) for name in names]
    show(("what", "amount"), rows, right=("amount",))


@voucher_group.command("settle")
@click.argument("ledger")
@click.argument("programme")
@click.argument("payees", nargs=-1, required=True)
@click.option("--key", help="Idempotency key: the same settlement, asked again, pays nothing twice.")
@click.pass_obj
def settle_command(
    settings: Settings, ledger: str, programme: str, payees: tuple[str, ...], key: str | None
) -> None:
    """Pay PAYEES, each TYPE:NAME or TYPE:NAME=AMOUNT (minor units), from the trust account.

    TYPE is agent, merchant or wallet. Without an amount, all that is owed. All of them or none.
    """
    body = msgspec.convert({"payees": [_payee(text) for text in payees]}, v.Settlement)
    with writing(settings) as (writer, _):
        [outcome] = writer.execute(ledger, Request([c.command(body, programme, key=key, actor=ACTOR)]))
    if isinstance(outcome, Refusal):
        raise click.ClickException(explain(outcome.rejection))
    if isinstance(outcome, Recorded):
        total = sum(int(p["amount"]) for p in outcome.event.data["payees"])
        asset = outcome.event.postings[0].asset
        click.echo(f"Settled {money(total, asset)} as seq {outcome.event.seq}.")
    else:
        click.echo("Settled before.")


def _payee(text: str) -> dict[str, Any]:
    named, _, amount = text.partition("=")
    kind, _, name = named.partition(":")
    return {"payee_type": kind, "payee": name} | ({"amount": amount} if amount else {})


def _found(read: Any) -> Any:
    try:
        return read()
    except (reads.VoucherNotFound, reads.ProgrammeNotFound) as error:
        what = "voucher" if isinstance(error, reads.VoucherNotFound) else "programme"
        raise click.ClickException(f"There is no {what} {error}.") from error


def _money(one: reads.VoucherView | voucher_reads.VoucherLine) -> tuple[str, str, str]:
    return money(one.amount, one.asset), money(one.redeemed, one.asset), money(one.remaining, one.asset)
