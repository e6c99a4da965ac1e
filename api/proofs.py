"""The proofs behind the operations: from path and query to the prover's methods."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from api.queries import ConsistencyQuery, ProofQuery
from projections.proving import ConsistencyProof, InclusionProof, Prover, TreeHeadView

Path = dict[str, Any]


class VerifierKeyView(Struct, frozen=True):
    """The public key of every signed tree head, as C2SP signed-note writes it: `name+id+base64`."""

    name: str
    algorithm: str
    verifier_key: str


def verifier_key(prover: Prover, path: Path, query: Any) -> VerifierKeyView:
    key = prover.verifier_key()
    return VerifierKeyView(key.name, "Ed25519", str(key))


def tree_head(prover: Prover, path: Path, query: Any) -> TreeHeadView:
    return prover.tree_head(path["ledger"])


def inclusion(prover: Prover, path: Path, query: ProofQuery) -> InclusionProof:
    return prover.inclusion(path["ledger"], path["seq"], query.size)


def consistency(prover: Prover, path: Path, query: ConsistencyQuery) -> ConsistencyProof:
    return prover.consistency(path["ledger"], query.from_, query.to)


def checkpoint(prover: Prover, path: Path, query: Any) -> bytes:
    return prover.tree_head(path["ledger"]).note.encode()


def tile(prover: Prover, path: Path, query: Any) -> bytes:
    index, width = path["tile"]
    return prover.tile(path["ledger"], path["level"], index, width)


def bundle(prover: Prover, path: Path, query: Any) -> bytes:
    index, width = path["tile"]
    return prover.bundle(path["ledger"], index, width)
