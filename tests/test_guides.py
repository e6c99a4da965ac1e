"""The guides are true: their commands run in order and print what stands under them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daybook_command import ROOT
from tests.readme import at_stripe, blocks, furnish, run, service, stable
from tests.stripe_double import stripe_double

GUIDES = sorted((ROOT / "docs").glob("guide-*.md"))


def test_there_are_guides() -> None:
    """Or nothing would be tried."""
    wanted = {"guide-credits.md", "guide-loans.md", "guide-stripe.md", "guide-vouchers.md"}
    assert wanted <= {guide.name for guide in GUIDES}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_commands_print_what_the_guide_says(guide: Path, database: str, tmp_path: Path) -> None:
    """Every console block, run in order against a fresh service."""
    written = blocks(guide.read_text(encoding="utf-8"))
    assert written
    with (
        stripe_double(pays_at_once=True) as stripe,
        service(database, **at_stripe(stripe)) as variables,
    ):
        furnish(stripe, guide.stem)
        printed = [run(block, variables, tmp_path) for block in written]
    assert [stable(text) for text in printed] == [stable(text) for text in written]
