"""How fast a ledger is exported. Every export has the events themselves in it (`jsonl`)."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.keeping import Keeping
from ledger.reader import Reader
from projections.exports.export import FORMATS, Asked, Format, Signed, export
from projections.proving import Prover
from projections.tree_heads import TreeHeads

CHOICES: dict[str, frozenset[Format]] = {
    **{format: frozenset((format,)) for format in FORMATS},
    "all formats": frozenset(FORMATS),
}


def rate(conninfo: str, ledger: str, formats: frozenset[Format]) -> float:
    """Events a second, from the first read to the folder on disk."""
    with TemporaryDirectory(prefix="daybook-bench-") as folder, closing(Reader(conninfo)) as reader:
        prover = Prover(TreeHeads(reader, Keeping(Path(folder, "keys"))))
        signed = Signed(prover.tree_head(ledger).note, prover.verifier_key())
        started = time.perf_counter()
        made = export(conninfo, Asked(ledger, formats), Path(folder, "export"), signed, lambda *_: None)
        return made.pin.seq / (time.perf_counter() - started)
