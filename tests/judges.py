"""hledger and Beancount as independent judges of our journals, run as the programs that accountants run."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.export_oracle import Place, minor_units

BEAN_CHECK = Path(sys.executable).with_name("bean-check")


def hledger(*arguments: str | Path, judged: int = 0) -> str:
    """What hledger prints; `judged` is the exit code it must end with, its last words if that is not 0.

    Debian has it as `hledger`, and `.ci/run` installs it where it may. Only who may not do so is excused.
    """
    program = shutil.which("hledger")
    if program is None:
        reason = "hledger, the judge of the hledger journal, is not installed (Debian: apt install hledger)"
        if os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run((program, *arguments), capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == judged, done.stderr
    return done.stderr if judged else done.stdout


def hledger_assets(journal: Path) -> dict[str, str]:
    """The journal's own table of commodities: commodity to asset."""
    lines = re.findall(r"^commodity \S+ (.+?)  ; asset: (\S+)$", journal.read_text(), re.MULTILINE)
    return {commodity.strip('"'): asset for commodity, asset in lines}


def hledger_balances(journal: Path, *query: str) -> dict[Place, int]:
    """Every balance as hledger adds it up, by our names."""
    assets = hledger_assets(journal)
    text = hledger("-f", journal, "bal", "--flat", "-N", "-E", "--layout=bare", "-O", "csv", *query)
    balances = {}
    for row in csv.DictReader(text.splitlines()):
        asset = assets[row["commodity"]]
        balances[row["account"].split(":", 1)[1], asset] = minor_units(row["balance"], asset)
    return balances


def hledger_entries(journal: Path) -> list[dict[str, Any]]:
    """The transactions that are events, as hledger reads them: seq, date, description, tags and legs.

    Out of its CSV, because its JSON rounds amounts to ten decimals.
    """
    assets = hledger_assets(journal)
    entries: dict[str, dict[str, Any]] = {}
    for row in csv.DictReader(StringIO(hledger("-f", journal, "print", "-O", "csv"), newline="")):
        if row["code"] in ("open", "assert"):
            continue
        entry = entries.setdefault(
            row["txnidx"],
            {
                "seq": int(row["code"]),
                "date": row["date"],
                "description": unquote(row["description"]),
                "tags": {name: unquote(text) for name, text in _tag.findall(row["comment"])},
                "legs": [],
            },
        )
        asset = assets[row["commodity"]]
        entry["legs"].append((row["account"].split(":", 1)[1], asset, minor_units(row["amount"], asset)))
    return list(entries.values())


_tag = re.compile(r"(?:^|, )(type|effective_at|reference): ([^,\n]*)", re.MULTILINE)


def bean_check(journal: Path) -> str:
    """What bean-check says: nothing, when all is well."""
    done = subprocess.run((BEAN_CHECK, journal), capture_output=True, text=True, timeout=120)
    assert (done.returncode == 0) == (not done.stderr + done.stdout), done
    return done.stdout + done.stderr
