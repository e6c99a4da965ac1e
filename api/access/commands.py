"""`daybook key` and `daybook tenant`: for whoever may reach the database itself, so no key is needed."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click

from api.access.keys import Grant, KeyNotFound, KeyRing, TenantExists, TenantNotFound
from api.access.scopes import ROLES, SCOPES
from api.console import show, show_json
from api.data_commands import as_json
from api.database import opened
from api.settings import Settings
from ledger.text import DEFAULT_TENANT

of_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose keys.")


@contextmanager
def _ring(settings: Settings) -> Iterator[KeyRing]:
    with opened(settings) as database, closing(KeyRing(database.conninfo)) as keys:
        try:
            yield keys
        except TenantNotFound as error:
            raise click.ClickException(
                f"There is no tenant {error}: `daybook tenant add` makes one."
            ) from error
        except KeyNotFound as error:
            raise click.ClickException(f"No key has the id {error}, or it has ended.") from error


@click.group("key")
def key_group() -> None:
    """Make, list and end API keys."""


@key_group.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([*ROLES, *SCOPES]),
    help="A role or a scope; may be given several times.",
)
@click.option("--ledger", "ledgers", multiple=True, help="Only for this ledger; may be given several times.")
@click.option("--days", type=click.IntRange(1, 3_650), help="Ends after so many days.")
@of_tenant
@click.pass_obj
def create_command(
    settings: Settings,
    name: str,
    scopes: tuple[str, ...],
    ledgers: tuple[str, ...],
    days: int | None,
    tenant: str,
) -> None:
    """Make a key and print it, this once."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _ring(settings) as keys:
        made = keys.create(
            tenant, Grant(name, scopes, ledgers or None, expires_at), f"console:{getpass.getuser()}"
        )
    click.echo(made.secret)


@key_group.command("list")
@of_tenant
@as_json
@click.pass_obj
def list_command(settings: Settings, tenant: str, json_: bool) -> None:
    """Every key of a tenant; never the secrets."""
    with _ring(settings) as keys:
        found = keys.list(tenant)
    if json_:
        show_json(found)
        return
    show(
        ("id", "prefix", "name", "scopes", "ledgers", "last used", "state"),
        [
            (
                str(key.id),
                key.prefix,
                key.name,
                " ".join(key.scopes),
                "all" if key.ledgers is None else " ".join(key.ledgers),
                "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}",
                _state(key.revoked_at, key.expires_at),
            )
            for key in found
        ],
    )


def _state(revoked_at: datetime | None, expires_at: datetime | None) -> str:
    if revoked_at is not None:
        return f"revoked {revoked_at:%Y-%m-%d %H:%M}"
    if expires_at is None:
        return "good"
    return f"{'ends' if expires_at > datetime.now(UTC) else 'ended'} {expires_at:%Y-%m-%d %H:%M}"


@key_group.command("revoke")
@click.argument("id", type=click.UUID)
@of_tenant
@click.pass_obj
def revoke_command(settings: Settings, id: UUID, tenant: str) -> None:
    """End a key, for ever."""
    with _ring(settings) as keys:
        click.echo(f"The key {keys.revoke(tenant, id).prefix} is revoked.")


@key_group.command("rotate")
@click.argument("id", type=click.UUID)
@click.option(
    "--overlap", type=click.IntRange(0), default=86_400, show_default=True, help="Seconds the old one stays."
)
@of_tenant
@click.pass_obj
def rotate_command(settings: Settings, id: UUID, overlap: int, tenant: str) -> None:
    """Replace a key and print its successor, this once."""
    with _ring(settings) as keys:
        click.echo(keys.rotate(tenant, id, overlap, f"console:{getpass.getuser()}").secret)


@click.group("tenant")
def tenant_group() -> None:
    """Make and list tenants."""


@tenant_group.command("add")
@click.argument("name")
@click.pass_obj
def add_command(settings: Settings, name: str) -> None:
    """Make a tenant. Its ledgers are `NAME/ledger` at this console."""
    with _ring(settings) as keys:
        try:
            keys.add_tenant(name)
        except TenantExists as error:
            raise click.ClickException(f"There is a tenant {name} already.") from error
    click.echo(f"The tenant {name} is there.")


@tenant_group.command("list")
@click.pass_obj
def list_tenants_command(settings: Settings) -> None:
    """Every tenant."""
    with _ring(settings) as keys:
        for tenant in keys.tenants("", 2**31 - 1):
            click.echo(tenant.name)
