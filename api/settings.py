"""Settings, from the environment. There is no file of settings.

DATABASE_URL   the PostgreSQL to use (15 or later); without it Daybook runs one of its own
DAYBOOK_DATA   where the embedded PostgreSQL keeps its data
DAYBOOK_EXPORTS   where exports that are asked for over the API are made (beside the data)
DAYBOOK_HOST   the address to serve on (127.0.0.1)
DAYBOOK_KEYS   the folder of the signing key and the kept tree heads (beside the data)
DAYBOOK_KEY    the file of a signing key of your own, instead of one made in that folder
DAYBOOK_PORT   the port to serve on (8000, or the next free one when this is not set)
DAYBOOK_JWT_SECRET    shared secret of HS256 tokens, 32 bytes or more
DAYBOOK_JWT_JWKS      key set of RS256 and ES256 tokens: a file or an https URL
DAYBOOK_JWT_ISSUER, DAYBOOK_JWT_AUDIENCE   what tokens must say; needed where tokens are accepted
DAYBOOK_JWT_TENANT    the tenant of tokens that name none; without it they are refused
DAYBOOK_RATE_KEY, DAYBOOK_RATE_TENANT   requests for each key and for each tenant, such as 600/minute
DAYBOOK_PROJECTIONS   `off`: the service keeps no projections; `daybook projections run` does
DAYBOOK_WEBHOOKS      `off`: this process delivers no webhooks and posts none that came in; another one does
BUFFR_API_URL, BUFFR_API_KEY   Buffr's API, which vouchers are handed over to; without it they are not
KYC_API_URL, KYC_API_KEY   the API of who verifies people for Kredit; without it no verification is taken
KYC_CALLBACK_URL      where that one reports to: the inbox's endpoint for it, as it is reached from outside
DAYBOOK_INSECURE_WEBHOOKS   `on`: webhooks may go to http and to private addresses; for development only
STRIPE_SECRET_KEY     Stripe's key, for the ledger of Stripe's default endpoint: checkouts, and its balance
STRIPE_WEBHOOK_SECRET the secret of Stripe's default endpoint, where that is made without one
STRIPE_API            another address than Stripe's own: a gateway, or a double in tests
APP_URL               where customers come back to from Stripe's checkout, when the request does not say
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters.signatures import STRIPE
from api.access.gate import AccessSettings
from api.access.key_set import KeySet
from api.access.limits import RateLimits, RateSettings
from api.access.tokens import SHORTEST_SECRET, TokenSettings
from sql.embedded import default_data_dir

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


class SettingsError(ValueError):
    """A setting cannot be used; the message says which and why."""


@dataclass(frozen=True)
class StripeSettings:
    """How to ask Stripe. `address` None: its own. `app_url`: where customers come back to."""

    secret_key: str = field(repr=False)
    address: str | None = None
    app_url: str | None = None


@dataclass(frozen=True)
class StripeWebhook:
    """What Stripe's default endpoint gets that is made without a secret."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class Buffr:
    """Where Buffr's API is, and the key for it."""

    url: str
    key: str = field(repr=False)


class Work(NamedTuple):
    """What this process does beside answering. `insecure_webhooks`: to http and private addresses too.

    `stripe`: checkouts are made; its balance is fetched, where webhooks are worked on (`sending`).
    `stripe_webhook`: the secret of Stripe's default endpoint, where that is made without one.
    `buffr`: vouchers are handed over to it. None: they are not.
    """

    projecting: bool = True
    sending: bool = True
    insecure_webhooks: bool = False
    stripe: StripeSettings | None = None
    stripe_webhook: StripeWebhook | None = None
    buffr: Buffr | None = None
    kyc: Kyc | None = None


@dataclass(frozen=True)
class Kyc:
    """How to ask the provider of verifications, and where it is to report to."""

    url: str
    key: str = field(repr=False)
    callback: str


@dataclass(frozen=True)
class Settings:
    """What the environment says. `port` None: nobody named one. `work`: of the service's process."""

    database_url: str | None = field(repr=False)  # it may hold a password
    data_dir: Path
    host: str
    port: int | None
    work: Work
    keys_dir: Path
    key_file: Path | None
    exports_dir: Path
    access: AccessSettings = field(repr=False)  # it may hold a secret

    @property
    def stripe(self) -> StripeSettings | None:
        """How to ask Stripe; None: nobody gave a key."""
        return self.work.stripe


