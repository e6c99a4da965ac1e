"""The vouchers beside what Buffr says of them: Buffr is asked about one after another, in the order of names.

Both sides are walked. Ours is the book. Buffr lists nothing, so its side is what it answers about ours, and
about the vouchers that its webhooks have named and the book does not know.

To ask about a million takes hours, in which both sides change. So each page of the run says how far it has
come, an interrupted run goes on from there, and what differs is looked at a second time before it is told:
a webhook that was on its way is no difference. Memory holds PART vouchers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from adapters.buffr_client import CONNECTIONS, BuffrClient, Unknown
from adapters.inbox import desk
from adapters.inbox.connections import connect
from api.reconciling import RunRefused, found, record
from api.settings import Buffr
from ledger import reconciliation_reads as reads
from ledger.chart import MAX_AMOUNT
from ledger.days import day_of
from ledger.reader import Reader
from ledger.reconciliation.commands import FinishRun, RecordItems, StartRun
from ledger.reconciliation.items import UNREACHABLE, Finding, Item, Outcome, Rules
from ledger.reconciliation.matching import reconcile
from ledger.reconciliation.streams import Run
from ledger.rejections import Rejection
from ledger.vouchers.streams import Voucher
from ledger.writer import Writer

SIDE = "buffr"
PART = 50
STEP = 1_000  # vouchers at most from one page to the next
MOST_RECORDS = 3
LONGEST_STATUS = 32
NO_DIGEST = "0" * 64  # what is asked has none
DEAD = {"cancelled", "failed"}  # there, of what was issued again under another name

# Names beyond one, in order, at most so many: of vouchers that Buffr has told of and the book does not know.
Strangers = Callable[[str, int], list[str]]
Answer = Sequence[Mapping[str, Any]] | None


class Vouchers(NamedTuple):
    """What is compared, with whom, on which day of the ledger's calendar; `pool` asks."""

    reader: Reader
    ledger: str
    client: BuffrClient
    strangers: Strangers
    day: str
    pool: Executor


class _Part(NamedTuple):
    """The next names of both sides, in order."""

    names: list[str]
    ours: dict[str, Voucher]


class _Sides(Struct):
    """Items of both sides."""

    here: list[Item]
    there: list[Item]


def ask(
    conninfo: str,
    access: Buffr,
    writer: Writer,
    reader: Reader,
    ledger: str,
    name: str | None,
    progress: Callable[[int], None],
) -> Run:
    """The finished run of this name, or of today's, with Buffr where the settings say (RunRefused).

    `ledger` is its whole name; `progress` is told how many vouchers were compared.
    """
    with (
        closing(connect(conninfo)) as inbox,
        closing(BuffrClient(access.url, access.key)) as client,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):

        def strangers(after: str, limit: int) -> list[str]:
            return desk.strangers(inbox, ledger, SIDE, "voucher_not_found", after, limit)

        today = day_of(reader.clock(), ZoneInfo(reader.ledger(ledger).time_zone)).isoformat()
        vouchers = Vouchers(reader, ledger, client, strangers, today, pool)
        return run(writer, vouchers, name or f"buffr-{today}", progress)


def run(writer: Writer, vouchers: Vouchers, name: str, progress: Callable[[int], None]) -> Run:
    """The finished run of this name (RunRefused). `progress` is told how many vouchers were compared."""
    reader, ledger = vouchers.reader, vouchers.ledger
    begun = found(reader, ledger, name)
    if begun is None:
        start = StartRun(run=name, side=SIDE, source="Buffr's API", digest=NO_DIGEST)
        record(writer, ledger, start, "start")
        begun = reads.run(reader, ledger, name)
    if (begun.side, begun.digest) != (SIDE, NO_DIGEST):
        raise RunRefused(Rejection("reconciliation_exists", {"run": name}))
    if begun.status != "running":
        return begun
    counts: dict[Outcome, int] = dict(begun.counts)
    page, walked = begun.pages, 0
    with TemporaryDirectory(prefix="daybook-reconcile-") as folder:
        for part, more in _parts(vouchers, begun.through):
            different: list[Finding] = []
            for finding in _looked_at_twice(vouchers, part, Path(folder)):
                counts[finding.outcome] = counts.get(finding.outcome, 0) + 1
                if finding.outcome != "match":
                    different.append(finding)
            walked += len(part.names)
            progress(sum(counts.values()))
            if different or walked >= STEP or not more:
                page, walked, through = page + 1, 0, part.names[-1]
                items = RecordItems(
                    run=name, page=page, items=tuple(different), through=through, counts=counts
                )
                record(writer, ledger, items, f"page:{page}")
    finish = FinishRun(run=name, counts=counts, kinds={}, first_day=vouchers.day, last_day=vouchers.day)
    record(writer, ledger, finish, "finish")
    return reads.run(reader, ledger, name)


def _parts(vouchers: Vouchers, after: str) -> Iterator[tuple[_Part, bool]]:
    """All names of both sides beyond one, part by part, and whether there are more."""
    more = True
    while more:
        beyond = f"voucher:{after}" if after else ""
        streams = vouchers.reader.streams(vouchers.ledger, "voucher", after=beyond, limit=PART)
        ours: dict[str, Voucher] = {stream.state.voucher: stream.state for stream, _ in streams}
        theirs = vouchers.strangers(after, PART)
        # One side may reach further than the other: what lies beyond its end is of the next part.
        ends = [max(names) for names in (ours, theirs) if len(names) == PART]
        names = sorted({*ours, *theirs})
        more = bool(ends)
        if more:
            names = [name for name in names if name <= min(ends)]
        if names:
            yield _Part(names, ours), more
            after = names[-1]


