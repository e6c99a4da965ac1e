"""Units that come back: to their lot while it lasts, else to one of their own.

What was consumed comes back when a use is refunded, what was retired when a refund of the purchase fails.
"""

from __future__ import annotations

from typing import Any

from ledger.credits.change import Change
from ledger.credits.deciding import DAY, room_for
from ledger.credits.lots import Lot, Outside
from ledger.credits.purchase_commands import TypeSettings
from ledger.credits.wallet import lot_of


def bring_back(
    change: Change,
    settings: TypeSettings,
    source: Outside,
    terms: dict[str, Any],
    units: int,
    cost: int,
    at: int,
    now: int,
    *,
    locked: bool,
) -> None:
    """Bring units back at the cost that they left at. `locked`: their purchase is disputed.

    If their lot has expired, they come in one that lasts `restore_days`; with none of these they expire.
    """
    lot = lot_of(terms)
    if lot.expires_at is not None and lot.expires_at <= now:
        if settings.restore_days:
            fresh_lot = Lot(
                number=change.next_number(),
                units=units,
                cost=cost,
                total=cost,
                asset=lot.asset if cost else "",
                source=lot.source,
                priority=lot.priority,
                effective_at=at,
                expires_at=now + settings.restore_days * DAY,
                order=lot.order,
                policy=lot.policy,
                expected=lot.expected,
                frozen=units if locked else 0,
                locked=locked,
            )
            change.grant(fresh_lot, source)
        else:
            change.restore(source, lot, "expired", units, cost, terms)
        return
    terms = {**terms, "locked": True} if locked else {k: v for k, v in terms.items() if k != "locked"}
    change.restore(source, _emptied(terms), "frozen" if locked else "available", units, cost, terms)


def check_room(change: Change) -> None:
    """The wallet can have the lots that come back to it (Refused)."""
    anew = {taken.lot.number for taken in change.slices if change.wallet.lot(taken.lot.number) is None}
    if anew or change.grants:
        room_for(change.wallet, len(anew) + len(change.grants))


def _emptied(terms: dict[str, Any]) -> Lot:
    """A lot of which nothing is left, as its terms say."""
    lot = lot_of(terms)
    return Lot(
        number=lot.number,
        units=0,
        total=lot.cost,
        asset=lot.asset,
        source=lot.source,
        priority=lot.priority,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
        order=lot.order,
        policy=lot.policy,
        expected=lot.expected,
        locked=lot.locked,
    )
