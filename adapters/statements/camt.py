"""camt.053, the bank-to-customer statement of ISO 20022, in every version of its schema.

Elements are those of the message definition report: `Document/BkToCstmrStmt/Stmt`, in it `Acct`, `FrToDt`,
closing balances, `Bal` of the type `CLBD`, and entries, `Ntry`, with `Amt` and its `Ccy`, `CdtDbtInd`, `Sts`,
`BookgDt`, `AcctSvcrRef`, `NtryDtls/TxDtls`.
`CdtDbtInd` alone says the direction: `RvslInd` tells why, and changes no sign.

Hostile XML: a statement needs no document type, so one that has any is refused before an entity is declared.
Expat reads piece by piece; only the entry at hand is kept, of a bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO
from xml.parsers.expat import ExpatError, ParserCreate

from adapters.statements.amounts import StatementError, asset_of, iso_day, minor_units, one_line
from ledger.reconciliation.items import Item

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053."
PIECE = 1 << 16
MOST_NODES = 200_000
MOST_TEXT = 4_000_000
MOST_DEPTH = 50
STATUSES = {"BOOK": "posted", "PDNG": "pending"}
_STATEMENT = ["Document", "BkToCstmrStmt", "Stmt"]


class _Node:
    """An element of an entry."""

    __slots__ = ("children", "currency", "name", "text")

    def __init__(self, name: str, currency: str) -> None:
        self.name = name
        self.currency = currency
        self.text = ""
        self.children: list[_Node] = []

    def all(self, path: str) -> list[_Node]:
        """Every element at a path."""
        found = [self]
        for name in path.split("/"):
            found = [child for node in found for child in node.children if child.name == name]
        return found

    def text_at(self, *paths: str) -> str:
        """The text of the first path that has any."""
        texts = (node.text.strip() for path in paths for node in self.all(path))
        return next(filter(None, texts), "")


class CamtStatement:
    """A statement file as items; once they are all read, the days that it says it is about."""

    def __init__(self, file: BinaryIO, assets: Mapping[str, str], account: str = "") -> None:
        """`assets` are the ledger's by currency; `account` (IBAN or other id) chooses among statements."""
        self.first_day = self.last_day = ""
        self.accounts: set[str] = set()
        self.closing: dict[tuple[str, str], int] = {}  # by asset and day, as far as it was read
        self._file = file
        self._assets = assets
        self._account = account
        self._path: list[str] = []
        self._nodes: list[_Node] = []
        self._size = [0, 0]
        self._line = 0
        self._count = 0
        self._chosen = True
        self._days: tuple[str, str] | None = None
        self._ready: list[Item] = []
        self._parser = ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.EntityDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def __iter__(self) -> Iterator[Item]:
        """The entries (StatementError, naming line and element)."""
        done = False
        while not done:
            piece = self._file.read(PIECE)
            done = not piece
            try:
                self._parser.Parse(piece, done)
            except ExpatError as error:
                raise StatementError(f"line {error.lineno}: this is not XML: {error}") from None
            except ValueError as error:
                raise StatementError(f"line {self._parser.CurrentLineNumber}: {error}") from None
            yield from self._ready
            self._ready.clear()
        if self._account.replace(" ", "") not in {"", *(id.replace(" ", "") for id in self.accounts)}:
            raise StatementError(
                f"the file has no account {self._account}: {', '.join(sorted(self.accounts))}."
            )

    def _refuse_doctype(self, *_: object) -> None:
        raise StatementError(
            f"line {self._parser.CurrentLineNumber}: a document type or entity has no place in a statement."
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self._path.append(local)
        if len(self._path) == 1 and (local != "Document" or not space.startswith(NAMESPACE)):
            raise ValueError(f"`{local}` of {space or 'no namespace'} is no camt.053 `Document`")
        if len(self._path) > MOST_DEPTH:
            raise ValueError(f"`{local}` is nested too deeply")
        if self._nodes or (self._path[:3] == _STATEMENT and len(self._path) == 4):
            if not self._nodes:
                self._size, self._line = [0, 0], self._parser.CurrentLineNumber
            self._grow(0, 1, MOST_NODES)
            self._nodes.append(_Node(local, attributes.get("Ccy", "")))
        elif self._path == _STATEMENT:
            # The period stands before the account that it is of.
            self._chosen, self._days = not self._account, None

    def _grow(self, which: int, by: int, most: int) -> None:
        self._size[which] += by
        if self._size[which] > most:
            raise ValueError(f"`{self._nodes[0].name}` of line {self._line} is too large")

    def _characters(self, text: str) -> None:
        if self._nodes:
            self._grow(1, len(text), MOST_TEXT)
            self._nodes[-1].text += text

    def _end(self, name: str) -> None:
        self._path.pop()
        if not self._nodes:
            return
        node = self._nodes.pop()
        if self._nodes:
            self._nodes[-1].children.append(node)
        elif node.name == "Acct":
            id = node.text_at("Id/IBAN", "Id/Othr/Id")
            self.accounts.add(id)
            if not self._account and len(self.accounts) > 1:
                raise ValueError(f"the file has several accounts: {', '.join(sorted(self.accounts))}")
            self._chosen = not self._account or id.replace(" ", "") == self._account.replace(" ", "")
            if self._chosen and self._days:
                self.first_day = min(self.first_day or self._days[0], self._days[0])
                self.last_day = max(self.last_day, self._days[1])
        elif node.name == "FrToDt":
            self._days = iso_day(_needed(node, "FrDtTm")), iso_day(_needed(node, "ToDtTm"))
        elif node.name in ("Ntry", "Bal") and self._chosen:
            try:
                if node.name == "Ntry":
                    self._ready += self._items(node)
                elif node.text_at("Tp/CdOrPrtry/Cd") == "CLBD":
                    asset, amount = self._signed(node, node)
                    self.closing[asset, iso_day(_needed(node, "Dt/Dt", "Dt/DtTm"))] = amount
            except ValueError as error:
                raise StatementError(f"`{node.name}` of line {self._line}: {error}.") from None

    def _items(self, entry: _Node) -> list[Item]:
        """An entry; by its transactions if it is a batch of which each has its amount (ValueError)."""
        self._count += 1
        state = entry.text_at("Sts/Cd", "Sts/Prtry", "Sts")
        if state not in STATUSES:
            if state == "INFO":
                return []
            raise ValueError(f"`Sts` {state!r} is none of BOOK, PDNG, INFO")
        day = iso_day(_needed(entry, "BookgDt/Dt", "BookgDt/DtTm", "ValDt/Dt", "ValDt/DtTm"))
        asset, amount = self._signed(entry, entry)
        id = one_line(entry.text_at("AcctSvcrRef", "NtryRef"), 64) or f"entry {self._count}"
        details = entry.all("NtryDtls/TxDtls")
        status = STATUSES[state]
        if len(details) > 1:
            parts = [self._part(one, entry) for one in details]
            if all(part is not None and part[0] == asset for part in parts) and amount == sum(
                part[1] for part in parts if part is not None
            ):
                return [
                    Item(day, f"{id}/{n}", _reference(one), part[1], asset, status)
                    for n, (one, part) in enumerate(zip(details, parts, strict=True), 1)
                    if part is not None
                ]
            details = []
        reference = _reference(details[0]) if details else ""
        return [Item(day, id, reference or one_line(entry.text_at("NtryRef"), 140), amount, asset, status)]

    def _part(self, details: _Node, entry: _Node) -> tuple[str, int] | None:
        return self._signed(details, entry) if details.all("Amt") else None

    def _signed(self, node: _Node, entry: _Node) -> tuple[str, int]:
        """Asset and minor units, positive for a credit; details may leave that to their entry."""
        text = _needed(node, "Amt")
        asset = asset_of(node.all("Amt")[0].currency, self._assets)
        if text.startswith("-"):
            raise ValueError("`Amt` is below zero: `CdtDbtInd` says the direction")
        amount = minor_units(text, asset)
        direction = node.text_at("CdtDbtInd") or _needed(entry, "CdtDbtInd")
        if direction not in ("CRDT", "DBIT"):
            raise ValueError(f"`CdtDbtInd` {direction!r} is neither CRDT nor DBIT")
        return asset, amount if direction == "CRDT" else -amount


def _needed(node: _Node, *paths: str) -> str:
    text = node.text_at(*paths)
    if not text:
        raise ValueError(f"`{paths[0]}` is missing")
    return text


def _reference(details: _Node) -> str:
    """What the payer gave it: the end-to-end id, else the creditor's reference, else an identification."""
    paths = ("Refs/EndToEndId", "RmtInf/Strd/CdtrRefInf/Ref", "Refs/InstrId", "Refs/TxId")
    texts = (one_line(details.text_at(path), 140) for path in paths)
    return next((text for text in texts if text and text != "NOTPROVIDED"), "")
