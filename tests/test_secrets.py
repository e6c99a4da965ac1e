"""Secrets stay where they belong: not in logs, problems, exports or the database, whatever goes wrong.

A service and commands of their own processes, at the most talkative level of logs, are given real secrets and
driven through success, bad input and failure. Then everything that they said is searched for them.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import psycopg
import pytest
from psycopg import sql as composed
from psycopg.conninfo import conninfo_to_dict

from ledger.notes import new_key
from tests.daybook_command import ROOT
from tests.fuzzing import CHART, LEDGER
from tests.loud import Client, Installation, Said, command, leaks, serving
from tests.senders import signed
from tests.served import move

# Every setting, by whether it is or may hold a secret. Whoever adds one says here which it is; a secret one
# then also gets a value in `installation`.
SECRET_SETTINGS = {
    "DATABASE_URL",
    "DAYBOOK_JWT_SECRET",
    "DAYBOOK_JWT_JWKS",
    "DAYBOOK_KEY",
    "DAYBOOK_KEYS",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
}
OTHER_SETTINGS = {
    "APP_URL",
    "DAYBOOK_DATA",
    "DAYBOOK_EXPORTS",
    "DAYBOOK_HOST",
    "DAYBOOK_INSECURE_WEBHOOKS",
    "DAYBOOK_JWT_AUDIENCE",
    "DAYBOOK_JWT_ISSUER",
    "DAYBOOK_JWT_TENANT",
    "DAYBOOK_PORT",
    "DAYBOOK_PROJECTIONS",
    "DAYBOOK_RATE_KEY",
    "DAYBOOK_RATE_TENANT",
    "DAYBOOK_WEBHOOKS",
    "STRIPE_API",
}

# What a careless line in that operation would be.
CARELESS = "import structlog; structlog.get_logger().info('asked', by=credentials.decode())"


@pytest.fixture
def installation(database: str, tmp_path: Path) -> Installation:
    parts = conninfo_to_dict(database)
    password = str(parts.get("password") or "pa55word-of-the-database")
    named = {name: str(value) for name, value in parts.items() if name not in ("user", "password", "dbname")}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in named.items())
    signing_key = new_key("daybook-test").encode()
    (tmp_path / "signing.key").write_text(f"{signing_key}\n")
    (tmp_path / "signing.key").chmod(0o600)
    settings = {
        "DATABASE_URL": f"postgresql://{parts['user']}:{quote(password)}@/{parts['dbname']}?{query}",
        "DAYBOOK_JWT_SECRET": "jwt-secret-of-32-bytes-or-even-more-0815",
        "DAYBOOK_JWT_JWKS": "https://127.0.0.1:9/keys?token=of-the-issuers-key-set",
        "DAYBOOK_JWT_ISSUER": "https://issuer",
        "DAYBOOK_JWT_AUDIENCE": "daybook",
        "DAYBOOK_JWT_TENANT": "default",
        "DAYBOOK_KEY": str(tmp_path / "signing.key"),
        "DAYBOOK_KEYS": str(tmp_path / "keys"),
        "DAYBOOK_INSECURE_WEBHOOKS": "on",
        "STRIPE_SECRET_KEY": "sk_test_the_key_of_a_stripe_account",
        "STRIPE_API": "http://127.0.0.1:9",
        "STRIPE_WEBHOOK_SECRET": "whsec_a_secret_that_a_setting_has",
    }
    secrets = {
        "DATABASE_URL": password,
        "DAYBOOK_JWT_SECRET": settings["DAYBOOK_JWT_SECRET"],
        "DAYBOOK_JWT_JWKS": "of-the-issuers-key-set",
        "DAYBOOK_KEY": signing_key.rsplit("+", 1)[1],
        "STRIPE_SECRET_KEY": settings["STRIPE_SECRET_KEY"],
        "STRIPE_WEBHOOK_SECRET": settings["STRIPE_WEBHOOK_SECRET"],
    }
    return Installation(database, settings, secrets, tmp_path)


# ---------------------------------------------------------------- what is done to the service


def token(installation: Installation, **claims: Any) -> str:
    """A JWT, good but for the claims that are given."""
    good = {"sub": "ann", "aud": "daybook", "iss": "https://issuer", "exp": time.time() + 600}
    return jwt.encode(
        {**good, "scope": "ledger:read", **claims}, installation.settings["DAYBOOK_JWT_SECRET"], "HS256"
    )


def succeed(client: Client, installation: Installation) -> None:
    """What goes well, with keys, tokens and secrets of webhooks, of which one is somebody's own."""
    assert client.ask("POST", "/v1/ledgers", {"name": "main", "chart": CHART}).status_code == 201
    made = client.make("a key", "/v1/api-keys", {"name": "reader", "scopes": ["operator"]})
    for _ in range(2):
        body = move("cash", "customers:42:wallet", 500)
        assert client.ask("POST", f"{LEDGER}/transactions", body, made["secret"]).status_code == 201
    client.make("a rotated key", f"/v1/api-keys/{made['key']['id']}/rotate", {})
    good = token(installation)
    client.secrets["a token"] = good.rsplit(".", 1)[1]
    assert client.ask("GET", LEDGER, key=good).status_code == 200
    own = "whsec_" + base64.b64encode(b"a secret that a customer brought").decode()
    hooks = f"{LEDGER}/subscriptions"
    client.secrets["a customer's secret"] = own
    hook = client.http.post(
        hooks,
        json={"url": "http://127.0.0.1:9/hook", "secret": own, "after": 0},
        headers={"authorization": f"Bearer {client.key}"},
    ).json()["subscription"]["id"]
    client.make("a webhook's secret", hooks, {"url": "http://127.0.0.1:9/hook", "scheme": "sha256"})
    client.make("a rotated secret", f"{hooks}/{hook}/rotate", {})
    take_webhooks_in(client)
    for path in ("", f"/{hook}", f"/{hook}/attempts", f"/{hook}/messages"):
        assert client.ask("GET", hooks + path).status_code == 200
    assert client.ask("POST", f"{hooks}/{hook}/ping").status_code == 200
    for path in ("/v1/api-keys", "/v1/verifier-key", f"{LEDGER}/events", "/openapi.json", "/health/ready"):
        assert client.ask("GET", path).status_code == 200


