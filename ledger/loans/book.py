"""The book of one loan: what is owed, what has been earned, and what the loan adds to each account.

A book is the working copy of a decision: `copy` it, let time pass (`accrue`), enter facts
(`ledger.loans.facts`), and take the `lines` that were posted on the way. Everything in it follows from the
loan's terms and its facts in the order of their days; when accruals happened to run makes no difference.

Each part of the debt has a tally of what was charged or has accrued, was paid, and was waived. For interest
that can be negative: paid in advance, it is unearned income. Whether money is posted at all, and against
what, depends on whose loan it is and what became of it: see `Book.on_books`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from ledger.loans import accounts as a
from ledger.loans import fees
from ledger.loans.debt import FELL_DUE, MISSED, Exposure, Extra, Row, Split, Tally
from ledger.loans.schedule import Rounding, share
from ledger.loans.terms import Offer, Policy
from ledger.loans.waterfall import Item, Part

Lines = list[tuple[str, int]]  # account, amount in minor units: debit positive


class Book(Struct, kw_only=True, omit_defaults=True, gc=False):
    """See the module. Amounts are minor units of the offer's asset, days those of the ledger's time zone."""

    offer: Offer
    policy: Policy
    accrued_to: date
    rows: list[Row] = []
    extras: list[Extra] = []
    tallies: dict[Part, Tally] = {}
    disbursed: int = 0
    overpaid: int = 0
    recovered: int = 0
    allowance: int = 0
    collateral: dict[str, int] = {}
    splits: dict[str, Split] = {}
    fee_left: int = 0  # on `fee_day`; `fee_taken` of it is income since
    fee_day: date | None = None
    fee_taken: int = 0
    non_accrual: bool = False
    charged_off: bool = False
    written_off: bool = False
    closed: date | None = None
    totals: dict[str, int] = {}
    lines: Lines = []

    def copy(self) -> Book:
        """A book that can be changed without changing this one; it has posted nothing yet."""
        book = replace(self)
        book.rows, book.extras = list(self.rows), list(self.extras)
        book.tallies, book.totals = dict(self.tallies), dict(self.totals)
        book.splits, book.collateral = dict(self.splits), dict(self.collateral)
        book.lines = []
        return book

    # ------------------------------------------------------------ posting

    def debit(self, account: str, amount: int) -> None:
        """Post a debit; a negative amount is a credit."""
        if amount:
            self.lines.append((account, amount))
            total = self.totals.get(account, 0) + amount
            if total:
                self.totals[account] = total
            else:
                del self.totals[account]

    def credit(self, account: str, amount: int) -> None:
        """Post a credit; a negative amount is a debit."""
        self.debit(account, -amount)

    @property
    def on_books(self) -> bool:
        """Whether the loan is an asset of ours that has not been charged off or written off."""
        return self.offer.provider is None and not self.charged_off and not self.written_off

    @property
    def collected(self) -> str:
        """Where repayments of a loan that is not on our books go."""
        if self.offer.provider is not None:
            return a.provider_payable(self.offer.provider)
        return a.RECOVERIES

    # ------------------------------------------------------------ what is owed

    def tally(self, part: Part) -> Tally:
        """The tally of a part."""
        return self.tallies.get(part) or Tally()

    def items(self, enough: int | None = None) -> Iterator[Item]:
        """Everything that is owed, in advance too; or extras and the first instalments that make `enough`."""
        found = 0
        for place, row in enumerate(self.rows):
            interest, principal = row.interest - row.interest_done, row.principal - row.principal_done
            if interest:
                yield Item(row.due, "interest", interest, ("row", place))
            if principal:
                yield Item(row.due, "principal", principal, ("row", place))
            found += interest + principal
            if enough is not None and found >= enough:
                break
        for place, extra in enumerate(self.extras):
            if extra.amount > extra.done:
                yield Item(extra.due, extra.part, extra.amount - extra.done, ("extra", place))

    def settle(self, item: Item, amount: int) -> None:
        """Mark part of an item as done."""
        kind, place = item.place
        if kind == "extra":
            extra = self.extras[place]
            self.extras[place] = replace(extra, done=extra.done + amount)
        elif item.part == "interest":
            row = self.rows[place]
            self.rows[place] = replace(row, interest_done=row.interest_done + amount)
        else:
            row = self.rows[place]
            self.rows[place] = replace(row, principal_done=row.principal_done + amount)

    @property
    def owes(self) -> bool:
        """Whether anything is owed, in advance too."""
        return self.owes_more_than(0)

    def owes_more_than(self, amount: int) -> bool:
        """Whether more is owed, in advance too; the last instalments tell soonest."""
        for row in reversed(self.rows):
            amount -= row.principal - row.principal_done + row.interest - row.interest_done
            if amount < 0:
                return True
        return sum(extra.amount - extra.done for extra in self.extras) > amount

    @property
    def oldest_due(self) -> date | None:
        """The first day on which something that is owed is due, past or to come; None: nothing is owed."""
        oldest = None
        for row in self.rows:
            if row.principal > row.principal_done or row.interest > row.interest_done:
                oldest = row.due
                break
        for extra in self.extras:
            if extra.amount > extra.done and (oldest is None or extra.due < oldest):
                oldest = extra.due
        return oldest

    def exposure(self) -> Exposure:
        """What can be at risk, and since when something is owed; time alone does not change it."""
        return Exposure(self.at_risk, self.oldest_due)

    @property
    def at_risk(self) -> int:
        """Principal on the books or serviced."""
        return self.totals.get(a.PORTFOLIO, 0) + self.totals.get(a.SERVICED, 0)

    def days_past_due(self, day: date) -> int:
        """Days since the oldest due day that is not paid; 0 until the days of grace are over."""
        oldest = self.oldest_due
        days = 0 if oldest is None else (day - oldest).days
        return days if days > self.policy.grace_days else 0

    def accrued_of(self, row: Row, day: date) -> int:
        """The interest of an instalment that has accrued by a day."""
        if day >= row.due:
            return row.interest
        since = row.base_day or row.start
        if day <= since:
            return row.base
        rest = row.interest - row.base
        return row.base + share(rest, (day - since).days, (row.due - since).days, self.rounding)

    @property
    def rounding(self) -> Rounding:
        """Of every amount of the loan."""
        return self.offer.interest.rounding

    # ------------------------------------------------------------ income

    def accrue(self, to: date) -> None:
        """Let time pass: interest accrues, deferred fees become income, arrears stop accrual."""
        if to <= self.accrued_to:
            return
        before, self.accrued_to = self.accrued_to, to
        self._age(to)
        if not self.written_off:
            interest = 0
            for row in self.rows:
                if row.start >= to:
                    break
                if row.due > before:
                    interest += self.accrued_of(row, to) - self.accrued_of(row, before)
            self.earn("interest", interest)
            fees.amortise(self)
        limit = self.policy.non_accrual_days
        if limit is not None and self.on_books and not self.non_accrual and self.days_past_due(to) > limit:
            self._suspend()

    def _age(self, to: date) -> None:
        """Instalments owed on their due day fell due; those still owed after grace were missed."""
        for place, row in enumerate(self.rows):
            if row.due > to:
                break
            unpaid = row.principal > row.principal_done or row.interest > row.interest_done
            if row.stage < MISSED and unpaid:
                missed = (to - row.due).days > self.policy.grace_days
                self.rows[place] = replace(row, stage=MISSED if missed else FELL_DUE)

    def earn(self, part: a.Earned, amount: int) -> None:
        """A part other than principal is charged or accrues."""
        tally = self.tally(part)
        unearned = min(max(-tally.net, 0), amount)
        self.tallies[part] = replace(tally, accrued=tally.accrued + amount)
        if not self.on_books:
            return
        self.debit(a.UNEARNED, unearned)
        if self.non_accrual:
            self.credit(a.INCOME[part], unearned)
            self._hold_back(amount - unearned)
        else:
            self.debit(a.RECEIVABLE[part], amount - unearned)
            self.credit(a.INCOME[part], amount)

    def relieve(self, part: Part, amount: int, *, paid: bool) -> int:
        """Credit what was paid or waived of a part; answers how much was posted for it.

        Interest beyond what has accrued is unearned. Suspended income becomes income when it is paid.
        """
        tally = self.tally(part)
        self.tallies[part] = (
            replace(tally, paid=tally.paid + amount) if paid else replace(tally, waived=tally.waived + amount)
        )
        if self.offer.provider is not None and part == "principal":
            self.credit(a.SERVICED, amount)
            self.debit(a.SERVICED_OFFSET, amount)
        if not self.on_books:
            return 0
        if part == "principal":
            self.credit(a.PORTFOLIO, amount)
            return amount
        owed = min(max(tally.net, 0), amount)
        self.credit(a.UNEARNED, amount - owed)
        if not self.non_accrual:
            self.credit(a.RECEIVABLE[part], owed)
            return amount
        self._hold_back(-owed)
        if not paid:
            return amount - owed
        self.credit(a.INCOME[part], owed)
        return amount

    def burden(self, part: Part, amount: int) -> None:
        """The opposite of a payment of a part: it is owed again."""
        tally = replace(self.tally(part), paid=self.tally(part).paid - amount)
        self.tallies[part] = tally
        if self.offer.provider is not None and part == "principal":
            self.debit(a.SERVICED, amount)
            self.credit(a.SERVICED_OFFSET, amount)
        if not self.on_books:
            return
        if part == "principal":
            self.debit(a.PORTFOLIO, amount)
            return
        owed = min(max(tally.net, 0), amount)
        self.debit(a.UNEARNED, amount - owed)
        if self.non_accrual:
            self._hold_back(owed)
            self.debit(a.INCOME[part], owed)
        else:
            self.debit(a.RECEIVABLE[part], owed)

    def _hold_back(self, amount: int) -> None:
        """Income that is only remembered."""
        self.debit(a.SUSPENDED, amount)
        self.credit(a.SUSPENDED_OFFSET, amount)

    def _suspend(self) -> None:
        """Non-accrual: what is not paid was no income after all."""
        self.non_accrual = True
        for part, receivable in a.RECEIVABLE.items():
            net = max(self.tally(part).net, 0)
            self.debit(a.INCOME[part], net)
            self.credit(receivable, net)
            self._hold_back(net)

    def resume(self) -> None:
        """Accrual goes on: what is owed is income again."""
        self.non_accrual = False
        for part, receivable in a.RECEIVABLE.items():
            net = max(self.tally(part).net, 0)
            self.debit(receivable, net)
            self.credit(a.INCOME[part], net)
            self._hold_back(-net)

    # ------------------------------------------------------------ after every fact

    def conclude(self) -> None:
        """Accrual resumes when nothing is past due; a loan that is paid closes, with all that hangs on it."""
        if self.non_accrual and not self.days_past_due(self.accrued_to):
            self.resume()
        if self.owes or not self.disbursed:
            self.closed = None
        elif self.closed is None and not self.written_off:
            self.closed = self.accrued_to
            ahead = sum(row.interest - self.accrued_of(row, self.accrued_to) for row in self.rows)
            self.rows = [
                replace(row, base_day=self.accrued_to, base=row.interest)
                if row.due > self.accrued_to
                else row
                for row in self.rows
            ]
            self.earn("interest", ahead)
            fees.release(self, a.INCOME["interest"])
            self.provide(0)

    def provide(self, target: int) -> None:
        """Bring the allowance to what is expected to be lost."""
        change = target - self.allowance
        self.allowance = target
        if change > 0:
            self.debit(a.IMPAIRMENT, change)
            self.credit(a.ALLOWANCE, change)
        else:
            self.debit(a.ALLOWANCE, -change)
            self.credit(a.IMPAIRMENT, -change)

    def outstanding(self) -> dict[Part, int]:
        """What is owed of each part, in advance too."""
        principal = interest = 0
        for row in self.rows:
            principal += row.principal - row.principal_done
            interest += row.interest - row.interest_done
        found: dict[Part, int] = {"penalty": 0, "fee": 0, "interest": interest, "principal": principal}
        for extra in self.extras:
            found[extra.part] += extra.amount - extra.done
        return found
