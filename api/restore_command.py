"""`daybook restore`: after a backup was restored, ledgers go on from it as new incarnations, knowingly.

A ledger that is not what its kept tree head says has lost events that somebody may have seen. So nothing
serves it until a person says that it is to go on; the event that begins the new incarnation names the size
and root that were lost, for ever. What was lost cannot be brought back from tree heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
import msgspec

from api.console import explain
from api.database import opened
from api.settings import Settings
from ledger import commands as c
from ledger.batch import Refusal, Request
from ledger.keeping import TREE_HEADS, Keeping
from ledger.reader import Reader
from ledger.writer import Writer
from projections.tree_heads import Difference, TreeHeads


@click.command("restore")
@click.option(
    "--ledger",
    "names",
    multiple=True,
    metavar="LEDGER",
    help="Every one that differs if absent. May be repeated.",
)
@click.option("--reason", required=True, help="Why; it is recorded with the event.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def restore_command(settings: Settings, names: tuple[str, ...], reason: str, yes: bool) -> None:
    """Go on from a restored backup: begin a new incarnation of each ledger that lost events."""
    keeping = Keeping(settings.keys_dir, settings.key_file)
    with opened(settings) as database, closing(Reader(database.conninfo, 1)) as reader:
        tree_heads = TreeHeads(reader, keeping)
        for name in names:
            reader.incarnation(name)  # LedgerNotFound
        found = tree_heads.differences(database.conninfo)
        missing = [difference for difference in found if difference.found is None]
        differing = [difference for difference in found if not names or difference.name in names]
        differing = [difference for difference in differing if difference.found is not None]
        if not differing and (names or not missing):
            click.echo("Nothing to restore: every ledger is what its kept tree head says.")
            return
        if differing:
            _confirm(differing, yes)
            # Nothing may be stored before the event that begins the incarnation, expiries neither.
            with closing(Writer(database.conninfo, connections=1, sweep_seconds=86_400)) as writer:
                for difference in differing:
                    _restore(writer, tree_heads, difference, reason)
        if missing and not names:
            raise click.ClickException(_missing(missing, keeping.folder / TREE_HEADS))


def _confirm(differing: Sequence[Difference], yes: bool) -> None:
    for difference in differing:
        click.echo(str(difference))
    if not yes:
        click.confirm(
            "Shall they go on as new incarnations? What they lost stays lost, and clients must read again.",
            abort=True,
        )


def _restore(writer: Writer, tree_heads: TreeHeads, difference: Difference, reason: str) -> None:
    name, kept, found = difference.name, difference.kept, difference.found
    assert name is not None
    assert found is not None
    try:
        body = msgspec.convert(
            {
                "reason": reason,
                "lost_size": kept.size,
                "lost_root": kept.root.hex(),
                "lost_incarnation": max(kept.incarnation, found.incarnation),
            },
            c.Restoration,
        )
    except msgspec.ValidationError as error:
        raise click.BadParameter(str(error), param_hint="--reason") from error
    (outcome,) = writer.execute(name, Request([c.command(body, actor="daybook restore")], alone=True))
    if isinstance(outcome, Refusal):
        raise click.ClickException(f"Refused: {explain(outcome.rejection)}")
    with tree_heads.signed(name) as snapshot:
        head = snapshot.head
    click.echo(f"Ledger {name} goes on in incarnation {head.incarnation} from seq {head.size}.")


def _missing(missing: Sequence[Difference], folder: Path) -> str:
    lines = [
        "A ledger that is not there cannot be restored by this command:",
        *(str(difference) for difference in missing),
        "Restore a backup that has it. To give it up for good, move its folder out of "
        f"{folder}: {', '.join(each.kept.ledger for each in missing)}.",
    ]
    return "\n  ".join(lines)
