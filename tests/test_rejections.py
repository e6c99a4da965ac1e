"""The table of rejections is complete: what the code sends, what the table says, what the docs tell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.rejections import CODES, PRECEDENCE, TABLE, RejectionCode

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "rejections.md").read_text()


def sent() -> Iterator[tuple[str, set[str] | None, str]]:
    """Every code that the ledger refuses with, the evidence where it is written out, and where that is."""
    for path in sorted((ROOT / "ledger").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            if node.func.id not in ("Rejection", "refuse", "misfit"):
                continue
            where = f"{path.name}:{node.lineno}"
            for code in codes_of(node.args[0]):
                yield code, evidence_of(node), where


def codes_of(argument: ast.expr) -> list[str]:
    """The codes that an argument can be; an f-string stands for every code that fits it."""
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if isinstance(argument, ast.JoinedStr):
        parts = [re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in argument.values]
        return [code for code in CODES if re.fullmatch("".join(parts), code)] or ["".join(parts)]
    return []


def evidence_of(call: ast.Call) -> set[str] | None:
    """The names of the evidence, where every one of them is written in the call."""
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    names = {keyword.arg for keyword in call.keywords if keyword.arg}
    for argument in call.args[1:]:
        if not isinstance(argument, ast.Dict):
            return None
        names |= {str(key.value) for key in argument.keys if isinstance(key, ast.Constant)}
    return names


def test_every_code_sent_is_in_the_table_and_every_row_is_sent() -> None:
    """A code that is not in the table, or a row that nothing sends, is a defect."""
    assert {code for code, _, _ in sent()} == set(CODES)


def test_evidence_sent_is_what_the_table_names() -> None:
    """Evidence written out in a call has the table's names; tests/test_refusals.py sees the rest."""
    written = [(code, evidence, where) for code, evidence, where in sent() if evidence is not None]
    assert len(written) > 20
    for code, evidence, where in written:
        if code == "hold_already_expired" and evidence == {"seq", "ended_by"}:
            continue  # the call for the other ways to end
        assert evidence == set(CODES[code].evidence), where


def test_codes_are_unique_and_ordered() -> None:
    """One row a code; the precedence is the order of the table."""
    assert [row.code for row in TABLE] == list(CODES) == sorted(PRECEDENCE, key=PRECEDENCE.__getitem__)
    assert len(CODES) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_row_is_well_formed(row: RejectionCode) -> None:
    """A stable name, a sentence, a client's status, evidence named once."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.code)
    assert re.fullmatch(r"[A-Z`].*[^.]\.", row.sentence)
    assert row.status in (400, 402, 403, 404, 409, 422) or row.code == "approval_required"  # which waits: 202
    assert len(set(row.evidence)) == len(row.evidence)
    assert "code" not in row.evidence or row.code == "linked_failed"


def test_docs_tell_what_the_table_says() -> None:
    """One heading a code, in the order of precedence, with sentence, status, transience and evidence."""
    head, *sections = DOCS.split("\n## ")
    assert head.startswith("# Rejections\n")
    assert [section.split("\n")[0] for section in sections] == list(CODES)
    for section, row in zip(sections, TABLE, strict=True):
        evidence = ", ".join(f"`{name}`" for name in row.evidence) or "none"
        told = section.strip().split("\n")
        assert told[:-1] == [
            row.code,
            "",
            row.sentence,
            "",
            f"- HTTP status: {row.status}",
            f"- Transient: {'yes' if row.transient else 'no'}",
            f"- Evidence: {evidence}",
        ]
        assert re.fullmatch(r"- What to do: [A-Z].{10,}\.", told[-1])
