"""The accounts of voucher programmes, by address."""

from __future__ import annotations

from ledger.chart import AccountPattern, Limits

_NEVER_BELOW_ZERO = {"*": Limits(min_available=0)}

# The bank's facts are never refused, so its accounts have no bounds, and anybody may correct them.
PATTERNS = (
    AccountPattern("vouchers:{programme}:trust", "asset"),
    AccountPattern("vouchers:{programme}:operating", "asset"),
    AccountPattern("vouchers:{programme}:cost", "expense"),
    AccountPattern("vouchers:{programme}:fund", "liability", limits=_NEVER_BELOW_ZERO, product="vouchers"),
    AccountPattern(
        "vouchers:{programme}:outstanding", "liability", limits=_NEVER_BELOW_ZERO, product="vouchers"
    ),
    AccountPattern(
        "vouchers:{programme}:payable:{payee_type}:{payee}",
        "liability",
        limits=_NEVER_BELOW_ZERO,
        product="vouchers",
    ),
    AccountPattern(
        "vouchers:{programme}:fees:{payee}", "liability", limits=_NEVER_BELOW_ZERO, product="vouchers"
    ),
)


# What vouchers claim, and nothing else.
CONTROLLED = ("vouchers:{programme}:outstanding",)


def trust(programme: str) -> str:
    """The bank account that holds the sponsor's money."""
    return f"vouchers:{programme}:trust"


def operating(programme: str) -> str:
    """The bank account that fees are paid from."""
    return f"vouchers:{programme}:operating"


def cost(programme: str) -> str:
    """What the programme costs whoever runs it."""
    return f"vouchers:{programme}:cost"


def fund(programme: str) -> str:
    """What is owed to the sponsor: funded, and not promised by a voucher."""
    return f"vouchers:{programme}:fund"


def outstanding(programme: str) -> str:
    """The voucher liability: what open vouchers promise."""
    return f"vouchers:{programme}:outstanding"


def payable(programme: str, payee_type: str, payee: str) -> str:
    """What is owed to an agent, merchant or wallet for redemptions."""
    return f"vouchers:{programme}:payable:{payee_type}:{payee}"


def fees(programme: str, payee: str) -> str:
    """Fees owed to whoever takes them."""
    return f"vouchers:{programme}:fees:{payee}"
