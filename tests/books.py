"""Books kept from the event bodies alone: an independent fold, in plain Python.

It shares no code with `ledger`. `fold` enters one event after another and notes, in sentences, where an
event breaks an invariant: unbalanced legs, a balance beyond its limits, a second ending, a decision while a
hold was due. `audit` compares the books with what is stored beside the bodies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

Row = tuple[Any, ...]
Place = tuple[str, str]  # account address, asset

KINDS = ("posted", "pending", "release")
TRANSACTION = "transaction:"


@dataclass
class Books:
    """What the bodies of one ledger say, and what is wrong with the rows beside them."""

    name: str
    findings: list[str] = field(default_factory=list)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    assets: dict[str, int] = field(default_factory=dict)
    counters: dict[Place, list[int]] = field(default_factory=dict)
    versions: dict[Place, int] = field(default_factory=dict)
    last_seqs: dict[Place, int] = field(default_factory=dict)
    legs: list[Row] = field(default_factory=list)
    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    memberships: set[Row] = field(default_factory=set)
    expiries: list[tuple[str, int]] = field(default_factory=list)  # heap of expires_at, seq of holds
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)  # first seq, events
    rejected_keys: set[str] = field(default_factory=set)
    closed: dict[str, Row] = field(default_factory=dict)  # period: starts_at, ends_at, seq
    incarnation: int = 1

    def check(self, holds: bool, sentence: str) -> None:
        """Note a finding unless it holds."""
        if not holds:
            self.findings.append(f"{self.name}: {sentence}")

    def posted(self, address: str, asset: str) -> int:
        """Posted balance on the account's normal side."""
        debits, credits, _, _ = self.counters.get((address, asset), [0, 0, 0, 0])
        return debits - credits if debit_normal(self.accounts[address]["terms"]) else credits - debits


def fold(books: Books, event: dict[str, Any]) -> None:
    """Enter one event, the next by seq."""
    seq = event["seq"]
    while books.expiries and books.streams[f"{TRANSACTION}{books.expiries[0][1]}"]["status"] != "pending":
        heappop(books.expiries)
    restored = event["type"] == "ledger_restored"
    if books.expiries and books.expiries[0][0] <= event["recorded_at"] and not restored:
        expiring = event["type"] == "hold_expired" and event["data"]["transaction"] == books.expiries[0][1]
        books.check(expiring, f"seq {seq}: decided while the hold {books.expiries[0][1]} was due")
    for asset in event.get("data", {}).get("chart", {}).get("assets", ()):
        books.assets.setdefault(asset, len(books.assets) + 1)
    _check_open(books, event)
    _fold_control(books, event)
    _fold_openings(books, event)
    _fold_postings(books, event)
    _fold_account_events(books, event)
    _fold_streams(books, event)


def _check_open(books: Books, event: dict[str, Any]) -> None:
    """No event with legs counts in a closed period, but for expiries. Moments as text sort as time does."""
    at = event["effective_at"]
    if event.get("postings") and event["type"] != "hold_expired":
        for period, (starts_at, ends_at, _) in books.closed.items():
            books.check(not starts_at <= at < ends_at, f"seq {event['seq']}: counts in {period}, closed")
    first = event.get("original_effective_at")
    books.check(first is None or first < at, f"seq {event['seq']}: dated earlier than it was at first")


def _fold_control(books: Books, event: dict[str, Any]) -> None:
    seq, type_, data = event["seq"], event["type"], event.get("data", {})
    if type_ == "period_closed":
        books.check(data["period"] not in books.closed, f"seq {seq}: closes {data['period']} again")
        books.check(data["ends_at"] <= event["recorded_at"], f"seq {seq}: closes what is not over")
        books.closed[data["period"]] = (data["starts_at"], data["ends_at"], seq)
    if type_ == "period_reopened":
        closed = books.closed.pop(data["period"], ("", "", None))
        books.check(closed[2] == data["closed_seq"], f"seq {seq}: reopens another closing")
        around = [p for p, (a, b, _) in books.closed.items() if a <= closed[0] and closed[1] <= b]
        books.check(not around, f"seq {seq}: reopens {data['period']} inside {around}")
    if type_ == "ledger_restored":
        lives = (data["lost_incarnation"], books.incarnation)
        books.check(data["incarnation"] == max(lives) + 1, f"seq {seq}: another incarnation than the next")
        books.incarnation = data["incarnation"]


def _fold_openings(books: Books, event: dict[str, Any]) -> None:
    """Accounts are numbered in the order of their first posting."""
    opened = event.get("accounts_opened", {})
    order = list(dict.fromkeys(p["account"] for p in event.get("postings", ()) if p["account"] in opened))
    books.check(
        sorted(order) == sorted(opened) or (not event.get("postings") and len(opened) == 1),
        f"seq {event['seq']}: opens accounts that it does not post to",
    )
    for address in order or opened:
        books.check(address not in books.accounts, f"seq {event['seq']}: opens {address} again")
        number = len(books.accounts) + 1
        books.accounts[address] = {
            "id": number,
            "opened": event["seq"],
            "closed": None,
            "terms": dict(opened[address]),
        }


