"""The chart of accounts: which pattern an address has, when two patterns overlap, what terms are copied."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chart import (
    MAX_AMOUNT,
    AccountPattern,
    AccountType,
    Chart,
    ChartDocument,
    Limits,
    first_overlap,
    overlap,
    scale_conflict,
)

WORDS = ("a", "b", "{x}", "{y}")
patterns = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).filter(
    lambda words: len([w for w in words if w[0] == "{"]) == len({w for w in words if w[0] == "{"})
)


def addresses_of(pattern: str, alphabet: tuple[str, ...] = ("a", "b", "c")) -> set[str]:
    """Every address over a small alphabet that the pattern matches."""
    choices = [alphabet if segment.startswith("{") else (segment,) for segment in pattern.split(":")]
    return {":".join(chosen) for chosen in product(*choices)}


def document(*given: str | dict[str, Any], assets: tuple[str, ...] = ("USD/2",)) -> ChartDocument:
    lines = [{"pattern": line, "type": "asset"} if isinstance(line, str) else line for line in given]
    return msgspec.convert({"assets": assets, "accounts": lines}, ChartDocument)


@given(patterns, patterns)
def test_patterns_overlap_when_an_address_matches_both(one: list[str], other: list[str]) -> None:
    """Overlap means exactly that some address is of both."""
    left, right = ":".join(one), ":".join(other)
    assert overlap(left, right) == bool(addresses_of(left) & addresses_of(right))
    assert overlap(left, right) == overlap(right, left)


@given(st.lists(patterns, max_size=4))
def test_address_has_at_most_one_pattern(given: list[list[str]]) -> None:
    """In a chart without overlaps, an address finds the pattern that matches it, whatever the order."""
    lines = list(dict.fromkeys(":".join(words) for words in given))
    if first_overlap(document(*lines)) is not None:
        assert any(overlap(a, b) for a in lines for b in lines if a is not b)
        return
    charts = [Chart(document(*order), {}) for order in (lines, lines[::-1])]
    for length in (1, 2, 3):
        for segments in product(("a", "b", "c"), repeat=length):
            address = ":".join(segments)
            matching = [line for line in lines if address in addresses_of(line)]
            assert len(matching) <= 1
            for chart in charts:
                found = chart.find(address)
                assert ([found.pattern] if found else []) == matching


def test_first_overlap_names_both_patterns_in_their_order() -> None:
    """The refusal can say which two lines contradict each other; a line twice is an overlap."""
    assert first_overlap(document("a:b", "c", "a:{x}", "{y}:b")) == ("a:b", "a:{x}")
    assert first_overlap(document("a", "a")) == ("a", "a")
    assert first_overlap(document("a", "a:b", "a:b:c", "b:{x}")) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ":",
        "a:",
        ":a",
        "a::b",
        "a b",
        "{X}",
        "{}",
        "{1x}",
        "x{y}",
        "{x}{y}",
        "{x}:{x}",
        "é",
        "a\n",
        "a/b",
        "a" * 256,
    ],
)
def test_pattern_that_is_not_segments_and_captures_is_refused(pattern: str) -> None:
    """A bad pattern is refused when it is read, naming the field."""
    with pytest.raises(msgspec.ValidationError, match="pattern"):
        document(pattern)


@pytest.mark.parametrize("pattern", ["a", "A-1.b_c:{x}:{y2_z}:0", "{x}"])
def test_pattern_of_segments_and_captures_is_read(pattern: str) -> None:
    """Letters, digits, `_`, `.`, `-`; captures in lower case."""
    assert document(pattern).accounts[0].pattern == pattern


@pytest.mark.parametrize(
    ("asset", "good"),
    [
        ("USD/2", True),
        ("JPY/0", True),
        ("CREDIT.enrichment/0", True),
        ("a_b-c/18", True),
        ("USD", False),
        ("USD/", False),
        ("USD/19", False),
        ("USD/02", False),
        ("USD/-1", False),
        ("2USD/2", False),
        ("/2", False),
        ("US D/2", False),
        ("USD/2\n", False),
        ("X" * 63 + "/2", False),
    ],
)
def test_asset_is_a_code_with_a_scale(asset: str, good: bool) -> None:
    """A code that begins with a letter, and a scale of 0 to 18, at most 64 characters."""
    if good:
        assert document(assets=(asset,)).assets == (asset,)
    else:
        with pytest.raises(msgspec.ValidationError, match="assets"):
            document(assets=(asset,))


def test_limits_name_an_asset_or_every_asset() -> None:
    """Limits of something that is no asset code are refused; bounds are 64-bit."""
    with pytest.raises(msgspec.ValidationError, match="neither an asset"):
        document({"pattern": "a", "type": "asset", "limits": {"usd": {}}})
    with pytest.raises(msgspec.ValidationError, match="min_available"):
        document({"pattern": "a", "type": "asset", "limits": {"*": {"min_available": -MAX_AMOUNT - 1}}})
    with pytest.raises(msgspec.ValidationError, match="floor"):
        document({"pattern": "a", "type": "asset", "limits": {"*": {"floor": 0}}})


@pytest.mark.parametrize(
    ("type", "contra", "debit"),
    [
        ("asset", False, True),
        ("expense", False, True),
        ("liability", False, False),
        ("equity", False, False),
        ("income", False, False),
        ("asset", True, False),
        ("expense", True, False),
        ("liability", True, True),
        ("equity", True, True),
        ("income", True, True),
    ],
)
def test_normal_side_follows_from_type_and_contra(type: AccountType, contra: bool, debit: bool) -> None:
    """Assets and expenses are debit-normal, the others credit-normal; contra turns it round."""
    assert AccountPattern("a", type, contra=contra).terms().debit_normal is debit


def test_own_limits_of_an_asset_come_before_those_of_every_asset() -> None:
    """An asset with limits of its own, even without bounds, does not take those of `*`."""
    own, every = Limits(min_available=-5), Limits(max_balance=7)
    terms = AccountPattern("a", "asset", limits={"USD/2": own, "EUR/2": Limits(), "*": every}).terms()
    assert terms.limits_of("USD/2") is own
    assert terms.limits_of("EUR/2") == Limits()
    assert terms.limits_of("JPY/0") is every
    assert AccountPattern("a", "asset").terms().limits_of("USD/2") == Limits()


def test_assets_keep_their_numbers_in_every_later_chart() -> None:
    """A new chart numbers new assets on and never renumbers or drops an old one."""
    first = Chart(document(assets=("USD/2", "EUR/2")), {})
    second = Chart(document(assets=("JPY/0", "EUR/2")), first.asset_ids)
    assert first.asset_ids == {"USD/2": 1, "EUR/2": 2}
    assert second.asset_ids == {"USD/2": 1, "EUR/2": 2, "JPY/0": 3}


def test_asset_code_has_one_scale() -> None:
    """A second scale is found within a document and against what is known."""
    assert scale_conflict(document(assets=("USD/2", "USD/3")), {}) == ("USD/2", "USD/3")
    assert scale_conflict(document(assets=("EUR/2", "USD/3")), {"USD/2": 1}) == ("USD/2", "USD/3")
    assert scale_conflict(document(assets=("USD/2", "USD.x/3")), {"USD/2": 1}) is None
