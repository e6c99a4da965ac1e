"""The bank scenario's input: the bank's own file where it is there, else one of the same shape.

So whoever runs the tests, a bank's ledger is exported and judged. The generated file has the columns, codes
and habits of the real one (interest at the end of the month, fees, transfers through other banks), fewer
rows, and no balances of the bank to compare with.
"""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from random import Random

from tests.daybook_command import succeeds
from tests.test_bank_scenario import FILE, SCENARIO, TIME_ZONE

COLUMNS = (
    *("trans_id", "account_id", "date", "type", "operation"),
    *("amount", "balance", "k_symbol", "bank", "account"),
)
KINDS = (
    ("PRIJEM", "VKLAD", "", ""),
    ("PRIJEM", "PREVOD Z UCTU", "", "YZ"),
    ("VYDAJ", "VYBER", "", ""),
    ("VYDAJ", "VYBER", "SLUZBY", ""),
    ("VYDAJ", "VYBER", "SANKC. UROK", ""),
    ("VYBER", "VYBER", "", ""),
    ("VYDAJ", "PREVOD NA UCET", "SIPO", "KL"),
)


def import_bank(database: str, folder: Path) -> str:
    """Open the ledger `bank` and post the file's rows; answers what the import says."""
    file = FILE if FILE.exists() else _generated(folder / "transactions.csv")
    succeeds(database, "open", "bank", "--chart", SCENARIO / "chart.json", "--time-zone", TIME_ZONE)
    return succeeds(database, "import", "bank", file, "--mapping", SCENARIO / "mapping.toml")


def _generated(file: Path) -> Path:
    random = Random(1993)
    with file.open("w", encoding="ascii", newline="") as out:
        rows = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL)
        rows.writerow(COLUMNS)
        number = 0
        for day in range(270):
            at = date(1993, 1, 1) + timedelta(days=day)
            month_ends = (at + timedelta(days=1)).day == 1
            for _ in range(10):
                number += 1
                type_, operation, symbol, bank = random.choice(KINDS)
                if month_ends:
                    type_, operation, symbol, bank = "PRIJEM", "", "UROK", ""
                amount = f"{random.randrange(1, 50_000)}.{random.randrange(100):02}"
                partner = str(random.randrange(10**7, 10**8)) if bank else ""
                account = random.randrange(1, 200)
                rows.writerow(
                    (number, account, f"{at:%y%m%d}", type_, operation, amount, "0.00", symbol, bank, partner)
                )
    return file
