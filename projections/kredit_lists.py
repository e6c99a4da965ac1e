"""Kredit's tables of tenants, loans and borrowers, page by page, over the ledgers with its tenants' loans.

A tenant's loans are in a ledger of their own, so a page goes from one ledger to the next; each is read as its
read model has it. Amounts are of one asset and never summed across assets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from ledger.errors import LedgerNotFound
from ledger.kredit.streams import Tenant
from ledger.loan_reads import today
from ledger.loans.state import Kyc
from ledger.loans.terms import Rating
from ledger.reader import Reader
from ledger.text import iso, micros
from projections.loan_lists import LoanFilter, LoanLine
from projections.loan_lists import loans as list_loans
from projections.reading import position
from sql import load as load_queries

QUERIES = load_queries("kredit.sql")
MOST_TENANTS = 1_000


class LoanFigures(NamedTuple):
    """What a tenant's loans come to, minor units of one asset."""

    applications: int = 0
    loans: int = 0
    borrowers: int = 0
    disbursed: int = 0
    outstanding: int = 0
    profit: int = 0


class BorrowerRow(Struct, frozen=True):
    """A borrower, and how many loans they have, in all, defaulted and in arrears."""

    borrower: str
    kyc: Kyc
    rating: Rating | None
    score: int | None
    assessed_at: str
    loans: int
    defaulted: int
    in_arrears: int


def tenants(reader: Reader, ledger: str, search: str = "") -> list[Tenant]:
    """Kredit's tenants by id, those that have a text in id, slug or name."""
    found: list[Tenant] = []
    after = ""
    while page := reader.streams(ledger, "kredit_tenant", after=after, limit=MOST_TENANTS):
        found += [stream.state for stream, _ in page]
        after = page[-1][0].name
    wanted = search.casefold()
    return [t for t in found if any(wanted in text.casefold() for text in (t.tenant, t.slug, t.name))]


def figures(reader: Reader, tenant: Tenant, asset: str) -> LoanFigures:
    """What a tenant's loans come to; nothing, where it has no ledger of loans or the caller sees none."""
    if not tenant.loans:
        return LoanFigures()
    try:
        with reader.snapshot(tenant.loans) as (connection, parameters):
            at = position(connection, parameters["ledger_id"], "loans")
            named = {**parameters, "version": at.version, "asset": asset}
            row = connection.execute(QUERIES["loan_figures"], named).fetchone()
            income = connection.execute(QUERIES["loan_income"], named).fetchone()
    except LedgerNotFound:
        return LoanFigures()
    assert row is not None
    assert income is not None
    return LoanFigures(*map(int, (*row, *income)))


def loans(
    reader: Reader, of: Sequence[Tenant], search: str, offset: int, limit: int
) -> tuple[list[tuple[Tenant, LoanLine]], int]:
    """A page of the loans of some tenants, and how many there are in all."""

    def lines(tenant: Tenant, rows: list[Any]) -> list[LoanLine]:
        names = [name for (name,) in rows]
        return list_loans(reader, tenant.loans, LoanFilter(names=names), limit=len(names)).loans

    return _paged(reader, of, search, offset, limit, ("count_loans", "loan_names"), lines)


def borrowers(
    reader: Reader, of: Sequence[Tenant], search: str, offset: int, limit: int
) -> tuple[list[tuple[Tenant, BorrowerRow]], int]:
    """A page of the borrowers of some tenants, and how many there are in all."""

    def lines(tenant: Tenant, rows: list[Any]) -> list[BorrowerRow]:
        return [
            BorrowerRow(name, kyc, rating, score, iso(micros(assessed_at)), *counts)
            for name, kyc, rating, score, assessed_at, *counts in rows
        ]

    return _paged(reader, of, search, offset, limit, ("count_borrowers", "borrower_rows"), lines)


def _paged(
    reader: Reader,
    of: Sequence[Tenant],
    search: str,
    offset: int,
    limit: int,
    queries: tuple[str, str],
    lines: Callable[[Tenant, list[Any]], list[Any]],
) -> tuple[list[tuple[Tenant, Any]], int]:
    """One ledger after another: each is counted, and read where the page goes through it."""
    found: list[tuple[Tenant, Any]] = []
    total = 0
    for tenant in _seen(reader, of):
        day = today(reader, tenant.loans)
        rows: list[Any] = []
        with reader.snapshot(tenant.loans) as (connection, parameters):
            at = position(connection, parameters["ledger_id"], "loans")
            named = {**parameters, "version": at.version, "on": day, "search": f"%{_literal(search)}%"}
            counted = connection.execute(QUERIES[queries[0]], named).fetchone()
            assert counted is not None
            page = {"offset": max(offset - total, 0), "limit": limit - len(found)}
            total += counted[0]
            if page["limit"] and page["offset"] < counted[0]:
                rows = connection.execute(QUERIES[queries[1]], named | page).fetchall()
        if rows:
            found += [(tenant, line) for line in lines(tenant, rows)]
    return found, total


def _seen(reader: Reader, of: Sequence[Tenant]) -> Iterator[Tenant]:
    """Those whose loans are in a ledger that the caller sees."""
    for tenant in of:
        if tenant.loans:
            try:
                reader.incarnation(tenant.loans)
            except LedgerNotFound:
                continue
            yield tenant


def _literal(text: str) -> str:
    """A text of which no character means anything else in a pattern of LIKE."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return text
