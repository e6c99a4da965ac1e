"""The reconciliation engine: each outcome by each rule, any order of items, and bounded memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.reconciliation import matching, sorting
from ledger.reconciliation.items import OUTCOMES, UNREACHABLE, Item, Rules, Tally, match_rate
from ledger.reconciliation.matching import reconcile
from tests.naive_matching import naive


def items(text: str) -> list[Item]:
    """One item a line: id, day of January, reference or -, amount, a status or `fee=` where there is one."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        id, day, reference, amount, *more = line.split()
        fees = [int(word.removeprefix("fee=")) for word in more if word.startswith("fee=")]
        status = "".join(word for word in more if not word.startswith("fee="))
        item = Item(f"2026-01-{int(day):02}", id, "" if reference == "-" else reference, int(amount), "EUR/2")
        found.append(replace(item, status=status, fee=fees[0] if fees else None))
    return found


CASES = {
    "the reference and the amount": ("a 1 R1 100", "x 20 R1 100", "match reference a x"),
    "equal repetitions, one by one": (
        "a 1 R1 100\nb 2 R1 100",
        "x 1 R1 100\ny 2 R1 100",
        "match reference a x; match reference b y",
    ),
    "one there is the sum of all under the reference": (
        "a 1 R1 60\nb 9 R1 50\nc 9 R1 -10",
        "x 1 R1 100",
        "match reference abc x",
    ),
    "one here is the sum of all under the reference": (
        "a 1 R1 100",
        "x 1 R1 60\ny 1 R1 40",
        "match reference a xy",
    ),
    "statuses differ": ("a 1 R1 100 posted", "x 1 R1 100 pending", "status_mismatch reference a x"),
    "no status contradicts nothing": ("a 1 R1 100 posted", "x 1 R1 100", "match reference a x"),
    "amounts differ": ("a 1 R1 100", "x 1 R1 99", "amount_mismatch reference a x"),
    "amounts differ by their fees": (
        "a 1 R1 97 fee=3",
        "x 1 R1 96 fee=4",
        "amount_mismatch reference a x fee_differs",
    ),
    "amounts differ by more than their fees": (
        "a 1 R1 97 fee=3",
        "x 1 R1 96 fee=3",
        "amount_mismatch reference a x",
    ),
    "fees differ and what is left agrees": (
        "a 1 R1 97 fee=3",
        "x 1 R1 97 fee=4",
        "amount_mismatch reference a x fee_differs",
    ),
    "no fee contradicts nothing": ("a 1 R1 97", "x 1 R1 97 fee=4", "match reference a x"),
    "fees of several are added up": (
        "a 1 R1 60 fee=1\nb 1 R1 37 fee=2",
        "x 1 R1 97 fee=3",
        "match reference ab x",
    ),
    "the amount within the window": ("a 1 R1 100", "x 4 - 100", "match amount_and_date a x"),
    "the amount beyond the window": (
        "a 1 - 100",
        "x 5 - 100",
        "missing_there none a; missing_here none  x",
    ),
    "the other sign": ("a 1 - 100", "x 1 - -100", "missing_there none a; missing_here none  x"),
    "a sum of some there": (
        "a 2 - 100",
        "x 1 - 30\ny 3 - 70\nz 3 - 5",
        "match parts a xy; missing_here none  z",
    ),
    "a sum of some here": ("a 1 - -30\nb 3 - -70", "x 2 - -100", "match parts ab x"),
    "fewest parts first": (
        "a 1 - 100",
        "w 1 - 10\nx 1 - 20\ny 1 - 70\nz 1 - 30",
        "match parts a yz; missing_here none  w; missing_here none  x",
    ),
    "nothing there": ("a 1 R1 100", "", "missing_there none a"),
    "nothing here": ("", "x 1 R1 100", "missing_here none  x"),
    "told twice there": ("a 1 R1 100", "x 1 R1 100\ny 9 R1 100", "match reference a x; duplicate none  y"),
    "posted twice here": ("a 1 R1 100\nb 2 R1 100", "x 1 R1 100", "match reference a x; duplicate none b"),
    "could not be asked": ("a 1 V1 100", f"x 1 V1 0 {UNREACHABLE}", "unknown reference a x"),
    "could not be asked about what is not here": ("", f"x 1 V1 0 {UNREACHABLE}", "unknown none  x"),
}


def told(here: list[Item], there: list[Item], rules: Rules, folder: Path) -> set[str]:
    return {
        f"{f.outcome} {f.rule} {''.join(sorted(i.name for i in f.here))} "
        f"{''.join(sorted(i.name for i in f.there))} {f.kind}".rstrip()
        for f in reconcile(here, there, rules, folder)
    }


@pytest.mark.parametrize("case", CASES)
def test_each_outcome_comes_by_its_rule(case: str, tmp_path: Path) -> None:
    """The findings of a few items on both sides are those that stand beside them."""
    here, there, expected = CASES[case]
    assert told(items(here), items(there), Rules(), tmp_path) == set(expected.split("; "))


