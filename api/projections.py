"""The operations on projections: how they stand, and the jobs that rebuild, verify, roll back and retry."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from api.handlers import Call, Reply
from api.queries import Limit
from ledger.commands import WholeName
from projections.inline import NAME
from projections.registry import PROJECTIONS, find
from projections.status import LedgerStatus, ProjectionStatus, ledger_status, status


class RebuildOrder(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to rebuild. A difference to the live version is named and refused, unless its code was another."""

    accept_differences: bool = False
    workers: Annotated[int, Meta(ge=1, le=16, description="Ledgers at once.")] = 2


class LedgerChoice(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ledger, or all."""

    ledger: WholeName | None = None


class ProjectionsPage(Struct, frozen=True):
    """Every version of every projection."""

    projections: list[ProjectionStatus]


class LedgersQuery(Struct, forbid_unknown_fields=True):
    """Ledgers by name."""

    after: Annotated[str, Meta(pattern=r"^[a-z0-9_/\-]{0,127}\Z", description="Go on beyond this name.")] = ""
    limit: Limit = 100


class ProjectionPage(Struct, frozen=True):
    """The live version, ledger by ledger; `next` continues as `after`, null at the end."""

    ledgers: list[LedgerStatus]
    next: str | None


async def list_projections(call: Call) -> Reply:
    """Every version of every projection."""
    return Reply(200, ProjectionsPage(await call.bridge.engine.run(status, PROJECTIONS)))


async def get_projection(call: Call) -> Reply:
    """One projection, ledger by ledger."""
    name, query = find(call.path["projection"]).name, call.query
    found = await call.bridge.engine.run(ledger_status, name, after=query.after, limit=query.limit)
    return Reply(200, ProjectionPage(found, found[-1].ledger if len(found) == query.limit else None))


def rebuild_parameters(path: dict[str, Any], body: RebuildOrder) -> dict[str, Any]:
    """Of the job (ProjectionNotFound)."""
    return {
        "projection": find(path["projection"]).name,
        "workers": body.workers,
        "accept_differences": body.accept_differences,
    }


def verify_parameters(path: dict[str, Any], body: LedgerChoice) -> dict[str, Any]:
    """Of the job; `inline` too can be verified (ProjectionNotFound)."""
    name = path["projection"]
    return {"projection": name if name == NAME else find(name).name, "ledger": body.ledger}


def rollback_parameters(path: dict[str, Any], body: None) -> dict[str, Any]:
    """Of the job (ProjectionNotFound)."""
    return {"projection": find(path["projection"]).name}


def retry_parameters(path: dict[str, Any], body: LedgerChoice) -> dict[str, Any]:
    """Of the job (ProjectionNotFound)."""
    return {"projection": find(path["projection"]).name, "ledger": body.ledger}
