"""Verdicts: what an audit says, apart for each thing that it can say."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Name = Literal["integrity", "completeness", "accounting", "projections"]
NAMES: tuple[Name, ...] = ("integrity", "completeness", "accounting", "projections")


class Difference(Struct, frozen=True):
    """A stored value that is not what the events say. `row` names the row by its key; None: no such row."""

    table: str
    row: str
    column: str
    stored: str | None
    expected: str | None


class Verdict(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One of four answers. `seq` is the first event that offends, where one does; `sentence` says how."""

    name: Name
    status: Literal["ok", "failed", "not_checked"]
    sentence: str
    seq: int | None = None
    difference: Difference | None = None


class Report(Struct, frozen=True, kw_only=True):
    """The verdicts on one ledger up to `size` events, whose Merkle root is `root` (hex)."""

    ledger: str
    id: str
    incarnation: int
    size: int
    root: str
    verdicts: tuple[Verdict, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(verdict.status != "failed" for verdict in self.verdicts)


def unread(why: str, seconds: float, ledger: str = "", id: str = "") -> Report:
    """The report on what cannot be read at all."""
    verdicts = [Verdict(name=name, status="not_checked", sentence=why) for name in NAMES]
    verdicts[0] = Verdict(name="integrity", status="failed", sentence=why)
    return Report(
        ledger=ledger, id=id, incarnation=0, size=0, root="", verdicts=tuple(verdicts), seconds=seconds
    )


class Findings:
    """What offends, as it is found; each verdict keeps the finding with the lowest seq."""

    def __init__(self) -> None:
        self._worst: dict[Name, tuple[int | None, str, Difference | None]] = {}

    def add(self, name: Name, seq: int | None, sentence: str, difference: Difference | None = None) -> None:
        """Note that a verdict fails. Of findings about one event the first stays."""
        known = self._worst.get(name)
        if known is None or (seq is not None and (known[0] is None or seq < known[0])):
            self._worst[name] = (seq, sentence, difference)

    def failed(self, name: Name) -> bool:
        """Whether a verdict fails so far."""
        return name in self._worst

    def verdict(self, name: Name, fine: str, not_checked: str | None = None) -> Verdict:
        """The verdict: failed with its first finding, else as `fine`, or `not_checked` for that reason."""
        worst = self._worst.get(name)
        if worst is not None:
            seq, sentence, difference = worst
            return Verdict(name=name, status="failed", sentence=sentence, seq=seq, difference=difference)
        if not_checked is not None:
            return Verdict(name=name, status="not_checked", sentence=not_checked)
        return Verdict(name=name, status="ok", sentence=fine)