def test_a_reference_that_too_many_have_tells_nothing(tmp_path: Path) -> None:
    """Beyond the bound, what is left under a reference goes on to the next rule, item by item."""
    here = [Item("2026-01-01", f"h{n}", "PAY", 10 + n, "EUR/2") for n in range(9)]
    there = [Item("2026-01-30", "t", "PAY", 1, "EUR/2")]
    found = list(reconcile(here, there, Rules(), tmp_path))
    assert sorted(f.outcome for f in found) == ["missing_here"] + ["missing_there"] * 9


def test_outside_of_the_period_nothing_is_missing(tmp_path: Path) -> None:
    """What the ledger has around a statement's period matches what the statement tells, and is not missed."""
    here = items("a 1 - 100\nb 2 - 50\nc 8 - 70\nd 5 - 1")
    rules = Rules(first_day="2026-01-03", last_day="2026-01-07")
    assert told(here, items("x 3 - 100"), rules, tmp_path) == {
        "match amount_and_date a x",
        "missing_there none d",
    }


def test_by_reference_alone_an_amount_matches_nothing(tmp_path: Path) -> None:
    """Where references are names, two items of one amount are not taken for the same."""
    found = told(items("a 1 V1 100"), items("x 1 V2 100"), Rules(window_days=None), tmp_path)
    assert found == {"missing_there none a", "missing_here none  x"}


def test_assets_are_never_mixed(tmp_path: Path) -> None:
    """The same reference, amount and day in another asset is another fact."""
    here, there = items("a 1 R1 100\nb 1 R1 50"), [Item("2026-01-01", "x", "R1", 100, "USD/2")]
    found = told(here, there, Rules(), tmp_path)
    assert found == {"missing_there none a", "missing_there none b", "missing_here none  x"}


item = st.builds(
    lambda day, reference, amount, asset, status: Item(
        f"2026-01-{day:02}", "", reference, amount, asset, status
    ),
    st.integers(1, 9),
    st.sampled_from(["", "", "R1", "R2", "R10"]),
    st.sampled_from([10, 20, 30, 50, 100, -10, -30, -40]),
    st.sampled_from(["EUR/2", "EUR/2", "USD/2"]),
    st.sampled_from(["", "posted", "pending"]),
)


def named(side: str, found: list[Item]) -> list[Item]:
    return [replace(i, name=f"{side}{n:02}") for n, i in enumerate(found)]


@given(
    st.lists(item, max_size=9),
    st.lists(item, max_size=9),
    st.sampled_from([None, 0, 1, 3]),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=250, deadline=None)
def test_it_finds_what_a_naive_matcher_finds(
    tmp_path_factory: pytest.TempPathFactory,
    here: list[Item],
    there: list[Item],
    window: int | None,
    parts: int,
    random: random.Random,
) -> None:
    """On few items, every finding is that of nested loops; in whatever order and runs the items come."""
    here, there = named("h", here), named("t", there)
    rules = Rules(window, parts, 5, 500, "2026-01-02", "2026-01-08")
    expected = naive(here, there, rules)
    random.shuffle(here)
    random.shuffle(there)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RUN", random.choice([1, 2, 3, 100]))
        patch.setattr(matching, "MOST_UNDER_REFERENCE", 1_000)
        folder = tmp_path_factory.mktemp("runs")
        found = list(reconcile(here, there, rules, folder))
        assert list(folder.iterdir()) == []
    shown = [
        (f.outcome, frozenset(i.name for i in f.here), frozenset(i.name for i in f.there)) for f in found
    ]
    assert len(shown) == len(set(shown))
    assert set(shown) == expected
    told_of = [i.name for f in found for i in (*f.here, *f.there)]
    assert len(told_of) == len(set(told_of))


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many items, all of one day, take no more memory; runs and windows are what is kept."""
    monkeypatch.setattr(sorting, "RUN", 3_000)

    def side(name: str, count: int, shift: int) -> Iterator[Item]:
        for n in range(count):
            # Every hundredth amount has nothing beside it.
            amount = n + 1_000_000 * (n % 100 == shift)
            yield Item("2026-01-05", f"{name}{n}", f"R{n}" if n % 2 else "", amount, "EUR/2")

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            tally = Tally()
            for finding in reconcile(side("h", count, 1), side("t", count, 2), Rules(), tmp_path):
                tally.add(finding)
            assert tally.counts["match"] >= count * 0.97
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(3_000), peak(30_000)
    assert large < small + 4_000_000


def test_memory_stays_bounded_where_nothing_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many unmatched items of one day are let go as they come, though one of the other side still waits."""
    monkeypatch.setattr(sorting, "RUN", 2_000)
    here = [Item("2026-01-05", "h", "", -1, "EUR/2")]

    def peak(count: int) -> int:
        there = (Item("2026-01-05", f"t{n}", "", n + 1, "EUR/2") for n in range(count))
        tracemalloc.start()
        try:
            found = sum(1 for _ in reconcile(here, there, Rules(most_waiting=50), tmp_path))
            assert found == count + 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(2_000), peak(8_000)
    assert large < small + 1_500_000


def test_the_match_rate_is_rounded_half_to_even() -> None:
    """Two decimals of matches in a hundred findings."""
    rates = [match_rate(*of) for of in ((0, 0), (1, 3), (2, 3), (1, 800), (3, 800), (8, 8))]
    assert rates == ["100.00", "33.33", "66.67", "0.12", "0.38", "100.00"]
    assert list(Tally().counts) == list(OUTCOMES)
