"""The schema that people read is the schema that databases have, and it explains itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as composed
from psycopg.conninfo import make_conninfo

import sql
from tests.conftest import NewDatabase

SCHEMA = Path(sql.__file__).parent / "schema.sql"

# Everything in the catalogs that the schema could bring: what, and its description, without oids.
CATALOG = {
    "tables": """
        SELECT relname, relkind::text, relpersistence::text, relrowsecurity, relforcerowsecurity, reloptions,
               pg_get_userbyid(relowner), obj_description(oid, 'pg_class')
          FROM pg_class
         WHERE relnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])
           AND relkind IN ('r', 'p', 'v', 'm', 'S')""",
    "columns": """
        SELECT relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
               attstorage::text, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE relnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])
           AND relkind IN ('r', 'p') AND attnum > 0""",
    "constraints": """
        SELECT relname, conname, contype::text, convalidated, pg_get_constraintdef(pg_constraint.oid)
          FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
         WHERE relnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
         WHERE schemaname = ANY ('{access, daybook, inbox, projections}')""",
    "triggers": """
        SELECT relname, tgname, tgenabled::text, pg_get_triggerdef(pg_trigger.oid)
          FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
         WHERE relnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])
           AND NOT tgisinternal""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid), pg_get_userbyid(proowner), obj_description(oid, 'pg_proc')
          FROM pg_proc WHERE pronamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])""",
    "policies": """
        SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies""",
    "grants": """
        SELECT relname, attname, pg_get_userbyid(grantee), privilege_type, is_grantable
          FROM (SELECT relname, NULL AS attname, relacl AS acl FROM pg_class
                 WHERE relnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])
                UNION ALL
                SELECT relname, attname, attacl FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                 WHERE relnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])) a,
               aclexplode(acl)""",
    "schema": """
        SELECT nspname, pg_get_userbyid(nspowner), pg_get_userbyid(grantee), privilege_type
          FROM pg_namespace, aclexplode(nspacl)
         WHERE nspname = ANY ('{access, daybook, inbox, projections}')""",
    "types": """
        SELECT typname, typtype::text FROM pg_type
         WHERE typnamespace = ANY ('{access, daybook, inbox, projections}'::regnamespace[])
           AND typtype NOT IN ('b', 'c')""",
}  # fmt: skip


@pytest.fixture
def from_schema(server: str) -> Iterator[str]:
    """A database made by schema.sql alone."""
    name = f"daybook_test_{uuid4().hex}"
    identifier = composed.Identifier(name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(composed.SQL("CREATE DATABASE {} TEMPLATE template0").format(identifier))
        conninfo = make_conninfo(server, dbname=name)
        with psycopg.connect(conninfo) as connection:
            connection.execute("CREATE SCHEMA daybook")
            connection.execute(SCHEMA.read_bytes())
        yield conninfo
        admin.execute(composed.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def catalog(conninfo: str) -> dict[str, list[tuple[Any, ...]]]:
    """What a database has, but for the record of its migrations."""
    with psycopg.connect(conninfo) as connection:
        return {
            what: sorted(
                (row for row in connection.execute(query.encode()) if "migrations" not in str(row[:1])),
                key=repr,
            )
            for what, query in CATALOG.items()
        }


def test_schema_and_migrations_make_the_same_database(database: str, from_schema: str) -> None:
    """Tables, columns, constraints, indexes, triggers, functions, policies, grants, comments: all equal."""
    migrated, read = catalog(database), catalog(from_schema)
    for what in CATALOG:
        assert migrated[what] == read[what], what
    empty = {what for what, rows in read.items() if not rows}
    assert empty == {"types"}, "a query of the catalog finds nothing to compare"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE daybook.events ADD COLUMN more text",
        "ALTER TABLE daybook.events ALTER COLUMN type DROP NOT NULL",
        "ALTER TABLE daybook.balances DROP CONSTRAINT min_available",
        "CREATE INDEX ON daybook.postings (seq)",
        "ALTER TABLE daybook.events ENABLE TRIGGER append_only",
        "CREATE OR REPLACE FUNCTION daybook.refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
        "DROP POLICY own_ledger ON daybook.events",
        "GRANT DELETE ON daybook.events TO daybook_writer",
        "COMMENT ON TABLE daybook.events IS 'another'",
        "ALTER TABLE daybook.heads RESET (fillfactor)",
    ],
)
def test_the_comparison_sees_a_difference(new_database: NewDatabase, database: str, change: str) -> None:
    """Each kind of difference between two databases is seen."""
    with new_database() as other:
        with psycopg.connect(other) as connection:
            connection.execute(change.encode())
        assert catalog(other) != catalog(database)


def test_every_table_and_function_says_what_it_is_for(database: str) -> None:
    """Each has a comment of at least a few words."""
    found = catalog(database)
    comments = {f"table {row[0]}": row[-1] for row in found["tables"] if row[1] in "rp"}
    comments |= {f"function {row[0]}": row[-1] for row in found["functions"]}
    assert len(comments) >= 20
    assert [name for name, comment in comments.items() if len((comment or "").split()) < 5] == []
