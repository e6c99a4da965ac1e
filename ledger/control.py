"""Control: closing and reopening periods, asserting balances, going on after a restore.

These events move no money. A closed period is hard: `entry.effective_moment` refuses every command that would
record legs effective inside it. Only expiries pass, because nobody asks for them; they count at the moment
that was set when the hold was placed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ledger.commands import BalanceAssertion, Command, PeriodClosing, PeriodReopening, Restoration
from ledger.entry import accept, refuse
from ledger.periods import Closing, bounds_of, start_of
from ledger.state import Accepted, State
from ledger.text import iso, micros


def close_period(state: State, command: Command, now: int) -> Accepted:
    body, period = command.body, command.subject
    assert isinstance(body, PeriodClosing)
    assert isinstance(period, str)
    starts_at, ends_at = bounds_of(period, state.zone)
    if ends_at > now:
        refuse("period_not_over", period=period, ends_at=iso(ends_at), now=iso(now))
    closed = state.closings.by_period.get(period)
    if closed is not None:
        refuse("period_already_closed", period=period, closed_seq=closed.seq)
    if body.retained_earnings is not None:
        _check_largest(state, period, starts_at)  # which would keep the entries out
        _check_retained_earnings(state, body.retained_earnings)
    data = {"period": period, "starts_at": iso(starts_at), "ends_at": iso(ends_at)}
    accepted = accept(state, command, "period_closed", now, now, [], {}, data)
    accepted.closing = Closing(period, starts_at, ends_at, state.seq + 1)
    return accepted


def _check_largest(state: State, period: str, starts_at: int) -> None:
    """Refuse what is inside a larger period that is closed."""
    largest = state.closings.at(starts_at)
    if largest is not None and largest.period != period:
        refuse("larger_period_closed", period=period, larger=largest.period, closed_seq=largest.seq)


def _check_retained_earnings(state: State, address: str) -> None:
    """The account that closing entries will go to: open or in the chart, and of equity."""
    account = state.accounts[address]
    if account is None:
        pattern = state.chart.find(address)
        if pattern is None:
            refuse("account_not_in_chart", account=address)
        terms = pattern.terms()
    else:
        if account.closed_seq is not None:
            refuse("account_closed", account=address, closed_seq=account.closed_seq)
        terms = account.terms
    if terms.type != "equity" or terms.memo:
        refuse("retained_earnings_not_equity", account=address, type=terms.type, memo=terms.memo)


def reopen_period(state: State, command: Command, now: int) -> Accepted:
    body, period = command.body, command.subject
    assert isinstance(body, PeriodReopening)
    assert isinstance(period, str)
    closed = state.closings.by_period.get(period)
    if closed is None:
        refuse("period_not_closed", period=period, closed_seq=None)
    if body.closed_seq not in (None, closed.seq):
        refuse("period_not_closed", period=period, closed_seq=closed.seq)
    _check_largest(state, period, closed.starts_at)
    data = {"period": period, "reason": body.reason, "closed_seq": closed.seq}
    accepted = accept(state, command, "period_reopened", now, now, [], {}, data)
    accepted.reopened = period
    return accepted


def assert_balance(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, BalanceAssertion)
    at = _asserted_at(state, body.at)
    if at > now:
        refuse("asserted_in_future", at=iso(at), now=iso(now))
    if body.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=body.asset)
    account = state.accounts[body.account]
    if account is None:
        refuse("account_not_found", account=body.account)
    allowed = account.terms.assets
    if allowed is not None and body.asset not in allowed:
        refuse("asset_not_allowed", account=body.account, asset=body.asset, allowed=list(allowed))
    data = {
        "account": body.account,
        "asset": body.asset,
        "at": iso(at),
        "expected": str(body.expected),
        "tolerance": str(body.tolerance),
        "source": body.source,
        "balance": "posted",
    }
    return accept(state, command, "balance_asserted", now, now, [], {}, data, reference=body.reference)


def _asserted_at(state: State, at: str) -> int:
    """The moment meant; of a calendar day, its last microsecond."""
    if len(at) > len("2026-10-31"):
        return micros(datetime.fromisoformat(at))
    return start_of(date.fromisoformat(at) + timedelta(days=1), state.zone) - 1


def restore(state: State, command: Command, now: int) -> Accepted:
    """A ledger that lost its tail lives on as another incarnation, later than any that was known."""
    body = command.body
    assert isinstance(body, Restoration)
    lost_incarnation = body.lost_incarnation or state.incarnation
    incarnation = max(lost_incarnation, state.incarnation) + 1
    data = {
        "incarnation": incarnation,
        "lost_incarnation": lost_incarnation,
        "lost_size": body.lost_size,
        "lost_root": body.lost_root,
        "reason": body.reason,
    }
    accepted = accept(state, command, "ledger_restored", now, now, [], {}, data)
    accepted.incarnation = incarnation
    return accepted
