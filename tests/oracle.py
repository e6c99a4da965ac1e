"""A second opinion on the rules of a ledger: slow, obvious, and without a line of the code it judges.

`Oracle` keeps nothing but the list of its own entries (plus the outcomes of keys). Every balance, hold,
limit, chart and account is worked out from the whole list each time it is needed. Where the ledger refuses
at the first reason it finds, the oracle collects every reason that it can see and takes the first of
`CODES`, which is its own copy of the documented precedence. Commands are plain dicts, moments are
microseconds, amounts are ints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

LARGEST = 9_223_372_036_854_775_807

ORDER = """
    idempotency_key_reused ledger_not_found ledger_exists chart_patterns_overlap asset_scale_conflict
    period_not_over period_already_closed period_not_closed larger_period_closed transaction_not_found
    not_a_hold reversal_of_reversal reversal_of_hold hold_already_posted hold_already_voided
    hold_already_expired already_reversed amounts_count_differs exceeds_remaining effective_at_in_future
    asserted_in_future original_not_earlier period_closed effective_before_original unbalanced
    asset_not_in_chart account_exists account_not_found account_not_in_chart account_closed
    asset_not_allowed retained_earnings_not_equity condition_unknown account_not_empty
    limit_already_exceeded nothing_available amount_overflow insufficient_available max_balance_exceeded
    condition_failed event_too_large linked_failed
