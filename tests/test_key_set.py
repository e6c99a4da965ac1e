"""The key set of an issuer, from a real HTTP server that rotates its keys, fails, hangs and redirects."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.access import key_set
from api.access.gate import AccessSettings
from api.access.key_set import KeyNotInSet, KeySet, KeysUnavailable
from api.access.tokens import TokenRefused, Tokens, TokenSettings
from api.settings import SettingsError, read
from tests.served import move, served

RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEYS = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("e1", "e2")}


def published(*kids: str) -> list[dict[str, Any]]:
    """The public keys of these ids as a JWKS has them."""
    found = []
    for kid in kids:
        key = EC_KEYS.get(kid)
        jwk = (
            RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)
            if key is None
            else ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        )
        found.append(jwk | {"kid": kid, "use": "sig"})
    return found


class Issuer:
    """A server whose keys and manners the tests change; it counts how often it was asked."""

    def __init__(self) -> None:
        self.keys = published("e1", "r1")
        self.status = 200
        self.asked = 0
        self.released = threading.Event()
        self.released.set()
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.released.wait(10)
                self.send_response(issuer.status)
                if issuer.status == 302:
                    self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(json.dumps({"keys": issuer.keys}).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    with found.server:
        threading.Thread(target=found.server.serve_forever, daemon=True).start()
        yield found
        found.server.shutdown()


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def token(key: Any, algorithm: str, kid: str, **more: Any) -> str:
    now = int(time.time())
    claims = {"sub": "u-1", "aud": "daybook", "iss": "https://id.example", "exp": now + 600, "tenant": "acme"}
    return jwt.encode(claims | more, key, algorithm, headers={"kid": kid})


def test_tokens_of_a_new_key_pass_once_the_issuer_has_rotated(issuer: Issuer) -> None:
    """RS256 and ES256 by keys of the set; a key that was withdrawn no longer signs."""
    tokens = Tokens(TokenSettings(audience="daybook", issuer="https://id.example", jwks=issuer.url))
    clock = Clock()
    tokens._keys = KeySet(issuer.url, clock)
    old, new = token(EC_KEYS["e1"], "ES256", "e1"), token(EC_KEYS["e2"], "ES256", "e2")
    assert tokens.principal(token(RSA_KEY, "RS256", "r1"))[0].actor == "user:u-1"
    assert tokens.principal(old)[0].tenant == "acme"
    with pytest.raises(TokenRefused):
        tokens.principal(new)
    issuer.keys = published("e2")
    clock.now += key_set.AGAIN_SECONDS
    assert tokens.principal(new)[0].tenant == "acme"
    with pytest.raises(TokenRefused):
        tokens.principal(old)


def test_unknown_keys_make_no_storm(issuer: Issuer) -> None:
    """However many keys tokens name, the issuer is asked once in the interval; known keys cost nothing."""
    clock = Clock()
    keys = KeySet(issuer.url, clock)
    assert keys.find("e1").key_id == "e1"
    for n in range(50):
        with pytest.raises(KeyNotInSet):
            keys.find(f"made up {n}")
    assert issuer.asked == 1
    clock.now += key_set.AGAIN_SECONDS
    for n in range(50):
        with pytest.raises(KeyNotInSet):
            keys.find(f"made up {n}")
        assert keys.find("e1").key_id == "e1"
    assert issuer.asked == 2


def test_keys_are_asked_for_anew_when_they_are_old(issuer: Issuer) -> None:
    """A key that the issuer withdraws is refused after FRESH_SECONDS without any unknown key."""
    clock = Clock()
    keys = KeySet(issuer.url, clock)
    keys.find("e1")
    issuer.keys = published("e2")
    clock.now += key_set.FRESH_SECONDS - 1
    assert keys.find("e1").key_id == "e1"
    clock.now += 1
    with pytest.raises(KeyNotInSet):
        keys.find("e1")


@pytest.mark.parametrize("status", [500, 404, 302])
def test_an_issuer_that_fails_is_bridged_for_a_while(issuer: Issuer, status: int) -> None:
    """What it said last counts STALE_SECONDS more, then nothing does; a redirect is not followed."""
    clock = Clock()
    keys = KeySet(issuer.url, clock)
    keys.find("e1")
    issuer.status = status
    clock.now += key_set.FRESH_SECONDS
    assert keys.find("e1").key_id == "e1"
    asked = issuer.asked
    assert keys.find("e1").key_id == "e1"
    assert issuer.asked == asked == 2
    clock.now += key_set.STALE_SECONDS
    with pytest.raises(KeysUnavailable):
        keys.find("e1")
    issuer.status = 200
    clock.now += key_set.AGAIN_SECONDS
    assert keys.find("e1").key_id == "e1"


def test_an_issuer_that_hangs_holds_up_one_thread_only(issuer: Issuer) -> None:
    """While one thread waits for it, another that needs a known key goes on with what there is."""
    clock = Clock()
    keys = KeySet(issuer.url, clock)
    keys.find("e1")
    issuer.released.clear()
    clock.now += key_set.FRESH_SECONDS
    waiting = threading.Thread(target=keys.find, args=("e1",))
    waiting.start()
    eventually(lambda: issuer.asked == 2)
    began = time.monotonic()
    assert keys.find("e1").key_id == "e1"
    assert time.monotonic() - began < 1
    issuer.released.set()
    waiting.join()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_keys_for_something_else_do_not_sign(issuer: Issuer) -> None:
    """A key whose use is encryption is none of the set's."""
    issuer.keys = [key | {"use": "enc"} for key in published("e1")] + published("r1")
    keys = KeySet(issuer.url)
    assert keys.find("r1").key_id == "r1"
    with pytest.raises(KeyNotInSet):
        keys.find("e1")


