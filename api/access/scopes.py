"""Scopes, roles, and the principal who has them.

A scope is what an operation needs; a role is a named set of scopes, so that a key can be given one word
instead of a list. A principal acts for one tenant and sees its ledgers, or some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from msgspec import Struct

Scope = Literal[
    "ledger:read",
    "ledger:write",
    "ledger:admin",
    "ledger:approve",
    "audit:read",
    "webhooks:manage",
    "beneficiary:manage",
    "credit:application:create",
    "credit:application:approve",
    "credit:disbursement:execute",
    "credit:collection:manage",
    "credit:lead:decide",
    "service:admin",
]
SCOPES: tuple[str, ...] = get_args(Scope)

# What one may do with a ledger contains what less power may do; the other scopes stand for themselves.
IMPLIED: Mapping[str, tuple[str, ...]] = {
    "ledger:write": ("ledger:read",),
    "ledger:admin": ("ledger:write", "ledger:read"),
    "ledger:approve": ("ledger:read",),
}

# Seed 003 names the roles; `service:admin` (tenants, projections of all ledgers) is in none but the first
# administrator's own key.
ROLES: Mapping[str, tuple[str, ...]] = {
    "admin": tuple(scope for scope in SCOPES if scope != "service:admin"),
    "operator": (
        "ledger:write",
        "credit:application:create",
        "credit:disbursement:execute",
        "credit:collection:manage",
    ),
    "auditor": ("ledger:read", "audit:read"),
    "provider": ("credit:lead:decide",),
    "borrower": ("credit:application:create",),
    "customer": ("ledger:read",),
}


class Principal(Struct, frozen=True, kw_only=True):
    """Somebody whose credentials were accepted.

    `actor` is how events name them: `key:<prefix>` or `user:<subject>`. `ledgers` None: all of the tenant's.
    `expires_at` is when a key ends; None: never, or a token, for which its issuer answers. `provider` is the
    credit provider that they are; None: they are none.
    `claims` are what a token says beyond that (credit limit, risk rating).
    """

    tenant: str
    actor: str
    scopes: frozenset[str]
    ledgers: frozenset[str] | None = None
    expires_at: datetime | None = None
    provider: str | None = None
    claims: dict[str, Any] = {}

    def may(self, scope: str) -> bool:
        """Whether an operation that needs this scope is theirs to ask for."""
        return scope in self.scopes

    def sees(self, ledger: str) -> bool:
        """Whether a ledger of the tenant is one of theirs."""
        return self.ledgers is None or ledger in self.ledgers


# Of operations that need no credentials: sees nothing.
NOBODY = Principal(tenant="", actor="", scopes=frozenset(), ledgers=frozenset())


def expand(named: Iterable[str]) -> frozenset[str]:
    """Scopes and roles by name as the scopes that they stand for (ValueError names the first unknown)."""
    found: set[str] = set()
    for name in named:
        if name not in ROLES and name not in SCOPES:
            raise ValueError(f"{name!r} is neither a scope nor a role")
        for scope in ROLES.get(name, (name,)):
            found.update((scope, *IMPLIED.get(scope, ())))
    return frozenset(found)