"""
CODES = ORDER.split()

Entry = dict[str, Any]
Doing = dict[str, Any]
Outcome = dict[str, Any]


class No(Exception):
    """Why a command is refused: every reason seen, each (code, evidence)."""

    def __init__(self, reasons: list[tuple[str, dict[str, Any]]]) -> None:
        self.code, self.evidence = min(reasons, key=lambda reason: CODES.index(reason[0]))


def written(us: int) -> str:
    """A moment as people and evidence write it."""
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us)  # noqa: UP017
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def matches(pattern: str, address: str) -> bool:
    """Whether an address is of a pattern: segment by segment, a capture takes any one."""
    ours, theirs = pattern.split(":"), address.split(":")
    return len(ours) == len(theirs) and all(
        o.startswith("{") or o == t for o, t in zip(ours, theirs, strict=True)
    )


@cache
def midnight(day: date, zone: str) -> int:
    """The first second at which a clock of the zone shows that day or a later one, found by looking."""
    start = datetime(day.year, day.month, day.day, tzinfo=timezone.utc) - timedelta(hours=30)  # noqa: UP017
    for step in (timedelta(minutes=1), timedelta(seconds=1)):
        while (start + step).astimezone(ZoneInfo(zone)).date() < day:
            start += step
    return int((start + timedelta(seconds=1)).timestamp()) * 1_000_000


@cache
def span(period: str, zone: str) -> tuple[int, int]:
    """The first moment of a period and the first after it: its days are those whose names begin like it."""
    year = int(period[:4])
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    days = [day for day in days if day.year == year]
    if "Q" in period:
        months = {"1": (1, 2, 3), "2": (4, 5, 6), "3": (7, 8, 9), "4": (10, 11, 12)}[period[-1]]
        days = [day for day in days if day.month in months]
    else:
        days = [day for day in days if str(day).startswith(period)]
    return midnight(days[0], zone), midnight(days[-1] + timedelta(days=1), zone)


class Oracle:
    """A ledger as a list of entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.keys: dict[str, tuple[str, list[Outcome]]] = {}

    # ------------------------------------------------------------ what the list says

    def chart(self) -> dict[str, Any]:
        """The last chart that was set."""
        found: dict[str, Any] = {"assets": [], "accounts": []}
        for entry in self.entries:
            found = entry.get("chart") or found
        return found

    def assets(self) -> list[str]:
        """Every asset that a chart ever named."""
        return [asset for entry in self.entries for asset in (entry.get("chart") or {"assets": []})["assets"]]

    def zone(self) -> str:
        """The time zone that the ledger was opened with."""
        zone: str = self.entries[0]["time_zone"]
        return zone

    def closed(self) -> dict[str, Entry]:
        """The closings in force, by period."""
        found: dict[str, Entry] = {}
        for entry in self.entries:
            if entry["type"] == "period_closed":
                found[entry["period"]] = entry
            if entry["type"] == "period_reopened":
                del found[entry["period"]]
        return found

    def account(self, address: str) -> dict[str, Any] | None:
        """The account's terms, with its present limits and the seqs of its opening and closing."""
        found: dict[str, Any] | None = None
        for entry in self.entries:
            if address in entry["opened"]:
                found = {**entry["opened"][address], "opened_seq": entry["seq"], "closed_seq": None}
            if found and entry.get("address") == address:
                if entry["type"] == "account_limits_set":
                    found = {**found, "limits": entry["limits"]}
                if entry["type"] == "account_closed":
                    found = {**found, "closed_seq": entry["seq"]}
        return found

    def counters(self, address: str, asset: str, extra: list[Any] | None = None) -> list[int]:
        """Debits posted, credits posted, debits pending, credits pending: the sum of all legs."""
        sums = [0, 0, 0, 0]
        legs = [leg for entry in self.entries for leg in entry["legs"]] + (extra or [])
        for who, what, side, kind, amount in legs:
            if (who, what) == (address, asset):
                column = (0 if side == "debit" else 1) + (0 if kind == "posted" else 2)
                sums[column] += -amount if kind == "release" else amount
        return sums

    def version(self, address: str, asset: str) -> int:
        """How many entries touched it."""
        return sum(any(leg[:2] == (address, asset) for leg in entry["legs"]) for entry in self.entries)

    def touched(self, address: str) -> list[str]:
        """The assets that the account has had legs of, in order of the first."""
        legs = [leg for entry in self.entries for leg in entry["legs"] if leg[0] == address]
        return list(dict.fromkeys(leg[1] for leg in legs))

    def left(self, seq: int) -> list[int]:
        """What is left of each leg of a hold (to post) or of a transaction (to reverse)."""
        rest = [leg[4] for leg in self.own_legs(self.entries[seq - 1])]
        for entry in self.entries:
            if entry.get("subject") == seq and "took" in entry:
                rest = [r - t for r, t in zip(rest, entry["took"], strict=True)]
        return rest

    @staticmethod
    def own_legs(entry: Entry) -> list[Any]:
        """The legs that later entries refer to by position."""
        return [leg for leg in entry["legs"] if leg[3] != "release"]

    def ending(self, seq: int) -> Entry | None:
        """The entry that left nothing of a transaction."""
        takers = [e for e in self.entries if e.get("subject") == seq and "took" in e]
        return takers[-1] if takers and not any(self.left(seq)) else None

    def open_holds(self) -> dict[int, tuple[int | None, list[int]]]:
        """When each open hold expires, and what is left of it."""
        return {
            e["seq"]: (e["expires_at"], self.left(e["seq"]))
            for e in self.entries
            if e["type"] == "transaction_held" and not self.ending(e["seq"])
        }

    def positions(self) -> Iterator[tuple[str, str]]:
        """Every (account, asset) that has had a leg."""
        return iter(dict.fromkeys(leg[:2] for entry in self.entries for leg in entry["legs"]))

    # ------------------------------------------------------------ figures and bounds

    @staticmethod
    def debit_normal(terms: dict[str, Any]) -> bool:
        """Assets and expenses grow by debits, the others by credits, contra accounts the other way."""
        return bool((terms["type"] in ("asset", "expense")) ^ terms.get("contra", False))

    def figures(self, terms: dict[str, Any], sums: list[int]) -> dict[str, int]:
        """The balances people ask for."""
        dp, cp, dpend, cpend = sums
        sign = 1 if self.debit_normal(terms) else -1
        own, other = (dpend, cpend) if sign == 1 else (cpend, dpend)
        posted = sign * (dp - cp)
        return {
            "posted": posted,
            "pending": posted + own - other,
            "available": posted - other,
            "own": own,
            "other": other,
        }

    @staticmethod
    def bounds(terms: dict[str, Any], asset: str) -> tuple[int | None, int | None]:
        """(min_available, max_balance) of an asset: its own, else those of every asset."""
        limits = terms.get("limits") or {}
        chosen = limits.get(asset, limits.get("*", {}))
        return chosen.get("min_available"), chosen.get("max_balance")

    def outside(self, address: str, terms: dict[str, Any], asset: str, sums: list[int]) -> list[Any]:
        """The bounds that these counters would break, against the figures now."""
        low, high = self.bounds(terms, asset)
        now = self.figures(terms, self.counters(address, asset))
        then = self.figures(terms, sums)
        about = {"account": address, "asset": asset}
        found: list[Any] = []
        if low is not None and then["posted"] - then["other"] < low:
            evidence = {"min_available": low, "available": now["available"], "held": now["other"]}
            evidence["short_by"] = low - then["available"]
            found.append(("insufficient_available", about | {k: str(v) for k, v in evidence.items()}))
        if high is not None and then["posted"] + then["own"] > high:
            evidence = {"max_balance": high, "balance": now["posted"], "held": now["own"]}
            evidence["over_by"] = then["posted"] + then["own"] - high
            found.append(("max_balance_exceeded", about | {k: str(v) for k, v in evidence.items()}))
        return found

    # ------------------------------------------------------------ batches, groups, keys

    def batch(self, requests: list[dict[str, Any]], now: int) -> list[list[Outcome]]:
        """Expire what is due, then take the requests in order."""
        due = [(at, seq) for seq, (at, _) in self.open_holds().items() if at is not None and at <= now]
        for at, seq in sorted(due):
            self.end_hold(seq, "hold_expired", at, now)
        return [self.request(request, now) for request in requests]

    def request(self, request: dict[str, Any], now: int) -> list[Outcome]:
        """The outcomes of one request."""
        commands = request["commands"]
        if not request.get("atomic") and not request.get("preview"):
            return [self.keyed([c], c.get("key"), now)[0] for c in commands]
        return self.keyed(commands, request.get("key"), now, preview=request.get("preview", False))

    def keyed(self, commands: list[Doing], key: str | None, now: int, preview: bool = False) -> list[Outcome]:
        """All or none of the commands, once for a key."""
        # What is null is as if it were not there.
        asked = [{k: v for k, v in c.items() if k != "key" and v is not None} for c in commands]
        same = json.dumps(asked, sort_keys=True)
        if key is not None and key in self.keys:
            before, outcomes = self.keys[key]
            if before != same:
                return [self.refused("idempotency_key_reused", {"key": key})] * len(commands)
            if outcomes[0]["is"] == "recorded":
                return [{"is": "replayed", "seq": outcomes[0]["entry"]["seq"], "events": len(outcomes)}]
            return [{**outcome, "replayed": True} for outcome in outcomes]
        kept = list(self.entries)
        outcomes = []
        for index, command in enumerate(commands):
            try:
                entry = self.one(command, now)
            except No as no:
                linked = self.refused("linked_failed", {"index": index, "code": no.code})
                outcomes = [linked] * len(commands)
                outcomes[index] = self.refused(no.code, no.evidence)
                self.entries = kept
                break
            outcomes.append({"is": "previewed" if preview else "recorded", "entry": entry})
        if preview:
            self.entries = kept
        elif key is not None and not any(o.get("code") == "ledger_not_found" for o in outcomes):
            self.keys[key] = same, outcomes
        return outcomes

    @staticmethod
    def refused(code: str, evidence: dict[str, Any]) -> Outcome:
        """A refusal."""
        return {"is": "refused", "code": code, "evidence": evidence, "replayed": False}

    # ------------------------------------------------------------ commands

    def one(self, command: Doing, now: int) -> Entry:
        """The entry that a command becomes; it joins the list (No)."""
        if not self.entries and command["op"] != "open_ledger":
            raise No([("ledger_not_found", {})])
        rule = getattr(self, "do_" + command["op"])
        entry: Entry = rule(command, now)
        return entry

    def enter(
        self, type: str, now: int, effective_at: int, legs: list[Any] | None = None, **more: Any
    ) -> Entry:
        """A new entry at the end of the list."""
        opened = more.pop("opened", {})
        entry: Entry = {
            "seq": len(self.entries) + 1,
            "type": type,
            "recorded_at": now,
            "effective_at": effective_at,
        }
        entry |= {"legs": legs or [], "opened": opened, **more}
        so_far = [entry["legs"][: i + 1] for i in range(len(entry["legs"]))]
        entry["after"] = [self.counters(part[-1][0], part[-1][1], part) for part in so_far]
        self.entries.append(entry)
        return entry

    def when(self, command: Doing, now: int, original: Entry | None = None) -> tuple[int, list[Any]]:
        """When the command counts, and what is wrong with that."""
        at = command.get("effective_at")
        at = now if at is None else at
        reasons: list[Any] = []
        if at > now:
            reasons.append(("effective_at_in_future", {"effective_at": written(at), "now": written(now)}))
        first = command.get("original_effective_at")
        if first is not None and not first < at:
            evidence = {"original_effective_at": written(first), "effective_at": written(at)}
            reasons.append(("original_not_earlier", evidence))
        reasons += self.closed_at(at)
        if original is not None and at < original["effective_at"]:
            evidence = {
                "effective_at": written(at),
                "transaction_effective_at": written(original["effective_at"]),
            }
            reasons.append(("effective_before_original", evidence))
        return at, reasons

    def closed_at(self, at: int) -> list[Any]:
        """Whether a moment is in a closed period; then the largest is named, and the first moment in none."""
        spans = {period: span(period, self.zone()) for period in self.closed()}
        inside = {p: (a, b) for p, (a, b) in spans.items() if a <= at < b}
        if not inside:
            return []
        free = at
        while any(a <= free < b for a, b in spans.values()):
            free = max(b for a, b in spans.values() if a <= free < b)
        day = datetime.fromtimestamp(free // 1_000_000, ZoneInfo(self.zone())).date()
        evidence = {
            "period": max(inside, key=lambda p: inside[p][1] - inside[p][0]),
            "effective_at": written(at),
            "first_open": written(free),
            "first_open_date": str(day),
        }
        return [("period_closed", evidence)]

    @staticmethod
    def unbalanced(legs: list[Any]) -> list[Any]:
        """The first asset whose debits and credits differ."""
        for asset in dict.fromkeys(leg[1] for leg in legs):
            sums = {
                side: sum(leg[4] for leg in legs if leg[1] == asset and leg[2] == side)
                for side in ("debit", "credit")
            }
            if sums["debit"] != sums["credit"]:
                evidence = {"asset": asset, "debits": str(sums["debit"]), "credits": str(sums["credit"])}
                return [("unbalanced", evidence)]
        return []

    def pattern(self, address: str) -> dict[str, Any] | None:
        """The line of the chart for an address."""
        return next((line for line in self.chart()["accounts"] if matches(line["pattern"], address)), None)

    def admit(self, legs: list[Any]) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """The terms of every account of the legs, those of accounts to open, and what is wrong."""
        terms: dict[str, Any] = {}
        opened: dict[str, Any] = {}
        reasons: list[Any] = []
        for address, asset, *_ in legs:
            if asset not in self.assets():
                reasons.append(("asset_not_in_chart", {"asset": asset}))
            account = self.account(address)
            if account is None:
                line = self.pattern(address)
                if line is None:
                    reasons.append(("account_not_in_chart", {"account": address}))
                    continue
                account = opened[address] = {k: v for k, v in line.items() if k != "pattern"}
            terms[address] = account
            if account.get("closed_seq") is not None:
                evidence = {"account": address, "closed_seq": account["closed_seq"]}
                reasons.append(("account_closed", evidence))
            allowed = account.get("assets")
            if allowed is not None and asset not in allowed:
                evidence = {"account": address, "asset": asset, "allowed": allowed}
                reasons.append(("asset_not_allowed", evidence))
        return terms, opened, reasons

    def effects(self, legs: list[Any], terms: dict[str, Any]) -> list[Any]:
        """What the legs would break: 64 bits, or the accounts' bounds."""
        reasons: list[Any] = []
        for address, asset in dict.fromkeys((leg[0], leg[1]) for leg in legs):
            after = self.counters(address, asset, legs)
            if max(after) > LARGEST:
                reasons.append(("amount_overflow", {"account": address, "asset": asset}))
            else:
                reasons += self.outside(address, terms[address], asset, after)
        return reasons

    def do_transaction(self, command: Doing, now: int) -> Entry:
        """A posted or held transaction."""
        kind = "pending" if command.get("pending") else "posted"
        legs = [(p["account"], p["asset"], p["side"], kind, p["amount"]) for p in command["postings"]]
        effective_at, reasons = self.when(command, now)
        reasons += self.unbalanced(legs)
        terms, opened, more = self.admit(legs)
        reasons += more
        conditions = command.get("conditions") or []
        for index, c in enumerate(conditions):
            known = self.account(c["account"]) or opened.get(c["account"])
            if known is None or c["asset"] not in self.assets():
                about = {"condition": index, "account": c["account"], "asset": c["asset"]}
                reasons.append(("condition_unknown", about))
                break
        if reasons:
            raise No(reasons)
        if command.get("up_to"):
            legs = self.up_to(legs, terms)
        reasons = self.effects(legs, terms)
        for index, c in enumerate(conditions):
            failed = self.fails(index, c, legs, self.account(c["account"]) or opened[c["account"]])
            reasons += failed
            if failed:
                break
        if reasons:
            raise No(reasons)
        timeout = command.get("timeout")
        expires_at = None if timeout is None else now + timeout * 1_000_000
        return self.enter(
            "transaction_held" if kind == "pending" else "transaction_posted",
            now,
            effective_at,
            legs,
            opened=opened,
            expires_at=expires_at,
            original=command.get("original_effective_at"),
        )

    def up_to(self, legs: list[Any], terms: dict[str, Any]) -> list[Any]:
        """The legs with as much as both sides have room for."""
        room = asked = legs[0][4]
        for address, asset, side, kind, _ in legs:
            sums = self.counters(address, asset)
            room = min(room, LARGEST - sums[(0 if side == "debit" else 1) + (2 if kind == "pending" else 0)])
            low, high = self.bounds(terms[address], asset)
            now = self.figures(terms[address], sums)
            if (side == "debit") == self.debit_normal(terms[address]):
                if high is not None:
                    room = min(room, high - now["posted"] - now["own"])
            elif low is not None:
                room = min(room, now["available"] - low)
        if room < 1:
            raise No([("nothing_available", {"asked": str(asked)})])
        return [(*leg[:4], room) for leg in legs]

    def fails(self, index: int, c: dict[str, Any], legs: list[Any], terms: dict[str, Any]) -> list[Any]:
        """Whether a condition fails once the legs are in."""
        about = {"condition": index, "account": c["account"], "asset": c["asset"]}
        version = self.version(c["account"], c["asset"])
        if c.get("version") is not None and c["version"] != version:
            return [("condition_failed", about | {"balance": "version", "actual": str(version)})]
        name = c.get("balance", "available")
        actual = self.figures(terms, self.counters(c["account"], c["asset"], legs))[name]
        if (c.get("min") is not None and actual < c["min"]) or (
            c.get("max") is not None and actual > c["max"]
        ):
            return [("condition_failed", about | {"balance": name, "actual": str(actual)})]
        return []

    def find(self, seq: int, types: tuple[str, ...]) -> Entry:
        """The transaction with this seq."""
        if not 1 <= seq <= len(self.entries) or self.entries[seq - 1]["type"] not in types:
            raise No([("transaction_not_found", {"seq": seq})])
        return self.entries[seq - 1]

    def transaction(self, command: Doing) -> Entry:
        """The transaction that a command is about."""
        return self.find(
            command["subject"],
            ("transaction_posted", "transaction_held", "hold_posted", "transaction_reversed"),
        )

    def hold(self, command: Doing) -> Entry:
        """The open hold that a command is about."""
        hold = self.transaction(command)
        seq = hold["seq"]
        if hold["type"] != "transaction_held":
            raise No([("not_a_hold", {"seq": seq})])
        end = self.ending(seq)
        if end is not None:
            evidence = {"seq": seq, "ended_by": end["seq"]}
            if end["type"] == "hold_expired":
                evidence["expires_at"] = written(hold["expires_at"])
            raise No([("hold_already_" + end["type"].removeprefix("hold_"), evidence)])
        return hold

    def take(self, original: Entry, command: Doing) -> list[int]:
        """How much of each leg: what was asked, or all that is left (No)."""
        left = self.left(original["seq"])
        asked: list[int] | None = command.get("amounts")
        if asked is None:
            return left
        if len(asked) != len(left):
            raise No([("amounts_count_differs", {"legs": len(left), "amounts": len(asked)})])
        for index, (rest, amount) in enumerate(zip(left, asked, strict=True)):
            if amount > rest:
                evidence = {"leg": index, "remaining": str(rest), "amount": str(amount)}
                raise No([("exceeds_remaining", evidence)])
        return asked

    def follow(self, legs: list[Any], reasons: list[Any]) -> None:
        """Refuse legs on accounts that are open already, for these reasons or those that they give (No)."""
        terms, _, more = self.admit(legs)
        reasons = reasons + more
        if not reasons:
            reasons = self.effects(legs, terms)
        if reasons:
            raise No(reasons)

    def do_post_hold(self, command: Doing, now: int) -> Entry:
        """A part of a hold, or all that is left of it."""
        hold = self.hold(command)
        own = self.own_legs(hold)
        amounts = self.take(hold, command)
        left = self.left(hold["seq"])
        at, reasons = self.when(command, now, hold)
        posts = [(*leg[:3], "posted", n) for leg, n in zip(own, amounts, strict=True)]
        reasons += self.unbalanced(posts)
        took = left if command.get("final") else amounts
        frees = [(*leg[:3], "release", n) for leg, n in zip(own, took, strict=True)]
        legs = [leg for leg in frees + posts if leg[4]]
        self.follow(legs, reasons)
        return self.enter(
            "hold_posted",
            now,
            at,
            legs,
            subject=hold["seq"],
            took=took,
            original=command.get("original_effective_at"),
        )

    def do_void_hold(self, command: Doing, now: int) -> Entry:
        """The end of a hold by its owner."""
        hold = self.hold(command)
        at, reasons = self.when(command, now, hold)
        if reasons:
            raise No(reasons)
        return self.end_hold(hold["seq"], "hold_voided", at, now, command.get("original_effective_at"))

    def end_hold(self, seq: int, type: str, at: int, now: int, original: int | None = None) -> Entry:
        """Release all that is left of a hold."""
        left = self.left(seq)
        own = self.own_legs(self.entries[seq - 1])
        legs = [(*leg[:3], "release", n) for leg, n in zip(own, left, strict=True) if n]
        return self.enter(type, now, at, legs, subject=seq, took=left, original=original)

    def do_reverse(self, command: Doing, now: int) -> Entry:
        """The opposite of a transaction, whole or in part."""
        original = self.transaction(command)
        seq = original["seq"]
        if original["type"] == "transaction_reversed":
            raise No([("reversal_of_reversal", {"seq": seq})])
        if original["type"] == "transaction_held":
            raise No([("reversal_of_hold", {"seq": seq})])
        end = self.ending(seq)
        if end is not None:
            raise No([("already_reversed", {"seq": seq, "ended_by": end["seq"]})])
        amounts = self.take(original, command)
        at, reasons = self.when(command, now, original)
        own = self.own_legs(original)
        reasons += self.unbalanced([(*leg[:4], n) for leg, n in zip(own, amounts, strict=True)])
        turned = {"debit": "credit", "credit": "debit"}
        legs = [
            (leg[0], leg[1], turned[leg[2]], "posted", n) for leg, n in zip(own, amounts, strict=True) if n
        ]
        self.follow(legs, reasons)
        return self.enter(
            "transaction_reversed",
            now,
            at,
            legs,
            subject=seq,
            took=amounts,
            original=command.get("original_effective_at"),
        )

    def do_annotate(self, command: Doing, now: int) -> Entry:
        """A remark on a transaction."""
        return self.enter("transaction_annotated", now, now, subject=self.transaction(command)["seq"])

    def do_open_ledger(self, command: Doing, now: int) -> Entry:
        """The first entry."""
        if self.entries:
            raise No([("ledger_exists", {"name": command["name"]})])
        self.check_chart(command["chart"])
        return self.enter("ledger_opened", now, now, chart=command["chart"], time_zone=command["time_zone"])

    def do_set_chart(self, command: Doing, now: int) -> Entry:
        """Another chart from now on."""
        self.check_chart(command["chart"])
        return self.enter("chart_set", now, now, chart=command["chart"])

    def check_chart(self, chart: dict[str, Any]) -> None:
        """Refuse a chart in which one address has two patterns, or one code two scales (No)."""
        reasons: list[Any] = []
        patterns = [line["pattern"] for line in chart["accounts"]]
        for i, pattern in enumerate(patterns):
            for earlier in patterns[:i]:
                merged = zip(earlier.split(":"), pattern.split(":"), strict=False)
                address = ":".join(b if a.startswith("{") else a for a, b in merged).replace("{", "x")
                if matches(earlier, address.replace("}", "")) and matches(pattern, address.replace("}", "")):
                    reasons.append(("chart_patterns_overlap", {"pattern": earlier, "other": pattern}))
        known = self.assets()
        for asset in chart["assets"]:
            for other in known:
                if asset.split("/")[0] == other.split("/")[0] and asset != other:
                    reasons.append(("asset_scale_conflict", {"asset": asset, "known": other}))
            known.append(asset)
        if reasons:
            raise No(reasons)

    def do_open_account(self, command: Doing, now: int) -> Entry:
        """An account of the chart, before anything is posted to it."""
        address = command["address"]
        account, line = self.account(address), self.pattern(address)
        if account is not None and account["closed_seq"] is not None:
            raise No([("account_closed", {"account": address, "closed_seq": account["closed_seq"]})])
        if account is not None:
            raise No([("account_exists", {"account": address, "opened_seq": account["opened_seq"]})])
        if line is None:
            raise No([("account_not_in_chart", {"account": address})])
        terms = {k: v for k, v in line.items() if k != "pattern"}
        return self.enter("account_opened", now, now, opened={address: terms})

    def named(self, address: str, reasons: list[Any]) -> dict[str, Any]:
        """The open account of an address, if there is no other reason to refuse (No)."""
        account = self.account(address)
        if account is None:
            reasons.append(("account_not_found", {"account": address}))
        elif account["closed_seq"] is not None:
            reasons.append(("account_closed", {"account": address, "closed_seq": account["closed_seq"]}))
        if reasons or account is None:
            raise No(reasons)
        return account

    def do_set_limits(self, command: Doing, now: int) -> Entry:
        """Other limits of an account, which it must be inside of."""
        address, limits = command["subject"], command["limits"]
        unknown = [a for a in limits if a != "*" and a not in self.assets()]
        account = self.named(address, [("asset_not_in_chart", {"asset": asset}) for asset in unknown])
        for asset in self.touched(address):
            sums = self.counters(address, asset)
            if self.outside(address, {**account, "limits": limits}, asset, sums):
                f = self.figures(account, sums)
                evidence = {k: str(f[k]) for k in ("posted", "pending", "available")}
                raise No([("limit_already_exceeded", {"account": address, "asset": asset, **evidence})])
        return self.enter("account_limits_set", now, now, address=address, limits=limits)

    def do_close_account(self, command: Doing, now: int) -> Entry:
        """The end of an account that is empty."""
        address = command["subject"]
        account = self.named(address, [])
        for asset in self.touched(address):
            sums = self.counters(address, asset)
            posted = self.figures(account, sums)["posted"]
            if posted or sums[2] or sums[3]:
                evidence = {"posted": posted, "debits_pending": sums[2], "credits_pending": sums[3]}
                about = {"account": address, "asset": asset}
                raise No([("account_not_empty", about | {k: str(v) for k, v in evidence.items()})])
        return self.enter("account_closed", now, now, address=address)

    def do_close_period(self, command: Doing, now: int) -> Entry:
        """No more entries effective in a period that is over."""
        period, retained = command["subject"], command.get("retained_earnings")
        start, end = span(period, self.zone())
        reasons: list[Any] = []
        if end > now:
            evidence = {"period": period, "ends_at": written(end), "now": written(now)}
            reasons.append(("period_not_over", evidence))
        if period in self.closed():
            seq = self.closed()[period]["seq"]
            reasons.append(("period_already_closed", {"period": period, "closed_seq": seq}))
        if retained is not None:
            reasons += self.larger(period)
            account = self.account(retained) or self.pattern(retained)
            if account is None:
                reasons.append(("account_not_in_chart", {"account": retained}))
            else:
                if account.get("closed_seq") is not None:
                    evidence = {"account": retained, "closed_seq": account["closed_seq"]}
                    reasons.append(("account_closed", evidence))
                memo = account.get("memo", False)
                if account["type"] != "equity" or memo:
                    evidence = {"account": retained, "type": account["type"], "memo": memo}
                    reasons.append(("retained_earnings_not_equity", evidence))
        if reasons:
            raise No(reasons)
        return self.enter("period_closed", now, now, period=period, span=[start, end])

    def larger(self, period: str) -> list[Any]:
        """The largest closed period that another is inside of, as a reason."""
        start, end = span(period, self.zone())
        closed = self.closed()
        around = {p: span(p, self.zone()) for p in closed if p != period}
        around = {p: (a, b) for p, (a, b) in around.items() if a <= start and end <= b}
        if not around:
            return []
        larger = max(around, key=lambda p: around[p][1] - around[p][0])
        evidence = {"period": period, "larger": larger, "closed_seq": closed[larger]["seq"]}
        return [("larger_period_closed", evidence)]

    def do_reopen_period(self, command: Doing, now: int) -> Entry:
        """Entries effective in a period again."""
        period, wanted = command["subject"], command.get("closed_seq")
        closed = self.closed()
        found = closed[period]["seq"] if period in closed else None
        if found is None or wanted not in (None, found):
            raise No([("period_not_closed", {"period": period, "closed_seq": found})])
        if self.larger(period):
            raise No(self.larger(period))
        return self.enter("period_reopened", now, now, period=period, closed_seq=found)

    def do_assert_balance(self, command: Doing, now: int) -> Entry:
        """What somebody says that a balance was; whether it was does not matter here."""
        at, address, asset = command["at"], command["account"], command["asset"]
        if isinstance(at, str):
            at = midnight(date.fromisoformat(at) + timedelta(days=1), self.zone()) - 1
        reasons: list[Any] = []
        if at > now:
            reasons.append(("asserted_in_future", {"at": written(at), "now": written(now)}))
        if asset not in self.assets():
            reasons.append(("asset_not_in_chart", {"asset": asset}))
        account = self.account(address)
        if account is None:
            reasons.append(("account_not_found", {"account": address}))
        elif account.get("assets") is not None and asset not in account["assets"]:
            evidence = {"account": address, "asset": asset, "allowed": account["assets"]}
            reasons.append(("asset_not_allowed", evidence))
        if reasons:
            raise No(reasons)
        return self.enter("balance_asserted", now, now, at=at, expected=command["expected"])

    def do_restore_ledger(self, command: Doing, now: int) -> Entry:
        """Another life of the ledger, after all that are known."""
        lives = [entry["life"] for entry in self.entries if "life" in entry]
        life = max([1, *lives, command.get("lost_incarnation") or 0]) + 1
        return self.enter("ledger_restored", now, now, life=life)
