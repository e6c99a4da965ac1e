"""Bearer tokens: who signed them, for whom, until when, and what their claims may say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.access.key_set import KeysUnavailable
from api.access.tokens import TokenRefused, Tokens, TokenSettings

SECRET = "a secret of our own services, long enough"
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def jwks() -> dict[str, Any]:
    rsa_key = RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)
    ec_key = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True)
    return {"keys": [rsa_key | {"kid": "r1", "use": "sig"}, ec_key | {"kid": "e1", "use": "sig"}]}


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks()))
    return str(path)


@pytest.fixture
def key_url() -> Iterator[str]:
    """A real HTTP server with the key set: a double of an identity provider."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(jwks()).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()


def settings(**more: Any) -> TokenSettings:
    return TokenSettings(**{"audience": "daybook", "issuer": "https://id.example", **more})


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"sub": "u-1", "aud": "daybook", "iss": "https://id.example", "iat": now, "exp": now + 600}
    merged = given | {"tenant": "acme", "scope": "ledger:read"} | more
    return {name: value for name, value in merged.items() if value is not None}


def shared(**more: Any) -> str:
    return jwt.encode(claims(**more), SECRET, "HS256")


def test_a_token_by_the_shared_secret_is_accepted() -> None:
    """With its tenant, subject, scopes and the claims that products read."""
    token = shared(
        scope="ledger:write",
        roles=["auditor"],
        creditPermissions=["credit:application:create"],
        creditLimit=50_000,
        riskRating="low",
        ledgers=["main"],
        provider="acme",
    )
    principal, expires_at = Tokens(settings(secret=SECRET)).principal(token)
    assert (principal.tenant, principal.actor) == ("acme", "user:u-1")
    assert principal.scopes == {"ledger:read", "ledger:write", "audit:read", "credit:application:create"}
    assert principal.claims == {"creditLimit": 50_000, "riskRating": "low"}
    assert principal.ledgers == frozenset({"main"})
    assert principal.provider == "acme"
    assert 500 < expires_at - time.time() < 700


@pytest.mark.parametrize(("algorithm", "kid"), [("RS256", "r1"), ("ES256", "e1")])
@pytest.mark.parametrize("place", ["key_file", "key_url"])
def test_a_token_by_a_key_of_the_set_is_accepted(
    request: pytest.FixtureRequest, place: str, algorithm: str, kid: str
) -> None:
    """From a file and from a URL."""
    key = RSA_KEY if algorithm == "RS256" else EC_KEY
    token = jwt.encode(claims(), key, algorithm, headers={"kid": kid})
    principal, _ = Tokens(settings(jwks=request.getfixturevalue(place))).principal(token)
    assert principal.actor == "user:u-1"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "exp"),
        ({"nbf": 4_000_000_000}, "not yet valid"),
        ({"aud": "another service"}, "[Aa]udience"),
        ({"aud": None}, "aud"),
        ({"iss": "https://evil.example"}, "[Ii]ssuer"),
        ({"iss": None}, "iss"),
        ({"sub": None}, "sub"),
        ({"sub": "with\nline"}, "claim"),
        ({"tenant": None}, "no tenant"),
        ({"tenant": "../x"}, "claim"),
        ({"scope": "ledger:everything"}, "ledger:everything"),
        ({"scope": "service:admin"}, "service:admin"),
        ({"roles": "admin"}, "claim"),
        ({"creditLimit": -1}, "claim"),
        ({"riskRating": "none"}, "claim"),
        ({"ledgers": ["a/b"]}, "claim"),
    ],
)
def test_a_token_that_is_not_for_us_is_refused(more: dict[str, Any], why: str) -> None:
    """Each for a reason that says what is wrong and shows no secret."""
    with pytest.raises(TokenRefused, match=why) as refused:
        Tokens(settings(secret=SECRET)).principal(shared(**more))
    assert SECRET not in str(refused.value)


def test_clocks_may_differ_by_half_a_minute() -> None:
    """A token that ended 20 s ago passes, one that ended 40 s ago does not."""
    tokens = Tokens(settings(secret=SECRET))
    assert tokens.principal(shared(exp=int(time.time()) - 20))
    with pytest.raises(TokenRefused):
        tokens.principal(shared(exp=int(time.time()) - 40))


def test_the_algorithm_is_ours_to_choose(key_file: str) -> None:
    """No signature, another algorithm, the public key as a shared secret, another's key: refused."""
    both = Tokens(settings(secret=SECRET, jwks=key_file))
    for_keys = Tokens(settings(jwks=key_file))
    for_secret = Tokens(settings(secret=SECRET))
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT","kid":"r1"}')
    payload = jwt.utils.base64url_encode(json.dumps(claims()).encode())
    signed = header + b"." + payload
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed, PUBLIC_PEM)
    confused = (signed + b"." + jwt.utils.base64url_encode(signature)).decode()
    attempts = [
        (both, jwt.encode(claims(), "", "none")),
        (both, jwt.encode(claims(), SECRET, "HS512")),
        (both, confused),
        (both, jwt.encode(claims(), "another secret of at least 32 bytes!", "HS256")),
        (both, jwt.encode(claims(), OTHER_RSA_KEY, "RS256", headers={"kid": "r1"})),
        (both, jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "e1"})),
        (both, jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "unknown"})),
        (for_keys, shared()),
        (for_secret, jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "r1"})),
        (both, "not.a.token"),
        (both, ""),
        (both, "x" * 10_000),
    ]
    for tokens, token in attempts:
        with pytest.raises(TokenRefused):
            tokens.principal(token)


def test_tokens_without_a_tenant_are_of_the_configured_one() -> None:
    """Where one is configured; a tenant that the token names counts first."""
    tokens = Tokens(settings(secret=SECRET, tenant="home"))
    assert tokens.principal(shared(tenant=None))[0].tenant == "home"
    assert tokens.principal(shared())[0].tenant == "acme"


def test_a_key_set_that_cannot_be_had_is_not_the_tokens_fault(tmp_path: Path) -> None:
    """A missing file and a server that does not answer are told apart from a bad token."""
    token = jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "r1"})
    for place in (str(tmp_path / "nothing.json"), "http://127.0.0.1:9/jwks.json"):
        with pytest.raises(KeysUnavailable):
            Tokens(settings(jwks=place)).principal(token)


def test_a_short_secret_is_not_accepted() -> None:
    """RFC 7518: at least as long as the hash."""
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens(settings(secret="x" * 31))
    with pytest.raises(ValueError, match="secret or a JWKS"):
        Tokens(settings())
