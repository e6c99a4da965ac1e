"""The `daybook` command.

Commands on data work on the database itself, through the same writer and reader as the service, so they
need no service to run and may run beside one. Exit code 0: done; 1: refused or failed, with one sentence on
standard error; 2: the command line itself is wrong.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import click
import msgspec
import psycopg

from api.console import configure_logs, show_json
from api.data_commands import as_json
from api.database import DatabaseError, first_line, opened
from api.import_files import InputError
from api.lazy_group import LazyGroup
from api.settings import Settings, SettingsError, read
from ledger.errors import LedgerNotFound, WriterError
from ledger.keeping import Keeping, KeepingError
from ledger.reader import AccountNotFound, AssetNeeded
from projections.balances_at import EndsBeforeItStarts
from sql.embedded import EmbeddedPostgresError
from sql.migrate import MigrationError

_SENTENCES = (SettingsError, DatabaseError, InputError, EmbeddedPostgresError, MigrationError, KeepingError)


_ELSEWHERE = {
    "open": "api.data_commands:open_command",
    "import": "api.import_command:import_command",
    "post": "api.data_commands:post_command",
    "balance": "api.data_commands:balance_command",
    "statement": "api.report_commands:statement_command",
    "trial-balance": "api.report_commands:trial_balance_command",
    "period": "api.period_commands:period_group",
    "assert": "api.period_commands:assert_command",
    "balance-sheet": "api.report_commands:balance_sheet_command",
    "income-statement": "api.report_commands:income_statement_command",
    "search": "api.search_commands:search_command",
    "assertions": "api.search_commands:assertions_command",
    "audit": "api.audit_commands:audit",
    "projections": "api.projection_commands:projections",
    "tree-head": "api.proof_commands:tree_head_command",
    "verifier-key": "api.proof_commands:verifier_key_command",
    "proof": "api.proof_commands:proof",
    "restore": "api.restore_command:restore_command",
    "inbox": "api.inbox_commands:inbox_group",
    "reconcile": "api.reconcile_commands:reconcile_group",
    "approval": "api.access.approval_commands:approval_group",
    "key": "api.access.commands:key_group",
    "tenant": "api.access.commands:tenant_group",
    "stripe": "api.stripe_commands:stripe_group",
    "vouchers": "api.voucher_commands:voucher_group",
    "loans": "api.loan_commands:loan_group",
    "collections": "api.collection_commands:collection_group",
    "beneficiaries": "api.beneficiary_commands:beneficiary_group",
}


class _Commands(LazyGroup):
    """Says in one sentence what went wrong, for everything that can."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except _SENTENCES as error:
            raise click.ClickException(str(error)) from error
        except LedgerNotFound as error:
            raise click.ClickException(f"There is no ledger {error}: `daybook open` opens one.") from error
        except AccountNotFound as error:
            raise click.ClickException(f"There is no account {error}.") from error
        except AssetNeeded as error:
            address, assets = error.args
            choice = (
                f"choose with --asset: {', '.join(assets)}" if assets else "nothing was ever posted to it"
            )
            raise click.ClickException(f"{address} has {len(assets)} assets; {choice}.") from error
        except EndsBeforeItStarts as error:
            raise click.ClickException("--to lies before --from.") from error
        except WriterError as error:
            raise click.ClickException(f"{type(error).__name__}: {error}.") from error
        except msgspec.MsgspecError as error:
            raise click.ClickException(f"{error}.") from error
        except psycopg.Error as error:
            raise click.ClickException(f"The database failed: {first_line(error)}") from error


@click.group(cls=_Commands, elsewhere=_ELSEWHERE, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="daybook")
@click.pass_context
def main(context: click.Context) -> None:
    """A double-entry ledger on an append-only PostgreSQL event store.

    DATABASE_URL names the PostgreSQL to use; without it Daybook runs one of its own, whose data
    are where DAYBOOK_DATA says.
    """
    configure_logs(logging.WARNING)
    context.obj = read(os.environ)


@main.command("serve")
@click.option("--host", help="Address to serve on (DAYBOOK_HOST, 127.0.0.1).")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port (DAYBOOK_PORT, 8000 or the next free one)."
)
@click.pass_obj
def serve_command(settings: Settings, host: str | None, port: int | None) -> None:
    """Set up the schema and serve the API until Ctrl-C."""
    # Imported here because the other commands need no web server.
    from api.serve import ServeError, serve

    try:
        serve(settings, host or settings.host, settings.port if port is None else port)
    except ServeError as error:
        raise click.ClickException(str(error)) from error


@main.command("migrate")
@click.pass_obj
def migrate_command(settings: Settings) -> None:
    """Bring the database's schema up to this version."""
    with opened(settings, migrating=True) as database:
        for name in database.applied:
            click.echo(f"Applied {name}.")
        click.echo(f"The schema is up to date: {database.place}.")


@main.command("doctor")
@as_json
@click.pass_obj
def doctor_command(settings: Settings, json_: bool) -> None:
    """Check the server, its settings and guards, and that every ledger adds up (exit code 1 on a problem)."""
    # Imported here because the other commands do not examine anything.
    from api.doctor import examine

    problems = 0
    with opened(settings) as database:
        keeping = Keeping(settings.keys_dir, settings.key_file)
        for finding in examine(database, keeping):
            problems += finding.status == "problem"
            if json_:
                show_json(finding)
            else:
                word = click.style(f"{finding.status.upper():8}", fg=_COLOURS[finding.status])
                click.echo(f"{word} {finding.check}: {finding.detail}")
    if problems:
        raise click.ClickException(
            f"{problems} findings are problems." if problems > 1 else "One finding is a problem."
        )


_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


if __name__ == "__main__":
    main()
