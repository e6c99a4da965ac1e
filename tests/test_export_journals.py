"""The journals of an export, judged by hledger and Beancount, and compared with the bodies by an oracle."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from beancount import loader
from beancount.core import data
from beancount.core.amount import Amount
from hypothesis import given
from hypothesis import strategies as st

from ledger.chart import AccountType
from ledger.reader import Reader
from ledger.text import ASSET_PATTERN
from projections.exports import beancount as to_beancount
from projections.exports import export, source
from projections.exports import hledger as to_hledger
from projections.exports.source import Nature
from tests.bank_like import import_bank
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.export_oracle import Leg, Place, Truth, make, minor_units
from tests.judges import bean_check, hledger, hledger_balances, hledger_entries
from tests.troubled_ledger import NAME, open_troubled

HLEDGER = Path("hledger", "ledger.journal")
BEANCOUNT = Path("beancount", "ledger.beancount")
RANGES = (
    (None, None),
    (date(2006, 10, 29), date(2006, 10, 31)),
    (date(2006, 11, 1), None),
    (None, date(1970, 1, 1)),
    (date(1900, 2, 28), date(1900, 3, 1)),
)


@dataclass
class Exports:
    """A ledger and the folders of its exports."""

    conninfo: str
    folder: Path
    truth: Truth


@pytest.fixture(scope="module")
def troubled(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    with new_database() as conninfo:
        with writing(conninfo) as writer:
            open_troubled(writer)
        yield Exports(conninfo, tmp_path_factory.mktemp("exports"), Truth(conninfo, NAME))


def journals(exports: Exports, first: date | None, last: date | None) -> Path:
    folder = exports.folder / f"{first}-{last}"
    if not folder.exists():
        make(exports.conninfo, NAME, folder, "hledger", "beancount", first=first, last=last)
    return folder


@pytest.mark.parametrize(("first", "last"), RANGES)
def test_hledger_accepts_the_journal_and_has_our_balances(
    troubled: Exports, first: date | None, last: date | None
) -> None:
    """Whatever the range: `hledger check --strict` passes and every balance at its end is ours."""
    journal = journals(troubled, first, last) / HLEDGER
    hledger("-f", journal, "check", "--strict")
    assert nonzero(hledger_balances(journal)) == nonzero(troubled.truth.balances(last or date.max))


@pytest.mark.parametrize(("first", "last"), RANGES)
def test_beancount_accepts_the_journal_and_has_our_balances(
    troubled: Exports, first: date | None, last: date | None
) -> None:
    """Whatever the range: bean-check passes and every balance at its end is ours."""
    journal = journals(troubled, first, last) / BEANCOUNT
    assert bean_check(journal) == ""
    found = Beancount(journal)
    assert nonzero(found.balances()) == nonzero(troubled.truth.balances(last or date.max))


@pytest.mark.parametrize(("first", "last"), RANGES)
def test_every_posted_leg_of_the_range_is_in_the_journals_and_nothing_else(
    troubled: Exports, first: date | None, last: date | None
) -> None:
    """Both have the same transactions as the bodies, in effective order, with description and reference."""
    folder = journals(troubled, first, last)
    expected = expected_entries(troubled.truth, first, last)
    found = hledger_entries(folder / HLEDGER)
    assert [(e["seq"], e["date"], e["description"], e["legs"]) for e in found] == [
        (e["seq"], e["date"], e["description"], e["legs"]) for e in expected
    ]
    for entry, event in zip(found, expected, strict=True):
        assert entry["tags"].get("reference", "") == event["reference"]
        assert entry["tags"]["type"] == event["type"]
        assert entry["tags"]["effective_at"] == event["effective_at"]
    by_seq = {event["seq"]: event for event in expected}
    entries = Beancount(folder / BEANCOUNT).entries()
    assert sorted(entry["seq"] for entry in entries) == sorted(by_seq)
    for entry in entries:
        assert entry == by_seq[entry["seq"]]


@pytest.mark.parametrize(("first", "last"), RANGES)
def test_every_balance_is_asserted_at_every_period_end(
    troubled: Exports, first: date | None, last: date | None
) -> None:
    """At each month's end and the range's, every account and asset posted to so far has its assertion."""
    folder = journals(troubled, first, last)
    legs = troubled.truth.legs()
    ends = period_ends(first or legs[0].day, last or legs[-1].day)
    expected = expected_assertions(legs, ends)
    found = Beancount(folder / BEANCOUNT).assertions()
    assert found == expected
    text = (folder / HLEDGER).read_text(encoding="utf-8")
    counts = {
        date.fromisoformat(day): block.count(" = ")
        for day, block in re.findall(r"^(\S+) \* \(assert\).*\n((?:    .*\n)+)", text, re.MULTILINE)
    }
    assert counts == Counter(day for day, _ in expected)


@pytest.mark.parametrize("what", ["an amount", "an assertion"])
def test_the_judges_see_what_is_not_ours(troubled: Exports, tmp_path: Path, what: str) -> None:
    """An amount changed on both sides, or one asserted balance: both programs refuse the journal."""
    folder = journals(troubled, None, None)
    for name in (HLEDGER, BEANCOUNT):
        text = (folder / name).read_text(encoding="utf-8")
        old = "0.005 KWD"
        if what == "an amount":
            # both legs of one transaction
            start = text.index("1883-11-18 *")
            end = text.index("\n\n", start)
            changed = text[:start] + text[start:end].replace(old, "0.006 KWD") + text[end:]
        else:
            place = text.rindex(" 0.040 ~ 0 KWD" if name == BEANCOUNT else " = 0.040 KWD")
            changed = text[:place] + text[place:].replace("0.040", "0.041", 1)
        assert changed != text
        journal = tmp_path / name.name
        journal.write_text(changed, encoding="utf-8")
        if name == HLEDGER:
            assert "balance assertion" in hledger("-f", journal, "check", "--strict", judged=1)
        else:
            assert "Balance failed" in bean_check(journal)


def test_pages_do_not_show(troubled: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read seven rows at a time, the journals have the same entries and both judges still accept them."""
    first = date(2006, 11, 1)
    usual = journals(troubled, first, None)
    monkeypatch.setattr(export, "PAGE", 7)
    monkeypatch.setattr(source, "PAGE", 7)
    folder = troubled.folder / "pages"
    made = make(troubled.conninfo, NAME, folder, "hledger", "beancount", first=first)
    assert made.days is not None
    assert made.days.first == first
    hledger("-f", folder / HLEDGER, "check", "--strict")
    assert hledger_balances(folder / HLEDGER) == hledger_balances(usual / HLEDGER)
    assert hledger_entries(folder / HLEDGER) == hledger_entries(usual / HLEDGER)
    paged, whole = Beancount(folder / BEANCOUNT), Beancount(usual / BEANCOUNT)
    assert (paged.entries(), paged.assertions()) == (whole.entries(), whole.assertions())
    assert paged.addresses == whole.addresses