def _looked_at_twice(vouchers: Vouchers, part: _Part, folder: Path) -> list[Finding]:
    first = _findings(vouchers, part, folder)
    again = sorted({_about(finding) for finding in first if finding.outcome != "match"})
    if not again:
        return first
    ours: dict[str, Voucher] = {}
    for name in again:
        stream = vouchers.reader.stream(vouchers.ledger, f"voucher:{name}")
        if stream is not None:
            ours[name] = stream[0].state
    settled = [finding for finding in first if _about(finding) not in again]
    return settled + _findings(vouchers, _Part(again, ours), folder)


def _about(finding: Finding) -> str:
    return (finding.here or finding.there)[0].reference


def _findings(vouchers: Vouchers, part: _Part, folder: Path) -> list[Finding]:
    """What comes of some names, by the engine: the name is the reference on both sides."""
    distributed = _distributed(vouchers, part.ours.values())
    wanted = [
        name for name in part.names if name not in part.ours or part.ours[name].programme in distributed
    ]
    sides = _Sides([], [])
    for name, answer in zip(wanted, vouchers.pool.map(_asking(vouchers.client), wanted), strict=True):
        voucher = part.ours.get(name)
        if voucher is None:
            sides.there += _strange(name, answer, vouchers.day)
        else:
            _known(sides, voucher, answer, vouchers.day)
    return list(reconcile(sides.here, sides.there, Rules(window_days=None), folder))


def _distributed(vouchers: Vouchers, ours: Iterable[Voucher]) -> set[str]:
    """The programmes whose vouchers Buffr has."""
    names = {voucher.programme for voucher in ours}
    found = {name: vouchers.reader.stream(vouchers.ledger, f"programme:{name}") for name in names}
    return {
        name for name, stream in found.items() if stream is not None and stream[0].state.distributor == SIDE
    }


def _asking(client: BuffrClient) -> Callable[[str], Answer]:
    def ask(name: str) -> Answer:
        try:
            return client.records(name)[:MOST_RECORDS]
        except Unknown:
            return None

    return ask


def _known(sides: _Sides, voucher: Voucher, answer: Answer, day: str) -> None:
    """A voucher of ours. One that was not handed over and is not known there is nobody's business yet."""
    name = voucher.voucher
    if answer is not None and not answer and not voucher.distributed:
        return
    item = Item(day, name, name, voucher.amount, voucher.asset, voucher.status)
    if not answer:
        sides.here.append(item)
        if answer is None:
            sides.there.append(replace(item, status=UNREACHABLE))
        return
    here, there = _compared(item, voucher, answer)
    sides.here.append(here)
    sides.there += there


def _compared(item: Item, voucher: Voucher, records: Sequence[Mapping[str, Any]]) -> tuple[Item, list[Item]]:
    """Our item and theirs, by the amount that Buffr tells and has otherwise: the whole, else what remains."""
    for key, ours in (("amount", voucher.amount), ("remaining", voucher.remaining)):
        try:
            said = [_minor(record.get(key), voucher.asset) for record in records]
        except ValueError:
            return item, [replace(item, status=UNREACHABLE)]
        if any(amount not in (None, ours) for amount in said):
            here = replace(item, amount=ours)
            amounts = [ours if amount is None else amount for amount in said]
            break
    else:
        here, amounts = item, [item.amount] * len(records)
    there = [
        replace(here, name=_id(record, item.name), amount=amount, status=_status(record))
        for record, amount in zip(records, amounts, strict=True)
    ]
    if voucher.status == "reissued" and all(one.status in DEAD for one in there):
        return replace(here, status=there[0].status), there
    return here, there


def _strange(name: str, answer: Answer, day: str) -> list[Item]:
    """What Buffr has told of and the book does not know; its amount is of no asset that we know."""
    if answer is None:
        return [Item(day, name, name, 0, "", UNREACHABLE)]
    return [Item(day, _id(record, name), name, 0, "", _status(record)) for record in answer]


def _id(record: Mapping[str, Any], name: str) -> str:
    said = record.get("id")
    return said[:64] if isinstance(said, str) and said else name


def _status(record: Mapping[str, Any]) -> str:
    said = str(record["status"]).strip().lower().replace("-", "_").replace(" ", "_")
    return "cancelled" if said == "canceled" else said[:LONGEST_STATUS] or "none"


def _minor(said: object, asset: str) -> int | None:
    """Minor units of an amount of the currency; None: nothing is said (ValueError)."""
    if said is None:
        return None
    try:
        if isinstance(said, bool) or not isinstance(said, int | float | str):
            raise ValueError(said)
        units = Decimal(str(said)).scaleb(int(asset.rpartition("/")[2]))
        if units != units.to_integral_value() or not 0 <= units <= MAX_AMOUNT:
            raise ValueError(said)
    except ArithmeticError:
        raise ValueError(said) from None
    return int(units)
