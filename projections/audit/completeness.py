"""Completeness: is everything still there that an auditor saw before, and is it what he saw?

A kept tree head says: at that size the tree had that root. Whoever kept it can tell a tail that was cut off, a
ledger rolled back to an old copy, a history written anew, another ledger in its place. Without one nobody can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from projections.audit.tree import Tree
from projections.audit.verdicts import Findings, Verdict

NONE_KEPT = "no tree head was given that was kept from before: nothing shows whether events were taken away since"


class KeptHead(NamedTuple):
    """A tree head that was kept outside: where it came from, and what it says."""

    name: str
    origin: str
    incarnation: int
    size: int
    root: bytes


def check_heads(
    findings: Findings, kept: Sequence[KeptHead], origins: dict[str, int], tree: Tree, restored: dict[int, int]
) -> int:
    """Compare kept heads with a tree that was asked for their sizes; the largest size that is confirmed.

    `origins` are those of this ledger by incarnation; `restored` gives for an incarnation that was left the
    size with which the next one began.
    """
    confirmed = 0
    for head in sorted(kept, key=lambda head: head.size):
        at = f"the tree head {head.name} of {head.size} events"
        if head.origin not in origins:
            sentence = f"{at} is of {head.origin}; this ledger is {', '.join(sorted(origins)) or 'unknown'}"
            findings.add("completeness", None, sentence)
            continue
        until = restored.get(head.incarnation)
        if until is not None and head.size > until:
            findings.add(
                "completeness",
                until + 1,
                f"{at} is of incarnation {head.incarnation}, which a restore left at {until} events:"
                f" events {until + 1} to {head.size} of it are not here",
            )
        elif head.size > tree.size:
            findings.add(
                "completeness",
                tree.size + 1,
                f"{at} shows that events {tree.size + 1} to {head.size} are gone: {tree.size} are here",
            )
        elif tree.roots.get(head.size) != head.root:
            findings.add(
                "completeness",
                confirmed + 1,
                f"{at} has another root: {_between(confirmed + 1, head.size)} not what it was then",
            )
        else:
            confirmed = max(confirmed, head.size)
    return confirmed


def _between(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"one of the events {first} to {last} is"


def verdict(findings: Findings, kept: Sequence[KeptHead], confirmed: int) -> Verdict:
    """The verdict after `check_heads`."""
    count = len(kept)
    fine = f"{count} kept tree {'head agrees' if count == 1 else 'heads agree'}, the largest of {confirmed} events"
    return findings.verdict("completeness", fine, None if kept else NONE_KEPT)
