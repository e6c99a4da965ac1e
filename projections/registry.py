"""Every projection, once. A new one is found here, gets its first version, and catches up by itself."""

from __future__ import annotations

from projections.activity import Activity
from projections.arrears import Arrears
from projections.assertions import Assertions
from projections.credits import Credits
from projections.daily_balances import DailyBalances
from projections.loan_payments import LoanPayments
from projections.loans import Loans
from projections.projection import Projection
from projections.provider_leads import ProviderLeads
from projections.search import Search
from projections.tiles import Tiles
from projections.vouchers import Vouchers

PROJECTIONS: tuple[Projection, ...] = (
    DailyBalances(),
    Activity(),
    Search(),
    Assertions(),
    Tiles(),
    Credits(),
    Vouchers(),
    ProviderLeads(),
    Loans(),
    LoanPayments(),
    Arrears(),
)


class ProjectionNotFound(LookupError):
    """No projection has this name."""


def find(name: str) -> Projection:
    """The projection of a name (ProjectionNotFound)."""
    for projection in PROJECTIONS:
        if projection.name == name:
            return projection
    raise ProjectionNotFound(name)
