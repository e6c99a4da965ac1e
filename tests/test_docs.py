"""What the documents must say: every word, event, setting and folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api import settings
from api.openapi import document
from api.problems import TABLE
from ledger.events import SCHEMA_VERSIONS

ROOT = Path(__file__).parent.parent
WORDS = """
    ledger; account; account type; contra; memo; normal balance; chart of accounts; transaction; posting;
    hold;
    posted balance; pending balance; available balance; effective at; recorded at; reversal; adjustment;
    trial balance; statement; clearing account; command; event; stream; seq; version; idempotency key; asset;
    minor unit; limits; batch; condition; up to; preview; rejection; head; incarnation; leaf; leg; annotation;
    balance; debit; credit; period; period close; closing; closing entries; retained earnings; restore;
    balance assertion; tolerance; original effective at; as of; known at; audit; verdict;
    tile; tree head; signed tree head; kept tree head; verifier key; inclusion proof; consistency proof;
    tenant; API key; principal; role; scope
"""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_glossary_is_complete_and_in_order() -> None:
    """Every word of the field that the code uses is defined once, in a sentence, in alphabetical order."""
    entries = re.findall(r"^((?:\*\*[^*]+\*\*(?:, )?)+): (.+)$", read("GLOSSARY.md"), re.MULTILINE)
    defined = [word for heads, _ in entries for word in re.findall(r"\*\*([^*]+)\*\*", heads)]
    assert defined == sorted(set(defined))
    assert {word.strip() for word in WORDS.split(";")} - set(defined) == set()
    assert [heads for heads, sentence in entries if not sentence.endswith((".", ")"))] == []


def test_every_event_type_is_documented() -> None:
    """docs/events.md has a heading for each type, in the table's order, with its schema version."""
    found = re.findall(r"^## (\w+)\n\nVersion (\d+)\.", read("docs/events.md"), re.MULTILINE)
    assert [(name, int(version)) for name, version in found] == list(SCHEMA_VERSIONS.items())


def test_every_problem_is_documented() -> None:
    """docs/problems.md has a heading for each code of the API's own, with what the table says."""
    found = re.findall(
        r"^## (\w+)\n\n(.+)\n\n- HTTP status: (\d+)\n- Transient: (yes|no)\n- What to do: .+\.$",
        read("docs/problems.md"),
        re.MULTILINE,
    )
    table = [(row.code, row.sentence, str(row.status), "yes" if row.transient else "no") for row in TABLE]
    assert found == table


def test_every_setting_is_documented() -> None:
    """The README names each environment variable that the settings read."""
    source = Path(settings.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r"\"((?:DAYBOOK|DATABASE|STRIPE|BUFFR|APP)_[A-Z_]+)\"", source)) | {"DAYBOOK_DATA"}
    assert len(names) >= 4
    assert {name for name in names if f"`{name}`" not in read("README.md")} == set()


SEED_001 = """
    getAllBalances getBalance checkBalance addCredits deductCredits refundCredits adjustCredits
    getTransactionHistory getUsageStats createPackage updatePackage getPackages getProducts purchaseCredits
    createCheckout verifyCheckout handleWebhook fulfillCheckoutSession
"""


def test_every_method_of_the_older_credit_system_has_its_twin() -> None:
    """A row each in docs/credits.md, whose route is in the document and takes the query that it names."""
    section = read("docs/credits.md").partition("## The surface of the system")[2]
    rows = re.findall(r"^\| (.+?) \| `(GET|POST|PUT) (/\S*?)(?:\?(\S+))?` \|", section, re.MULTILINE)
    named = {method for names, *_ in rows for method in re.findall(r"`(\w+)`", names)}
    assert set(SEED_001.split()) - named == set()
    paths = document()["paths"]
    for names, method, path, query in rows:
        whole = path if path.startswith("/webhooks") else f"/v1/ledgers/{{ledger}}/credits{path}"
        operation = paths[whole][method.lower()]
        taken = {one.get("name") for one in operation["parameters"] if one.get("in") == "query"}
        assert set(query.split("&")) - {""} <= taken, names
    assert len(rows) >= len(SEED_001.split())


@pytest.mark.parametrize("folder", ["ledger", "projections", "adapters", "api", "sql", "tests", "benchmarks"])
def test_every_folder_is_on_the_map(folder: str) -> None:
    """ARCHITECTURE.md names each top-level folder, and each says at its top why it exists."""
    assert f"`{folder}/`" in read("ARCHITECTURE.md")
    assert read(f"{folder}/__init__.py").startswith('"""')


def test_every_test_that_the_guide_to_projections_names_is_there() -> None:
    """docs/projections.md says which test shows each guarantee."""
    named = set(re.findall(r"`(test_\w+)`", read("docs/projections.md")))
    found = {
        name
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) >= 10
    assert named - found == set()
