"""Hashes that the database stores vouch for nothing: what is signed or proven follows from the tree head."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.proofs import perfect_root
from projections.proving import Prover
from projections.tree_heads import LedgerDiffers
from tests.tampering import bodies, rewrite, unguarded
from tests.test_restore import build_tiles, grow, keep_all, said, tree_heads


def test_a_tile_in_two_minds_vouches_for_nothing(database: str, tmp_path: Path) -> None:
    """Its hashes are those that were kept, its root is that of a history rewritten since: another root."""
    grow(database, "main", 200)
    keep_all(database, tmp_path)
    grow(database, "main", 100)
    build_tiles(database, 300)
    with unguarded(database) as connection:
        rewrite(connection, 3, lambda event: event.update(description="Gift"))
        leaves = [sha256(b"\x00" + body).digest() for body in bodies(connection)[:256]]
        connection.execute("UPDATE projections.tiles SET root = %s", (perfect_root(b"".join(leaves)),))
    assert said(database, tmp_path) == [("root", "main")]


def test_nothing_is_signed_or_proven_of_hashes_that_do_not_lead_to_the_tree_head(
    database: str, tmp_path: Path
) -> None:
    """A tile is altered and the head is not: what needs the tile is refused, all else is answered."""
    size = grow(database, "main", 300)
    build_tiles(database, size)
    keep_all(database, tmp_path)
    with unguarded(database) as connection:
        connection.execute(
            "UPDATE projections.tiles SET hashes = overlay(hashes placing '\\x00'::bytea from 70)"
        )
    with tree_heads(database, tmp_path) as heads:
        prover = Prover(heads)
        assert prover.tree_head("main").size == size
        assert prover.inclusion("main", size).seq == size
        asks: list[Callable[[], object]] = [
            lambda: prover.tree_head("main", 200),
            lambda: prover.inclusion("main", 5),
            lambda: prover.inclusion("main", 5, 200),
            lambda: prover.consistency("main", 200),
            lambda: prover.consistency("main", 100, 200),
        ]
        for ask in asks:
            with pytest.raises(LedgerDiffers, match="do not lead from size"):
                ask()


def test_an_incarnation_that_no_event_began_is_a_difference(database: str, tmp_path: Path) -> None:
    """The head row alone says that a restore happened."""
    grow(database, "main", 5)
    keep_all(database, tmp_path)
    with unguarded(database) as connection:
        connection.execute("UPDATE daybook.heads SET incarnation = 2")
    assert said(database, tmp_path) == [("incarnation", "main")]
