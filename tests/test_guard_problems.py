"""What start-up and `daybook doctor` say when a guard of the database has been lost.

Each guard is taken away in a transaction, looked at, and rolled back.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import guards
from ledger.guards import FUNCTIONS, PER_LEDGER, TRIGGERS, problems
from sql.embedded import running
from sql.migrate import migrate
from tests.conftest import NewDatabase


@pytest.fixture(scope="module")
def connection(new_database: NewDatabase) -> Iterator[psycopg.Connection[Any]]:
    with new_database() as database, psycopg.connect(database) as connection:
        yield connection
        connection.rollback()


def after(connection: psycopg.Connection[Any], statement: str) -> list[str]:
    """The problems while the statement is in effect."""
    try:
        connection.execute(statement.encode())
        return problems(connection)
    finally:
        connection.rollback()


def test_a_migrated_database_has_no_problem(connection: psycopg.Connection[Any]) -> None:
    """Every guard is there after the migrations."""
    assert after(connection, "SELECT 1") == []


@pytest.mark.parametrize("state", ["DISABLE", "ENABLE", "ENABLE REPLICA"])
def test_a_trigger_that_does_not_always_fire_is_named(
    connection: psycopg.Connection[Any], state: str
) -> None:
    """For each trigger: off, off for replicas, or on for replicas only is not enough."""
    for table, name in TRIGGERS:
        found = after(connection, f"ALTER TABLE daybook.{table} {state} TRIGGER {name}")
        assert found == [f"The trigger {name} on daybook.{table} is not enabled always."]


def test_a_missing_trigger_is_named(connection: psycopg.Connection[Any]) -> None:
    """For each trigger."""
    for table, name in TRIGGERS:
        found = after(connection, f"DROP TRIGGER {name} ON daybook.{table}")
        assert found == [f"The trigger {name} on daybook.{table} is missing."]


def test_an_altered_guard_function_is_named(connection: psycopg.Connection[Any]) -> None:
    """For each function: another body is another guard."""
    for name in FUNCTIONS:
        [(definition,)] = connection.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s", (name,)
        ).fetchall()
        altered = re.sub(r"\$function\$", "$function$ /* altered */ ", definition, count=1)
        assert after(connection, altered) == [f"The function daybook.{name} is not as it was made."]


def test_row_security_that_is_off_is_named(connection: psycopg.Connection[Any]) -> None:
    """For each table of a ledger: the switch and the policy."""
    for table in PER_LEDGER:
        found = after(connection, f"ALTER TABLE daybook.{table} DISABLE ROW LEVEL SECURITY")
        assert found == [f"Row-level security is not enabled on daybook.{table}."]
        found = after(connection, f"DROP POLICY own_ledger ON daybook.{table}")
        assert found == [f"The policy own_ledger on daybook.{table} is missing or another."]


def test_every_constraint_that_is_looked_for_is_missed(connection: psycopg.Connection[Any]) -> None:
    """For each constraint."""
    for table, name in guards.CONSTRAINTS:
        found = after(connection, f"ALTER TABLE daybook.{table} DROP CONSTRAINT {name}")
        assert found == [f"The constraint {name} on daybook.{table} is missing."]


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "GRANT UPDATE ON daybook.events TO daybook_writer",
            "daybook_writer has UPDATE on daybook.events and must not.",
        ),
        (
            "GRANT UPDATE (address) ON daybook.accounts TO daybook_writer",
            "daybook_writer has UPDATE(address) on daybook.accounts and must not.",
        ),
        (
            "GRANT INSERT ON daybook.events TO daybook_reader",
            "daybook_reader has INSERT on daybook.events and must not.",
        ),
        (
            "GRANT SELECT ON daybook.events TO daybook_reader WITH GRANT OPTION",
            "daybook_reader has SELECT* on daybook.events and must not.",
        ),
        (
            "GRANT TRIGGER ON daybook.heads TO PUBLIC",
            "PUBLIC has TRIGGER on daybook.heads and must not.",
        ),
        (
            "CREATE ROLE daybook_stranger; GRANT DELETE ON daybook.heads TO daybook_stranger",
            "daybook_stranger has DELETE on daybook.heads and must not.",
        ),
        (
            "GRANT CREATE ON SCHEMA daybook TO daybook_writer",
            "daybook_writer has CREATE on the schema daybook and must not.",
        ),
        (
            "REVOKE INSERT ON daybook.holds FROM daybook_writer",
            "daybook_writer lacks INSERT on daybook.holds.",
        ),
        (
            "REVOKE UPDATE (terms) ON daybook.accounts FROM daybook_writer",
            "daybook_writer lacks UPDATE(terms) on daybook.accounts.",
        ),
        (
            "REVOKE USAGE ON SCHEMA daybook FROM daybook_reader",
            "daybook_reader lacks USAGE on the schema daybook.",
        ),
        (
            "ALTER ROLE daybook_reader BYPASSRLS",
            "The role daybook_reader must not bypass row-level security.",
        ),
        (
            "ALTER ROLE daybook_writer NOBYPASSRLS",
            "The role daybook_writer must bypass row-level security.",
        ),
        (
            "ALTER ROLE daybook_writer CREATEROLE",
            "The role daybook_writer may do more than it needs",
        ),
        (
            "GRANT daybook_owner TO daybook_writer",
            "The role daybook_writer is a member of daybook_owner.",
        ),
        (
            "ALTER ROLE daybook_reader RENAME TO daybook_lector",
            "The role daybook_reader does not exist.",
        ),
        (
            "CREATE ROLE daybook_stranger; GRANT daybook_reader TO daybook_stranger;"
            " SET LOCAL ROLE daybook_stranger",
            "The user of this connection is not a member of daybook_writer.",
        ),
        (
            "ALTER TABLE daybook.events OWNER TO CURRENT_USER",
            "The table events belongs to ",
        ),
        (
            "CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE ON daybook.events FOR EACH STATEMENT"
            " EXECUTE FUNCTION daybook.refuse_change();"
            " ALTER TABLE daybook.events ENABLE ALWAYS TRIGGER append_only",
            "The trigger append_only on daybook.events is not as it was made: CREATE TRIGGER",
        ),
        (
            "CREATE TRIGGER mine BEFORE INSERT ON daybook.events FOR EACH ROW"
            " EXECUTE FUNCTION daybook.refuse_change()",
            "The trigger mine on daybook.events is not one of Daybook's.",
        ),
        (
            "CREATE POLICY mine ON daybook.events FOR SELECT TO PUBLIC USING (true)",
            "daybook.events has a policy that is not Daybook's: mine PERMISSIVE",
        ),
        (
            "DROP TRIGGER append_only ON daybook.assets; DROP FUNCTION daybook.current_ledger() CASCADE",
            "The function daybook.current_ledger is missing.",
        ),
        (
            "GRANT INSERT ON daybook.events TO daybook_projector",
            "daybook_projector has INSERT on daybook.events and must not.",
        ),
        (
            "ALTER ROLE daybook_projector NOBYPASSRLS",
            "The role daybook_projector must bypass row-level security.",
        ),
        (
            "GRANT UPDATE ON projections.checkpoints TO daybook_reader",
            "daybook_reader has UPDATE on projections.checkpoints and must not.",
        ),
        (
            "GRANT SELECT ON projections.versions TO PUBLIC",
            "PUBLIC has SELECT on projections.versions and must not.",
        ),
        (
            "ALTER TABLE projections.checkpoints DISABLE ROW LEVEL SECURITY",
            "Row-level security is not enabled on projections.checkpoints.",
        ),
        (
            "DROP POLICY own_ledger ON projections.checkpoints",
            "The policy own_ledger on projections.checkpoints is missing or not the only one.",
        ),
        (
            "CREATE POLICY mine ON projections.checkpoints FOR SELECT TO PUBLIC USING (true)",
            "The policy own_ledger on projections.checkpoints is missing or not the only one.",
        ),
        (
            "ALTER TABLE projections.versions OWNER TO CURRENT_USER",
            "The table projections.versions belongs to ",
        ),
        (
            "CREATE TABLE projections.part (ledger_id integer);"
            " SELECT projections.take_in('projections.part');"
            " CREATE TABLE projections.whole (ledger_id integer) PARTITION BY LIST (ledger_id);"
            " SELECT projections.take_in('projections.whole');"
            " ALTER TABLE projections.whole ATTACH PARTITION projections.part DEFAULT",
            "daybook_reader has SELECT on projections.part and must not.",
        ),
        (
            "ALTER TABLE access.approvals NO FORCE ROW LEVEL SECURITY",
            "Row-level security is not enabled and forced on access.approvals.",
        ),
        (
            "CREATE POLICY mine ON access.approvals FOR SELECT TO PUBLIC USING (true)",
            "The policy own_tenant on access.approvals is missing or not the only one.",
        ),
        (
            "GRANT SELECT ON inbox.webhooks TO daybook_reader",
            "daybook_reader has SELECT on inbox.webhooks and must not.",
        ),
        (
            "GRANT UPDATE (body) ON inbox.webhooks TO daybook_inbox",
            "daybook_inbox has UPDATE(body) on inbox.webhooks and must not.",
        ),
        (
            "REVOKE UPDATE (state) ON inbox.webhooks FROM daybook_inbox",
            "daybook_inbox lacks UPDATE(state) on inbox.webhooks.",
        ),
        (
            "ALTER ROLE daybook_inbox BYPASSRLS",
            "The role daybook_inbox must not bypass row-level security.",
        ),
        (
            "GRANT SELECT ON daybook.events TO daybook_inbox",
            "daybook_inbox has SELECT on daybook.events and must not.",
        ),
        (
            "ALTER TABLE inbox.endpoints DISABLE ROW LEVEL SECURITY",
            "Row-level security is not enabled on inbox.endpoints.",
        ),
        (
            "CREATE POLICY mine ON inbox.webhooks FOR SELECT TO PUBLIC USING (true)",
            "The policy own_tenant on inbox.webhooks is missing or not the only one.",
        ),
        (
            "CREATE OR REPLACE FUNCTION inbox.tenant_of(wanted uuid) RETURNS text LANGUAGE sql"
            " SECURITY DEFINER AS 'SELECT tenant FROM inbox.endpoints'",
            "The function inbox.tenant_of is not as it was made.",
        ),
        (
            "SET LOCAL synchronous_commit = off",
            "The setting synchronous_commit is off: a crash could lose what was acknowledged.",
        ),
    ],
)
def test_what_was_changed_is_named(
    connection: psycopg.Connection[Any], statement: str, sentence: str
) -> None:
    """Grants, roles, owners, triggers, policies and settings: a sentence says what is wrong."""
    found = after(connection, statement)
    assert any(problem.startswith(sentence) for problem in found), found


def test_others_may_look(connection: psycopg.Connection[Any]) -> None:
    """A grant of SELECT to somebody else is no problem: row-level security shows them nothing."""
    statement = "CREATE ROLE daybook_stranger; GRANT USAGE ON SCHEMA daybook TO daybook_stranger;"
    assert after(connection, f"{statement} GRANT SELECT ON daybook.events TO daybook_stranger") == []


def test_a_server_that_is_too_old_or_too_new_is_named(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is compared with the range that Daybook is tested on."""
    version = connection.info.server_version // 10_000
    for bound, limit in (("OLDEST", version + 1), ("NEWEST", version - 1)):
        with monkeypatch.context() as patch:
            patch.setattr(guards, bound, limit)
            [problem] = after(connection, "SELECT 1")
            assert problem.startswith(f"The server is PostgreSQL {version}.")


def test_a_server_that_does_not_flush_is_named() -> None:
    """fsync and full_page_writes switched off, on a server of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="daybook-guards-"))
    try:
        with running(folder) as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
            migrate(conninfo)
            for name in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + 10
            while len(problems(connection)) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert sorted(problems(connection)) == [
                "The setting fsync is off: a crash could lose what was acknowledged.",
                "The setting full_page_writes is off: a crash could lose what was acknowledged.",
            ]
    finally:
        shutil.rmtree(folder)
