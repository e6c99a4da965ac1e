"""The portfolio at risk on a day: what is outstanding of loans in arrears, of all that is outstanding."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from ledger.loan_reads import policy, today
from ledger.loans.terms import Policy
from ledger.reader import Reader
from projections.arrears import QUERIES
from projections.reading import position
from projections.voucher_reads import percent

# Days past due from which PAR 1, 30, 60 and 90 count.
AT_RISK = {"PAR1": 1, "PAR30": 31, "PAR60": 61, "PAR90": 91}


class AtRisk(Struct, frozen=True):
    """Loans past due by `from_days` or more, what is outstanding of them, and that in percent of all
    (`ratio`, two decimals, half up).
    """

    name: str
    from_days: int
    loans: int
    outstanding: int
    ratio: str


class AgeingBucket(Struct, frozen=True):
    """Loans by days past due, by the lender's policy of today; `current`: none beyond the days of grace."""

    bucket: str
    loans: int
    outstanding: int


class AssetAtRisk(Struct, frozen=True):
    """Of one asset and one funding: our own loans, or those that we collect for providers."""

    asset: str
    funding: str
    loans: int
    outstanding: int
    at_risk: list[AtRisk]
    buckets: list[AgeingBucket]


class PortfolioAtRisk(Struct, frozen=True):
    """Principal in minor units, from events up to `seq`; a loan charged off or written off is not in it."""

    seq: int
    on: date
    assets: list[AssetAtRisk]


def portfolio_at_risk(
    reader: Reader, ledger: str, on: date | None = None, min_seq: int | None = None
) -> PortfolioAtRisk:
    """As of the end of a day, today unless asked (Behind, Stopped)."""
    day = today(reader, ledger) if on is None else on
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "arrears", min_seq)
        rows = connection.execute(
            QUERIES["portfolio"], {**parameters, "version": at.version, "on": day}
        ).fetchall()
    rules = policy(reader, ledger).policy
    found: dict[tuple[str, bool], dict[int, tuple[int, int]]] = {}
    for asset, provided, days, loans, outstanding in rows:
        found.setdefault((asset, provided), {})[days] = (loans, int(outstanding))
    assets = [_of_asset(asset, provided, by_days, rules) for (asset, provided), by_days in found.items()]
    return PortfolioAtRisk(at.seq, day, assets)


def _of_asset(asset: str, provided: bool, by_days: dict[int, tuple[int, int]], rules: Policy) -> AssetAtRisk:
    """`by_days` past due: how many loans, and what is outstanding of them."""
    loans, outstanding = _sum(by_days, 0)
    at_risk = []
    for name, from_days in AT_RISK.items():
        late, risked = _sum(by_days, from_days)
        at_risk.append(AtRisk(name, from_days, late, risked, percent(risked, outstanding - risked) or "0.00"))
    buckets: dict[str, list[int]] = {}
    for days, (number, amount) in sorted(by_days.items()):
        bucket = buckets.setdefault(rules.bucket(days), [0, 0])
        bucket[0] += number
        bucket[1] += amount
    ageing = [AgeingBucket(name, number, amount) for name, (number, amount) in buckets.items()]
    funding = "provider" if provided else "own"
    return AssetAtRisk(asset, funding, loans, outstanding, at_risk, ageing)


def _sum(by_days: dict[int, tuple[int, int]], from_days: int) -> tuple[int, int]:
    late = [value for days, value in by_days.items() if days >= from_days]
    return sum(loans for loans, _ in late), sum(amount for _, amount in late)