def test_memo_accounts_stand_apart_in_both_journals(troubled: Exports) -> None:
    """They are in the journals, but in no balance sheet: under `memo` and `Equity:Off-Balance`."""
    folder = journals(troubled, None, None)
    balances = hledger("-f", folder / HLEDGER, "bal", "--flat", "-N", "memo:Memo:1")
    assert "0.10 USD" in balances
    assert "memo:" not in hledger("-f", folder / HLEDGER, "balancesheet", "--flat").replace(
        "equity:memo:", ""
    )
    names = Beancount(folder / BEANCOUNT).addresses
    assert names["Equity:Off-Balance:0-00Memo-:1"] == "Memo:1"
    assert names["Equity:Off-Balance:0-00Off--Balance-:1"] == "Off-Balance:1"
    assert names["Equity:Memo-:1"] == "memo:1"


def test_a_banks_ledger_passes_both_judges_with_our_balances(database: str, tmp_path: Path) -> None:
    """The bank scenario: both programs accept its journals, and their balances are our trial balance."""
    imported = import_bank(database, tmp_path)
    assert ", 0 refused; " in imported
    made = make(database, "bank", tmp_path / "export", "hledger", "beancount")
    with closing(Reader(database)) as reader:
        view = reader.trial_balance("bank", 0, 10_000)
    ours = nonzero({(line.account, line.asset): line.debit - line.credit for line in view.lines})
    assert len(ours) > 100
    hledger("-f", tmp_path / "export" / HLEDGER, "check", "--strict")
    assert nonzero(hledger_balances(tmp_path / "export" / HLEDGER)) == ours
    assert bean_check(tmp_path / "export" / BEANCOUNT) == ""
    assert nonzero(Beancount(tmp_path / "export" / BEANCOUNT).balances()) == ours
    assert made.days is not None
    assert len(made.days.ends()) >= 9


# ---------------------------------------------------------------- names

addresses = st.from_regex(r"\A[A-Za-z0-9_.\-]{1,4}(:[A-Za-z0-9_.\-]{1,4}){0,2}\Z")
kinds: st.SearchStrategy[AccountType] = st.sampled_from(("asset", "liability", "equity", "income", "expense"))
natures = st.builds(Nature, kinds, st.booleans(), st.booleans(), st.booleans(), st.none())


@given(st.lists(st.tuples(addresses, natures), max_size=30, unique_by=lambda account: account[0]))
def test_no_two_accounts_meet_in_one_name(accounts: list[tuple[str, Nature]]) -> None:
    """Beancount's names are valid, different, and none is above another; hledger's give the address back."""
    names = [to_beancount.name(address, nature) for address, nature in accounts]
    for name in names:
        assert re.fullmatch(r"[A-Z][a-z]+(:[A-Z0-9][A-Za-z0-9-]*)+", name), name
        assert not any(other.startswith(name + ":") for other in names)
    assert len(set(names)) == len(names)
    for address, nature in accounts:
        assert to_hledger.name(address, nature).split(":", 1)[1] == address


