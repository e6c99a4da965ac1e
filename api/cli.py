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

from api.access.approval_commands import approval_group
from api.access.commands import key_group, tenant_group
from api.audit_commands import audit
from api.console import configure_logs, show_json
from api.data_commands import (
    as_json,
    balance_command,
    open_command,
    post_command,
)
from api.database import DatabaseError, first_line, opened
from api.export_command import export_command
from api.import_command import import_command
from api.import_files import InputError
from api.inbox_commands import inbox_group
from api.loan_commands import loan_group
from api.period_commands import assert_command, period_group
from api.projection_commands import projections
from api.proof_commands import proof, tree_head_command, verifier_key_command
from api.reconcile_commands import reconcile_group
from api.reconcile_vouchers import three_way_command, vouchers_command
from api.report_commands import (
    balance_sheet_command,
    income_statement_command,
    statement_command,
    trial_balance_command,
)
from api.restore_command import restore_command
from api.search_commands import assertions_command, search_command
from api.settings import Settings, SettingsError, read
from api.stripe_commands import stripe_group
from api.voucher_commands import beneficiary_group, voucher_group
from ledger.errors import LedgerNotFound, WriterError
from ledger.keeping import Keeping, KeepingError
from ledger.reader import AccountNotFound, AssetNeeded
from projections.balances_at import EndsBeforeItStarts
from sql.embedded import EmbeddedPostgresError
from sql.migrate import MigrationError

_SENTENCES = (SettingsError, DatabaseError, InputError, EmbeddedPostgresError, MigrationError, KeepingError)


class _Commands(click.Group):
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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


audit.add_command(export_command)
reconcile_group.add_command(vouchers_command)
reconcile_group.add_command(three_way_command)

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}

for _command in (
    open_command,
    import_command,
    post_command,
    balance_command,
    statement_command,
    trial_balance_command,
    period_group,
    assert_command,
    balance_sheet_command,
    income_statement_command,
    search_command,
    assertions_command,
    audit,
    projections,
    tree_head_command,
    verifier_key_command,
    proof,
    restore_command,
    inbox_group,
    reconcile_group,
    approval_group,
    key_group,
    tenant_group,
    stripe_group,
    voucher_group,
    loan_group,
    beneficiary_group,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
