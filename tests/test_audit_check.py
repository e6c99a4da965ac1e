"""A live ledger is audited, and a superuser with every guard off is found out by the right verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import ledger
from ledger import events
from ledger.events import SCHEMA_VERSIONS
from projections.audit import live
from projections.audit.completeness import KeptHead
from projections.audit.rules import RULES
from projections.audit.verdicts import Report, Verdict
from tests.audit import audited
from tests.bookkeeping import writing
from tests.conftest import CopyOf, NewDatabase
from tests.rich_ledger import fill
from tests.tampered_rows import ROW_TAMPERINGS
from tests.tampering import back_up, kept_heads, put_back, unguarded
from tests.tamperings import EVENT_TAMPERINGS, SIZE, Tampering

EVENTS = Path(events.__file__)


@pytest.fixture(scope="module")
def rich(new_database: NewDatabase) -> Iterator[str]:
    """Two ledgers in which everything happened, sound by the tests' own audit too."""
    with new_database() as database:
        with writing(database) as writer:
            fill(writer)
            fill(writer, "other")
        audited(database)
        yield database


@pytest.fixture(scope="module")
def damaged(rich: str, copy_of: CopyOf) -> Iterator[str]:
    """A copy of it without any guard, which every tampering finds as it was."""
    with copy_of(rich) as database:
        with unguarded(database) as connection:
            back_up(connection)
        yield database


@pytest.fixture(scope="module")
def kept(rich: str) -> list[KeptHead]:
    """The tree heads that the auditor kept of `main`."""
    return kept_heads(rich, 10, 20, 30, SIZE)


def by_name(report: Report) -> dict[str, Verdict]:
    """The verdicts by name."""
    return {verdict.name: verdict for verdict in report.verdicts}


def failures(report: Report) -> dict[str, int | None]:
    """The failed verdicts, each with the seq that it names."""
    return {verdict.name: verdict.seq for verdict in report.verdicts if verdict.status == "failed"}


def test_a_ledger_in_which_everything_happened_passes_all_four_verdicts(
    rich: str, kept: list[KeptHead]
) -> None:
    """Holds, parts, voids, expiries, reversals, FX, limits, closings, batches and refusals: all in order."""
    report = live.check(rich, "main", kept)
    assert [verdict.status for verdict in report.verdicts] == ["ok"] * 4, report
    assert report.size == SIZE
    assert by_name(live.check(rich, "other"))["completeness"].status == "not_checked"
    assert not failures(live.check(rich, "other"))


def test_every_type_of_event_has_its_law() -> None:
    """What the core itself records has a law of its own; what products record has theirs in common."""
    source = {path: path.read_text() for path in Path(ledger.__file__).parent.rglob("*.py")}
    # What makes events, and not what reads them or has codes that are called the same.
    core = {path for path, text in source.items() if path.parent.name == "ledger" and "accept(" in text}
    assert len(core) > 3
    for name in set(SCHEMA_VERSIONS) - set(RULES):
        places = {path for path, text in source.items() if f'"{name}"' in text} - {EVENTS}
        assert places, name
        assert not places & core, name
    assert set(RULES) <= set(SCHEMA_VERSIONS)


@pytest.mark.parametrize(
    "tampering", [*EVENT_TAMPERINGS, *ROW_TAMPERINGS], ids=lambda tampering: tampering.what
)
def test_tampering_is_caught_by_the_right_verdict_at_the_right_event(
    tampering: Tampering, damaged: str, kept: list[KeptHead]
) -> None:
    """The verdicts that fail, and the event that each names, are those that this can be seen by."""
    with psycopg.connect(damaged) as connection:
        put_back(connection)
        if callable(tampering.do):
            tampering.do(connection)
        else:
            connection.execute(tampering.do)
    report = live.check(damaged, "main", kept)
    assert failures(report) == tampering.caught, report
    if tampering.difference is not None:
        difference = by_name(report)["projections"].difference
        assert difference is not None
        assert (difference.table, difference.column) == tampering.difference