@given(st.lists(st.from_regex(ASSET_PATTERN.replace("*/", "{0,5}/")), max_size=30))
def test_no_two_assets_meet_in_one_commodity(assets: list[str]) -> None:
    """Every code has a commodity of its own, which Beancount reads as one."""
    codes = {asset.rsplit("/", 1)[0] for asset in assets} | {"NULL", "TRUE", "FALSE", "null", "A", "a"}
    commodities = {to_beancount.commodity(f"{code}/0") for code in codes}
    assert len(commodities) == len(codes)
    text = "".join(f"2000-01-01 commodity {commodity}\n" for commodity in commodities)
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    assert {entry.currency for entry in entries if isinstance(entry, data.Commodity)} == commodities


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40))
def test_any_text_comes_back_from_both_journals(text: str) -> None:
    """hledger's encoding stays on one line and unquotes to the text; Beancount reads the text itself."""
    encoded = to_hledger.encoded(text)
    assert unquote(encoded) == text
    assert encoded == encoded.strip()
    assert len(encoded.splitlines()) <= 1
    assert not set(encoded) & set(";|,")
    note = f"2000-01-01 open Assets:A\n2000-01-01 note Assets:A {to_beancount.string(text)}\n"
    entries, errors, _ = loader.load_string(note)
    assert errors == []
    assert [entry.comment for entry in entries if isinstance(entry, data.Note)] == [text]


# ---------------------------------------------------------------- reading the journals


class Beancount:
    """A journal as Beancount's own loader has it, by our names."""

    def __init__(self, journal: Path) -> None:
        self._entries, errors, _ = loader.load_file(str(journal))
        assert errors == []
        self.addresses = {e.account: e.meta["address"] for e in self._entries if isinstance(e, data.Open)}
        self.assets = {e.currency: e.meta["asset"] for e in self._entries if isinstance(e, data.Commodity)}

    def entries(self) -> list[dict[str, Any]]:
        """The transactions that are events."""
        return [
            {
                "seq": int(e.meta["seq"]),
                "date": e.date.isoformat(),
                "description": e.narration,
                "reference": e.meta.get("reference", ""),
                "type": e.meta["type"],
                "effective_at": e.meta["effective-at"],
                "legs": [(self.addresses[p.account], *self._amount(p.units)) for p in e.postings],
            }
            for e in self._entries
            if isinstance(e, data.Transaction) and "seq" in e.meta
        ]

    def balances(self) -> dict[Place, int]:
        """Every account's balance after the last entry."""
        sums: Counter[Place] = Counter()
        for e in self._entries:
            if isinstance(e, data.Transaction):
                for p in e.postings:
                    asset, amount = self._amount(p.units)
                    sums[self.addresses[p.account], asset] += amount
        return dict(sums)

    def assertions(self) -> dict[tuple[date, Place], int]:
        """Every assertion, by the day at whose end it holds."""
        found = {}
        for e in self._entries:
            if isinstance(e, data.Balance):
                assert e.tolerance == 0
                asset, amount = self._amount(e.amount)
                found[e.date - timedelta(days=1), (self.addresses[e.account], asset)] = amount
        return found

    def _amount(self, amount: Amount | None) -> tuple[str, int]:
        assert amount is not None
        asset = self.assets[amount.currency]
        return asset, minor_units(f"{amount.number:f}", asset)


def expected_entries(truth: Truth, first: date | None, last: date | None) -> list[dict[str, Any]]:
    """The transactions of a range as the bodies have them."""
    legs: dict[int, list[Leg]] = defaultdict(list)
    for leg in truth.legs():
        if (first or date.min) <= leg.day <= (last or date.max):
            legs[leg.seq].append(leg)
    return [
        {
            "seq": seq,
            "date": own[0].day.isoformat(),
            "description": truth.events[seq - 1].get("description", ""),
            "reference": truth.events[seq - 1].get("reference", ""),
            "type": truth.events[seq - 1]["type"],
            "effective_at": truth.events[seq - 1]["effective_at"],
            "legs": [(leg.account, leg.asset, leg.amount) for leg in own],
        }
        for seq, own in legs.items()
    ]


def period_ends(first: date, last: date) -> list[date]:
    """Every last day of a month in the range, and its last day."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day == last or (day + timedelta(days=1)).day == 1]


def expected_assertions(legs: list[Leg], ends: list[date]) -> dict[tuple[date, Place], int]:
    """The balance of everything posted to so far, at each of the days."""
    expected: dict[tuple[date, Place], int] = {}
    balances: dict[Place, int] = {}
    rest = list(reversed(legs))
    for end in ends:
        while rest and rest[-1].day <= end:
            leg = rest.pop()
            place = (leg.account, leg.asset)
            balances[place] = balances.get(place, 0) + leg.amount
        expected |= {(end, place): balance for place, balance in balances.items()}
    return expected


def nonzero(balances: dict[Place, int]) -> dict[Place, int]:
    """Without those that stand at zero, which hledger and an opening may leave out."""
    return {place: balance for place, balance in balances.items() if balance}
