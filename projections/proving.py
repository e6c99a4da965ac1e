"""Proofs as answers: made of a ledger's snapshot, and checked from the answer alone.

An answer holds everything that a stranger needs but the public key: the event's body or the two tree heads,
the path, and the signed tree head. `check` is what the stranger does; it uses no database.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ledger import proofs
from ledger.merkle import leaf_hash
from ledger.notes import NoteError, TreeHead, VerifierKey, open_tree_head
from ledger.text import encode_canonical
from projections.tree_heads import Snapshot, TreeHeads


class TreeHeadView(Struct, frozen=True):
    """A signed tree head: `note` is the C2SP checkpoint, the others say what it says; `root` is hex."""

    origin: str
    ledger: str
    incarnation: int
    size: int
    root: str
    note: str


class InclusionProof(Struct, frozen=True, tag_field="proof", tag="inclusion"):
    """That event `seq` has exactly this body in the tree of `tree_head`.

    `leaf` is SHA-256(0x00 || body), its index in the tree is seq - 1; `path` leads from it to the root
    (RFC 6962 section 2.1.1). Hashes are hex.
    """

    seq: int
    leaf: str
    path: list[str]
    tree_head: TreeHeadView
    body: Raw


class ConsistencyProof(Struct, frozen=True, tag_field="proof", tag="consistency"):
    """That the first `first_size` events of `tree_head` are those of the tree with `first_root`.

    `path` is that of RFC 6962 section 2.1.2. Hashes are hex.
    """

    first_size: int
    first_root: str
    path: list[str]
    tree_head: TreeHeadView


class SizeNotReached(LookupError):
    """The ledger has no so many events yet (`args`: the size asked for, the head)."""


class EventNotFound(LookupError):
    """No event has this seq (`args[0]`)."""


class TileNotFound(LookupError):
    """No tree of this ledger has this tile."""


class EventNotInTree(ValueError):
    """The tree asked for ends before the event (`args`: the seq, the size)."""


class Prover:
    """Answers with proofs; what signs may raise what `TreeHeads.signed` raises. Threads may share it."""

    def __init__(self, tree_heads: TreeHeads) -> None:
        self._tree_heads = tree_heads

    def verifier_key(self) -> VerifierKey:
        """The public key of everything signed here."""
        return self._tree_heads.keeping.verifier()

    def tree_head(self, ledger: str, size: int | None = None) -> TreeHeadView:
        """The signed tree head, now or of the first `size` events (SizeNotReached)."""
        with self._tree_heads.signed(ledger) as snapshot:
            return self._view(snapshot, size)

    def inclusion(self, ledger: str, seq: int, size: int | None = None) -> InclusionProof:
        """That an event is in the tree, now or of `size` events.

        Raises EventNotFound, SizeNotReached, EventNotInTree.
        """
        with self._tree_heads.signed(ledger) as snapshot:
            if seq > snapshot.head.size:
                raise EventNotFound(seq)
            head = self._view(snapshot, size)
            if seq > head.size:
                raise EventNotInTree(seq, head.size)
            with snapshot.proving(seq):
                body = snapshot.body(seq)
                path = proofs.inclusion(snapshot.tiles.hashes(head.size), seq - 1, head.size)
                if not proofs.is_included(
                    leaf_hash(body), seq - 1, head.size, path, bytes.fromhex(head.root)
                ):
                    raise ValueError("another leaf")
        return InclusionProof(seq, leaf_hash(body).hex(), _hex(path), head, Raw(body))

    def consistency(self, ledger: str, first: int, second: int | None = None) -> ConsistencyProof:
        """That one tree is the beginning of another, now or of `second` events (SizeNotReached).

        Raises ValueError when the first is longer than the second.
        """
        with self._tree_heads.signed(ledger) as snapshot:
            if first > snapshot.head.size:
                raise SizeNotReached(first, snapshot.head.size)
            head = self._view(snapshot, second)
            if first > head.size:
                raise ValueError(f"a tree of {first} leaves is no prefix of one of {head.size}")
            root, last = snapshot.root(first), bytes.fromhex(head.root)
            with snapshot.proving(first):
                path = proofs.consistency(snapshot.tiles.hashes(head.size), first, head.size)
                if not proofs.is_consistent(first, head.size, root, last, path):
                    raise ValueError("another root")
            return ConsistencyProof(first, root.hex(), _hex(path), head)

    def tile(self, ledger: str, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile (TileNotFound)."""
        with self._tree_heads.unsigned(ledger) as snapshot:
            if width > proofs.tile_width(level, index, snapshot.head.size):
                raise TileNotFound
            return snapshot.tiles.tile(level, index, width)

    def bundle(self, ledger: str, index: int, width: int) -> bytes:
        """The bodies below a tile of level 0, as an entry bundle (TileNotFound)."""
        with self._tree_heads.unsigned(ledger) as snapshot:
            if width > proofs.tile_width(0, index, snapshot.head.size):
                raise TileNotFound
            return snapshot.tiles.bundle(index, width)

    def _view(self, snapshot: Snapshot, size: int | None) -> TreeHeadView:
        head = snapshot.head
        if size is not None:
            if size > head.size:
                raise SizeNotReached(size, head.size)
            head = head._replace(size=size, root=snapshot.root(size))
        note = self._tree_heads.keeping.sign(head)
        return TreeHeadView(head.origin, head.ledger, head.incarnation, head.size, head.root.hex(), note)


