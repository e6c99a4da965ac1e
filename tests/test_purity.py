"""Deciding is pure: what it imports cannot reach a database, a clock, chance, a file or a network."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = ("ledger.decide", "ledger.state", "ledger.batch")
# What the core may import from elsewhere: nothing of it has a state of its own or looks at the world.
ALLOWED = {
    "__future__",
    "bisect",
    "calendar",
    "collections.abc",
    "datetime",  # for arithmetic; asking it for the present moment is found below
    "decimal",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "msgspec",
    "msgspec.structs",
    "re",
    "struct",
    "typing",
    "unicodedata",
}
BUILTINS = {"open", "input", "print", "eval", "exec", "compile", "__import__", "breakpoint", "id", "hash"}


def imported(source: str) -> Iterator[str]:
    """Every module that a source imports, wherever in it; `from package import module` gives the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            assert node.module is not None
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if path_of(name) is not None]
            yield from modules or [node.module]
            if modules:
                yield node.module


def path_of(module: str) -> Path | None:
    """The file of a module of this project."""
    base = ROOT.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def reached(start: str) -> dict[str, str]:
    """The project's own modules that importing one brings in, and their sources."""
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        path = path_of(module)
        if module in found or path is None:
            continue
        found[module] = path.read_text()
        waiting += [*imported(found[module]), *parents(module)]
    return found


def parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def faults(source: str) -> list[str]:
    """What a source imports or calls that the core must not."""
    found = [name for name in imported(source) if name not in ALLOWED and path_of(name) is None]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in BUILTINS:
            found.append(node.id)
        if isinstance(node, ast.Attribute) and node.attr in ("utcnow", "today"):
            found.append(node.attr)
        if isinstance(node, ast.Attribute) and node.attr == "now":
            # `plan.now` is a moment that came in; `datetime.now` is not, nor is whatever is called
            found += [node.attr] if ast.unparse(node.value).endswith("datetime") else []
        if isinstance(node, ast.ImportFrom) and node.module == "datetime":
            found += [f"datetime as {alias.asname}" for alias in node.names if alias.asname]
        if isinstance(node, ast.Import) and any(a.name == "datetime" and a.asname for a in node.names):
            found.append("datetime under another name")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = node.func.attr
            if called == "now":
                found.append("now()")
            if called == "astimezone" and not (node.args or node.keywords):
                found.append("astimezone() of the machine")
            if called == "fromtimestamp" and len(node.args) + len(node.keywords) < 2:
                found.append("fromtimestamp() of the machine")
    return found


@pytest.mark.parametrize("start", PURE)
def test_core_reaches_no_database_clock_or_chance(start: str) -> None:
    """Every module that deciding brings in imports and calls only what cannot look at the world."""
    modules = reached(start)
    assert start in modules
    assert {module: faults(source) for module, source in modules.items() if faults(source)} == {}


def test_decide_reaches_the_rules() -> None:
    """The walk follows imports to every module of rules, so that it cannot pass by seeing nothing."""
    rules = {"accounts", "chart", "commands", "control", "entry", "events", "moves", "periods"}
    rules |= {"rejections", "state", "text", "transactions"}
    assert {f"ledger.{name}" for name in rules} <= set(reached("ledger.decide"))


def test_decide_does_not_reach_the_store() -> None:
    """The modules that talk to PostgreSQL are not among what deciding brings in."""
    assert not {"ledger.store", "ledger.writer", "ledger.reader", "sql"} & set(reached("ledger.batch"))


@pytest.mark.parametrize(
    "sample",
    [
        "import time",
        "from time import monotonic",
        "def f():\n    import random",
        "import psycopg",
        "import os",
        "import socket",
        "import secrets",
        "from uuid import uuid4",
        "import asyncio",
        "import importlib",
        "import zoneinfo",
        "if x:\n    from datetime import datetime\n    datetime.now(UTC)",
        "from datetime import datetime as d\nd.utcnow()",
        "from datetime import date\nnow = date.today",
        "from datetime import datetime\nclock = datetime.now",
        "import datetime\nclock = datetime.datetime.now",
        "from datetime import datetime as d\nclock = d.now",
        "moment.astimezone()",
        "datetime.fromtimestamp(5)",
        "open('journal')",
        "f = open",
        "__import__('time')",
        "eval('1')",
    ],
)
def test_impure_source_is_found(sample: str) -> None:
    """Whoever adds a clock, chance, a file or a network to the core fails this module."""
    assert faults(sample)


@pytest.mark.parametrize(
    "sample",
    [
        "from datetime import UTC, datetime\ndatetime(2026, 1, 1, tzinfo=UTC).astimezone(UTC)",
        "from ledger import accounts\nimport msgspec",
        "def f(now: int) -> int:\n    return now",
        "moment = plan.now",
    ],
)
def test_pure_source_is_not_found(sample: str) -> None:
    """Arithmetic with moments that came in is allowed."""
    assert faults(sample) == []


def test_import_hidden_in_a_module_of_the_core_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An impure import two modules away from `decide` counts as its own."""
    package = tmp_path / "ledger"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "decide.py").write_text("from ledger import rules")
    (package / "rules.py").write_text("from ledger.deep import x")
    (package / "deep.py").write_text("import time\nx = 1")
    monkeypatch.setattr("tests.test_purity.ROOT", tmp_path)
    found = {module for module, source in reached("ledger.decide").items() if faults(source)}
    assert found == {"ledger.deep"}
