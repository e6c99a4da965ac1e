"""The README is true: its commands run and print what it says, and what it links to exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.readme import README, blocks, run, service, stable


def test_the_commands_print_what_the_readme_says(database: str, tmp_path: Path) -> None:
    """Every console block, run in order against a fresh service, prints what stands under its commands."""
    written = blocks(README.read_text(encoding="utf-8"))
    assert written
    with service(database) as variables:
        printed = [run(block, variables, tmp_path) for block in written]
    assert [stable(text) for text in printed] == [stable(text) for text in written]


def test_every_link_leads_somewhere() -> None:
    """A relative link names a file of the project, and a test that it names exists in that file."""
    links = re.findall(r"\[([^\]]+)\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert links
    missing = [target for _, target in links if not (README.parent / target).exists()]
    assert missing == []
    named = [(text.strip("`"), target) for text, target in links if text.startswith("`test_")]
    absent = [name for name, target in named if f"def {name}(" not in (README.parent / target).read_text()]
    assert absent == []
