"""Ledger, Buffr and bank side by side: for each voucher and settlement, where the three differ.

The two comparisons stand already, as runs: the vouchers with Buffr, each trust account with its bank. What
joins them is the payee. Settlements pay a payee's redemptions in the order of their recording, so that a
redemption is paid by the settlement that covers its place in what the payee was ever owed. So a voucher
leads to the bank's line that paid for it, and a settlement to what Buffr says of the vouchers that it paid.

Memory grows with what differs and with the settlements, never with the vouchers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger import reconciliation_reads as reads
from ledger.days import day_of
from ledger.events import Event, read_event
from ledger.reader import Reader, legs_of
from ledger.reconciliation.streams import REPORTS, Run
from ledger.vouchers import accounts as a

PART = 100
# Buffr says of these that they were paid out, whatever else it says.
PAID_OUT = {"redeemed", "partially_redeemed"}
_AGREED = {"paid", "explained", "not_told"}
_WORST = ("differs", "missing", "not_told", "unsettled", "paid")


class Word(Struct, frozen=True):
    """What one of the three says: a status, and minor units where it says any."""

    status: str
    amount: int | None = None


class ThreeWayLine(Struct, frozen=True):
    """Something of which the three do not say the same.

    A voucher by its name, a settlement or another posting of the trust account by its seq, a line of the
    bank's by its id. `bank` of a voucher: what was paid for its redemptions.
    """

    subject: Literal["voucher", "settlement", "trust"]
    name: str
    programme: str
    asset: str
    ledger: Word
    buffr: Word
    bank: Word


class _Paid(NamedTuple):
    """A settlement's part of what a payee is owed: from `start` to `end` of all that it was ever owed."""

    start: int
    end: int
    settlement: _Settlement


class _Settlement(NamedTuple):
    seq: int
    day: str
    programme: str
    asset: str
    amount: int


class _Told(NamedTuple):
    """What a bank's run found of one posting."""

    word: Word
    resolved: bool
    day: str
    asset: str
    amount: int


def three_way(reader: Reader, ledger: str) -> Iterator[ThreeWayLine]:
    """The lines, vouchers first, in the order of the runs; none where all agree.

    By the last finished run against Buffr with its `reports`, and the bank's finished runs of the trust
    accounts; what was resolved differs no more.
    """
    runs = _finished(reader, ledger)
    buffr = max((run for run in runs if run.side == "buffr"), key=lambda run: run.known_at, default=None)
    bank = _Bank(reader, ledger, [run for run in runs if run.side == "bank"])
    settled = _Settlements(reader, ledger)
    contested: dict[int, int] = defaultdict(int)
    names = [REPORTS] if buffr is None else [buffr.run, REPORTS]
    seen: set[str] = set()
    differing = _open_items(reader, ledger, names)
    while items := list(islice(differing, PART)):
        new = [item for item in items if (item.here or item.there)[0]["reference"] not in seen]
        wanted = {(item.here or item.there)[0]["reference"] for item in new}
        redeemed = _redemptions(reader, ledger, wanted)
        for item in new:
            name = (item.here or item.there)[0]["reference"]
            if name not in seen:
                seen.add(name)
                yield _voucher(name, item, redeemed[name], settled, bank, contested)
    for settlement in settled.all():
        word = bank.word(settlement.programme, settlement.seq, settlement.day, settlement.amount)
        lacking = contested.get(settlement.seq, 0)
        if lacking or word.status not in _AGREED:
            told = buffr is not None and settlement.seq <= buffr.known_at
            confirmed = Word("confirmed", settlement.amount) if told else Word("not_told")
            said = Word("differs", settlement.amount - lacking) if lacking else confirmed
            here = Word("settled", settlement.amount)
            name = str(settlement.seq)
            yield ThreeWayLine("settlement", name, settlement.programme, settlement.asset, here, said, word)
    yield from bank.others({settlement.seq for settlement in settled.all()})


