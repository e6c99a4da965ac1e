"""The README's console blocks: `$ command` lines, and under each what it prints.

`python -m tests.readme` runs them against a fresh service and writes their real output into the README, or
into the guide that it is given; tests/test_readme.py and tests/test_guides.py prove that nothing has changed
since.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.daybook_command import COMMAND, ROOT, environment, own_data
from tests.senders import SECRETS
from tests.stripe_double import KEY, StripeDouble, stripe_double
from tests.stripe_events import charge, txn

README = ROOT / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "<moment>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "<moment>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"\b[0-9A-Z]{4}(-[0-9A-Z]{4}){3}\b"), "<code>"),
    (re.compile(r"in \d+\.\d s, [\d,]+( events)?/s"), "<rate>"),
    (re.compile(r"/\S+/tmp\.\w+"), "<folder>"),
    (re.compile(r"daybook-[0-9a-f]{8}\b"), "<key>"),
    (re.compile(r"https://checkout\.stripe\.[^\s\"]+"), "<page>"),
    (re.compile(r"\b(cs|pi|pm|cus)_(\w+_)?[A-Za-z0-9]+\b"), "<of Stripe>"),
    (re.compile(r"\bco_[0-9a-f]{40}\b"), "<order>"),
)
_CURL = f"""#!{sys.executable}
import sys, httpx
arguments, headers, body, silent, url, method = sys.argv[1:], {{}}, None, False, None, None
while arguments:
    argument = arguments.pop(0)
    if argument == "-H":
        name, _, value = arguments.pop(0).partition(": ")
        headers[name] = value
    elif argument == "-d":
        body = arguments.pop(0)
    elif argument == "-X":
        method = arguments.pop(0)
    elif argument == "-o":
        silent = arguments.pop(0) == "/dev/null"
    elif argument != "-sS":
        url = argument
answer = httpx.request(method or ("GET" if body is None else "POST"), url, headers=headers, content=body)
if not silent:
    sys.stdout.write(answer.text)
"""


def commands(block: str) -> list[str]:
    """The commands of a block, each with its continuation lines."""
    found: list[str] = []
    open_quote = False
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif open_quote or found[-1].endswith("\\"):
            found[-1] += "\n" + line
        else:
            continue
        open_quote = found[-1].count("'") % 2 == 1
    return found


def blocks(text: str) -> list[str]:
    """The console blocks of a text."""
    return _BLOCK.findall(text)


def stable(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text


@contextmanager
def service(database: str | None, **settings: str) -> Iterator[dict[str, str]]:
    """`daybook serve` on a free port; the environment in which the README's commands find it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    variables = environment(database, COLUMNS="100", **settings)
    process = subprocess.Popen(
        (*COMMAND, "serve", "--port", port),
        cwd=ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/live").raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, "the service ended"
                assert time.monotonic() < deadline, "the service did not start"
                time.sleep(0.1)
        create = (*COMMAND, "key", "create", "readme", "--scope", "admin", "--scope", "service:admin")
        made = subprocess.run(create, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
        yield variables | {"README_PORT": port, "AUTH": f"authorization: Bearer {made.stdout.strip()}"}
    finally:
        process.terminate()
        process.wait(60)


def run(block: str, variables: dict[str, str], folder: Path) -> str:
    """The block with its commands' real output. Without curl on this machine, a stand-in speaks HTTP."""
    path = variables["PATH"]
    if shutil.which("curl", path=path) is None:
        stand_in = folder / "curl"
        stand_in.write_text(_CURL)
        stand_in.chmod(0o755)
        path = f"{folder}{os.pathsep}{path}"
    daybook = " ".join(COMMAND)
    printed = []
    for command in commands(block):
        script = command.replace("127.0.0.1:8000", f"127.0.0.1:{variables['README_PORT']}")
        script = script.replace(".venv/bin/daybook", daybook)
        done = subprocess.run(
            ("sh", "-c", script),
            cwd=ROOT,
            env=variables | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        output = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        printed.append(f"$ {command}\n" + (f"{output}\n" if output else ""))
    return "".join(printed)


def at_stripe(double: StripeDouble) -> dict[str, str]:
    """The settings with which a guide's customers pay at the double."""
    return {
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_API": double.address,
        "STRIPE_WEBHOOK_SECRET": SECRETS["stripe"],
        "APP_URL": "https://myapp.com",
    }


def furnish(double: StripeDouble, guide: str) -> None:
    """What has happened at Stripe today, where a guide is about it: a charge, a fee, and a payout of both."""
    if guide != "guide-stripe":
        return
    now = int(time.time()) - 1
    told = charge(created=now)["data"]["object"]
    payout = {
        "id": "po_1", "object": "payout", "amount": 916, "currency": "usd", "created": now,
        "status": "paid", "automatic": True, "reconciliation_status": "completed",
    }  # fmt: skip
    double.objects["balance_transactions"] = [
        txn("charge", 1_000, 59, told, id="txn_charge", created=now),
        txn("stripe_fee", -25, 0, None, id="txn_report", created=now),
        txn("payout", -916, 0, payout, id="txn_payout", created=now),
    ]
    double.objects["payouts"] = [payout]
    double.compositions["po_1"] = ["txn_charge", "txn_report", "txn_payout"]


def main(document: Path) -> None:
    """Write the real output into the README or a guide."""
    text = document.read_text(encoding="utf-8")
    with (
        own_data() as data,
        stripe_double(pays_at_once=True) as stripe,
        service(None, DAYBOOK_DATA=str(data), **at_stripe(stripe)) as variables,
    ):
        furnish(stripe, document.stem)
        for block in blocks(text):
            text = text.replace(block, run(block, variables, data.parent))
    document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else README)
