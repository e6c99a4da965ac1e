"""How fast a ledger is exported, in each format and in all."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import reading
from ledger.keeping import Keeping
from ledger.reader import Reader
from ledger.writer import Writer
from projections.exports.export import FORMATS, Asked, Format, Signed, export
from projections.proving import Prover
from projections.tree_heads import TreeHeads

EVENTS = 100_000
CHOICES: dict[str, frozenset[Format]] = {
    **{format: frozenset((format,)) for format in FORMATS},
    "all formats": frozenset(FORMATS),
}


def rates(conninfo: str, writer: Writer) -> dict[str, float]:
    """Events a second of each choice of formats; each has the events themselves in it (`jsonl`)."""
    ledger = reading.grow(writer, 2 * EVENTS)
    found = {}
    with TemporaryDirectory(prefix="daybook-bench-exports-") as folder, closing(Reader(conninfo)) as reader:
        prover = Prover(TreeHeads(reader, Keeping(Path(folder, "keys"))))
        signed = Signed(prover.tree_head(ledger).note, prover.verifier_key())
        for number, (name, formats) in enumerate(CHOICES.items()):
            started = time.perf_counter()
            made = export(
                conninfo, Asked(ledger, formats), Path(folder, str(number)), signed, lambda *_: None
            )
            found[name] = made.pin.seq / (time.perf_counter() - started)
    return found
