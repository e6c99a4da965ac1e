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
from projections.audit.rules import Restore
from projections.audit.tree import Tree
from projections.audit.verdicts import Findings, Verdict

NONE_KEPT = (
    "no tree head kept from before was given: nothing would show that events were taken away or rewritten"
)


class KeptHead(NamedTuple):
    """A tree head that was kept outside, by the name of its file; `head` None: why it is worth nothing.

    `own`: the installation keeps it. What a restore has lost of it is known there, and said in the ledger.
    """

    name: str
    head: TreeHead | None
    why: str = ""
    own: bool = False


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
    confirmed = [0]
    for each in sorted(kept, key=lambda each: each.head.size if each.head else 0):
        if each.head is None:
            findings.add("completeness", None, f"the tree head {each.name} shows nothing: {each.why}")
            continue
        # Two kept tree heads may be of one size and two histories.
        below = max(size for size in confirmed if size < max(each.head.size, 1))
        found = _offence(each.head, books, tree, below)
        if found is None:
            confirmed.append(each.head.size)
        elif not (each.own and _declared(each.head, books)):
            seq, sentence = found
            what = f"the tree head {each.name} of {each.head.size} events"
            findings.add("completeness", seq, f"{what} {sentence}")
    return confirmed[-1]


def other_root(findings: Findings, root: str, first: int, size: int) -> None:
    """Note that a root is not that of the `size` events, of which those before `first` are confirmed."""
    where = f"one of the events {first} to {size} is not what it was"
    if first > size:
        where = "a kept tree head has that of the events, so it is the root that is not what it was"
    seq = first if first <= size else None
    findings.add("integrity", seq, f"{root} is not that of the events: {where}")


def _offence(head: TreeHead, books: Books, tree: Tree, confirmed: int) -> tuple[int, str] | None:
    """Why a tree head is not a prefix of the ledger, and the first event that may be missing or otherwise."""
    first = confirmed + 1
    restore = _restore(head, books)
    if books.ledger and head.ledger != books.ledger:
        return 1, f"is of ledger {head.ledger}, this one is {books.ledger}"
    if restore is not None and (head.incarnation != restore.left or head.size >= restore.seq):
        lost = f"events from {restore.seq} on of incarnation {head.incarnation}"
        return restore.seq, f"is of what a restore lost: {lost} are not here, as event {restore.seq} says"
    if restore is None and head.incarnation != books.incarnation:
        return first, f"is of incarnation {head.incarnation}, this one is {books.incarnation}"
    if head.size > tree.size:
        return tree.size + 1, f"shows that events {tree.size + 1} to {head.size} are gone"
    if tree.roots.get(head.size) != head.root:
        which = f"event {first} is" if first == head.size else f"one of the events {first} to {head.size} is"
        return first, f"has another root: {which} not what it was then"
    return None


def _restore(head: TreeHead, books: Books) -> Restore | None:
    """The restore that ended a tree head's incarnation."""
    return next((r for r in books.restores if r.left <= head.incarnation <= r.lost), None)


def _declared(head: TreeHead, books: Books) -> bool:
    """Whether an event of the ledger says that all this tree head has beyond the ledger was lost."""
    restore = _restore(head, books)
    if restore is None or head.ledger != books.ledger or head.size < restore.seq:
        return False
    if head.incarnation < restore.lost:
        return True
    same = head.size == restore.lost_size and head.root.hex() == restore.lost_root
    return head.size < restore.lost_size or same


def verdict(findings: Findings, kept: Sequence[KeptHead], confirmed: int, books: Books) -> Verdict:
    """The verdict after `check_heads`; it names what a restore lost, which the ledger says itself."""
    heads = "one kept tree head" if len(kept) == 1 else f"{len(kept)} kept tree heads"
    fine = f"by {heads} events 1 to {confirmed} are what they were"
    for restore in books.restores:
        if restore.lost_size >= restore.seq:
            lost = f"{restore.seq} to {restore.lost_size} of incarnation {restore.lost}"
            fine += f"; events {lost} were lost in a restore, as event {restore.seq} says"
    return findings.verdict("completeness", fine, None if kept else NONE_KEPT)
