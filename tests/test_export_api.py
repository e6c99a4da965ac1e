"""Exports over real HTTP: asked for, waited for, fetched file by file; cancelled, refused, taken up again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from projections.exports.job import run
from projections.jobs import Cancelled, JobFailed, Task
from tests.conftest import NewDatabase
from tests.served import CHART, Service, move, served


@pytest.fixture(scope="module")
def database_(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database_: str) -> Iterator[Service]:
    """A service with the ledger `main`: its opening and two transactions."""
    with served(database_) as service:
        for path, body in (
            ("/v1/ledgers", {"name": "main", "chart": CHART}),
            ("/v1/ledgers/main/transactions", move("cash", "customers:1", 500)),
            ("/v1/ledgers/main/transactions", move("customers:1", "fees", 20)),
        ):
            assert service.call("POST", path, body).status_code == 201
        yield service


def ended(service: Service, id: str) -> dict[str, Any]:
    """The job when it has ended."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        job: dict[str, Any] = service.get(f"/v1/jobs/{id}")
        if job["ended_at"] is not None:
            return job
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def test_an_export_is_asked_for_and_fetched(service: Service) -> None:
    """202 and a job; when it is done, its manifest and every file that it names can be fetched, as hashed."""
    asked = service.call("POST", "/v1/ledgers/main/exports", {"formats": ["csv", "beancount", "tlog"]})
    assert asked.status_code == 202
    assert asked.headers["location"] == f"/v1/jobs/{asked.json()['id']}"
    job = ended(service, asked.json()["id"])
    assert (job["state"], job["error"]) == ("done", None)
    assert (job["progress"], job["total"]) == (5, 5)
    files = f"/v1/ledgers/main/exports/{job['id']}/files"
    fetched = service.call("GET", f"{files}/manifest.json")
    assert sha256(fetched.content).hexdigest() == job["result"]["manifest_sha256"]
    manifest = fetched.json()
    assert manifest["formats"] == ["jsonl", "csv", "tlog", "beancount"]
    assert (job["result"]["seq"], job["result"]["files"]) == (3, len(manifest["files"]))
    for file in manifest["files"]:
        content = service.call("GET", f"{files}/{file['path']}").content
        assert sha256(content).hexdigest() == file["sha256"]
    assert job["parameters"]["tree_head"].encode() == service.call("GET", f"{files}/tlog/checkpoint").content


def test_an_order_without_a_body_exports_everything(service: Service) -> None:
    """No body: every format, every day."""
    job = ended(service, service.call("POST", "/v1/ledgers/main/exports").json()["id"])
    assert job["state"] == "done"
    folder = Path(job["result"]["folder"])
    assert json.loads((folder / "manifest.json").read_bytes())["formats"][0] == "jsonl"
    assert (folder / "hledger" / "ledger.journal").exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"formats": []}, "formats"),
        ({"formats": ["xlsx"]}, "formats[0]"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "from"),
        ({"folder": "/etc"}, "folder"),
    ],
)
def test_a_bad_order_is_refused(service: Service, body: dict[str, Any], field: str) -> None:
    """400, naming the field; no job."""
    answer = service.call("POST", "/v1/ledgers/main/exports", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_what_cannot_be_exported_is_the_jobs_error(service: Service) -> None:
    """A day to come is known to be one only when the job runs; it fails with a sentence."""
    asked = service.call("POST", "/v1/ledgers/main/exports", {"to": "9999-01-01", "formats": ["ads"]})
    job = ended(service, asked.json()["id"])
    assert (job["state"], job["error"]) == ("failed", "9999-01-01 is in the future of UTC.")
    path = f"/v1/ledgers/main/exports/{job['id']}/files/manifest.json"
    assert service.call("GET", path).json()["code"] == "not_found"


def test_only_files_of_the_export_can_be_fetched(service: Service, database_: str) -> None:
    """No other file of the machine, no other ledger's export, no other job's anything."""
    asked = service.call("POST", "/v1/ledgers/main/exports", {"formats": ["jsonl"]})
    job = ended(service, asked.json()["id"])
    files = f"/v1/ledgers/main/exports/{job['id']}/files"
    outside = ("..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "tlog%2F..%2Fmanifest.json")
    for name in (*outside, "tlog", "csv/events.csv"):
        assert service.client.get(f"{files}/{name}").status_code == 404
    assert service.client.get(f"{files}/a%20b").status_code == 400
    service.call("POST", "/v1/ledgers", {"name": "other", "chart": CHART})
    elsewhere = service.call("GET", f"/v1/ledgers/other/exports/{job['id']}/files/manifest.json")
    assert elsewhere.json()["code"] == "job_not_found"
    with psycopg.connect(database_) as connection:
        row = connection.execute(
            "INSERT INTO projections.jobs (kind, parameters) VALUES ('nothing', '{\"ledger\": \"main\"}')"
            " RETURNING job::text"
        ).fetchone()
    assert row is not None
    answer = service.call("GET", f"/v1/ledgers/main/exports/{row[0]}/files/manifest.json")
    assert answer.json()["code"] == "job_not_found"


def test_a_job_that_is_taken_up_again_makes_the_same_export(
    service: Service, database_: str, tmp_path: Path
) -> None:
    """Cancelled in the middle it leaves nothing; run again it is whole; run once more it says the same."""
    asked = service.call("POST", "/v1/ledgers/main/exports", {"formats": ["hledger"]}).json()
    parameters = ended(service, asked["id"])["parameters"] | {"folder": str(tmp_path / "export")}

    def cancelled(progress: int, total: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run(Task(database_, parameters, cancelled))
    assert list(tmp_path.iterdir()) == []
    service.call("POST", "/v1/ledgers/main/transactions", move("cash", "customers:1", 1))
    result = run(Task(database_, parameters, lambda progress, total: None))
    assert result["seq"] == 3
    assert run(Task(database_, parameters, cancelled)) == result


def test_a_tree_head_of_another_ledger_is_refused(service: Service, database_: str, tmp_path: Path) -> None:
    """An export is never vouched for by the tree head of something else."""
    asked = service.call("POST", "/v1/ledgers/main/exports", {"formats": ["jsonl"]}).json()
    service.call("POST", "/v1/ledgers", {"name": "second", "chart": CHART})
    note = service.get("/v1/ledgers/second/tree-head")["note"]
    parameters = asked["parameters"] | {"tree_head": note, "folder": str(tmp_path / "export")}
    with pytest.raises(JobFailed, match="is not one of main"):
        run(Task(database_, parameters, lambda progress, total: None))
    assert list(tmp_path.iterdir()) == []