def read(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment; an empty value counts as none (SettingsError)."""
    port = environment.get("DAYBOOK_PORT") or None
    if port is not None and not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise SettingsError(f"DAYBOOK_PORT is {port!r}, which is not a port number.")
    work = Work(
        projecting=_switch(environment, "DAYBOOK_PROJECTIONS", "on"),
        sending=_switch(environment, "DAYBOOK_WEBHOOKS", "on"),
        insecure_webhooks=_switch(environment, "DAYBOOK_INSECURE_WEBHOOKS", "off"),
        stripe=_stripe(environment),
        stripe_webhook=_stripe_webhook(environment),
        buffr=_buffr(environment),
        kyc=_kyc(environment),
    )
    database_url = environment.get("DATABASE_URL") or None
    data_dir = default_data_dir()
    keys = environment.get("DAYBOOK_KEYS")
    key = environment.get("DAYBOOK_KEY")
    exports = environment.get("DAYBOOK_EXPORTS")
    return Settings(
        database_url=database_url,
        data_dir=data_dir,
        host=environment.get("DAYBOOK_HOST") or DEFAULT_HOST,
        port=None if port is None else int(port),
        work=work,
        keys_dir=Path(keys).absolute() if keys else _keys_dir(data_dir, database_url),
        key_file=Path(key).absolute() if key else None,
        exports_dir=Path(exports).absolute() if exports else data_dir.with_name(f"{data_dir.name}-exports"),
        access=AccessSettings(_tokens(environment), _rates(environment)),
    )


def _stripe(environment: Mapping[str, str]) -> StripeSettings | None:
    key = environment.get("STRIPE_SECRET_KEY") or None
    address, app_url = _https(environment, "STRIPE_API"), _https(environment, "APP_URL")
    if key is None:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError("STRIPE_SECRET_KEY is not a key such as sk_live_...")
    return StripeSettings(key, address, None if app_url is None else app_url.rstrip("/"))


def _stripe_webhook(environment: Mapping[str, str]) -> StripeWebhook | None:
    secret = environment.get("STRIPE_WEBHOOK_SECRET") or None
    try:
        if secret is not None:
            STRIPE.check(secret)
    except ValueError:
        raise SettingsError("STRIPE_WEBHOOK_SECRET is not a signing secret such as whsec_...") from None
    return None if secret is None else StripeWebhook(secret)


def _buffr(environment: Mapping[str, str]) -> Buffr | None:
    url, key = _https(environment, "BUFFR_API_URL"), environment.get("BUFFR_API_KEY") or ""
    if url is None:
        return None
    if not key:
        raise SettingsError("BUFFR_API_URL is set, but BUFFR_API_KEY is not.")
    return Buffr(url, key)


def _https(environment: Mapping[str, str], name: str) -> str | None:
    """An https URL, or one of this host, where nobody listens in."""
    url = environment.get(name) or None
    if url is None:
        return None
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or parts.scheme not in ("https", "http") or (parts.scheme == "http" and not local):
        raise SettingsError(f"{name} is not an https URL (http: of this host only).")
    return url


def _kyc(environment: Mapping[str, str]) -> Kyc | None:
    url, callback = _https(environment, "KYC_API_URL"), _https(environment, "KYC_CALLBACK_URL")
    if url is None:
        return None
    key = environment.get("KYC_API_KEY") or ""
    if not key or callback is None:
        raise SettingsError("KYC_API_URL is set, but KYC_API_KEY or KYC_CALLBACK_URL is not.")
    return Kyc(url, key, callback)


def _switch(environment: Mapping[str, str], name: str, default: str) -> bool:
    value = environment.get(name) or default
    if value not in ("on", "off"):
        raise SettingsError(f"{name} is {value!r}, which is neither on nor off.")
    return value == "on"


def _keys_dir(data_dir: Path, database_url: str | None) -> Path:
    """Beside the embedded data, not in it: a copy of the data must not bring its own tree heads along.

    One folder for each database, because a folder tells which ledgers its database must have.
    """
    beside = data_dir.with_name(f"{data_dir.name}-keys")
    if database_url is None:
        return beside / "embedded"
    try:
        parts = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError:
        parts = {}  # whoever connects says that it is no address
    place = [str(parts.get(name) or "") for name in ("host", "hostaddr", "port", "dbname", "user")]
    return beside / hashlib.sha256("\n".join(place).encode()).hexdigest()[:16]


def _rates(environment: Mapping[str, str]) -> RateSettings:
    rates = RateSettings(
        environment.get("DAYBOOK_RATE_KEY") or None, environment.get("DAYBOOK_RATE_TENANT") or None
    )
    try:
        RateLimits(rates)
    except ValueError:
        raise SettingsError(
            "DAYBOOK_RATE_KEY and DAYBOOK_RATE_TENANT are rates such as 600/minute or 50/second."
        ) from None
    return rates


def _tokens(environment: Mapping[str, str]) -> TokenSettings | None:
    secret = environment.get("DAYBOOK_JWT_SECRET") or None
    jwks = environment.get("DAYBOOK_JWT_JWKS") or None
    if secret is None and jwks is None:
        return None
    if secret is not None and len(secret.encode()) < SHORTEST_SECRET:
        raise SettingsError(f"DAYBOOK_JWT_SECRET has fewer than {SHORTEST_SECRET} bytes.")
    issuer = environment.get("DAYBOOK_JWT_ISSUER")
    audience = environment.get("DAYBOOK_JWT_AUDIENCE")
    if not issuer or not audience:
        raise SettingsError("Tokens need DAYBOOK_JWT_ISSUER and DAYBOOK_JWT_AUDIENCE.")
    tenant = environment.get("DAYBOOK_JWT_TENANT") or None
    if jwks is not None:
        try:
            KeySet(jwks)
        except ValueError as error:
            raise SettingsError(f"DAYBOOK_JWT_JWKS: {error}.") from error
    return TokenSettings(issuer=issuer, audience=audience, secret=secret, jwks=jwks, tenant=tenant)
