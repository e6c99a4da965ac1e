"""A ledger with everything in it that a file format could stumble over.

Names that meet when they are simplified, descriptions in every alphabet and with every delimiter, assets of
every scale, contra and memo accounts, overdrawn ones, accounts above others, holds in every state, reversals,
exchange, facts of long ago, and a time zone whose clocks went back over midnight, so that a later moment
counts on an earlier day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from ledger import commands as c
from ledger.chart import AccountPattern, ChartDocument
from ledger.writer import Writer
from tests.bookkeeping import do, done

NAME = "troubled"
TIME_ZONE = "America/St_Johns"
ASSETS = ("USD/2", "JPY/0", "KWD/3", "CREDIT.enrichment/0", "ETH/18", "usd/4", "uSd.-/1", "NULL/2", "X/0")
LONG = ":".join(["a-very_long.segment"] * 12)
ADDRESSES = (
    "cash",
    "Cash",
    "CASH",
    "customers",
    "customers:42",
    "customers:42:wallet",
    "customers:-42",
    "customers:_42.",
    "customers:0-00",
    "customers:0-00A",
    "-",
    "0",
    LONG,
)
CHART = ChartDocument(
    assets=ASSETS,
    accounts=(
        *(AccountPattern(a, "liability" if a.startswith("customers") else "asset") for a in ADDRESSES),
        AccountPattern("receivables:{n}", "asset"),
        AccountPattern("allowance:{n}", "asset", contra=True),
        AccountPattern("revenue:{n}", "income"),
        AccountPattern("costs:{n}", "expense"),
        AccountPattern("fx:{pair}", "equity"),
        AccountPattern("memo:{n}", "equity"),
        AccountPattern("Memo:{n}", "asset", memo=True),
        AccountPattern("Off-Balance:{n}", "liability", memo=True),
        AccountPattern("equity", "equity"),
    ),
)
TEXTS = (
    "",
    "plain",
    'quotes " and \' and \\ and \\" and \\n',
    "semicolon ; then | pipe, comma % percent %0A",
    "two\nlines\r\nand\ttabs",
    "  spaces at both ends  ",
    "\u00a0no-break spaces\u3000",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "'quoted",
    "\t=1",
    "\uff1d1",
    "(code) * ! 2026-01-01",
    "; comment",
    "žluťoučký kůň 残高 رصيد 🏦",
    "line\u2028separator\u2029and\u0085next",
    "control \x01 \x1b \x7f",
    "x" * 1_000,
)
AMOUNTS = (1, 99, 100, 12_345, 10**12, 2**53 + 1)


def open_troubled(writer: Writer, name: str = NAME) -> None:
    """Open the ledger and post everything."""
    done(do(writer, c.LedgerOpening(name=name, time_zone=TIME_ZONE, chart=CHART), ledger=name))
    _Author(writer, name).write()


class _Author:
    def __init__(self, writer: Writer, name: str) -> None:
        self._writer = writer
        self._name = name
        self._random = Random(20_061_029)
        self._texts = list(TEXTS)

    def write(self) -> None:
        for debit, credit in zip(ADDRESSES, [*ADDRESSES[1:], "cash"], strict=True):
            for asset in ("USD/2", "CREDIT.enrichment/0"):
                self.post(_legs(debit, credit, self._random.choice(AMOUNTS), asset))
        for asset in ASSETS:
            self.post(_legs("receivables:1", "revenue:1", 2**62, asset))
            self.post(_legs("costs:1", "allowance:1", 1, asset))
            self.post(_legs("Memo:1", "Off-Balance:1", 10, asset) + _legs("memo:1", "equity", 7, asset))
        self.post(_legs("fx:usd-jpy", "cash", 100, "USD/2") + _legs("cash", "fx:usd-jpy", 15_000, "JPY/0"))
        for text in (
            "2006-10-29T02:30:30Z",  # 00:00:30 on the 29th
            "2006-10-29T02:31:00Z",  # 23:01:00 on the 28th
            "2006-10-29T03:31:00Z",
            "2006-11-01T02:29:59.999999Z",  # 22:59:59 on October 31
            "2006-11-01T03:30:00Z",  # midnight
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "1883-11-18T09:00:00Z",  # before there was standard time
        ):
            self.post(_legs("cash", "customers:42", 5, "KWD/3"), datetime.fromisoformat(text))
        self._lifecycles()

    def _lifecycles(self) -> None:
        legs = _legs("customers:42", "revenue:2", 1_000, "USD/2")
        hold = self.post(legs, pending=True)
        self.do(c.HoldPosting(amounts=[300, 300]), hold)
        self.do(c.HoldPosting(amounts=[200, 200], final=True), hold)
        self.do(c.HoldVoid(), self.post(legs, pending=True))
        self.post(legs, pending=True)
        self.post(legs, pending=True, timeout=3_600)
        sale = self.post(legs)
        self.do(c.Reversal(amounts=[400, 400], description="a part"), sale)
        self.do(c.Reversal(), sale)
        self.do(c.Annotation(metadata={"why": 'because "=1+1"\n'}), sale)
        self.do(c.AccountOpening(address="receivables:never-used"))
        self.post(_legs("receivables:closed", "cash", 1, "X/0"))
        self.post(_legs("cash", "receivables:closed", 1, "X/0"))
        self.do(c.AccountClosing(), "receivables:closed")
        self._control()

    def _control(self) -> None:
        self.do(
            c.BalanceAssertion(
                account="cash", asset="JPY/0", at="2006-11-01", expected=-1, source="žluté papíry"
            )
        )
        closed = self.do(c.PeriodClosing(), "2006-10")
        self.do(c.PeriodReopening(reason="=forgotten", closed_seq=closed), "2006-10")
        legs = _legs("cash", "equity", 3, "USD/2")
        moment = datetime(2006, 11, 2, tzinfo=UTC)
        self.post(legs, moment, original=moment - timedelta(days=3))

    def post(
        self,
        postings: list[c.Posting],
        effective_at: datetime | None = None,
        *,
        pending: bool = False,
        timeout: int | None = None,
        original: datetime | None = None,
    ) -> int:
        number = len(self._texts)
        text = self._texts.pop() if self._texts else f"number {number}"
        if effective_at is None and not pending and self._random.random() < 0.7:
            effective_at = datetime.now(UTC) - timedelta(days=self._random.randrange(1, 200))
        return self.do(
            c.Transaction(
                postings=postings,
                description=text,
                reference=text[:200],
                metadata={"text": text[:200], "=key": "@value"},
                effective_at=effective_at,
                pending=pending,
                timeout_seconds=timeout,
                original_effective_at=original,
            )
        )

    def do(self, body: c.Body, subject: int | str = "") -> int:
        return done(do(self._writer, body, subject, ledger=self._name))


def _legs(debit: str, credit: str, amount: int, asset: str) -> list[c.Posting]:
    return [c.Posting(debit, "debit", amount, asset), c.Posting(credit, "credit", amount, asset)]
