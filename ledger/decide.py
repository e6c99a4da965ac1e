"""Decide: what a command becomes. Pure and synchronous; every rule of the ledger stands here.

`decide(state, command, now)` answers with one accepted event or one rejection and changes nothing. It
imports no database, no clock and no source of randomness: `now` comes in. `evolve` (in `ledger.state`)
applies what was accepted.

Money moves in one place, `_move`: it folds signed legs into the four counters of each position, then checks
overflow and the account's limits. Limits are checked against the worst case of what is pending (a pending
debit counts against a credit account's available balance, a pending credit against its maximum), so that
posting, voiding or expiring a hold can never break a bound that placing it kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import msgspec

from ledger.chart import ANY_ASSET, MAX_AMOUNT, Chart, ChartDocument, Terms, first_overlap, scale_conflict
from ledger.commands import (
    AccountClosing,
    AccountLimits,
    AccountOpening,
    Annotation,
    Command,
    Condition,
    HoldExpiry,
    HoldPosting,
    HoldVoid,
    LedgerOpening,
    Note,
    Reversal,
    Transaction,
)
from ledger.events import KINDS, PENDING, POSTED, RELEASE, SCHEMA_VERSIONS, Event, EventPosting, encode
from ledger.rejections import PRECEDENCE, Rejection
from ledger.state import (

    Accepted,
    Account,
    Balance,
    Leg,
    Position,
    State,
    Subject,
    SubjectLeg,
    figures,
)
from ledger.text import SECOND, iso, micros

MAX_BODY = 65_535

Move = tuple[Position, int, int]  # position, kind, signed amount


class Refused(Exception):
    """Raised inside `decide` only; carries the rejection."""

    def __init__(self, rejection: Rejection) -> None:
        self.rejection = rejection


def _refuse(code: str, **evidence: Any) -> NoReturn:
    raise Refused(Rejection(code, evidence))


def decide(state: State, command: Command, now: int, batch: tuple[int, int] | None = None) -> Accepted | Rejection:
    """The event that the command becomes at `now` (microseconds), or why it is refused.

    `batch` is (index, size) inside an atomic batch. The state must hold every account and transaction that
    `names` gives for the command.
    """
    try:
        return _DECIDERS[type(command.body)](state, command, now, batch)
    except Refused as refused:
        return refused.rejection


def names(state: State, command: Command) -> tuple[Iterable[str], int | None]:
    """The account addresses and the transaction's seq that the state must hold to decide the command."""
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
    return (), None


# ---------------------------------------------------------------- transactions


def _transaction(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, Transaction)
    effective_at = _effective_at(body, now)
    _check_balanced((p.asset, p.amount if p.side == "debit" else -p.amount) for p in body.postings)

    opened: dict[str, Account] = {}
    positions = _positions(state, [(p.account, p.asset) for p in body.postings], opened)
    if body.conditions:
        conditions = _condition_positions(state, body.conditions, positions, opened)
    kind = PENDING if body.pending else POSTED
    if body.up_to:
        amount = _room(body, positions)
        moves = [(q, kind, amount if p.side == "debit" else -amount) for p, q in zip(body.postings, positions, strict=True)]
    else:
        moves = [
            (q, kind, p.amount if p.side == "debit" else -p.amount) for p, q in zip(body.postings, positions, strict=True)
        ]
    legs, touched = _move(moves)
    if body.conditions:
        _check_conditions(body.conditions, conditions, touched)

    data: dict[str, Any] = {}
    if body.pending and body.timeout_seconds is not None:
        data["expires_at"] = iso(now + body.timeout_seconds * SECOND)
    if body.up_to:
        data["up_to"] = str(body.postings[0].amount)
    accepted = _event(
        state,
        command,
        "transaction_held" if body.pending else "transaction_posted",
        now,
        effective_at,
        legs,
        opened,
        data,
        batch=batch,
        streams={f"transaction:{state.seq + 1}": 1} if body.pending else {},
    )
    accepted.touched = touched
    if body.pending:
        if body.timeout_seconds is not None:
            accepted.expiry = now + body.timeout_seconds * SECOND
        accepted.subject = Subject(
            state.seq + 1,
            "transaction_held",
            "pending",
            effective_at,
            tuple(SubjectLeg(p.account.address, p.asset, amount, abs(amount)) for p, _, amount in moves),
            1,
            accepted.expiry,
        )
    return accepted


