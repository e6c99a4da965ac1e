"""The accountant's notation for tests: a journal in, balances out.

    chart USD/2 EUR/2                     the assets; indented lines: pattern, type, options
      customers:{n}  liability  min=0       min=, max= (every asset), min:USD/2=, contra, memo, assets=A,B
    post                                  post, hold, up_to, held_up_to; options: timeout=60 (seconds)
      Dr cash         100                   at=-5, first=-9 (seconds from now), key=k
      Cr customers:1  100 USD/2             the asset is USD/2 unless named
      if customers:1 available min=10       a condition; also max=, version=, asset=
    part 2 40 40                          post so much of each leg of hold 2; `final`: release the rest
    whole 2 / void 2 / reverse 3 [10 10] / annotate 3
    limits cash max=50 / close cash / open cash
    shut 2026-12 [to=capital] / reopen 2026-12 [seq=3]     a period; with closing entries to an account
    assert cash 100 on=2026-12-31         a balance; asset=
    restore
    wait 60                               seconds pass
    = customers:1  posted=60 available=60   asset=..., pending=, version=, dr= cr= (posted counters)
    ! insufficient_available short_by=40    the command before is refused, with at least this evidence

A command without a `!` line must be accepted. Comments begin with `#`. Moments in evidence are compared as
seconds from the start with `@`: effective_at=@5.
"""

from __future__ import annotations

from typing import Any

from ledger.batch import Refusal
from ledger.rejections import CODES
from ledger.state import figures
from ledger.text import SECOND, iso
from tests.desk import Desk, fold
from tests.strategies import request_of

START = 1_800_000_000 * SECOND
Plain = dict[str, Any]
VERBS: tuple[str, ...] = (
    "chart",
    "post",
    "hold",
    "up_to",
    "held_up_to",
    "part",
    "final",
    "whole",
    "void",
    "reverse",
    "annotate",
)
VERBS += ("limits", "close", "open", "ledger", "shut", "reopen", "assert", "restore")


