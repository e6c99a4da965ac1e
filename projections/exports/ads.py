"""The AICPA's Audit Data Standards, general ledger (July 2015): GL_Detail, Trial_Balance, Chart_Of_Accounts.

Field names are the standard's; of its fields those are left out that Daybook has nothing for (approval,
modification, segments, amounts in a reporting currency). The lengths are those that the AICPA publishes for
its Audit Data API, which names the standard's fields; they are not kept at the price of a cut: a longer value
is carried whole.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from projections.exports.csv_files import CsvFile, safe
from projections.exports.folder import Folder
from projections.exports.journals import Days, Posted, decimal, scale
from projections.exports.source import AccountRow, Entry, Nature, PeriodBalance, Pin

PAGE = 512


class Field(NamedTuple):
    """A field of the standard; `length` is what the standard recommends, None for what has none."""

    name: str
    length: int | None
    meaning: str


_NUMBER = Field("GL_Account_Number", 100, "The account's address.")
_UNIT = Field("Business_Unit_Code", 25, "The ledger's name.")
_YEAR = Field("Fiscal_Year", 4, "The calendar year.")
_PERIOD = Field("Period", 15, "The month, M1 to M12.")
_CURRENCY = Field("Amount_Currency", 3, "The asset's code; rows of different codes never add up.")

GL_DETAIL = (
    Field("Journal_ID", 100, "The event's seq."),
    Field("Journal_ID_Line_Number", 100, "The leg's place in the event's body, from 1."),
    Field("JE_Header_Description", 1000, "The event's description."),
    Field("JE_Line_Description", 1000, "The event's reference."),
    Field("Source", 25, "The event's type."),
    _UNIT,
    Field("Effective_Date", None, "The day on which it counts, in the ledger's time zone."),
    _YEAR,
    _PERIOD,
    _NUMBER,
    Field("Amount", None, "The amount, positive, with as many decimals as the asset has."),
    Field("Amount_Credit_Debit_Indicator", 1, "D: debit; C: credit."),
    _CURRENCY,
    Field("Reversal_Indicator", 1, "1: it reverses another entry."),
    Field("Reversal_Journal_ID", 100, "The entry that it reverses."),
    Field("Entered_By", 25, "The event's actor."),
    Field("Entered_Date", None, "The day on which it was recorded, UTC."),
    Field("Entered_Time", None, "The time at which it was recorded, UTC."),
)
TRIAL_BALANCE = (
    _NUMBER,
    _YEAR,
    _PERIOD,
    Field("Balance_As_Of_Date", None, "The period's last day."),
    _UNIT,
    Field("Amount_Beginning", None, "The balance before the period, debits positive."),
    Field("Amount_Ending", None, "The balance at the period's end, debits positive."),
    _CURRENCY,
)
CHART_OF_ACCOUNTS = (
    _NUMBER,
    Field("GL_Account_Name", 100, "The account's address."),
    Field("Account_Type", 25, "Assets, Liabilities, Equity, Revenue or Expenses."),
    Field("Account_Subtype", 25, "contra, memo, both or neither."),
    Field("GL_Account_Description", 256, "Empty."),
    Field("Parent_GL_Account_Number", 100, "The address above it, if it has one."),
)
_TYPES = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "income": "Revenue",
    "expense": "Expenses",
}


class AdsFiles:
    """Writes the three files, in the order of `Journal`'s methods."""

    def __init__(self, folder: Folder, pin: Pin, days: Days) -> None:
        self._unit = safe(pin.name)
        paths = ads_paths(days)
        self._detail = CsvFile(folder.create(paths["GL_Detail"]), _names(GL_DETAIL))
        self._balance = CsvFile(folder.create(paths["Trial_Balance"]), _names(TRIAL_BALANCE))
        self._chart = CsvFile(folder.create(paths["Chart_Of_Accounts"]), _names(CHART_OF_ACCOUNTS))
        self._waiting: list[tuple[Any, ...]] = []

    def account(self, account: AccountRow) -> None:
        """A row of the chart of accounts."""
        nature = account.nature
        address = safe(account.address)
        words = ("contra" if nature.contra else "", "memo" if nature.memo else "")
        subtype = " ".join(filter(None, words))
        above = safe(account.address.rpartition(":")[0])
        self._chart.write([(address, address, _TYPES[nature.type], subtype, "", above)])

    def opening(self, balances: list[PeriodBalance]) -> None:
        """They stand in Trial_Balance, as the beginnings of the first period."""

    def transaction(self, entry: Entry, posted: Posted, natures: dict[str, Nature]) -> None:
        """A row of GL_Detail for each posted leg."""
        event = entry.event
        day = entry.day.isoformat()
        reversal = event.type == "transaction_reversed"
        head = (safe(event.description), safe(event.reference), event.type, self._unit, day, *_period(day))
        tail = (
            "1" if reversal else "",
            event.data["transaction"] if reversal else "",
            safe(event.actor),
            event.recorded_at[:10],
            event.recorded_at[11:],
        )
        for place, leg in posted:
            self._waiting.append(
                (
                    entry.seq,
                    place + 1,
                    *head,
                    safe(leg.account),
                    decimal(int(leg.amount), scale(leg.asset)),
                    "D" if leg.side == "debit" else "C",
                    _code(leg.asset),
                    *tail,
                )
            )
        if len(self._waiting) >= PAGE:
            self._write_detail()

    def period(self, end: date, balances: list[PeriodBalance]) -> None:
        """Rows of Trial_Balance."""
        day = end.isoformat()
        self._balance.write(
            [
                (
                    safe(b.account),
                    *_period(day),
                    day,
                    self._unit,
                    decimal(b.opening, scale(b.asset)),
                    decimal(b.closing, scale(b.asset)),
                    _code(b.asset),
                )
                for b in balances
            ]
        )

    def finish(self) -> None:
        """Write what is held back."""
        self._write_detail()

    def _write_detail(self) -> None:
        self._detail.write(self._waiting)
        self._waiting = []


def ads_paths(days: Days) -> dict[str, str]:
    """Where the three files lie, with their days in their names as the standard has it."""
    first, last = f"{days.first:%Y%m%d}".rjust(8, "0"), f"{days.last:%Y%m%d}".rjust(8, "0")
    return {
        "GL_Detail": f"ads/GL_Detail_{first}_{last}.csv",
        "Trial_Balance": f"ads/Trial_Balance_{first}_{last}.csv",
        "Chart_Of_Accounts": f"ads/Chart_Of_Accounts_{last}.csv",
    }


def ads_dictionary(days: Days) -> dict[str, Any]:
    """The three files' part of the dictionary."""
    paths = ads_paths(days)
    tables = (
        ("GL_Detail", "one posted leg", GL_DETAIL),
        ("Trial_Balance", "one asset of one account at one period's end", TRIAL_BALANCE),
        ("Chart_Of_Accounts", "one account", CHART_OF_ACCOUNTS),
    )
    return {
        name: {
            "files": [paths[name]],
            "row": row,
            "columns": [
                {"name": field.name, "meaning": field.meaning}
                | ({} if field.length is None else {"standard_length": field.length})
                for field in fields
            ],
        }
        for name, row, fields in tables
    }


def _names(fields: tuple[Field, ...]) -> list[str]:
    return [field.name for field in fields]


def _period(day: str) -> tuple[str, str]:
    """Fiscal year and period of an ISO date."""
    return day[:4], f"M{int(day[5:7])}"


def _code(asset: str) -> str:
    return asset.rsplit("/", 1)[0]
