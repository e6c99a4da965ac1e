"""`daybook beneficiaries`: a file of people registered, and the key of everybody's data made anew."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

import click
import msgspec

from api.access.keys import KeyRing
from api.console import explain
from api.database import opened
from api.import_files import InputError
from api.registry import BENEFICIARY, Person, Registry
from api.settings import Settings
from api.voucher_commands import ACTOR, SHOWN, progress_of, rows_of
from ledger import commands as c
from ledger.batch import Recorded, Refusal, Request
from ledger.reader import Reader
from ledger.text import whose
from ledger.vault import VaultError
from ledger.vouchers import commands as v
from ledger.writer import Writer

PEOPLE = 200


@click.group("beneficiaries")
def beneficiary_group() -> None:
    """The registry of beneficiaries."""


@beneficiary_group.command("register")
@click.argument("ledger")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def register_command(settings: Settings, ledger: str, file: Path) -> None:
    """Register the people of a CSV file. Running it again registers nobody twice.

    Columns: beneficiary, name, and, where wanted, id_number, phone and buffr_user. What a line says is
    what is known of the person from then on.
    """
    total = rows_of(file)
    counts = Counter[str]()
    with (
        opened(settings) as database,
        closing(Reader(database.conninfo, connections=1)) as reader,
        closing(Writer(database.conninfo, connections=1)) as writer,
        closing(KeyRing(database.conninfo)) as keys,
        file.open(encoding="utf-8-sig", newline="") as lines,
        progress_of("people") as progress,
    ):
        reader.ledger(ledger)
        registry = Registry(keys.pool, settings.keys_dir)
        task = progress.add_task("", total=total)
        for batch in _batches(_people(lines, counts)):
            _register(registry, writer, ledger, batch, counts)
            progress.update(task, completed=counts.total())
    said = (f"{counts[what]:,} {what}" for what in ("registered", "already there", "refused"))
    click.echo(f"{', '.join(said)}.")
    if counts["refused"]:
        raise SystemExit(1)


def _register(
    registry: Registry, writer: Writer, ledger: str, people: dict[str, Person], counts: Counter[str]
) -> None:
    turn = registry.begin(*whose(ledger), BENEFICIARY, *people)
    try:
        commands = [
            c.command(
                v.BeneficiaryRegistration(commitment=commitment),
                name,
                key=f"register:{name}:{commitment}",
                actor=ACTOR,
            )
            for name, commitment in turn.keep(people).items()
        ]
        for outcome in writer.execute(ledger, Request(commands)):
            if isinstance(outcome, Refusal):
                raise click.ClickException(explain(outcome.rejection))
            counts["registered" if isinstance(outcome, Recorded) else "already there"] += 1
    finally:
        turn.end()


def _people(lines: TextIO, counts: Counter[str]) -> Iterator[tuple[str, Person]]:
    """The file's people; what is none is told and counted as refused (InputError)."""
    rows = csv.DictReader(lines)
    fields = {"beneficiary", *Person.__struct_fields__}
    unknown = set(rows.fieldnames or ()) - fields
    missing = {"beneficiary", "name"} - set(rows.fieldnames or ())
    if unknown or missing:
        wrong = f"has no column {min(missing)}" if missing else f"has the unknown column {min(unknown)}"
        raise InputError(f"The file {wrong}.")
    try:
        for row in rows:
            given = {name: text for name, text in row.items() if text}
            try:
                name = msgspec.convert(given.pop("beneficiary", ""), v.Id)
                yield name, msgspec.convert(given, Person)
            except msgspec.ValidationError as error:
                counts["refused"] += 1
                if counts["refused"] <= SHOWN:
                    click.echo(f"line {rows.line_num}: {error}.", err=True)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The file is no CSV in UTF-8 after line {rows.line_num}: {error}.") from error


def _batches(people: Iterator[tuple[str, Person]]) -> Iterator[dict[str, Person]]:
    """At most PEOPLE at once, none of them twice."""
    batch: dict[str, Person] = {}
    for name, person in people:
        if len(batch) == PEOPLE or name in batch:
            yield batch
            batch = {}
        batch[name] = person
    if batch:
        yield batch


@beneficiary_group.command("rotate")
@click.pass_obj
def rotate_command(settings: Settings) -> None:
    """Seal everybody's key with a new one and destroy the old: no older backup opens anybody any more."""
    with opened(settings) as database, closing(KeyRing(database.conninfo)) as keys:
        try:
            count = Registry(keys.pool, settings.keys_dir).rotate()
        except (VaultError, OSError) as error:
            raise click.ClickException(f"{error}.") from error
    click.echo(f"{count:,} people's keys are sealed with a new key; the old one is destroyed.")