class Journal:
    """A desk that reads the notation."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.now = START
        self.refused: list[str] = []

    def play(self, text: str) -> Journal:
        """Do what the text says and check what it claims."""
        lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
        lines = [line for line in lines if line.strip()]
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        blocks: list[list[str]] = []
        for line in lines:
            if line[indent] == " ":
                blocks[-1].append(line.strip())
            else:
                blocks.append([line.strip()])
        for i, block in enumerate(blocks):
            following = blocks[i + 1][0] if i + 1 < len(blocks) else ""
            self._do(block, following if following.startswith("!") else "")
        return self

    def _do(self, block: list[str], expected: str) -> None:
        verb, *words = block[0].split()
        if verb == "wait":
            self.now += round(float(words[0]) * SECOND)
        elif verb == "=":
            self._check_balance(words)
        elif verb != "!":
            assert verb in VERBS, f"no such verb: {verb}"
            self.now += 1
            self._run(self._command(verb, words, block[1:]), expected, block)

    def _run(self, command: Plain, expected: str, block: list[str]) -> None:
        [[outcome]] = self.desk.run([request_of({"commands": [command]})], self.now).outcomes
        if not expected:
            assert not isinstance(outcome, Refusal), (block, outcome)
            return
        assert isinstance(outcome, Refusal), (block, "was accepted")
        code, *evidence = expected.removeprefix("!").split()
        rejection = outcome.rejection
        assert rejection.code == code, (block, rejection)
        assert tuple(rejection.evidence) == CODES[code].evidence, (code, rejection.evidence)
        for name, value in (word.split("=", 1) for word in evidence):
            wanted = iso(START + round(float(value[1:]) * SECOND)) if value[0] == "@" else value
            got = rejection.evidence[name]
            assert (",".join(got) if isinstance(got, list) else str(got)) == wanted, (code, name, got)
        self.refused.append(code)

    def _check_balance(self, words: list[str]) -> None:
        address, *claims = words
        wanted = dict(claim.split("=", 1) for claim in claims)
        asset = wanted.pop("asset", "USD/2")
        account = fold(self.desk.bodies).accounts[address]
        assert account is not None, address
        position = account.positions[asset]
        found = figures(account.debit_normal, position.balance)
        counters = dict(zip(("dr", "cr", "dr_pending", "cr_pending"), position.balance, strict=True))
        for name, value in wanted.items():
            got = {**counters, "version": position.version}.get(name, getattr(found, name, None))
            assert str(got) == value, f"{address} {name} is {got}, not {value}"

    def _command(self, verb: str, words: list[str], details: list[str]) -> Plain:
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        common: Plain = {"key": options.pop("key", None)}
        if "at" in options:
            common["effective_at"] = self.now + round(float(options.pop("at")) * SECOND)
        if "first" in options:
            common["original_effective_at"] = self.now + round(float(options.pop("first")) * SECOND)
        if verb in ("shut", "reopen", "assert", "restore"):
            return _control(verb, plain, options) | common
        if verb in ("chart", "ledger"):
            chart = {"assets": plain, "accounts": [_pattern(line) for line in details]}
            op = {"op": "open_ledger", "name": "main"} if verb == "ledger" or not self.desk.bodies else {}
            return {"op": "set_chart", "chart": chart, **op, **common}
        if verb in ("post", "hold", "up_to", "held_up_to"):
            common |= {"pending": "h" in verb, "up_to": "up_to" in verb}
            if "timeout" in options:
                common["timeout"] = int(options["timeout"])
            postings = [_posting(line) for line in details if not line.startswith("if ")]
            conditions = [_condition(line) for line in details if line.startswith("if ")]
            return {"op": "transaction", "postings": postings, "conditions": conditions, **common}
        if verb == "limits":
            return {"op": "set_limits", "subject": plain[0], "limits": _limits(options), **common}
        if verb == "close":
            return {"op": "close_account", "subject": plain[0], **common}
        if verb == "open":
            return {"op": "open_account", "address": plain[0], **common}
        name = {"part": "post_hold", "final": "post_hold", "whole": "post_hold", "void": "void_hold"}.get(
            verb, verb
        )
        amounts = [int(word) for word in plain[1:]] or None
        common |= {"final": verb == "final", "amounts": amounts}
        return {"op": name, "subject": int(plain[0]), **common}


def _control(verb: str, words: list[str], options: dict[str, str]) -> Plain:
    if verb == "shut":
        return {"op": "close_period", "subject": words[0], "retained_earnings": options.get("to")}
    if verb == "reopen":
        seq = int(options["seq"]) if "seq" in options else None
        return {"op": "reopen_period", "subject": words[0], "closed_seq": seq}
    if verb == "restore":
        return {"op": "restore_ledger"}
    about = {"account": words[0], "asset": options.get("asset", "USD/2")}
    return {"op": "assert_balance", "expected": int(words[1]), "at": options["on"], **about}


def _posting(line: str) -> Plain:
    side, account, amount, *asset = line.split()
    sides = {"Dr": "debit", "Cr": "credit"}
    return {
        "account": account,
        "side": sides[side],
        "amount": int(amount),
        "asset": asset[0] if asset else "USD/2",
    }


def _condition(line: str) -> Plain:
    _, account, *rest = line.split()
    options = dict(word.split("=") for word in rest if "=" in word)
    names = [word for word in rest if "=" not in word]
    bounds: Plain = {name: int(options[name]) for name in ("min", "max", "version") if name in options}
    asset = options.get("asset", "USD/2")
    return {"account": account, "asset": asset, "balance": names[0] if names else "available", **bounds}


def _pattern(line: str) -> Plain:
    pattern, type, *rest = line.split()
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    found: Plain = {"pattern": pattern, "type": type, "contra": "contra" in rest, "memo": "memo" in rest}
    if "assets" in options:
        found["assets"] = options.pop("assets").split(",")
    return found | {"limits": _limits(options)}


def _limits(options: dict[str, str]) -> dict[str, dict[str, int]]:
    limits: dict[str, dict[str, int]] = {}
    for name, value in options.items():
        bound, _, asset = name.partition(":")
        full = {"min": "min_available", "max": "max_balance"}[bound]
        limits.setdefault(asset or "*", {})[full] = int(value)
    return limits


def play(text: str) -> Journal:
    """A journal from the start."""
    return Journal().play(text)


BOOK = """
    chart USD/2 EUR/2
      cash            asset
      customers:{n}   liability  min=0
      till:{n}        asset      min=-10 max=100
      refunds         income     contra max=50
      vault           asset      max:USD/2=70 assets=USD/2
      fx              equity
      free:{n}        liability
    post
      Dr cash         100
      Cr customers:1  100
"""


def book(text: str) -> Journal:
    """A journal that goes on after `BOOK`."""
    return play(BOOK).play(text)
