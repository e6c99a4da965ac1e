"""What is offered and by which rules: packages, and the settings of credit types and wallets."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, to_builtins

from ledger.commands import Command
from ledger.credits.commands import CreatePackage, UpdatePackage
from ledger.credits.deciding import fresh, package_of
from ledger.credits.purchase_commands import SetCreditSettings, SetWalletSettings
from ledger.credits.streams import AMOUNTS, SETTINGS, wallet_stream
from ledger.entry import effective_moment, refuse
from ledger.product import record
from ledger.state import Accepted, State

FIELDS = (
    "name",
    "credit_type",
    "credit_amount",
    "bonus_amount",
    "price",
    "asset",
    "is_active",
    "sort_order",
    "expiry_days",
    "priority",
)


def create(state: State, command: Command, now: int) -> Accepted:
    """A package on offer."""
    body = command.body
    assert isinstance(body, CreatePackage)
    package = body.package
    if package is None:
        package = str(state.seq + 1)
        fresh(state, f"package:{package}")
    if state.streams[f"package:{package}"] is not None:
        refuse("package_exists", package=package)
    for asset in (body.asset, f"CREDIT.{body.credit_type}/0"):
        if asset not in state.chart.asset_ids:
            refuse("asset_not_in_chart", asset=asset)
    return _packaged(state, command, now, body, package, "package_created")


def update(state: State, command: Command, now: int) -> Accepted:
    """A package with other terms from now on."""
    body = command.body
    assert isinstance(body, UpdatePackage)
    package_of(state, body.package)
    if body.asset is not UNSET and body.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=body.asset)
    return _packaged(state, command, now, body, body.package, "package_updated")


def _packaged(
    state: State, command: Command, now: int, body: CreatePackage | UpdatePackage, package: str, type: str
) -> Accepted:
    at = effective_moment(state, body, now)
    fields: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(body, name, UNSET)
        if value is not UNSET:
            fields[name] = str(value) if name in AMOUNTS else value
    data = {"id": package, "package": fields}
    return record(state, command, type, now, at, [], [f"package:{package}"], data)


def set_settings(state: State, command: Command, now: int) -> Accepted:
    """The rules for a credit type, from now on."""
    body = command.body
    assert isinstance(body, SetCreditSettings)
    at = effective_moment(state, body, now)
    data = {"credit_type": body.credit_type, "settings": to_builtins(body.settings)}
    return record(state, command, "credit_settings_set", now, at, [], [SETTINGS], data)


def set_wallet(state: State, command: Command, now: int) -> Accepted:
    """A wallet's top-up, from now on."""
    body = command.body
    assert isinstance(body, SetWalletSettings)
    at = effective_moment(state, body, now)
    chosen = body.auto_top_up
    if chosen is not None:
        package = package_of(state, chosen.package)
        if not package.is_active or package.credit_type != body.credit_type:
            refuse("package_not_active", package=chosen.package)
    data = {
        "owner": body.owner,
        "credit_type": body.credit_type,
        "top_up": None if chosen is None else {"threshold": str(chosen.threshold), "package": chosen.package},
    }
    streams = [wallet_stream(body.owner, body.credit_type)]
    return record(state, command, "wallet_settings_set", now, at, [], streams, data)
