"""The guards of the database: what must be in place before anything is served, and what is not.

The invariants are kept by the code and by the database. The database's share - roles, grants, triggers,
constraints, row-level security, durable settings - is made once, by the migrations, and can be lost by a
restore, by an administrator, by accident. The tables below say what must be there; `problems` compares, at
start-up and in `daybook doctor`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import psycopg

import sql

Connection = psycopg.Connection[tuple[Any, ...]]

QUERIES = sql.load("guards.sql")
SCHEMA = files("sql").joinpath("schema.sql").read_text(encoding="utf-8")

OLDEST, NEWEST = 15, 18

BYPASS_ROW_SECURITY = {
    "daybook_owner": False,
    "daybook_writer": True,
    "daybook_reader": False,
    "daybook_projector": True,
    "daybook_inbox": False,
    "daybook_access": False,
}

WRITER = {
    "schema": {"USAGE"},
    "migrations": {"SELECT"},
    "ledgers": {"SELECT", "INSERT", "UPDATE(time_zone)", "UPDATE(opened_at)"},
    "heads": {"SELECT", "INSERT", "UPDATE"},
    "events": {"SELECT", "INSERT"},
    "postings": {"SELECT", "INSERT"},
    "event_streams": {"SELECT", "INSERT"},
    "endings": {"SELECT", "INSERT"},
    "idempotency_keys": {"SELECT", "INSERT"},
    "assets": {"SELECT", "INSERT"},
    "accounts": {"SELECT", "INSERT", "UPDATE(closed_seq)", "UPDATE(terms)"},
    "balances": {"SELECT", "INSERT", "UPDATE"},
    "streams": {"SELECT", "INSERT", "UPDATE"},
    "holds": {"SELECT", "INSERT", "DELETE"},
    "closed_periods": {"SELECT", "INSERT", "DELETE"},
}
READER = {object: {"USAGE"} if object == "schema" else {"SELECT"} for object in WRITER}

INBOX = {
    "schema": {"USAGE"},
    "endpoints": {"SELECT", "INSERT"}
    | {
        f"UPDATE({column})"
        for column in (
            "state",
            "is_default",
            "description",
            "settings",
            "secret",
            "former_secret",
            "former_until",
        )
    },
    "webhooks": {"SELECT", "INSERT"}
    | {
        f"UPDATE({column})"
        for column in (
            "state",
            "reason",
            "detail",
            "seqs",
            "attempts",
            "refusals",
            "next_at",
            "settled_at",
            "repeats",
        )
    },
}

APPEND_ONLY = ("events", "postings", "event_streams", "endings", "idempotency_keys", "assets")
PER_LEDGER = (*APPEND_ONLY, "heads", "accounts", "balances", "streams", "holds", "closed_periods")

_REFUSE = "FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change()"
_NEW = "REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION"
_OLD = "REFERENCING OLD TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION"

# (table, name): the definition, as PostgreSQL gives it back.
TRIGGERS: dict[tuple[str, str], str] = {
    ("heads", "moves_forward"): "BEFORE INSERT OR UPDATE ON daybook.heads"
    " FOR EACH ROW EXECUTE FUNCTION daybook.check_head()",
    ("heads", "kept"): "AFTER INSERT OR UPDATE ON daybook.heads DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION daybook.check_head_kept()",
    ("heads", "stays"): f"BEFORE DELETE OR TRUNCATE ON daybook.heads {_REFUSE}",
    ("events", "contiguous"): f"AFTER INSERT ON daybook.events {_NEW} daybook.check_events()",
    ("postings", "balanced"): f"AFTER INSERT ON daybook.postings {_NEW} daybook.check_postings()",
    ("accounts", "append_only"): f"BEFORE DELETE OR TRUNCATE ON daybook.accounts {_REFUSE}",
    ("accounts", "keeps_its_name"): "BEFORE UPDATE OF ledger_id, account_id, opened_seq, address"
    f" ON daybook.accounts {_REFUSE}",
    ("accounts", "stays_closed"): "BEFORE UPDATE ON daybook.accounts FOR EACH ROW"
    " WHEN ((old.closed_seq IS NOT NULL)) EXECUTE FUNCTION daybook.refuse_change()",
    ("closed_periods", "closed_by_event"): f"AFTER INSERT ON daybook.closed_periods {_NEW}"
    " daybook.check_closed_periods()",
    ("closed_periods", "reopened_by_event"): f"AFTER DELETE ON daybook.closed_periods {_OLD}"
    " daybook.check_closed_periods()",
    ("closed_periods", "stays"): f"BEFORE UPDATE OR TRUNCATE ON daybook.closed_periods {_REFUSE}",
    ("holds", "own_ledger_delete"): f"AFTER DELETE ON daybook.holds {_OLD} daybook.check_own_ledger()",
}
TRIGGERS |= {
    (table, "append_only"): f"BEFORE DELETE OR UPDATE OR TRUNCATE ON daybook.{table} {_REFUSE}"
    for table in APPEND_ONLY
}
TRIGGERS |= {
    (table, "own_ledger"): f"AFTER INSERT ON daybook.{table} {_NEW} daybook.check_own_ledger()"
    for table in PER_LEDGER
    if table not in ("heads", "events", "postings", "closed_periods")
}
TRIGGERS |= {
    (table, "own_ledger_update"): f"AFTER UPDATE ON daybook.{table} {_NEW} daybook.check_own_ledger()"
    for table in ("accounts", "balances", "streams")
}

FUNCTIONS = (
    "check_closed_periods",
    "check_events",
    "check_head",
    "check_head_kept",
    "check_own_ledger",
    "check_postings",
    "current_ledger",
    "current_tenant",
    "refuse_change",
    "written_head",
)

CONSTRAINTS = (
    ("events", "events_pkey"),
    ("events", "leaf_of_body"),
    ("events", "body_length"),
    ("postings", "postings_pkey"),
    ("event_streams", "event_streams_pkey"),
    ("endings", "endings_pkey"),
    ("idempotency_keys", "idempotency_keys_pkey"),
    ("accounts", "accounts_pkey"),
    ("accounts", "accounts_ledger_id_address_key"),
    ("balances", "balances_pkey"),
    ("balances", "min_available"),
    ("balances", "max_balance"),
    ("closed_periods", "closed_periods_pkey"),
)

# As PostgreSQL gives them back: without line ends.
POLICY = (
    "own_ledger PERMISSIVE FOR SELECT TO daybook_reader"
    " USING (ledger_id = ( SELECT daybook.current_ledger() AS current_ledger))"
)
OF_TENANT = "own_tenant PERMISSIVE FOR SELECT TO daybook_reader USING (tenant = daybook.current_tenant())"
_NAMED_TENANT = " USING (tenant = ( SELECT current_setting('daybook.tenant'::text, true) AS current_setting))"
OF_INBOX = "own_tenant PERMISSIVE FOR ALL TO daybook_inbox" + _NAMED_TENANT
OF_ACCESS = "own_tenant PERMISSIVE FOR ALL TO daybook_access" + _NAMED_TENANT
POLICIES = dict.fromkeys(PER_LEDGER, ("own_ledger", POLICY)) | {"ledgers": ("own_tenant", OF_TENANT)}


def problems(connection: Connection) -> list[str]:
    """What is not as it must be, a sentence each; empty: every guard is in place (psycopg.Error)."""
    checks = (
        _server,
        _roles,
        _grants,
        _owners,
        _triggers,
        _functions,
        _constraints,
        _row_security,
        _read_models,
        _control_plane,
        _inbox,
    )
    return [problem for check in checks for problem in check(connection)]


def _server(connection: Connection) -> Iterator[str]:
    for number, version in connection.execute(QUERIES["server"]):
        if not OLDEST <= number // 10_000 <= NEWEST:
            yield f"The server is PostgreSQL {version}; Daybook runs on {OLDEST} to {NEWEST}."
    for name, setting in connection.execute(QUERIES["settings"]):
        if setting == "off":
            yield f"The setting {name} is off: a crash could lose what was acknowledged."


def _roles(connection: Connection) -> Iterator[str]:
    found = {name: row for name, *row in connection.execute(QUERIES["roles"])}
    for role, bypass in BYPASS_ROW_SECURITY.items():
        if role not in found:
            yield f"The role {role} does not exist."
            continue
        bypasses, powerful, reachable = found[role]
        if bypasses != bypass:
            yield f"The role {role} {'must bypass' if bypass else 'must not bypass'} row-level security."
        if powerful:
            yield f"The role {role} may do more than it needs: it is a superuser or makes roles or databases."
        if not reachable:
            yield f"The user of this connection is not a member of {role}."
    for member, of in connection.execute(QUERIES["memberships"]):
        yield f"The role {member} is a member of {of}."


def _grants(connection: Connection) -> Iterator[str]:
    expected = {("daybook_owner", "schema", "USAGE")}
    for role, matrix in (
        ("daybook_writer", WRITER),
        ("daybook_reader", READER),
        ("daybook_projector", READER),
    ):
        expected |= {(role, object, privilege) for object, allowed in matrix.items() for privilege in allowed}
    found = set(connection.execute(QUERIES["grants"]).fetchall())
    for role, object, privilege in sorted(expected - found):
        yield f"{role} lacks {privilege} on {_placed('daybook', object)}."
    for role, object, privilege in sorted(found - expected):
        # Who else may look is not ours to say: row-level security shows them nothing.
        if role in (*BYPASS_ROW_SECURITY, "PUBLIC") or privilege not in ("SELECT", "USAGE"):
            yield f"{role} has {privilege} on {_placed('daybook', object)} and must not."


def _placed(schema: str, object: str) -> str:
    return f"the schema {schema}" if object == "schema" else f"{schema}.{object}"


def _owners(connection: Connection) -> Iterator[str]:
    for object, owner in connection.execute(QUERIES["owners"]):
        if owner != "daybook_owner":
            yield f"The {object} belongs to {owner}, not to daybook_owner."


def _triggers(connection: Connection) -> Iterator[str]:
    found = {(table, name): row for table, name, *row in connection.execute(QUERIES["triggers"])}
    for (table, name), definition in TRIGGERS.items():
        if (table, name) not in found:
            yield f"The trigger {name} on daybook.{table} is missing."
            continue
        enabled, actual = found[table, name]
        if enabled != "A":
            yield f"The trigger {name} on daybook.{table} is not enabled always."
        if not actual.endswith(f"TRIGGER {name} {definition}"):
            yield f"The trigger {name} on daybook.{table} is not as it was made: {actual}."
    for table, name in sorted(found.keys() - TRIGGERS.keys()):
        yield f"The trigger {name} on daybook.{table} is not one of Daybook's."


def _functions(connection: Connection) -> Iterator[str]:
    found: dict[str, str] = dict(connection.execute(QUERIES["functions"]).fetchall())
    for name in FUNCTIONS:
        if name not in found:
            yield f"The function daybook.{name} is missing."
        elif f"$${found[name]}$$" not in SCHEMA:
            yield f"The function daybook.{name} is not as it was made."


def _constraints(connection: Connection) -> Iterator[str]:
    found = set(connection.execute(QUERIES["constraints"]).fetchall())
    for table, name in CONSTRAINTS:
        if (table, name) not in found:
            yield f"The constraint {name} on daybook.{table} is missing."


def _row_security(connection: Connection) -> Iterator[str]:
    secured = {table for (table,) in connection.execute(QUERIES["row_security"])}
    policies = connection.execute(QUERIES["policies"]).fetchall()
    for table, (name, policy) in POLICIES.items():
        if table not in secured:
            yield f"Row-level security is not enabled on daybook.{table}."
        if (table, policy) not in policies:
            yield f"The policy {name} on daybook.{table} is missing or another."
    for table, policy in policies:
        if policy != POLICIES.get(table, ("", ""))[1]:
            yield f"daybook.{table} has a policy that is not Daybook's: {policy}."


def _read_models(connection: Connection) -> Iterator[str]:
    """The schema `projections`: derived, but as private to a ledger as the book."""
    for object, owner in connection.execute(QUERIES["read_model_owners"]):
        if owner != "daybook_projector":
            yield f"The {object} belongs to {owner}, not to daybook_projector."
    for table, secured, policies in connection.execute(QUERIES["read_models"]):
        if not secured:
            yield f"Row-level security is not enabled on projections.{table}."
        if policies != [POLICY]:
            yield f"The policy own_ledger on projections.{table} is missing or not the only one."
    for role, object, privilege, part in connection.execute(QUERIES["read_model_grants"]):
        # A partition has no policy of its own: it is read through its table, or not at all.
        if role != "daybook_reader" or privilege not in ("SELECT", "USAGE") or part:
            yield f"{role} has {privilege} on {object} and must not."


def _control_plane(connection: Connection) -> Iterator[str]:
    """The schema `access`: only its own role looks at it, at approvals and people of one tenant only."""
    for role, object, privilege in connection.execute(QUERIES["control_plane"]):
        yield f"{role} has {privilege} on {object} and must not."
    for table, secured, policies in connection.execute(QUERIES["tenants_tables"]):
        if not secured:
            yield f"Row-level security is not enabled and forced on access.{table}."
        if policies != [OF_ACCESS]:
            yield f"The policy own_tenant on access.{table} is missing or not the only one."


def _inbox(connection: Connection) -> Iterator[str]:
    """The schema `inbox`: one role works on it, for one tenant at a time; what came in stays as it came."""
    expected = {
        ("daybook_inbox", _placed("inbox", object), privilege)
        for object, allowed in INBOX.items()
        for privilege in allowed
    }
    found = set(connection.execute(QUERIES["inbox_grants"]).fetchall())
    for role, object, privilege in sorted(expected - found):
        yield f"{role} lacks {privilege} on {object}."
    for role, object, privilege in sorted(found - expected):
        yield f"{role} has {privilege} on {object} and must not."
    for table, secured, policies in connection.execute(QUERIES["inbox_tables"]):
        if not secured:
            yield f"Row-level security is not enabled on inbox.{table}."
        if policies != [OF_INBOX]:
            yield f"The policy own_tenant on inbox.{table} is missing or not the only one."
    for function, source in connection.execute(QUERIES["inbox_functions"]):
        if f"$${source}$$" not in SCHEMA:
            yield f"The function inbox.{function} is not as it was made."
