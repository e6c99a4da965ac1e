"""What the deciders of Kredit's side share."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from ledger.entry import refuse
from ledger.kredit.commands import KreditRules
from ledger.kredit.streams import RULES, Rules, Tenant, tenant_stream
from ledger.state import State


def rules_of(state: State) -> KreditRules:
    """What things cost now."""
    stream = state.streams[RULES]
    if stream is None:
        return KreditRules()
    assert isinstance(stream.state, Rules)
    return stream.state.rules


def tenant_of(state: State, tenant: str) -> Tenant:
    """A tenant that is known (Refused)."""
    stream = state.streams[tenant_stream(tenant)]
    if stream is None:
        refuse("kredit_tenant_not_found", tenant=tenant)
    assert isinstance(stream.state, Tenant)
    return stream.state


def id_of(state: State, *parts: Any) -> str:
    """An id that follows from the ledger and what it is of: a UUID of version 8 (RFC 9562)."""
    digits = sha256("\n".join(map(str, (state.public_id, *parts))).encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
