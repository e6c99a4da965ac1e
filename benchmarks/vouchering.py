"""Vouchers issued in bulk and redeemed by their codes, against plain transactions of the same run."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks import workload
from benchmarks.in_process import NAMES, drive
from ledger import commands as c
from ledger.batch import Request
from ledger.chart import ChartDocument
from ledger.vouchers import commands as v
from ledger.vouchers.codes import code_of, hash_of
from ledger.writer import Writer

CHART = ChartDocument(("NAD/2",), (), ("vouchers",))
KEY = bytes(32)
AGENTS = 100
PEOPLE = 10_000


class Rates(NamedTuple):
    """Vouchers a second."""

    issued: float
    redeemed: float


def vouchers(writer: Writer, batches: int) -> Rates:
    """Issued in batches of 1,000, each with its code, name and key; then each redeemed whole by its code."""
    ledger, count = next(NAMES), batches * workload.BATCH
    opening = v.ProgrammeOpening(programme="relief", name="Relief", asset="NAD/2")
    for body, subject in (
        (c.LedgerOpening(name=ledger, chart=CHART), ""),
        (opening, ""),
        (v.Funding(amount=count * 100), "relief"),
    ):
        drive(writer, ledger, [Request([c.command(body, subject)])])
    people = [c.command(v.BeneficiaryRegistration(commitment="0" * 64), f"B{n}") for n in range(PEOPLE)]
    drive(writer, ledger, _requests(people))
    codes = [hash_of(code_of(KEY, ledger, f"V{n}")) for n in range(count)]
    issued = [_issue(n, code) for n, code in enumerate(codes)]
    issuing = drive(writer, ledger, _requests(issued))
    redeeming = drive(writer, ledger, _requests([_redeem(n, code) for n, code in enumerate(codes)]))
    return Rates(count / issuing, count / redeeming)


def _requests(commands: list[c.Command]) -> list[Request]:
    return [Request(commands[n : n + workload.BATCH]) for n in range(0, len(commands), workload.BATCH)]


def _issue(number: int, code: str) -> c.Command:
    name = f"V{number}"
    body = v.Issue(
        programme="relief", voucher=name, amount=100, beneficiary=f"B{number % PEOPLE}", code_hash=code
    )
    return c.command(body, key=f"issue:{name}")


def _redeem(number: int, code: str) -> c.Command:
    body = v.Redemption(payee_type="agent", payee=f"A{number % AGENTS}", code_hash=code)
    return c.command(body, key=workload.key())
