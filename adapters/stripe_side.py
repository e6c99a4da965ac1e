"""Stripe's side of a reconciliation: what moved its balance in a period, its payouts, what each paid out.

All is listed by the official client, page by page, and kept on disk until it has been compared. Stripe tells
its balance only as it is now, so it is taken back to the period's end by what has moved it since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from stripe import StripeClient

from adapters.adapter import Event, at
from adapters.exponents import NotWhole, asset_of, minor
from adapters.stripe_balance import created, listed
from adapters.stripe_objects import PROVIDER, Misread, Told, currency_of
from ledger import clearing_reads as reads
from ledger.clearing_reads import FAILED, MADE, UNCLASSIFIED, Extent
from ledger.payments.accounts import CLEARING
from ledger.reader import AccountNotFound, Reader
from ledger.reconciliation.items import UNREACHABLE, Finding, Item, Rules
from ledger.reconciliation.matching import reconcile
from ledger.reconciliation.sides import About, Passing
from ledger.reconciliation.spool import Spool

SIDE = "stripe"
WINDOW_DAYS = 3
LOOKED_UP = 500
TRIES = 3
EPOCH = datetime.fromtimestamp(0, UTC)

# Kinds of findings; `fee_differs` is the engine's.
COMPOSITION = "payout_composition"
BALANCE = "balance_differs"
MISREAD = "misread"


class StripeComparison:
    """Clearing and payouts of a period beside Stripe's."""

    def __init__(
        self,
        client: StripeClient,
        reader: Reader,
        ledger: str,
        start: datetime,
        end: datetime,
        folder: Path,
        report: Callable[[int], None],
    ) -> None:
        """Lists what Stripe has from `start` until before `end` (LedgerNotFound, stripe.StripeError).

        `report` is told how many objects there are so far.
        """
        self._client, self._reader, self._ledger = client, reader, ledger
        # Stripe's clock has no fractions.
        self._start, self._end = start.replace(microsecond=0), end.replace(microsecond=0)
        self._zone = ZoneInfo(reader.ledger(ledger).time_zone)
        self._report, self._count = report, 0
        self._txns, self._payouts, self._compositions, self._balances = (Spool(folder) for _ in range(4))
        self._list_transactions()
        self._list_payouts()
        self._take_balance_back()
        spools = (self._txns, self._payouts, self._compositions, self._balances)
        self.about = About(
            side=SIDE,
            source=f"Stripe, {start.isoformat()} to {end.isoformat()}",
            digest=hashlib.sha256("".join(spool.digest for spool in spools).encode()).hexdigest(),
            account=CLEARING if self._is_open() else "",
            window_days=WINDOW_DAYS,
            first_day=self._day(start),
            last_day=self._day(end - timedelta(microseconds=1)),
        )

    def _is_open(self) -> bool:
        """Whether anything has moved clearing yet."""
        try:
            self._reader.account(self._ledger, CLEARING)
        except AccountNotFound:
            return False
        return True

    # ------------------------------------------------------------ what Stripe says

    def _list_transactions(self) -> None:
        for page in self._transactions({"created": created(self._start, self._end)}):
            for body in page:
                self._txns.add(transaction_of(body, self._zone))

    def _transactions(self, asked: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        for page in listed(self._client.v1.balance_transactions.list, asked):
            self._count += len(page)
            self._report(self._count)
            yield page

    def _list_payouts(self) -> None:
        asked = {"created": created(self._start, self._end)}
        for page in listed(self._client.v1.payouts.list, asked):
            for body in page:
                item = self._payout(body)
                self._payouts.add(item)
                # Which transactions a payout that somebody asked for is made of, nobody can tell.
                completed = at(body, "reconciliation_status") in (None, "completed")
                if at(body, "automatic") is True and completed and item.status != UNREACHABLE:
                    self._list_composition(item)

    def _payout(self, body: dict[str, Any]) -> Item:
        told = Told(_event(body))
        payout, day = told.id(), self._day(told.when() or self._start)
        failed = told.text("status") in ("failed", "canceled")
        try:
            amount = told.amount("amount", operation="payout")
            return Item(day, payout, payout, amount, told.asset(), FAILED if failed else MADE)
        except (Misread, NotWhole) as error:
            return Item(day, f"{error}"[:200], payout, 0, "", UNREACHABLE)

    def _list_composition(self, payout: Item) -> None:
        """The payout, then each balance transaction that it paid out."""
        self._compositions.add(payout)
        for page in self._transactions({"payout": payout.reference}):
            for body in page:
                item = transaction_of(body, self._zone)
                if item.name != payout.reference:
                    self._compositions.add(replace(item, name=payout.reference))

    def _take_balance_back(self) -> None:
        """The balance at the period's end. While it moves, it is asked for again."""
        for _ in range(TRIES):
            before = self._balance()
            since: dict[str, int] = {}
            for page in self._transactions({"created": {"gte": int(self._end.timestamp())}}):
                for item in (transaction_of(body, self._zone) for body in page):
                    if item.status != UNREACHABLE:
                        since[item.asset] = since.get(item.asset, 0) + item.amount
            if before == self._balance():
                break
        else:
            self._balances.add(self._on_last_day("", 0, UNREACHABLE))
            return
        for asset in sorted(before.keys() | since.keys()):
            self._balances.add(self._on_last_day(asset, before.get(asset, 0) - since.get(asset, 0)))

    def _balance(self) -> dict[str, int]:
        """Available and pending together, by asset."""
        body = self._client.v1.balance.retrieve().to_dict()
        found: dict[str, int] = {}
        for part in (*body["available"], *body["pending"]):
            currency, amount = currency_of(part), at(part, "amount")
            asset = asset_of(PROVIDER, currency)
            found[asset] = found.get(asset, 0) + minor(PROVIDER, currency, "balance", amount)
        return found

    def _day(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).date().isoformat()

    def _on_last_day(self, asset: str, amount: int, status: str = "") -> Item:
        day = self._day(self._end - timedelta(microseconds=1))
        return Item(day, "balance", CLEARING, amount, asset, status)

    # ------------------------------------------------------------ what comes of it

    def findings(self, known_at: int, folder: Path, passing: Passing) -> Iterator[Finding]:
        """Balance transactions, payouts, what payouts are made of, and the balance, one after another."""
        extent = Extent(known_at, self._start, self._end)
        here = reads.payout_items(self._reader, self._ledger, extent)
        payouts = reconcile(passing(here), passing(self._payouts), Rules(window_days=None), folder)
        yield from map(_with_kind, chain(self._movements(extent, folder, passing), payouts))
        for _, items in groupby(self._compositions, key=lambda item: item.name):
            yield self._composition(known_at, items)
        yield from self._clearing(extent)

    def _movements(self, extent: Extent, folder: Path, passing: Passing) -> Iterator[Finding]:
        """By the exact reference; then, what has none here by the engine's other rules.

        What has a reference on both sides never matches by its amount: those are two facts.
        """
        told, left = Spool(folder), Spool(folder)
        here = reads.clearing_items(self._reader, self._ledger, extent)
        by_reference = _apart(passing(here), told)
        for finding in reconcile(by_reference, passing(self._txns), Rules(window_days=None), folder):
            if finding.outcome == "missing_here":
                left.add(finding.there[0])
            else:
                yield finding
        yield from reconcile(told, left, Rules(window_days=WINDOW_DAYS), folder)

    def _composition(self, known_at: int, items: Iterator[Item]) -> Finding:
        """The payout's amount beside the sums of what it paid out, there and here."""
        payout = next(items)
        there = here = 0
        while some := list(islice(items, LOOKED_UP)):
            known = reads.settled_amounts(self._reader, self._ledger, known_at, (i.reference for i in some))
            for item in some:
                there += item.amount if item.asset == payout.asset else 0
                asset, amount = known.get(item.reference, ("", 0))
                here += amount if asset == payout.asset else 0
        ours = replace(payout, name="balance transactions here", amount=here, status="")
        theirs = replace(payout, name="balance transactions there", amount=there, status="")
        if payout.amount == there == here:
            return Finding("match", "reference", (ours,), (payout,))
        return Finding("amount_mismatch", "reference", (ours,), (payout, theirs), COMPOSITION)

    def _clearing(self, extent: Extent) -> Iterator[Finding]:
        """The clearing account beside Stripe's balance, at the end of the period."""
        here = reads.clearing_balance(self._reader, self._ledger, extent)
        there = {item.asset: item for item in self._balances}
        if any(item.status == UNREACHABLE for item in there.values()):
            yield Finding("unknown", "none", (), tuple(there.values()), BALANCE)
            return
        for asset in sorted(here.keys() | there.keys()):
            ours = self._on_last_day(asset, here.get(asset, 0))
            theirs = there.get(asset) or self._on_last_day(asset, 0)
            same = ours.amount == theirs.amount
            yield Finding(
                "match" if same else "amount_mismatch",
                "reference",
                (ours,),
                (theirs,),
                "" if same else BALANCE,
            )


def transaction_of(body: dict[str, Any], zone: ZoneInfo) -> Item:
    """What a balance transaction leaves, its fee, its type as status; `unreachable`: nobody can read it."""
    told = Told(_event(body))
    txn = told.id()
    day = (told.when() or EPOCH).astimezone(zone).date().isoformat()
    try:
        amount, fee = told.amount("amount", operation="balance"), told.or_zero("fee")
        name = told.link("source") or txn
        return Item(day, name, txn, amount - fee, told.asset(), told.text("type"), fee=fee)
    except (Misread, NotWhole) as error:
        return Item(day, f"{error}"[:200], txn, 0, "", UNREACHABLE)


def paid_out(
    client: StripeClient, reader: Reader, ledger: str, payout: str
) -> Iterator[tuple[Item, int | None]]:
    """What a payout is made of as Stripe says, and what the ledger has of each; None: it does not know it.

    Of automatic payouts alone (LedgerNotFound, stripe.StripeError).
    """
    opened = reader.ledger(ledger)
    for page in listed(client.v1.balance_transactions.list, {"payout": payout}):
        parts = [transaction_of(body, ZoneInfo(opened.time_zone)) for body in page]
        parts = [part for part in parts if part.name != payout]
        known = reads.settled_amounts(reader, ledger, opened.seq, (part.reference for part in parts))
        for part in parts:
            asset, amount = known.get(part.reference, ("", 0))
            yield part, amount if asset == part.asset else None


def _event(body: dict[str, Any]) -> Event:
    return Event(PROVIDER, "", "", "", datetime.now(UTC), {"data": {"object": body}})


def _apart(items: Iterable[Item], without_reference: Spool) -> Iterator[Item]:
    for item in items:
        if item.reference:
            yield item
        else:
            without_reference.add(item)


def _with_kind(finding: Finding) -> Finding:
    """What nobody has classified, and what cannot be read, are kinds of their own."""
    if finding.outcome == "status_mismatch" and any(item.status == UNCLASSIFIED for item in finding.here):
        return replace(finding, kind=UNCLASSIFIED)
    if finding.outcome == "unknown":
        return replace(finding, kind=MISREAD)
    return finding