def take_webhooks_in(client: Client) -> None:
    """Two endpoints, with a provider's secret and one that is made; a webhook, good and bad; a rotation."""
    endpoints = f"{LEDGER}/inbox/endpoints"
    own = client.secrets["a provider's secret"] = "whsec_a_secret_that_a_provider_made"
    made = client.http.post(
        endpoints,
        json={"provider": "stripe", "secret": own, "default": True},
        headers={"authorization": f"Bearer {client.key}"},
    ).json()["endpoint"]
    body = b'{"id":"evt_1","type":"charge.succeeded"}'
    credentials = client.secrets["a sender's credentials"] = "credentials-of-a-sender-0815"
    headers = {**signed("stripe", body, own), "authorization": f"Bearer {credentials}"}
    for path, status in ((made["path"], 200), ("/webhooks/stripe", 200), ("/webhooks/paystack", 401)):
        assert client.http.post(path, content=body, headers=headers).status_code == status
    assert client.http.post(made["path"], content=body, headers={"stripe-signature": own}).status_code == 400
    client.make("an endpoint's secret", endpoints, {"provider": "standard"})
    mine = client.ask("GET", endpoints).json()["endpoints"][1]["id"]
    client.make("an endpoint's rotated secret", f"{endpoints}/{mine}/rotate", {})
    for path in ("", f"/{made['id']}"):
        assert client.ask("GET", endpoints + path).status_code == 200
    assert client.ask("GET", f"{LEDGER}/inbox/webhooks/1").status_code == 200


