"""The operations on what waits for a second person."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from anyio import to_thread
from msgspec import Meta, Struct

from api.access.approvals import ApprovalDetails, Approvals, ApprovalView
from api.handlers import Call, Reply
from api.http import decode_body
from ledger.commands import Reason
from ledger.text import check_text


class ApprovalsQuery(Struct, forbid_unknown_fields=True):
    """Approvals, newest first."""

    after: Annotated[
        str,
        Meta(pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?\Z", description="Go on beyond this id."),
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=100, description="At most so many.")] = 100
    status: Annotated[
        str, Meta(pattern=r"^(pending|all)\Z", description="`pending`: only those that can be decided now.")
    ] = "all"


class ApprovalsPage(Struct, frozen=True):
    """A page of approvals."""

    approvals: list[ApprovalView]
    next: UUID | None


class ApprovalRejection(Struct, forbid_unknown_fields=True):
    """Why it is not to take place."""

    reason: Reason

    def __post_init__(self) -> None:
        check_text("reason", self.reason)


async def list_approvals(call: Call) -> Reply:
    """What waits or waited in a ledger."""
    query: ApprovalsQuery = call.query
    after = UUID(query.after) if query.after else None

    def page() -> list[ApprovalView]:
        approvals, tenant, ledger = _of(call)
        return approvals.page(tenant, ledger, after, query.limit, pending=query.status == "pending")

    found = await call.bridge.read(page)
    return Reply(200, ApprovalsPage(found, found[-1].id if len(found) == query.limit else None))


async def get_approval(call: Call) -> Reply:
    """One of them, with its request."""

    def details() -> ApprovalDetails:
        approvals, tenant, ledger = _of(call)
        return approvals.details(tenant, ledger, call.path["approval"])

    return Reply(200, await call.bridge.read(details))


async def approve(call: Call) -> Reply:
    """It takes place, unless the ledger refuses it now."""

    def approve() -> ApprovalView:
        approvals, tenant, ledger = _of(call)
        by, id = call.principal.actor, call.path["approval"]
        return approvals.approve(tenant, ledger, id, by, call.execute, call.reader, ledger)

    # It waits for the writer, which a thread for reads should not.
    return Reply(200, await to_thread.run_sync(approve))


async def reject(call: Call) -> Reply:
    """It does not take place."""
    asked: ApprovalRejection = decode_body(call.operation.decoder, await call.exchange.body())

    def reject() -> ApprovalView:
        approvals, tenant, ledger = _of(call)
        return approvals.reject(tenant, ledger, call.path["approval"], call.principal.actor, asked.reason)

    return Reply(200, await call.bridge.read(reject))


def _of(call: Call) -> tuple[Approvals, str, str]:
    """Approvals, and tenant and name of a ledger that is there for the principal (LedgerNotFound)."""
    ledger: str = call.path["ledger"]
    call.reader.incarnation(ledger)
    return call.bridge.keys.approvals, call.principal.tenant, ledger