def _effective_at(body: Note, now: int) -> int:
    if body.effective_at is None:
        return now
    effective_at = micros(body.effective_at)
    if effective_at > now:
        _refuse("effective_at_in_future", effective_at=iso(effective_at), now=iso(now))
    return effective_at


def _check_balanced(legs: Iterable[tuple[str, int]]) -> None:
    sums: dict[str, list[int]] = {}
    for asset, amount in legs:
        entry = sums.get(asset)
        if entry is None:
            entry = sums[asset] = [0, 0]
        if amount > 0:
            entry[0] += amount
        else:
            entry[1] -= amount
    for asset, (debits, credits) in sums.items():
        if debits != credits:
            _refuse("unbalanced", asset=asset, debits=str(debits), credits=str(credits))


def _positions(state: State, wanted: Sequence[tuple[str, str]], opened: dict[str, Account]) -> list[Position]:
    """A position for each (address, asset); accounts that the chart knows are opened into `opened`."""
    accounts = state.accounts
    found = []
    for address, asset in wanted:
        account = accounts[address]
        position = account.positions.get(asset) if account is not None and account.closed_seq is None else None
        if position is None:
            return _positions_slowly(state, wanted, opened)
        found.append(position)
    return found


def _positions_slowly(state: State, wanted: Sequence[tuple[str, str]], opened: dict[str, Account]) -> list[Position]:
    found: list[Position] = []
    problems: list[Rejection] = []
    for address, asset in wanted:
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
            problems.append(Rejection("account_closed", {"account": address, "closed_seq": account.closed_seq}))
        allowed = account.terms.assets
        if allowed is not None and asset not in allowed:
            problems.append(Rejection("asset_not_allowed", {"account": address, "asset": asset, "allowed": list(allowed)}))
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


def _room(body: Transaction, positions: list[Position]) -> int:
    """How much of an `up_to` amount both accounts can take."""
    asked = room = body.postings[0].amount
    for posting, position in zip(body.postings, positions, strict=True):
        dp, cp, dpend, cpend = position.balance
        debit = posting.side == "debit"
        room = min(room, MAX_AMOUNT - (dpend if debit else cpend), MAX_AMOUNT - (dp if debit else cp))
        now = figures(position.account.debit_normal, position.balance)
        if debit == position.account.debit_normal:
            if position.max_balance is not None:
                room = min(room, position.max_balance - now.reach)
        elif position.min_available is not None:
            room = min(room, now.available - position.min_available)
    if room <= 0:
        _refuse("nothing_available", asked=str(asked))
    return room


def _move(moves: Iterable[Move]) -> tuple[list[Leg], dict[Position, Balance]]:
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


def _condition_positions(
    state: State, conditions: list[Condition], moved: list[Position], opened: dict[str, Account]
) -> list[Position]:
    """The positions that the conditions speak of; an asset that the account never used counts as zero."""
    by_name = {(p.account.address, p.asset): p for p in moved}
    found: list[Position] = []
    for index, condition in enumerate(conditions):
        account = state.accounts[condition.account] or opened.get(condition.account)
        asset_id = state.chart.asset_ids.get(condition.asset)
        if account is None or asset_id is None:
            _refuse("condition_unknown", condition=index, account=condition.account, asset=condition.asset)
        found.append(
            by_name.get((condition.account, condition.asset))
            or account.positions.get(condition.asset)
            or Position(account, condition.asset, asset_id)
        )
    return found


def _check_conditions(
    conditions: list[Condition], positions: list[Position], touched: dict[Position, Balance]
) -> None:
    for index, (condition, position) in enumerate(zip(conditions, positions, strict=True)):
        about = {"condition": index, "account": condition.account, "asset": condition.asset}
        if condition.version is not None and condition.version != position.version:
            _refuse("condition_failed", **about, balance="version", actual=str(position.version))
        then = figures(position.account.debit_normal, touched.get(position, position.balance))
        actual: int = getattr(then, condition.balance)
        if (condition.min is not None and actual < condition.min) or (condition.max is not None and actual > condition.max):
            _refuse("condition_failed", **about, balance=condition.balance, actual=str(actual))


