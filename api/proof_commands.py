"""The commands about proofs: tree heads, proofs made here, proofs checked with only a public key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import click

from api.audit_commands import keys as keys_option
from api.console import show_json
from api.data_commands import as_json
from api.database import reading
from api.settings import Settings
from ledger.keeping import Keeping
from ledger.notes import NoteError, TreeHead, VerifierKey, open_tree_head
from projections.proving import EventNotFound, EventNotInTree, NotProven, Prover, SizeNotReached, check
from projections.tree_heads import LedgerDiffers, TreeHeads


@contextmanager
def _proving(settings: Settings) -> Iterator[Prover]:
    """A prover on the settings' database; what cannot be proven is a sentence."""
    keeping = Keeping(settings.keys_dir, settings.key_file)
    try:
        with reading(settings) as reader:
            yield Prover(TreeHeads(reader, keeping))
    except LedgerDiffers as error:
        raise click.ClickException(f"{error.args[0]} Nothing is signed before that is resolved.") from error
    except EventNotFound as error:
        raise click.ClickException(f"There is no event {error.args[0]} yet.") from error
    except SizeNotReached as error:
        raise click.ClickException(f"There are only {error.args[1]} events, not {error.args[0]}.") from error
    except EventNotInTree as error:
        raise click.ClickException(
            f"The tree of size {error.args[1]} ends before event {error.args[0]}."
        ) from error


_size = click.IntRange(min=0, max=2**63 - 1)


@click.command("tree-head")
@click.argument("ledger")
@as_json
@click.pass_obj
def tree_head_command(settings: Settings, ledger: str, json_: bool) -> None:
    """Print the signed tree head of a ledger: keep it, and nobody can rewrite the ledger unnoticed."""
    with _proving(settings) as prover:
        head = prover.tree_head(ledger)
    if json_:
        show_json(head)
    else:
        click.echo(head.note, nl=False)


@click.command("verifier-key")
@click.pass_obj
def verifier_key_command(settings: Settings) -> None:
    """Print the public key that signed tree heads are checked with."""
    click.echo(str(Keeping(settings.keys_dir, settings.key_file).verifier()))


@click.group("proof")
def proof() -> None:
    """Prove what is in a ledger, and check proofs of others."""


@proof.command("inclusion")
@click.argument("ledger")
@click.argument("seq", type=click.IntRange(min=1, max=2**63 - 1))
@click.option("--size", type=_size, help="In the tree of the first so many events; of all if absent.")
@click.pass_obj
def inclusion_command(settings: Settings, ledger: str, seq: int, size: int | None) -> None:
    """Print the proof, as JSON, that an event is in a ledger."""
    with _proving(settings) as prover:
        show_json(prover.inclusion(ledger, seq, size))


@proof.command("consistency")
@click.argument("ledger")
@click.argument("first", type=_size, metavar="FROM")
@click.argument("second", type=_size, metavar="[TO]", required=False)
@click.pass_obj
def consistency_command(settings: Settings, ledger: str, first: int, second: int | None) -> None:
    """Print the proof, as JSON, that the first FROM events are still the same in the tree of TO events."""
    if second is not None and first > second:
        raise click.UsageError("FROM is beyond TO.")
    with _proving(settings) as prover:
        show_json(prover.consistency(ledger, first, second))


@proof.command("verify")
@click.argument("file", type=click.File("rb"))
@keys_option
@click.option(
    "--tree-head",
    "kept",
    type=click.File("rb"),
    metavar="FILE",
    help="A tree head that you kept: a consistency proof must begin at it, an inclusion proof be of it.",
)
@as_json
def verify_command(file: BinaryIO, keys: Sequence[VerifierKey], kept: BinaryIO | None, json_: bool) -> None:
    """Check a proof with nothing but a public key: no database, no network (exit code 1: not proven)."""
    if not keys:
        raise click.UsageError("Say with --key whose signature counts: `daybook verifier-key` prints it.")
    known = _kept(kept.name, kept.read(), keys) if kept is not None else None
    try:
        said = check(file.read(), list(keys), known)
    except NotProven as error:
        if json_:
            show_json({"proven": False, "detail": str(error)})
        raise click.ClickException(str(error)) from error
    if json_:
        show_json({"proven": True, "detail": said})
    else:
        click.echo(said)


def _kept(path: str, note: bytes, keys: Sequence[VerifierKey]) -> TreeHead:
    try:
        return open_tree_head(note, keys)
    except NoteError as error:
        raise click.ClickException(f"{path} is not a tree head signed by the key: {error}.") from error
