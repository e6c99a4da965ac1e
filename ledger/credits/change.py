"""What a command does to a wallet: gathered by its decider, then written as the event's data and postings.

Each slice and grant becomes legs by one rule (docs/postings.md): units go from the account of one place to
that of another; cost that leaves the contract liability goes to what it was earned by.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ledger.credits.accounts import Accounts
from ledger.credits.lots import INSIDE, Lot, Outside, Place, Slice, moved, take
from ledger.credits.wallet import Wallet
from ledger.product import Line
from ledger.text import iso


class Change:
    """Slices and grants of one event of a wallet."""

    def __init__(self, wallet: Wallet, accounts: Accounts) -> None:
        self.wallet = wallet
        self.accounts = accounts
        self.slices: list[Slice] = []
        self.terms: dict[int, dict[str, Any]] = {}  # of slices that come back, by index
        self.grants: list[tuple[Lot, Outside]] = []
        self._lots: dict[int, Lot] = {}  # as they are after the slices so far
        self._granted = wallet.granted

    def lot(self, number: int) -> Lot | None:
        """A lot as it is by now."""
        return self._lots.get(number) or self.wallet.lot(number)

    def move(
        self,
        lot: Lot,
        source: Place,
        target: Place | Outside,
        units: int,
        hold: int = 0,
        cost: int | None = None,
    ) -> Slice:
        """Move units of a lot; out of it at `cost`, or at their share of what is left."""
        after, taken = moved(self._lots.get(lot.number, lot), source, target, units, hold, cost)
        self._lots[lot.number] = after
        self.slices.append(taken)
        return taken

    def use(self, units: int, target: Place | Outside, hold: int = 0) -> None:
        """Take available units in the order of use; there must be enough."""
        for lot, taken in take(self.wallet.lots, units):
            self.move(lot, "available", target, taken, hold)

    def restore(
        self,
        source: Outside,
        lot: Lot,
        target: Place | Outside,
        units: int,
        cost: int,
        terms: dict[str, Any],
    ) -> None:
        """Bring back what was consumed or retired, at the cost that it left at."""
        now = self.lot(lot.number) or lot
        after, back = moved(now, source, target, units, cost=cost)
        if target in INSIDE:
            self._lots[lot.number] = after
        else:
            back = Slice(now, source, target, units, cost)
        self.terms[len(self.slices)] = terms
        self.slices.append(back)

    def grant(self, lot: Lot, origin: Outside) -> None:
        """Add a lot; `number` is given here."""
        self.grants.append((lot, origin))

    def next_number(self) -> int:
        """The number of a lot about to be granted."""
        self._granted += 1
        return self._granted

    @property
    def available(self) -> int:
        """Available units afterwards."""
        units = self.wallet.available
        for taken in self.slices:
            units += taken.units * ((taken.target == "available") - (taken.source == "available"))
        return units + sum(lot.units for lot, _ in self.grants if not lot.locked)

    def data(self) -> dict[str, Any]:
        """What the event says of it: slices, grants, the change of the balance and what it is then."""
        available = self.available
        data: dict[str, Any] = {
            "amount": str(available - self.wallet.available),
            "balance": str(available),
        }
        if self.slices:
            data["slices"] = [self._slice(index, taken) for index, taken in enumerate(self.slices)]
        if self.grants:
            data["lots"] = [{"from": origin, **lot_data(lot)} for lot, origin in self.grants]
        return data

    def _slice(self, index: int, taken: Slice) -> dict[str, Any]:
        data: dict[str, Any] = {
            "lot": taken.lot.number,
            "from": taken.source,
            "to": taken.target,
            "units": str(taken.units),
        }
        if taken.cost:
            data["cost"] = str(taken.cost)
            data["asset"] = taken.lot.asset
        if taken.recognised:
            data["recognised"] = str(taken.recognised)
        if taken.hold:
            data["hold"] = taken.hold
        if taken.target == "consumed":
            data["terms"] = terms_data(taken.lot)
        elif taken.target == "retired":
            data["terms"] = terms_data(replace(taken.lot, total=taken.lot.total - taken.cost))
        elif index in self.terms:
            data["terms"] = self.terms[index]
        return data

    def lines(self, extra: Iterable[Line] = (), forfeited: bool = False) -> list[Line]:
        """The event's legs, netted by account and asset. `extra` are the command's own."""
        accounts = self.accounts
        sums: dict[tuple[str, str], int] = {}

        def post(account: str, asset: str, amount: int) -> None:
            sums[account, asset] = sums.get((account, asset), 0) + amount

        for taken in self.slices:
            lot = taken.lot
            post(self._units_account(taken.source), accounts.asset, taken.units)
            post(self._units_account(taken.target), accounts.asset, -taken.units)
            if taken.cost:
                if taken.source in INSIDE:
                    post(accounts.liability, lot.asset, taken.cost)
                elif taken.source == "consumed":
                    post(accounts.revenue, lot.asset, taken.cost)
                target = self._cost_account(taken, forfeited)
                if target is not None:
                    post(target, lot.asset, -taken.cost)
            if taken.recognised:
                post(accounts.recognised, lot.asset, taken.recognised)
                post(accounts.breakage, lot.asset, -taken.recognised)
        for lot, origin in self.grants:
            post(self._units_account(origin), accounts.asset, lot.units)
            post(accounts.frozen if lot.locked else accounts.available, accounts.asset, -lot.units)
            if lot.cost:
                post(accounts.liability, lot.asset, -lot.cost)
                if origin == "consumed":
                    post(accounts.revenue, lot.asset, lot.cost)
                elif origin == "rolled":
                    post(accounts.liability, lot.asset, lot.cost)
        for line in extra:
            post(line.account, line.asset, line.amount)
        lines = [Line(account, asset, amount) for (account, asset), amount in sums.items() if amount]
        # As one reads an entry: money, then units; debits, then credits.
        return sorted(lines, key=lambda line: (line.asset == accounts.asset, line.amount < 0))

    def _units_account(self, place: str) -> str:
        # What rolls over stays available.
        return self.accounts.available if place == "rolled" else str(getattr(self.accounts, place))

    def _cost_account(self, taken: Slice, forfeited: bool) -> str | None:
        """What cost goes to; None: the command says so itself (retired units, also when they come back)."""
        accounts = self.accounts
        if taken.target in INSIDE or taken.target == "rolled":
            return accounts.liability
        if taken.target == "consumed":
            return accounts.revenue
        if taken.target == "expired":
            escheats = taken.lot.policy == "escheatable" and not forfeited
            return accounts.unclaimed if escheats else accounts.breakage
        return None


def lot_data(lot: Lot) -> dict[str, Any]:
    """A lot as an event grants it; `wallet.lot_of` is the inverse."""
    return {**terms_data(lot), "units": str(lot.units), "cost": str(lot.cost)}


def terms_data(lot: Lot) -> dict[str, Any]:
    """What a lot is, whatever is left of it: `cost` is what it cost in all."""
    data: dict[str, Any] = {
        "lot": lot.number,
        "units": "0",
        "source": lot.source,
        "effective_at": iso(lot.effective_at),
    }
    if lot.total:
        data["cost"] = str(lot.total)
        data["asset"] = lot.asset
    if lot.priority:
        data["priority"] = lot.priority
    if lot.expires_at is not None:
        data["expires_at"] = iso(lot.expires_at)
    if lot.order:
        data["order"] = lot.order
    if lot.policy != "remote":
        data["policy"] = lot.policy
    if lot.expected:
        data["expected"] = lot.expected
    if lot.locked:
        data["locked"] = True
    return data