class _Redeemed(NamedTuple):
    """A redemption's place in what its payee was ever owed, in an account."""

    programme: str
    account: str
    asset: str
    start: int
    end: int


def _voucher(
    name: str,
    item: reads.ItemView,
    redeemed: list[_Redeemed],
    settled: _Settlements,
    bank: _Bank,
    contested: dict[int, int],
) -> ThreeWayLine:
    shown = (item.here or item.there)[0]
    said = Word(item.there[0]["status"], int(item.there[0]["amount"])) if item.there else Word("missing")
    here = Word(item.here[0]["status"], int(item.here[0]["amount"])) if item.here else Word("missing")
    words: list[str] = []
    paid = 0
    for part in redeemed:
        covered = 0
        for settlement, amount in settled.of(part):
            covered += amount
            word = bank.word(settlement.programme, settlement.seq, settlement.day, settlement.amount)
            words.append("paid" if word.status == "explained" else word.status)
            paid += amount if words[-1] == "paid" else 0
            if item.outcome != "unknown" and said.status not in PAID_OUT:
                contested[settlement.seq] += amount
        if covered < part.end - part.start:
            words.append("unsettled")
    status = min(words, key=lambda word: _WORST.index(word) if word in _WORST else 0, default="none")
    programme = redeemed[0].programme if redeemed else settled.programme_of(name)
    asset = shown.get("asset", "")
    return ThreeWayLine("voucher", name, programme, asset, here, said, Word(status, paid))


def _open_items(reader: Reader, ledger: str, names: Iterable[str]) -> Iterator[reads.ItemView]:
    for name in names:
        try:
            yield from (item for item in reads.items(reader, ledger, name) if item.resolution is None)
        except reads.RunNotFound:
            continue


def _finished(reader: Reader, ledger: str) -> list[Run]:
    found: list[Run] = []
    after = ""
    while page := reads.runs(reader, ledger, after, PART):
        found += [run for run in page if run.status == "finished"]
        after = page[-1].run
    return found


def _redemptions(reader: Reader, ledger: str, names: Iterable[str]) -> dict[str, list[_Redeemed]]:
    """The redemptions of some vouchers, each at its place in its payee's account."""
    found: dict[str, list[_Redeemed]] = defaultdict(list)
    with reader.snapshot(ledger) as (connection, parameters):
        wanted = {**parameters, "streams": [f"voucher:{name}" for name in names], "type": "voucher_redeemed"}
        rows = connection.execute(reads.QUERIES["events_of_streams"], wanted).fetchall()
        events = [read_event(body) for _, body in rows]
        legs = legs_of(connection, parameters, events)
    for event in events:
        data = event.data
        programme = event.postings[0].account.split(":")[1]
        account = a.payable(programme, data["payee_type"], data["payee"])
        for leg in legs[event.seq]:
            if leg.account == account:
                end = leg.after[1]
                start = end - int(data["amount"])
                found[data["voucher"]].append(_Redeemed(programme, account, leg.asset, start, end))
    return found


