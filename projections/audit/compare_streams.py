"""The states of streams as they are stored, against what the events made of them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable

from projections.audit.compare import Differences
from projections.audit.derived import Collected, canonical_state, state_hash
from projections.audit.rows import Layout
from projections.audit.stored import StoredLedger
from projections.audit.subjects import STREAM

_stream = re.compile(f"{STREAM}([1-9][0-9]{{0,18}})").fullmatch
COLUMNS = ("stream", "version", "last_seq", "state_version", "kind", "due_at", "state")

Again = Callable[[Layout | None, range, int], Collected]


def compare_streams(differences: Differences, stored: StoredLedger, states: array[int], again: Again) -> None:
    """Find the first stream whose row is missing, too many or different, by its transaction.

    `states` has the hash of every row, 0 where there is none; what is found is struck out.
    """
    states = states[:]
    wrong: list[int] = []
    for stream, *others, state in stored.table("streams"):
        seq = _subject_seq(stream)
        if seq is None or not 0 < seq < len(states) or not states[seq]:
            differences.extra("streams", stream)
            continue
        row = (stream, *others, canonical_state(state))
        if states[seq] != state_hash(row) and (not wrong or seq < wrong[0]):
            wrong = [seq]
        states[seq] = 0
    missing = [next(seq for seq, state in enumerate(states) if state)] if any(states) else []
    for seq in sorted(wrong + missing)[:1]:
        _explain(differences, stored, seq, again)


def _explain(differences: Differences, stored: StoredLedger, seq: int, again: Again) -> None:
    stream = f"{STREAM}{seq}"
    expected = again(None, range(0), seq).stream
    assert expected is not None
    found = stored.stream(stream)
    if found is None:
        differences.missing("streams", stream, seq=expected[2])
        return
    row = (*found[:-1], canonical_state(found[-1]))
    index = next(i for i, column in enumerate(row) if column != expected[i])
    pair = (str(row[index]), str(expected[index]))
    differences.column("streams", stream, COLUMNS[index], *pair, seq=expected[2])


def _subject_seq(stream: str) -> int | None:
    found = _stream(stream)
    return None if found is None else int(found[1])
