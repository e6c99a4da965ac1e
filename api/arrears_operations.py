"""The operations on arrears: the portfolio at risk."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct

from api import handlers
from api.operation import Operation
from api.queries import Incarnation, MinSeq
from ledger.reader import Reader
from projections import arrears_reads

_LEDGER = "/v1/ledgers/{ledger}"


class AtRiskQuery(Struct, forbid_unknown_fields=True):
    """A day of the ledger's time zone."""

    on: Annotated[date, Meta(description="As of the end of this day; now: today.")] | None = None
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


def _at_risk(reader: Reader, path: dict[str, Any], query: AtRiskQuery) -> arrears_reads.PortfolioAtRisk:
    return arrears_reads.portfolio_at_risk(reader, path["ledger"], query.on, query.min_seq)


ARREARS_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        _LEDGER + "/portfolio-at-risk",
        "get_portfolio_at_risk",
        "What is outstanding of loans in arrears, by asset",
        description=(
            "PAR 1, 30, 60 and 90: principal outstanding of loans past due by at least 1, 31, 61 and 91 days"
            " (beyond their days of grace), and that in percent of all principal outstanding; and the ageing"
            " buckets of the lender's policy. What came late counts on its day."
        ),
        tag="Loans",
        scope="ledger:read",
        handler=handlers.read(_at_risk),
        query=AtRiskQuery,
        answer=arrears_reads.PortfolioAtRisk,
    ),
)