# ---------------------------------------------------------------- holds and reversals


def _subject(state: State, command: Command) -> Subject:
    seq = command.subject
    assert isinstance(seq, int)
    subject = state.subjects[seq]
    if subject is None:
        _refuse("transaction_not_found", seq=seq)
    return subject


def _open_hold(state: State, command: Command) -> Subject:
    hold = _subject(state, command)
    if hold.type != "transaction_held":
        _refuse("not_a_hold", seq=hold.seq)
    if hold.status == "expired":
        assert hold.expires_at is not None
        _refuse("hold_already_expired", seq=hold.seq, ended_by=hold.ended_by, expires_at=iso(hold.expires_at))
    if hold.status != "pending":
        _refuse(f"hold_already_{hold.status}", seq=hold.seq, ended_by=hold.ended_by)
    return hold


def _amounts(subject: Subject, amounts: list[int] | None) -> list[int]:
    """One amount for each leg: those asked, or all that is left; balanced, and not more than is left."""
    if amounts is None:
        return [leg.left for leg in subject.legs]
    if len(amounts) != len(subject.legs):
        _refuse("amounts_count_differs", legs=len(subject.legs), amounts=len(amounts))
    for index, (leg, amount) in enumerate(zip(subject.legs, amounts, strict=True)):
        if amount > leg.left:
            _refuse("exceeds_remaining", leg=index, remaining=str(leg.left), amount=str(amount))
    return amounts


def _after_original(subject: Subject, effective_at: int) -> None:
    if effective_at < subject.effective_at:
        _refuse(
            "effective_before_original",
            effective_at=iso(effective_at),
            original_effective_at=iso(subject.effective_at),
        )


def _post_hold(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, HoldPosting)
    hold = _open_hold(state, command)
    amounts = _amounts(hold, body.amounts)
    effective_at = _effective_at(body, now)
    _after_original(hold, effective_at)
    _check_balanced((leg.asset, _signed(leg, amount)) for leg, amount in zip(hold.legs, amounts, strict=True))

    positions = _positions(state, [(leg.account, leg.asset) for leg in hold.legs], {})
    released = [leg.left for leg in hold.legs] if body.final else amounts
    moves = _moves(hold, positions, RELEASE, released) + _moves(hold, positions, POSTED, amounts)
    legs, touched = _move(moves)
    left = [leg.left - amount for leg, amount in zip(hold.legs, released, strict=True)]
    return _on_subject(
        state, command, "hold_posted", now, effective_at, legs, touched, hold, left, "posted", {"final": body.final}
    )


def _void_hold(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, HoldVoid)
    hold = _open_hold(state, command)
    effective_at = _effective_at(body, now)
    _after_original(hold, effective_at)
    return _release(state, command, "hold_voided", now, effective_at, hold, "voided")


