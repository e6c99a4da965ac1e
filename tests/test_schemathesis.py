"""Bad input over the whole OpenAPI document, made and judged by Schemathesis.

Every operation of the document is asked, also one that was added today. All its checks are on but one, and
some of our own (`tests/schemathesis_checks.py`); `tests/schemathesis.toml` gives the reason wherever a check
expects something else than by itself. Off is `object_level_authorization`, which needs two people who log
in: `tests/test_access.py` asks every operation as another tenant. Not reached are the feeds, a second media
type of the page of events: their answers have no end to judge (`tests/test_feed.py` has their bad input).

`make fuzz` is the same for ten minutes, with other requests every time and the sweep of all boundaries
(Schemathesis's phase `coverage`), which takes four times as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from api import problems
from api.handlers import Call, Reply
from api.openapi import document
from api.operations import OPERATIONS
from tests.conftest import NewDatabase
from tests.fuzzing import fuzz
from tests.served import Service, served

EVERY = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
# The same requests every time, and few made by chance.
SHORT = (
    "--generation-deterministic",
    "--no-shrink",
    "--max-examples",
    "2",
    "--phases",
    "examples,fuzzing,stateful",
)


@pytest.fixture
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


def test_bad_input_finds_no_defect_and_no_undocumented_answer(service: Service, tmp_path: Path) -> None:
    """No 5xx, no status, code, header or body that the document lacks; what fits it is not malformed.

    The one 5xx that may come is that of a `min_seq` which no event has yet. What does not fit the document is
    refused. And operations have been answered with success too, so that those answers were judged: all but
    what needs more than `tests/fuzzing.py` has put there.
    """
    found = fuzz(service, tmp_path, *SHORT)
    assert found.code == 0, found.said
    assert found.answers.keys() >= EVERY
    succeeded = {one for one in EVERY if any(200 <= status < 300 for status in found.answers[one])}
    assert len(succeeded) >= 0.9 * len(EVERY), EVERY - succeeded


async def _defect(call: Call) -> Reply:
    raise ZeroDivisionError


async def _code_of_another_operation(call: Call) -> Reply:
    return Reply(404, problems.make("job_not_found"))


async def _other_shape(call: Call) -> Reply:
    return Reply(200, {"ledgers": "none"})


async def _other_status(call: Call) -> Reply:
    return Reply(202, {})


def test_a_service_that_does_not_keep_to_its_document_is_found_out(service: Service, tmp_path: Path) -> None:
    """Planted: a defect, another operation's code, a body and a status that the document does not have."""
    planted = {
        "get_chart": (_defect, "ST101 Server error"),
        "get_account": (_code_of_another_operation, "documented_problems"),
        "get_transaction": (_other_shape, "ST108 Response violates schema"),
        "get_ledger": (_other_status, "ST103 Undocumented status code"),
    }
    chosen = [f"--include-operation-id={id}" for id in planted]
    with ExitStack() as patches:
        for operation in OPERATIONS:
            if operation.id in planted:
                patches.enter_context(patch.object(operation, "handler", planted[operation.id][0]))
        found = fuzz(service, tmp_path, *SHORT, "--phases", "examples", *chosen)
    assert found.code == 1, found.said
    for _, finding in planted.values():
        assert finding in found.said
