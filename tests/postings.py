"""The posting catalogue, read from its document, so that what it says is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

from ledger.events import Event

DOCUMENT = Path(__file__).parent.parent / "docs" / "postings.md"

Entry = list[tuple[str, str, str, str]]  # DR or CR, account, amount, asset


def catalogue(product: str) -> dict[str, Entry]:
    """The entries of a product by their headings, in order."""
    entries: dict[str, Entry] = {}
    for section in re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        name, _, operation = heading.partition(": ")
        if name == product:
            legs = re.findall(r"^    (DR|CR) +(\S+) +(\d+) +(\S+)$", text, flags=re.MULTILINE)
            entries[operation] = [(side, account, amount, asset) for side, account, amount, asset in legs]
    return entries


def entry(event: Event) -> Entry:
    """An event's legs in the form of the catalogue."""
    sides = {"debit": "DR", "credit": "CR"}
    return [(sides[p.side], p.account, p.amount, p.asset) for p in event.postings]
