"""The tables of routes: every route that is named as ours exists, and none of the seed's is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from api.operations import OPERATIONS
from ledger.events import SCHEMA_VERSIONS
from projections.deliveries import signing

DOCS = Path(__file__).parent.parent / "docs"
ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) ([^`?\s]+)[^`]*`")
HEAD = re.compile(r"^\| route of [^|]*\| ours \|")

# What the seed says that its API has.
SEED = """
    POST /api/auth/register; POST /api/auth/login; POST /api/auth/refresh; POST /api/auth/change-password;
    GET /api/auth/me; GET /api/users; GET /api/users/:userId; POST /api/users; PATCH /api/users/:userId;
    DELETE /api/users/:userId; POST /api/loans/applications; GET /api/loans; GET /api/loans/:loanId;
    PATCH /api/loans/:loanId/status; POST /api/payments; GET /api/payments; GET /api/payments/:paymentId;
    PATCH /api/payments/:paymentId/process; POST /api/payments/:paymentId/refund; GET /api/credit/score;
    POST /api/credit/score/calculate; GET /api/credit/report; GET /api/admin/dashboard;
    GET /api/admin/api-keys; POST /api/admin/api-keys; PATCH /api/admin/api-keys/:keyId;
    DELETE /api/admin/api-keys/:keyId; GET /api/admin/health; GET /api/health
"""


def named(path: str) -> str:
    """A path whose parameters have lost their names."""
    return re.sub(r"\{\w+\}", "{}", path.replace("...", "/v1/ledgers/{ledger}", 1))


def tables(document: Path) -> list[list[str]]:
    """The cells of each row below a head that says what is ours."""
    rows, inside = [], False
    for line in document.read_text(encoding="utf-8").splitlines():
        inside = bool(HEAD.match(line)) or (inside and line.startswith("|"))
        if inside and not HEAD.match(line) and not line.startswith("|---"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


@pytest.mark.parametrize("document", sorted(DOCS.glob("*.md")), ids=lambda document: document.stem)
def test_a_route_that_is_named_as_ours_exists(document: Path) -> None:
    """With its method; `the same` means the path beside it."""
    ours = {(operation.method, named(operation.path)) for operation in OPERATIONS}
    for row in tables(document):
        place = 0 if row[1] == "the same" else 1
        routes = ROUTE.findall(row[place])
        for method, path in routes:
            # Some documents leave away what is before a ledger's own paths.
            assert {(method, named(path)), (method, named(f"...{path}"))} & ours, row
        assert routes or row[1] == "-" or document.stem != "seed-routes", row


def test_every_route_of_the_seed_has_a_row() -> None:
    """Each that its API is said to have, once."""
    rows = [route for row in tables(DOCS / "seed-routes.md") for route in ROUTE.findall(row[0])]
    wanted = {route.strip() for route in SEED.split(";")}
    assert {f"{method} {path}" for method, path in rows} >= wanted
    assert len(set(rows)) == len(rows)


def test_events_go_out_under_the_names_that_the_table_says() -> None:
    """Each that stands in for one of the seed exists; the platform hears the first name of its row."""
    text = (DOCS / "seed-routes.md").read_text(encoding="utf-8").partition("| event of the seed | ours |")[2]
    rows = re.findall(r"^\| `([\w.]+)`[^|]* \| `(\w+)` \|$", text, re.MULTILINE)
    assert len(rows) == 9
    for theirs, ours in rows:
        assert ours in SCHEMA_VERSIONS
        for scheme, member, name in (("sha256", "eventType", theirs), ("standard", "type", ours)):
            sent = json.loads(signing.envelope(scheme, "msg_1", ours, "now", "main", 7, b"{}"))  # type: ignore[arg-type]
            assert sent[member] == name