def send_nonsense(client: Client, installation: Installation) -> None:
    """Good secrets in wrong places, and wrong secrets in good ones."""
    key = client.key
    wrong = [
        {"authorization": key},
        {"authorization": f"Basic {base64.b64encode(f'x:{key}'.encode()).decode()}"},
        {"authorization": f"Bearer {key}x"},
        {"authorization": f"Bearer {key} {key}"},
        {"x-api-key": key},
        {"authorization": f"Bearer {token(installation, exp=1)}"},
        {"authorization": f"Bearer {token(installation, aud='another')}"},
        {"authorization": f"Bearer {token(installation, scope='no:such')}"},
        {"authorization": f"Bearer {token(installation, tenant='nobody')}"},
        {"authorization": f"Bearer {jwt.encode({'sub': 'x'}, 'z' * 32, 'HS256', headers={'kid': 'k'})}"},
        {"authorization": "Bearer " + "e30.".join(["eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.", "e30"])},
    ]
    for headers in wrong:
        assert client.ask("GET", LEDGER, headers=headers).status_code in (401, 503)
    misplaced = "sk_live_51H8x9Secret0fSomebody"
    client.secrets["a misplaced secret"] = misplaced
    for path, body in (
        (f"{LEDGER}/subscriptions", {"url": "https://hooks.invalid/", "secret": misplaced}),
        (f"{LEDGER}/subscriptions", {"url": "https://hooks.invalid/", "secret": [misplaced]}),
        (f"{LEDGER}/inbox/endpoints", {"provider": "stripe", "secret": misplaced}),
        (f"{LEDGER}/inbox/endpoints", {"provider": "wise", "secret": misplaced}),
        (f"{LEDGER}/inbox/endpoints", {"provider": "standard", "settings": {"x": misplaced}}),
        (f"{LEDGER}/subscriptions", {"url": f"https://user:{misplaced}@hooks.invalid/"}),
        ("/v1/api-keys", {"name": "x", "scopes": ["customer"], "secret": misplaced}),
        ("/v1/api-keys", {"name": "x", "scopes": misplaced}),
    ):
        assert client.ask("POST", path, body).status_code == 400


def take_the_database_away(client: Client, installation: Installation) -> None:
    """It is gone for a while, in the middle of what is asked."""
    name = str(conninfo_to_dict(installation.database)["dbname"])
    with (
        psycopg.connect(installation.database, dbname="postgres", autocommit=True) as admin,
        ThreadPoolExecutor() as threads,
    ):
        gone = composed.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        admin.execute(gone.format(composed.Identifier(name), composed.Literal(False)))
        try:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            body = move("cash", "customers:42:wallet", 1)
            command = threads.submit(client.ask, "POST", f"{LEDGER}/transactions", body)
            reads = list(threads.map(client.ask, ("GET", "GET"), (LEDGER, "/health/ready")))
        finally:
            admin.execute(gone.format(composed.Identifier(name), composed.Literal(True)))
        assert {answer.status_code for answer in reads} == {503}
        assert command.result().status_code in (201, 503)  # a writer is patient


def drive(installation: Installation, said: Said) -> None:
    """Two starts of the service: the first logs to a pipe, the second to a terminal."""
    key = ""
    for start, terminal in (("first start", False), ("second start", True)):
        with serving(installation, terminal=terminal) as running:
            if not terminal:
                key, installation.secrets["first start"] = printed_key(running.output[0])
            client = Client(running.base, key, installation.secrets, said)
            if not terminal:
                succeed(client, installation)
            send_nonsense(client, installation)
            assert client.ask("GET", f"{LEDGER}/chart").status_code == 500
            if not terminal:
                take_the_database_away(client, installation)
        assert b"a defect" in running.output[1]  # the logs were there to be searched
        said.texts[f"errors of the {start}"] = running.output[1]
        (said.texts if terminal else said.shown)[start] = running.output[0]


def printed_key(output: bytes) -> tuple[str, str]:
    """The API key that was printed, and the part of it that is secret."""
    found = re.search(rb"daybook_[0-9a-z]{8}_([\w-]{43})", output)
    assert found is not None
    return found[0].decode(), found[1].decode()


