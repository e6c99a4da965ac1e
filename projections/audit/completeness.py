"""Completeness: is everything still there that an auditor saw before, and is it what he saw?

A kept tree head says: at that size the tree had that root. Whoever kept it can tell a tail that was cut off,
a ledger rolled back to an old copy, a history written anew, another ledger in its place. Without one nobody
can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ledger.notes import NoteError, TreeHead, VerifierKey, open_tree_head, tree_head
from projections.audit.books import Books
from projections.audit.tree import Tree
from projections.audit.verdicts import Findings, Verdict

NONE_KEPT = (
    "no tree head kept from before was given: nothing would show that events were taken away or rewritten"
)


class KeptHead(NamedTuple):
    """A tree head that was kept outside, by the name of its file; `head` None: why it is worth nothing."""

    name: str
    head: TreeHead | None
    why: str = ""


def read_kept(paths: Iterable[Path], keys: Sequence[VerifierKey]) -> list[KeptHead]:
    """The tree heads of some files (OSError), each signed by one of the keys; without keys as they are."""
    kept = []
    for path in paths:
        note = path.read_bytes()
        try:
            head = open_tree_head(note, keys) if keys else tree_head(_text(note))
            kept.append(KeptHead(path.name, head))
        except NoteError as error:
            kept.append(KeptHead(path.name, None, str(error)))
    return kept


def _text(note: bytes) -> str:
    """A note's text, whoever signed it."""
    try:
        return note.decode().partition("\n\n")[0] + "\n"
    except UnicodeDecodeError:
        raise NoteError("it is not UTF-8") from None


def sizes(kept: Sequence[KeptHead]) -> set[int]:
    """The sizes whose roots are wanted of a tree that is about to be grown."""
    return {each.head.size for each in kept if each.head is not None}


def check_heads(findings: Findings, kept: Sequence[KeptHead], books: Books, tree: Tree) -> int:
    """Compare kept heads with a tree that was asked for their sizes; the largest size that is confirmed."""
    confirmed = 0
    for each in sorted(kept, key=lambda each: each.head.size if each.head else 0):
        head = each.head
        if head is None:
            findings.add("completeness", None, f"the tree head {each.name} shows nothing: {each.why}")
            continue
        what = f"the tree head {each.name} of {head.size} events"
        first = confirmed + 1
        left = books.left.get(head.incarnation)
        if books.ledger and head.ledger != books.ledger:
            findings.add("completeness", 1, f"{what} is of ledger {head.ledger}, this one is {books.ledger}")
        elif left is None and head.incarnation != books.incarnation:
            sentence = f"{what} is of incarnation {head.incarnation}, this one is {books.incarnation}"
            findings.add("completeness", first, sentence)
        elif left is not None and head.size > left:
            gone = (
                f"its events {left + 1} to {head.size} were lost in the restore that event {left + 1} records"
            )
            findings.add("completeness", left + 1, f"{what}: {gone}")
        elif head.size > tree.size:
            gone = f"events {tree.size + 1} to {head.size} are gone"
            findings.add("completeness", tree.size + 1, f"{what}: {gone}")
        elif tree.roots.get(head.size) != head.root:
            which = (
                f"event {first} is" if first == head.size else f"one of the events {first} to {head.size} is"
            )
            findings.add("completeness", first, f"{what} has another root: {which} not what it was then")
        else:
            confirmed = head.size
    return confirmed


def verdict(findings: Findings, kept: Sequence[KeptHead], confirmed: int) -> Verdict:
    """The verdict after `check_heads`."""
    heads = "one kept tree head agrees" if len(kept) == 1 else f"{len(kept)} kept tree heads agree"
    return findings.verdict(
        "completeness", f"{heads}: events 1 to {confirmed} are what they were", None if kept else NONE_KEPT
    )
