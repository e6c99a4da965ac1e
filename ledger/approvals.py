"""Four eyes: what moves more than the chart lets one person move needs a second person. Pure.

A chart says for an asset above which amount (`approval_above`). The rule is applied to what was decided, so
that it holds for every command with legs, of products too, and for an atomic group as a whole. What falls due
by itself is nobody's command and is never held up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ledger.commands import Command
from ledger.events import RELEASE
from ledger.rejections import Rejection
from ledger.state import Accepted


def approved(commands: Iterable[Command]) -> bool:
    """Whether somebody else than who asked approved of every one of them."""
    return all(command.approver not in ("", command.actor) for command in commands)


def needs_approval(above: Mapping[str, int], decided: Sequence[Accepted]) -> Rejection | None:
    """Why commands that were decided together may not take place without a second person; None: they may.

    `above` was in force before them. An amount counts once, by its debits, whether posted or held; releasing
    counts nothing. Who could raise a limit alone could do the rest alone too, so that needs approval as well.
    """
    moved: dict[str, int] = {}
    for accepted in decided:
        for position, kind, amount, _ in accepted.legs:
            if amount > 0 and kind != RELEASE:
                moved[position.asset] = moved.get(position.asset, 0) + amount
        if accepted.chart is not None:
            for asset, limit in above.items():
                new = accepted.chart.approval_above.get(asset)
                if new is None or new > limit:
                    return _needed(asset, new, limit)
    for asset, limit in above.items():
        amount = moved.get(asset, 0)
        if amount > limit:
            return _needed(asset, amount, limit)
    return None


def _needed(asset: str, amount: int | None, limit: int) -> Rejection:
    return Rejection(
        "approval_required",
        {"asset": asset, "amount": None if amount is None else str(amount), "above": str(limit)},
    )
