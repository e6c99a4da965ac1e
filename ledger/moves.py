"""Moving money: the one place where legs are folded into counters and checked against limits.

Limits are checked against the worst case of what is pending (a pending debit counts against a credit
account's available balance, a pending credit against its maximum), so that posting, voiding or expiring a
hold can never break a bound that placing it kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.chart import MAX_AMOUNT
from ledger.commands import Condition, Transaction
from ledger.entry import Refused, refuse
from ledger.events import PENDING, POSTED
from ledger.rejections import PRECEDENCE, Rejection
from ledger.state import Account, Balance, Leg, Position, State, figures

Move = tuple[Position, int, int]  # position, kind, signed amount


def positions_of(
    state: State, addresses: Sequence[str], assets: Sequence[str], opened: dict[str, Account]
) -> list[Position]:
    """A position for each (address, asset); accounts that the chart knows are opened into `opened`."""
    accounts = state.accounts
    found: list[Position] = []
    for address, asset in zip(addresses, assets, strict=True):
        account = accounts[address]
        if account is None or account.closed_seq is not None or asset not in account.positions:
            return _open_positions(state, addresses, assets, opened)
        found.append(account.positions[asset])
    return found


def _open_positions(
    state: State, addresses: Sequence[str], assets: Sequence[str], opened: dict[str, Account]
) -> list[Position]:
    found: list[Position] = []
    problems: list[Rejection] = []
    for address, asset in zip(addresses, assets, strict=True):
        account = state.accounts[address] or opened.get(address)
        asset_id = state.chart.asset_ids.get(asset)
        if asset_id is None:
            problems.append(Rejection("asset_not_in_chart", {"asset": asset}))
        if account is None:
            pattern = state.chart.find(address)
            if pattern is None:
                problems.append(Rejection("account_not_in_chart", {"account": address}))
                continue
            number = state.accounts_count + len(opened) + 1
            account = opened[address] = Account(number, address, pattern.terms(), state.seq + 1)
        if account.closed_seq is not None:
            problems.append(
                Rejection("account_closed", {"account": address, "closed_seq": account.closed_seq})
            )
        allowed = account.terms.assets
        if allowed is not None and asset not in allowed:
            problems.append(
                Rejection("asset_not_allowed", {"account": address, "asset": asset, "allowed": list(allowed)})
            )
        if problems or asset_id is None:
            continue
        position = account.positions.get(asset)
        if position is None:
            position = next((p for p in found if p.account is account and p.asset == asset), None)
        found.append(position or Position(account, asset, asset_id))
    if problems:
        raise Refused(_first(problems))
    return found


def _first(problems: list[Rejection]) -> Rejection:
    return min(problems, key=lambda rejection: PRECEDENCE[rejection.code])


def room(body: Transaction, positions: list[Position]) -> int:
    """How much of an `up_to` amount both accounts can take."""
    asked = room = body.postings[0].amount
    for posting, position in zip(body.postings, positions, strict=True):
        debit = posting.side == "debit"
        counter = (0 if debit else 1) + (2 if body.pending else 0)
        room = min(room, MAX_AMOUNT - position.balance[counter])
        now = figures(position.account.debit_normal, position.balance)
        if debit == position.account.debit_normal:
            if position.max_balance is not None:
                room = min(room, position.max_balance - now.reach)
        elif position.min_available is not None:
            room = min(room, now.available - position.min_available)
    if room <= 0:
        refuse("nothing_available", asked=str(asked))
    return room


def move(moves: Iterable[Move]) -> tuple[list[Leg], dict[Position, Balance]]:
    """Fold the moves into the counters; refuse what leaves 64 bits or an account's limits."""
    legs: list[Leg] = []
    touched: dict[Position, Balance] = {}
    for position, kind, amount in moves:
        dp, cp, dpend, cpend = touched.get(position) or position.balance
        if kind == POSTED:
            if amount > 0:
                dp += amount
            else:
                cp -= amount
        else:
            change = amount if kind == PENDING else -amount
            if amount > 0:
                dpend += change
            else:
                cpend -= change
        after = (dp, cp, dpend, cpend)
        touched[position] = after
        legs.append((position, kind, amount, after))

    problems: list[Rejection] = []
    for position, after in touched.items():
        if max(after) > MAX_AMOUNT:
            problems.append(
                Rejection("amount_overflow", {"account": position.account.address, "asset": position.asset})
            )
        elif position.min_available is not None or position.max_balance is not None:
            _check_limits(position, after, problems)
    if problems:
        raise Refused(_first(problems))
    return legs, touched


def _check_limits(position: Position, after: Balance, problems: list[Rejection]) -> None:
    account = position.account
    then = figures(account.debit_normal, after)
    evidence = {"account": account.address, "asset": position.asset}
    if position.min_available is not None and then.available < position.min_available:
        now = figures(account.debit_normal, position.balance)
        evidence |= {
            "min_available": str(position.min_available),
            "available": str(now.available),
            "held": str(now.held),
            "short_by": str(position.min_available - then.available),
        }
        problems.append(Rejection("insufficient_available", evidence))
    elif position.max_balance is not None and then.reach > position.max_balance:
        now = figures(account.debit_normal, position.balance)
        evidence |= {
            "max_balance": str(position.max_balance),
            "balance": str(now.posted),
            "held": str(now.reach - now.posted),
            "over_by": str(then.reach - position.max_balance),
        }
        problems.append(Rejection("max_balance_exceeded", evidence))


def condition_positions(
    state: State, conditions: list[Condition], moved: list[Position], opened: dict[str, Account]
) -> list[Position]:
    """The positions that the conditions speak of; an asset that the account never used counts as zero."""
    by_name = {(p.account.address, p.asset): p for p in moved}
    found: list[Position] = []
    for index, condition in enumerate(conditions):
        account = state.accounts[condition.account] or opened.get(condition.account)
        asset_id = state.chart.asset_ids.get(condition.asset)
        if account is None or asset_id is None:
            refuse("condition_unknown", condition=index, account=condition.account, asset=condition.asset)
        found.append(
            by_name.get((condition.account, condition.asset))
            or account.positions.get(condition.asset)
            or Position(account, condition.asset, asset_id)
        )
    return found


def check_conditions(
    conditions: list[Condition], positions: list[Position], touched: dict[Position, Balance]
) -> None:
    for index, (condition, position) in enumerate(zip(conditions, positions, strict=True)):
        about = {"condition": index, "account": condition.account, "asset": condition.asset}
        if condition.version is not None and condition.version != position.version:
            refuse("condition_failed", **about, balance="version", actual=str(position.version))
        then = figures(position.account.debit_normal, touched.get(position, position.balance))
        actual: int = getattr(then, condition.balance)
        if (condition.min is not None and actual < condition.min) or (
            condition.max is not None and actual > condition.max
        ):
            refuse("condition_failed", **about, balance=condition.balance, actual=str(actual))
