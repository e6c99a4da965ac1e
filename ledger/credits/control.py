"""What the open lots say that the accounts of credits hold: a subsidiary ledger and its control accounts."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.credits.accounts import accounts_of
from ledger.credits.wallet import Wallet

CONTROLLED = (
    "customers:{owner}:credits:{type}",
    "customers:{owner}:credits:{type}:held",
    "customers:{owner}:credits:{type}:frozen",
    "credits:contract_liability:{type}",
    "credits:breakage_recognised:{type}",
)


def claims(wallet: Wallet, stream: str) -> Iterator[tuple[str, str, int]]:
    """(address, asset, amount, debit positive) of a wallet's lots; an account has the sum over wallets."""
    _, owner, credit_type = stream.split(":")
    accounts = accounts_of(owner, credit_type)
    for lot in wallet.lots:
        yield accounts.available, accounts.asset, -lot.free
        yield accounts.held, accounts.asset, -lot.held
        yield accounts.frozen, accounts.asset, -lot.frozen
        if lot.asset:
            yield accounts.liability, lot.asset, -lot.cost
            yield accounts.recognised, lot.asset, lot.recognised
