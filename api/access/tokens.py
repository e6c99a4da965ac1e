"""Bearer tokens of other services (JWT, RFC 7519): who signed them, for whom, until when.

HS256 by a secret that one's own services share; RS256 and ES256 by a JWKS, from a file or a URL. Which
algorithm is accepted follows from what is configured, never from the token. Audience, issuer, subject and
expiry are required. Claims: `tenant`; `scope` (a string of words, or a list), `roles` and, of seed 003,
`creditPermissions`; `ledgers`; `creditLimit` and `riskRating` must be well formed, and nothing uses them yet.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jwt
import msgspec
from msgspec import Meta, Struct

from api.access.key_set import KeyNotInSet, KeySet
from api.access.scopes import Principal, expand
from ledger.commands import Name
from ledger.loans.terms import Id

LEEWAY_SECONDS = 30
LONGEST = 8_192
# RFC 7518 section 3.2: a key of at least the size of the hash.
SHORTEST_SECRET = 32


class TokenRefused(Exception):
    """A token cannot be accepted; the message says why, and nothing secret."""


class TokenSettings(Struct, frozen=True, kw_only=True):
    """What tokens must be. `jwks` is a path or an https URL; `tenant` is that of tokens that name none."""

    audience: str
    issuer: str
    secret: str | None = None
    jwks: str | None = None
    tenant: str | None = None


class _Claims(Struct, kw_only=True):
    sub: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+\Z")]
    tenant: Name | None = None
    scope: str | list[str] = ""
    roles: list[str] = []
    credit_permissions: list[str] = msgspec.field(default_factory=list, name="creditPermissions")
    ledgers: list[Name] | None = None
    provider: Id | None = None
    credit_limit: Annotated[float, Meta(ge=0)] | None = msgspec.field(default=None, name="creditLimit")
    risk_rating: Literal["low", "medium", "high"] | None = msgspec.field(default=None, name="riskRating")


class Tokens:
    """Checks tokens. Threads may share it."""

    def __init__(self, settings: TokenSettings) -> None:
        """ValueError when the settings cannot be right."""
        if settings.secret is None and settings.jwks is None:
            raise ValueError("a secret or a JWKS is needed")
        if settings.secret is not None and len(settings.secret.encode()) < SHORTEST_SECRET:
            raise ValueError(f"the secret has fewer than {SHORTEST_SECRET} bytes")
        self._settings = settings
        self._keys = None if settings.jwks is None else KeySet(settings.jwks)

    def principal(self, token: str) -> tuple[Principal, float]:
        """Whose token it is, and when it expires, a Unix time (TokenRefused, KeysUnavailable)."""
        if len(token) > LONGEST:
            raise TokenRefused("it is too long")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(algorithm, header.get("kid")),
                algorithms=[str(algorithm)],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
            expires_at = float(claims["exp"]) + LEEWAY_SECONDS
        except (jwt.PyJWTError, OverflowError) as error:
            raise TokenRefused(str(error)) from error
        return self._read(claims), expires_at

    def _key(self, algorithm: str | None, kid: str | None) -> Any:
        if algorithm == "HS256" and self._settings.secret is not None:
            return self._settings.secret
        if algorithm not in ("RS256", "ES256") or self._keys is None:
            raise TokenRefused(f"its algorithm, {algorithm}, is not accepted here")
        try:
            key = self._keys.find(kid)
        except KeyNotInSet as error:
            raise TokenRefused("its key is not in the key set") from error
        # A key says itself what it is for; an RSA key never verifies by another algorithm.
        if key.algorithm_name != algorithm:
            raise TokenRefused(f"its key is not one for {algorithm}")
        return key.key

    def _read(self, found: dict[str, Any]) -> Principal:
        try:
            claims = msgspec.convert(found, _Claims)
            words = claims.scope.split() if isinstance(claims.scope, str) else claims.scope
            scopes = expand([*words, *claims.roles, *claims.credit_permissions])
        except (msgspec.ValidationError, ValueError) as error:
            raise TokenRefused(f"a claim is wrong: {error}") from None
        if "service:admin" in scopes:
            raise TokenRefused("service:admin is not for tokens")
        tenant = claims.tenant or self._settings.tenant
        if tenant is None:
            raise TokenRefused("it names no tenant")
        return Principal(
            tenant=tenant,
            actor=f"user:{claims.sub}",
            scopes=scopes,
            ledgers=None if claims.ledgers is None else frozenset(claims.ledgers),
            provider=claims.provider,
            claims={
                name: value
                for name, value in (("creditLimit", claims.credit_limit), ("riskRating", claims.risk_rating))
                if value is not None
            },
        )