def test_a_key_set_comes_over_a_safe_way() -> None:
    """https, or http from this host: who can change the keys on their way can sign tokens."""
    with pytest.raises(ValueError, match="https"):
        KeySet("http://id.example/jwks.json")
    environment = {"DAYBOOK_JWT_ISSUER": "i", "DAYBOOK_JWT_AUDIENCE": "a"}
    with pytest.raises(SettingsError, match="DAYBOOK_JWT_JWKS"):
        read(environment | {"DAYBOOK_JWT_JWKS": "http://id.example/jwks.json"})
    assert read(environment | {"DAYBOOK_JWT_JWKS": "https://id.example/jwks.json"}).access.tokens


def test_tokens_work_over_the_api(database: str, issuer: Issuer) -> None:
    """By the issuer's keys: the tenant, scopes and ledgers of the claims; the subject stands in the event."""
    tokens = TokenSettings(audience="daybook", issuer="https://id.example", jwks=issuer.url)
    with served(database, access=AccessSettings(tokens)) as service:
        book = service.open()
        of = {"tenant": "default", "scope": "ledger:write", "creditPermissions": ["credit:collection:manage"]}
        for key, algorithm, kid in ((RSA_KEY, "RS256", "r1"), (EC_KEYS["e1"], "ES256", "e1")):
            bearer = {"authorization": f"Bearer {token(key, algorithm, kid, **of)}"}
            answer = book.call("POST", "/transactions", move("cash", "fx", 1), headers=bearer)
            assert answer.status_code == 201, answer.text
        assert book.get("/events", after=1)["events"][0]["body"]["actor"] == "user:u-1"
        for more, status in (
            ({"scope": "ledger:read"}, 403),
            ({"ledgers": ["another"]}, 404),
            ({"tenant": "nobody"}, 401),
            ({"aud": "another service"}, 401),
            ({"iss": "https://evil.example"}, 401),
            ({"exp": int(time.time()) - 60}, 401),
        ):
            bearer = {"authorization": f"Bearer {token(RSA_KEY, 'RS256', 'r1', **of | more)}"}
            answer = book.call("POST", "/transactions", move("cash", "fx", 1), headers=bearer)
            assert answer.status_code == status, answer.text
        assert book.head() == 3