class _Settlements:
    """Every settlement of the ledger's programmes, and what of each payee it has paid."""

    def __init__(self, reader: Reader, ledger: str) -> None:
        self._reader, self._ledger = reader, ledger
        self._settlements: list[_Settlement] = []
        self._paid: dict[tuple[str, str], list[_Paid]] = defaultdict(list)
        zone = ZoneInfo(reader.ledger(ledger).time_zone)
        after = ""
        while page := reader.streams(ledger, "programme", after=after, limit=PART):
            for event in self._settled([stream.name for stream, _ in page]):
                self._take_in(event, zone)
            after = page[-1][0].name

    def _settled(self, streams: list[str]) -> list[Event]:
        with self._reader.snapshot(self._ledger) as (connection, parameters):
            wanted = {**parameters, "streams": streams, "type": "payees_settled"}
            rows = connection.execute(reads.QUERIES["events_of_streams"], wanted).fetchall()
        return [read_event(body) for _, body in rows]

    def _take_in(self, event: Event, zone: ZoneInfo) -> None:
        *payees, trust = event.postings
        day = day_of(datetime.fromisoformat(event.effective_at), zone).isoformat()
        programme, asset = event.data["programme"], trust.asset
        settlement = _Settlement(event.seq, day, programme, asset, int(trust.amount))
        self._settlements.append(settlement)
        for leg in payees:
            paid = self._paid[leg.account, asset]
            start = paid[-1].end if paid else 0
            paid.append(_Paid(start, start + int(leg.amount), settlement))

    def all(self) -> list[_Settlement]:
        """In the order of their recording, programme by programme."""
        return self._settlements

    def of(self, redeemed: _Redeemed) -> Iterator[tuple[_Settlement, int]]:
        """The settlements that paid for a redemption, and how much of it each."""
        paid = self._paid.get((redeemed.account, redeemed.asset), [])
        for one in paid[bisect_right(paid, redeemed.start, key=lambda one: one.end) :]:
            if one.start >= redeemed.end:
                return
            yield one.settlement, min(one.end, redeemed.end) - max(one.start, redeemed.start)

    def programme_of(self, voucher: str) -> str:
        """The programme of a voucher; empty: the book knows none."""
        stream = self._reader.stream(self._ledger, f"voucher:{voucher}")
        return "" if stream is None else str(stream[0].state.programme)


class _Bank:
    """What the bank's statements say of the trust accounts' postings."""

    def __init__(self, reader: Reader, ledger: str, runs: list[Run]) -> None:
        self._runs: dict[str, list[tuple[Run, dict[int, _Told]]]] = defaultdict(list)
        self._lines: list[ThreeWayLine] = []
        for run in sorted(runs, key=lambda run: -run.known_at):
            head, programme, tail = (*run.account.split(":"), "", "")[:3]
            if (head, tail) == ("vouchers", "trust"):
                told: dict[int, _Told] = {}
                for item in reads.items(reader, ledger, run.run):
                    self._take_in(programme, item, told)
                self._runs[programme].append((run, told))

    def _take_in(self, programme: str, item: reads.ItemView, told: dict[int, _Told]) -> None:
        said = sum(int(each["amount"]) for each in item.there)
        if item.outcome == "status_mismatch" and item.there:
            word = Word(item.there[0].get("status", ""), abs(said))
        else:
            word = Word("differs", abs(said)) if item.there else Word("missing", 0)
        for each in item.here:
            seq, amount = int(each["id"].partition("/")[0]), int(each["amount"])
            told[seq] = _Told(word, item.resolution is not None, each["day"], each["asset"], amount)
        shown = item.there[0] if item.there else {"day": ""}
        newer = any(run.first_day <= shown["day"] <= run.last_day for run, _ in self._runs[programme])
        if not item.here and item.resolution is None and not newer:
            line = Word("missing"), Word("none"), Word(item.outcome, said)
            self._lines.append(ThreeWayLine("trust", shown["id"], programme, shown["asset"], *line))

    def word(self, programme: str, seq: int, day: str, amount: int) -> Word:
        """Of a posting, by the last statement of its day that the book was compared with after it."""
        for run, told in self._runs.get(programme, ()):
            if seq <= run.known_at and run.first_day <= day <= run.last_day:
                found = told.get(seq)
                if found is None:
                    return Word("paid", amount)
                return Word("explained", amount) if found.resolved else found.word
        return Word("not_told")

    def others(self, settlements: set[int]) -> Iterator[ThreeWayLine]:
        """The bank's own lines, and postings of the trust accounts that are no settlements."""
        yield from self._lines
        for programme, runs in self._runs.items():
            seen = set(settlements)
            for _, told in runs:
                for seq, one in told.items():
                    word = self.word(programme, seq, one.day, one.amount)
                    if seq not in seen and word.status not in _AGREED:
                        here = Word("posted", one.amount)
                        yield ThreeWayLine("trust", str(seq), programme, one.asset, here, Word("none"), word)
                    seen.add(seq)