def _fold_postings(books: Books, event: dict[str, Any]) -> None:
    seq = event["seq"]
    sums: dict[tuple[str, str], int] = {}
    touched: dict[Place, None] = {}
    for leg, posting in enumerate(event.get("postings", ())):
        address, asset = place = posting["account"], posting["asset"]
        kind = posting.get("kind", "posted")
        amount = int(posting["amount"])
        signed = amount if posting["side"] == "debit" else -amount
        books.check(amount > 0, f"seq {seq}: a leg of {amount}")
        books.check(
            address in books.accounts and books.accounts[address]["closed"] is None,
            f"seq {seq}: posts to {address}, which is not open",
        )
        sums[asset, kind] = sums.get((asset, kind), 0) + signed
        counters = books.counters.setdefault(place, [0, 0, 0, 0])
        column = (0 if posting["side"] == "debit" else 1) + (0 if kind == "posted" else 2)
        counters[column] += -amount if kind == "release" else amount
        books.check(min(counters) >= 0 and max(counters) < 2**63, f"seq {seq}: {place} leaves 64 bits")
        touched[place] = None
        row = (seq, leg, address, asset, KINDS.index(kind), signed, event["effective_at"], *counters)
        books.legs.append(row)
    books.check(not any(sums.values()), f"seq {seq}: not balanced: {sums}")
    for place in touched:
        books.versions[place] = books.versions.get(place, 0) + 1
        books.last_seqs[place] = seq
        _check_limits(books, place, seq)


def _fold_account_events(books: Books, event: dict[str, Any]) -> None:
    seq, data = event["seq"], event.get("data", {})
    if event["type"] == "account_limits_set":
        address = data["account"]
        terms = books.accounts[address]["terms"]
        terms.pop("limits", None)
        if data["limits"]:
            terms["limits"] = data["limits"]
        for place in books.counters:
            if place[0] == address:
                books.last_seqs[place] = seq
                _check_limits(books, place, seq)
    if event["type"] == "account_closed":
        address = data["account"]
        books.accounts[address]["closed"] = seq
        for place, (debits, credits, *pending) in books.counters.items():
            if place[0] == address:
                books.check(debits == credits and not any(pending), f"seq {seq}: {place} closed, not empty")


def _check_limits(books: Books, place: Place, seq: int) -> None:
    address, asset = place
    if address not in books.accounts:
        return
    terms = books.accounts[address]["terms"]
    low, high = limits_of(terms, asset)
    debits, credits, debits_pending, credits_pending = books.counters[place]
    if not debit_normal(terms):
        debits, credits, debits_pending, credits_pending = credits, debits, credits_pending, debits_pending
    available, reach = debits - credits - credits_pending, debits - credits + debits_pending
    books.check(low is None or low <= available, f"seq {seq}: {place} has {available}, below {low}")
    books.check(high is None or reach <= high, f"seq {seq}: {place} reaches {reach}, above {high}")


def _fold_streams(books: Books, event: dict[str, Any]) -> None:
    seq, type_ = event["seq"], event["type"]
    for name, version in event.get("streams", {}).items():
        books.memberships.add((name, version, seq))
        stream = books.streams.get(name)
        if stream is None:
            first = seq if type_ == "transaction_held" else int(name.removeprefix(TRANSACTION))
            stream = books.streams[name] = _new_stream(books.events[first])
        books.check(version == stream["version"] + 1, f"seq {seq}: version {version} of {name}")
        stream["version"], stream["last_seq"] = version, seq
        if type_ == "transaction_held" and stream["expires_at"]:
            heappush(books.expiries, (stream["expires_at"], seq))
        if type_ in ("transaction_held", "transaction_annotated"):
            continue
        books.check(stream["ended_by"] is None, f"seq {seq}: {name} had ended")
        books.check(event["data"]["transaction"] == stream["seq"], f"seq {seq}: names another transaction")
        _take(books, stream, event)
        if type_ == "hold_expired":
            books.check(event["effective_at"] == stream["expires_at"], f"seq {seq}: not effective at expiry")
            books.check(event["recorded_at"] >= stream["expires_at"], f"seq {seq}: expired too early")


def _new_stream(origin: dict[str, Any]) -> dict[str, Any]:
    left: dict[tuple[str, str, str], int] = {}
    wanted = "pending" if origin["type"] == "transaction_held" else "posted"
    for p in origin["postings"]:
        if p.get("kind", "posted") == wanted:
            leg = (p["account"], p["asset"], p["side"])
            left[leg] = left.get(leg, 0) + int(p["amount"])
    return {
        "seq": origin["seq"],
        "type": origin["type"],
        "status": wanted,
        "effective_at": origin["effective_at"],
        "expires_at": origin.get("data", {}).get("expires_at"),
        "left": left,
        "version": 0,
        "last_seq": origin["seq"],
        "ended_by": None,
    }


def _take(books: Books, stream: dict[str, Any], event: dict[str, Any]) -> None:
    """What a part, a void, an expiry or a reversal takes from what is left of a transaction."""
    reversal = event["type"] == "transaction_reversed"
    for p in event["postings"]:
        if p.get("kind", "posted") == ("posted" if reversal else "release"):
            side = {"debit": "credit", "credit": "debit"}[p["side"]] if reversal else p["side"]
            leg = (p["account"], p["asset"], side)
            stream["left"][leg] = stream["left"].get(leg, 0) - int(p["amount"])
    books.check(min(stream["left"].values()) >= 0, f"seq {event['seq']}: takes more than is left")
    if not any(stream["left"].values()):
        stream["ended_by"] = event["seq"]
        stream["status"] = {
            "hold_posted": "posted",
            "hold_voided": "voided",
            "hold_expired": "expired",
            "transaction_reversed": "reversed",
        }[event["type"]]


def debit_normal(terms: dict[str, Any]) -> bool:
    """Whether debits increase an account of these terms."""
    normal: bool = (terms["type"] in ("asset", "expense")) != terms.get("contra", False)
    return normal


def limits_of(terms: dict[str, Any], asset: str) -> tuple[int | None, int | None]:
    """Least available and greatest balance; None: no bound."""
    limits = terms.get("limits", {})
    bounds = limits.get(asset, limits.get("*", {}))
    return bounds.get("min_available"), bounds.get("max_balance")
