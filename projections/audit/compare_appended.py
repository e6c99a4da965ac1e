"""Append-only rows as they are stored (postings, streams' events, endings, keys), against the events."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from projections.audit.compare import Differences
from projections.audit.derived import Collected
from projections.audit.rows import BUCKET, HASHES, Layout, Tally
from projections.audit.stored import StoredLedger

Row = dict[str, str | None]


def compare_appended(
    differences: Differences,
    stored: StoredLedger,
    layout: Layout,
    expected: Tally,
    size: int,
    again: Callable[[Layout, range], Collected],
    progress: Callable[[str, int, int], None],
) -> None:
    """Find the first event whose rows are missing, too many or different.

    Sums of hashes are compared first; where they differ, `again` gives the rows that should be there.
    """
    tally = Tally()
    tally.grow(size)
    sums = tally.sums
    strange: int | None = None
    for count, row in enumerate(stored.rows(layout, -(2**63), size), 1):
        seq = seq_of(row)
        if 0 < seq <= size:
            bucket = seq >> BUCKET
            sums[bucket] = (sums[bucket] + hash(row)) & HASHES
        elif strange is None or seq < strange:
            strange = seq
        if not count % 50_000:
            progress(layout.table, count, 0)
    if strange is not None:
        differences.extra(layout.table, f"seq {strange}", seq=max(strange, 0))
    seqs = expected.first_difference(tally)
    if seqs is not None:
        _explain(differences, stored, layout, range(seqs.start, min(seqs.stop, size + 1)), again)


def seq_of(row: bytes) -> int:
    """The seq that a row of a layout begins with."""
    return int.from_bytes(row[6:14], "big", signed=True)


def _explain(
    differences: Differences,
    stored: StoredLedger,
    layout: Layout,
    seqs: range,
    again: Callable[[Layout, range], Collected],
) -> None:
    expected = _by_key(layout, again(layout, seqs).rows)
    found = _by_key(layout, [r for r in stored.rows(layout, seqs.start, seqs.stop - 1) if seq_of(r) in seqs])
    differing = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
    for key in sorted(differing, key=lambda key: _seq(expected.get(key) or found[key]))[:1]:
        have, want = found.get(key), expected.get(key)
        name = ", ".join(f"{column} {value}" for column, value in zip(layout.key, key, strict=True))
        if want is None:
            differences.extra(layout.table, name, seq=_seq(have or {}))
        elif have is None:
            differences.missing(layout.table, name, seq=_seq(want))
        else:
            column = next(column for column in layout.columns if have[column] != want[column])
            differences.column(layout.table, name, column, have[column], want[column], seq=_seq(want))


def _by_key(layout: Layout, rows: Iterable[bytes]) -> dict[tuple[str | None, ...], Row]:
    read = [layout.read(row) for row in rows]
    return {tuple(row[column] for column in layout.key): row for row in read}


def _seq(row: Row) -> int:
    return int(row["seq"] or 0)
