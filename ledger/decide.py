"""Decide: what a command becomes. Pure and synchronous; every rule of the ledger stands behind this door.

`decide(state, command, now)` answers with one accepted event or one rejection and changes nothing. Neither
it nor anything it imports knows a database, a clock or a source of randomness: `now` comes in. `evolve` (in
`ledger.state`) applies what was accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger import accounts, control, transactions
from ledger.chart import ChartDocument
from ledger.commands import (
    AccountClosing,
    AccountLimits,
    AccountOpening,
    Annotation,
    BalanceAssertion,
    Command,
    HoldExpiry,
    HoldPosting,
    HoldVoid,
    LedgerOpening,
    PeriodClosing,
    PeriodReopening,
    Restoration,
    Reversal,
    Transaction,
)
from ledger.entry import Refused
from ledger.products import PRODUCTS
from ledger.rejections import Rejection
from ledger.state import Accepted, State

_DECIDERS: dict[type, Callable[[State, Command, int], Accepted]] = {
    Transaction: transactions.transaction,
    HoldPosting: transactions.post_hold,
    HoldVoid: transactions.void_hold,
    HoldExpiry: transactions.expire_hold,
    Reversal: transactions.reverse,
    Annotation: transactions.annotate,
    LedgerOpening: accounts.open_ledger,
    ChartDocument: accounts.set_chart,
    AccountOpening: accounts.open_account,
    AccountLimits: accounts.set_limits,
    AccountClosing: accounts.close_account,
    PeriodClosing: control.close_period,
    PeriodReopening: control.reopen_period,
    BalanceAssertion: control.assert_balance,
    Restoration: control.restore,
}


def decide(state: State, command: Command, now: int) -> Accepted | Rejection:
    """The event that the command becomes at `now` (microseconds), or why it is refused.

    The state must hold every account and transaction that `names` gives for the command, and what
    `PRODUCTS` says that one of a product needs (NotLoaded).
    """
    if not state.seq and type(command.body) is not LedgerOpening:
        return Rejection("ledger_not_found")
    try:
        decider = _DECIDERS.get(type(command.body), PRODUCTS.decide)
        return decider(state, command, now)
    except Refused as refused:
        return refused.rejection


def names(command: Command) -> tuple[Iterable[str], int | None]:
    """The addresses and the seq that the state must hold to decide a command of the ledger itself."""
    body = command.body
    if isinstance(body, Transaction):
        addresses = [p.account for p in body.postings]
        if body.conditions:
            addresses += [c.account for c in body.conditions]
        return addresses, None
    if isinstance(body, AccountOpening):
        return (body.address,), None
    if isinstance(command.subject, int):
        return (), command.subject
    if isinstance(body, AccountLimits | AccountClosing):
        return (command.subject,), None
    if isinstance(body, PeriodClosing) and body.retained_earnings is not None:
        return (body.retained_earnings,), None
    if isinstance(body, BalanceAssertion):
        return (body.account,), None
    return (), None