def _expire_hold(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    hold = _open_hold(state, command)
    assert hold.expires_at is not None and hold.expires_at <= now
    return _release(state, command, "hold_expired", now, hold.expires_at, hold, "expired")


def _release(
    state: State, command: Command, type: str, now: int, effective_at: int, hold: Subject, status: str
) -> Accepted:
    positions = _positions(state, [(leg.account, leg.asset) for leg in hold.legs], {})
    legs, touched = _move(_moves(hold, positions, RELEASE, [leg.left for leg in hold.legs]))
    return _on_subject(
        state, command, type, now, effective_at, legs, touched, hold, [0] * len(hold.legs), status, {}
    )


def _reverse(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, Reversal)
    original = _subject(state, command)
    if original.type == "transaction_reversed":
        _refuse("reversal_of_reversal", seq=original.seq)
    if original.type == "transaction_held":
        _refuse("reversal_of_hold", seq=original.seq)
    if original.status == "reversed":
        _refuse("already_reversed", seq=original.seq, ended_by=original.ended_by)
    amounts = _amounts(original, body.amounts)
    effective_at = _effective_at(body, now)
    _after_original(original, effective_at)
    _check_balanced((leg.asset, _signed(leg, amount)) for leg, amount in zip(original.legs, amounts, strict=True))

    positions = _positions(state, [(leg.account, leg.asset) for leg in original.legs], {})
    legs, touched = _move([(p, kind, -amount) for p, kind, amount in _moves(original, positions, POSTED, amounts)])
    left = [leg.left - amount for leg, amount in zip(original.legs, amounts, strict=True)]
    return _on_subject(
        state, command, "transaction_reversed", now, effective_at, legs, touched, original, left, "reversed", {}
    )


def _annotate(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, Annotation)
    subject = _subject(state, command)
    accepted = _event(
        state,
        command,
        "transaction_annotated",
        now,
        now,
        [],
        {},
        {"transaction": subject.seq},
        streams={subject.stream: subject.version + 1},
        metadata=body.metadata,
    )
    accepted.subject = msgspec.structs.replace(subject, version=subject.version + 1)
    return accepted


def _signed(leg: SubjectLeg, amount: int) -> int:
    return amount if leg.amount > 0 else -amount


def _moves(subject: Subject, positions: list[Position], kind: int, amounts: Sequence[int]) -> list[Move]:
    return [
        (position, kind, _signed(leg, amount))
        for position, leg, amount in zip(positions, subject.legs, amounts, strict=True)
        if amount
    ]


def _on_subject(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    legs: list[Leg],
    touched: dict[Position, Balance],
    subject: Subject,
    left: list[int],
    status: Any,
    data: dict[str, Any],
) -> Accepted:
    """The event that takes from what is left of a transaction; ends its stream when nothing is left."""
    accepted = _event(
        state,
        command,
        type,
        now,
        effective_at,
        legs,
        {},
        {"transaction": subject.seq, **data},
        streams={subject.stream: subject.version + 1},
    )
    accepted.touched = touched
    accepted.ended = not any(left)
    accepted.subject = msgspec.structs.replace(
        subject,
        version=subject.version + 1,
        legs=tuple(msgspec.structs.replace(leg, left=rest) for leg, rest in zip(subject.legs, left, strict=True)),
        status=status if accepted.ended else subject.status,
        ended_by=state.seq + 1 if accepted.ended else None,
    )
    return accepted


# ---------------------------------------------------------------- ledger, chart, accounts


def _open_ledger(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, LedgerOpening)
    if state.seq:
        _refuse("ledger_exists", name=body.name)
    data: dict[str, Any] = {"name": body.name, "time_zone": body.time_zone}
    if body.chart is not None:
        _check_chart(state, body.chart)
        data["chart"] = body.chart
    accepted = _event(state, command, "ledger_opened", now, now, [], {}, data)
    if body.chart is not None:
        accepted.chart = Chart(body.chart, state.chart.asset_ids)
    return accepted


def _set_chart(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    document = command.body
    assert isinstance(document, ChartDocument)
    _check_chart(state, document)
    accepted = _event(state, command, "chart_set", now, now, [], {}, {"chart": document})
    accepted.chart = Chart(document, state.chart.asset_ids)
    return accepted


def _check_chart(state: State, document: ChartDocument) -> None:
    patterns = first_overlap(document)
    if patterns is not None:
        _refuse("chart_patterns_overlap", pattern=patterns[0], other=patterns[1])
    assets = scale_conflict(document, state.chart.asset_ids)
    if assets is not None:
        _refuse("asset_scale_conflict", asset=assets[1], known=assets[0])


def _open_account(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, AccountOpening)
    account = state.accounts[body.address]
    if account is not None:
        if account.closed_seq is not None:
            _refuse("account_closed", account=body.address, closed_seq=account.closed_seq)
        _refuse("account_exists", account=body.address, opened_seq=account.opened_seq)
    pattern = state.chart.find(body.address)
    if pattern is None:
        _refuse("account_not_in_chart", account=body.address)
    opened = {body.address: Account(state.accounts_count + 1, body.address, pattern.terms(), state.seq + 1)}
    return _event(state, command, "account_opened", now, now, [], opened, {})


def _open_account_named(state: State, command: Command) -> Account:
    address = command.subject
    assert isinstance(address, str)
    account = state.accounts[address]
    if account is None:
        _refuse("account_not_found", account=address)
    if account.closed_seq is not None:
        _refuse("account_closed", account=address, closed_seq=account.closed_seq)
    return account


def _set_limits(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    body = command.body
    assert isinstance(body, AccountLimits)
    account = _open_account_named(state, command)
    for asset in body.limits:
        if asset != ANY_ASSET and asset not in state.chart.asset_ids:
            _refuse("asset_not_in_chart", asset=asset)
    terms: Terms = msgspec.structs.replace(account.terms, limits=body.limits)
    for position in account.positions.values():
        limits = terms.limits_of(position.asset)
        then = figures(account.debit_normal, position.balance)
        if (limits.min_available is not None and then.available < limits.min_available) or (
            limits.max_balance is not None and then.reach > limits.max_balance
        ):
            _refuse(
                "limit_already_exceeded",
                account=account.address,
                asset=position.asset,
                posted=str(then.posted),
                pending=str(then.pending),
                available=str(then.available),
            )
    accepted = _event(
        state, command, "account_limits_set", now, now, [], {}, {"account": account.address, "limits": body.limits}
    )
    accepted.limited = (account, terms)
    return accepted


def _close_account(state: State, command: Command, now: int, batch: tuple[int, int] | None) -> Accepted:
    account = _open_account_named(state, command)
    for position in account.positions.values():
        then = figures(account.debit_normal, position.balance)
        if then.posted or position.balance[2] or position.balance[3]:
            _refuse(
                "account_not_empty",
                account=account.address,
                asset=position.asset,
                posted=str(then.posted),
                debits_pending=str(position.balance[2]),
                credits_pending=str(position.balance[3]),
            )
    accepted = _event(state, command, "account_closed", now, now, [], {}, {"account": account.address})
    accepted.closed = account
    return accepted


# ---------------------------------------------------------------- the event


def _event(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    legs: list[Leg],
    opened: dict[str, Account],
    data: dict[str, Any],
    *,
    batch: tuple[int, int] | None = None,
    streams: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
) -> Accepted:
    body = command.body
    note = body if isinstance(body, Note) else None
    event = Event(
        accounts_opened={address: account.terms for address, account in opened.items()} if opened else {},
        actor=command.actor,
        batch=batch,
        data=data,
        description=note.description if note else "",
        effective_at=iso(effective_at),
        fingerprint=command.fingerprint.hex(),
        key=command.key or "",
        ledger=state.public_id,
        metadata=note.metadata if note else metadata or {},
        postings=[
            EventPosting(
                position.account.address,
                str(abs(amount)),
                position.asset,
                "debit" if amount > 0 else "credit",
                KINDS[kind],
            )
            for position, kind, amount, _ in legs
        ],
        recorded_at=iso(now),
        reference=note.reference if note else "",
        request_id=command.request_id,
        schema_version=SCHEMA_VERSIONS[type],
        seq=state.seq + 1,
        streams=streams or {},
        type=type,
    )
    encoded = encode(event)
    if len(encoded) > MAX_BODY:
        _refuse("event_too_large", bytes=len(encoded))
    accepted = Accepted(event, encoded, effective_at)
    accepted.legs = legs
    accepted.opened = list(opened.values())
    return accepted


_DECIDERS: dict[type, Callable[[State, Command, int, tuple[int, int] | None], Accepted]] = {
    Transaction: _transaction,
    HoldPosting: _post_hold,
    HoldVoid: _void_hold,
    HoldExpiry: _expire_hold,
    Reversal: _reverse,
    Annotation: _annotate,
    LedgerOpening: _open_ledger,
    ChartDocument: _set_chart,
    AccountOpening: _open_account,
    AccountLimits: _set_limits,
    AccountClosing: _close_account,
}