def _hex(path: list[bytes]) -> list[str]:
    return [hash.hex() for hash in path]


# ---------------------------------------------------------------- what a stranger does


class NotProven(ValueError):
    """The answer does not prove what it says; the message is a sentence."""


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(InclusionProof | ConsistencyProof)


def check(document: bytes, keys: list[VerifierKey], known: TreeHead | None = None) -> str:
    """What a proof proves, in a sentence (NotProven). Nothing of it is believed but the keys.

    `known` is a tree head that was kept from before: a consistency proof must begin at it, an inclusion proof
    must be of it.
    """
    try:
        proof = _decoder.decode(document)
        head = _signed(proof.tree_head, keys)
        path = [bytes.fromhex(hash) for hash in proof.path]
        if isinstance(proof, InclusionProof):
            return _check_inclusion(proof, path, head, known)
        return _check_consistency(proof, path, head, known)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotProven(f"This is not a proof: {error}.") from None
    except NoteError as error:
        raise NotProven(f"The tree head cannot be relied on: {error}.") from None
    except ValueError as error:
        raise (error if isinstance(error, NotProven) else NotProven(f"A hash is not hex: {error}.")) from None


def _signed(view: TreeHeadView, keys: list[VerifierKey]) -> TreeHead:
    head = open_tree_head(view.note, keys)
    if view != TreeHeadView(
        head.origin, head.ledger, head.incarnation, head.size, head.root.hex(), view.note
    ):
        raise NotProven("The tree head says something else than its signed note.")
    return head


def _check_inclusion(proof: InclusionProof, path: list[bytes], head: TreeHead, known: TreeHead | None) -> str:
    # Whoever stored the answer may have laid its JSON out anew; what was hashed is the canonical form.
    body = msgspec.json.decode(proof.body)
    leaf = leaf_hash(encode_canonical(body))
    if leaf.hex() != proof.leaf:
        raise NotProven(f"The body is not that of the leaf {proof.leaf}.")
    if not isinstance(body, dict) or (body.get("seq"), body.get("ledger")) != (proof.seq, head.ledger):
        raise NotProven(f"The body is not that of event {proof.seq} of ledger {head.ledger}.")
    if not proofs.is_included(leaf, proof.seq - 1, head.size, path, head.root):
        raise NotProven(f"The path does not lead from event {proof.seq} to the root.")
    if known is not None and known != head:
        raise NotProven(f"It is not of the tree head that you have ({_said(known)}), but of {_said(head)}.")
    return f"Event {proof.seq} is in ledger {head.ledger} with exactly this body: {_said(head)}."


def _check_consistency(
    proof: ConsistencyProof, path: list[bytes], head: TreeHead, known: TreeHead | None
) -> str:
    first = TreeHead(head.ledger, head.incarnation, proof.first_size, bytes.fromhex(proof.first_root))
    if not proofs.is_consistent(first.size, head.size, first.root, head.root, path):
        raise NotProven(f"The path does not lead from size {first.size} to size {head.size}.")
    # The incarnation may be an earlier one: what both have in common is proven all the same.
    if known is not None and known._replace(incarnation=first.incarnation) != first:
        raise NotProven(f"It does not begin at the tree head that you have ({_said(known)}): {_said(first)}.")
    return f"The first {first.size} events of ledger {head.ledger} are still the same: {_said(head)}."


def _said(head: TreeHead) -> str:
    return f"size {head.size}, incarnation {head.incarnation}, root {head.root.hex()}"