def misconfigure(installation: Installation, said: Said) -> None:
    """Commands that cannot work, each with a secret in the setting that is to blame."""
    password = installation.secrets["DATABASE_URL"]
    spoilt = installation.folder / "spoilt.key"
    spoilt.write_text(f"PRIVATE KEY {installation.secrets['DAYBOOK_KEY']} and more\n")
    spoilt.chmod(0o600)
    for name, setting, value in (
        ("no server", "DATABASE_URL", f"postgresql://postgres:{password}@127.0.0.1:9/x"),
        ("no address", "DATABASE_URL", f"postgresql://postgres:{password}@[::1/x"),
        ("no such option", "DATABASE_URL", f"host=127.0.0.1 pass={password}"),
        ("no key", "DAYBOOK_KEY", str(spoilt)),
    ):
        said.texts[name] = command(installation, "doctor", **{setting: value})
    short = {"DAYBOOK_JWT_SECRET": installation.secrets["DAYBOOK_JWT_SECRET"][:31]}
    said.texts["short"] = command(installation, "doctor", **short)
    assert b"fewer than 32" in said.texts["short"]
    assert leaks({"": said.texts["short"]}, short) == []


def use_the_console(installation: Installation, said: Said) -> None:
    """Commands that work, and an export of everything."""
    books = installation.folder / "books"
    for arguments in (
        ("audit", "export", "--ledger", "main", str(books)),
        ("key", "list"),
        ("doctor", "--json"),
    ):
        said.texts[" ".join(arguments)] = command(installation, *arguments)
    created = command(installation, "key", "create", "of the console", "--scope", "auditor")
    _, installation.secrets["a key of the console"] = printed_key(created)
    said.shown["a key of the console"] = created
    files = [path for path in books.rglob("*") if path.is_file()]
    assert len(files) > 10
    said.texts.update((str(path), path.read_bytes()) for path in files)


def dump(database: str) -> Iterator[tuple[str, bytes]]:
    """Every table as text."""
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('access', 'daybook', 'inbox', 'projections')"
        ).fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT".encode()) as rows:
                yield f"table {table}", b"".join(bytes(row) for row in rows)


# ---------------------------------------------------------------- the tests


def test_every_setting_is_known_to_be_secret_or_not() -> None:
    """A setting that is added anywhere in the service stands in one of the two lists."""
    names = r"\b(?:APP_URL|DATABASE_URL|DAYBOOK_[A-Z_]+[A-Z]|STRIPE_[A-Z_]+[A-Z])\b"
    named = set()
    for package in ("api", "adapters", "projections", "sql"):
        for source in (ROOT / package).rglob("*.py"):
            named |= set(re.findall(names, source.read_text()))
    assert named == SECRET_SETTINGS | OTHER_SETTINGS


def test_secrets_stand_in_nothing_that_is_said(installation: Installation) -> None:
    """Output, logs on a pipe and on a terminal, every answer, an export, the database: none has a secret.

    But the one answer or line that shows a new one; the first key is printed at the first start alone.
    """
    said, secrets = Said({}, {}), installation.secrets
    drive(installation, said)
    misconfigure(installation, said)
    use_the_console(installation, said)
    said.texts.update(dump(installation.database))
    secrets["DAYBOOK_KEYS"] = (installation.folder / "keys" / "webhooks.key").read_text().strip()
    assert secrets.keys() >= SECRET_SETTINGS
    assert leaks(said.texts, secrets) == []
    for name, shown in said.shown.items():
        # At the first start: as a line for the shell, and in the command to try.
        assert shown.count(secrets[name].encode()) == (2 if name == "first start" else 1), name


def test_a_secret_that_leaks_is_found(installation: Installation) -> None:
    """A careless line in one operation of the same service: the search names the secret and the place."""
    with serving(installation, terminal=False, planted=CARELESS) as running:
        key, secret = printed_key(running.output[0])
        client = Client(running.base, key, {}, Said({}, {}))
        assert client.ask("GET", f"{LEDGER}/chart").status_code == 500
    found = leaks({"errors": running.output[1]}, {"first start": secret})
    assert found == ["first start in errors"]


@pytest.mark.parametrize("form", ["a+b/c~é", "YStiL2N+w6k", "612b622f637ec3a9", "a%2Bb%2Fc~%C3%A9"])
def test_a_secret_is_found_in_any_form(form: str) -> None:
    """Plain, in base64, in hex and as a URL has it."""
    assert leaks({"log": f"asked by {form}.".encode()}, {"one": "a+b/c~é"}) == ["one in log"]
