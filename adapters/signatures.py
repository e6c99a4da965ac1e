"""Whether a webhook is its provider's: a pure function for each scheme. The moment comes in.

`verify(secrets, headers, raw, now)` answers the event's id where the scheme signs one in a header, an empty
text where only the body has one, or why not. Headers have lower-case names. `secrets` are those in force, two
while one is being rotated. Every one of them is tried, and signatures are compared in constant time.

Stripe answers 400 to whatever is wrong, as its own libraries do; the others 401, as the contracts with them
say.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets as chance
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

TOLERANCE = timedelta(minutes=5)
PREFIX = "whsec_"
SECRET_BYTES = 32

_STAMP = re.compile(r"[0-9]{1,15}\Z")
_HEX = re.compile(r"[0-9a-fA-F]*\Z")


class Untrusted(NamedTuple):
    """Why a webhook is not taken for its provider's: a sentence, and what to answer."""

    reason: str
    status: Literal[400, 401] = 401


Headers = Mapping[str, str]
Verify = Callable[[Sequence[str], Headers, bytes, datetime], str | Untrusted]


class Scheme(NamedTuple):
    """`check` refuses what cannot be a secret (ValueError); `ours`: secrets may be made here."""

    verify: Verify
    check: Callable[[str], None]
    ours: bool


# ---------------------------------------------------------------- schemes


def kredit(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """HMAC-SHA256 of `{timestamp}.{body}`, base64 or hex; the timestamp in milliseconds."""
    stamp = headers.get("x-kredit-timestamp", "")
    given = headers.get("x-kredit-signature", "")
    if not _STAMP.match(stamp):
        return Untrusted("The header x-kredit-timestamp is missing or not milliseconds.")
    signature = _hex(given, 32) or _base64(given, 32)
    if signature is None:
        return Untrusted("The header x-kredit-signature is missing or neither base64 nor hex of 32 bytes.")
    if not _any(secrets, signature, f"{stamp}.".encode() + raw, "sha256"):
        return Untrusted(_WRONG)
    return _timely(int(stamp) / 1_000, now) or ""


def caas(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """`sha256=` and the hex HMAC-SHA256 of the body, which says until when it may be taken (`expiresAt`)."""
    kind, _, given = headers.get("x-caas-signature", "").partition("=")
    signature = _hex(given, 32)
    if kind != "sha256" or signature is None:
        return Untrusted("The header x-caas-signature is missing or not sha256= and hex.")
    if not _any(secrets, signature, raw, "sha256"):
        return Untrusted(_WRONG)
    try:
        expires_at = msgspec.json.decode(raw, type=_Expiring).expires_at
    except (msgspec.MsgspecError, RecursionError):
        return Untrusted("The body is not a JSON object whose expiresAt is a moment.", 400)
    if expires_at is not None and expires_at <= now:
        return Untrusted("The webhook has expired: expiresAt is past.")
    return ""


class _Expiring(msgspec.Struct, rename="camel"):
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            self.expires_at = self.expires_at.replace(tzinfo=UTC)


def buffr(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """The hex HMAC-SHA256 of the body; no time is signed. A retry is known by its idempotency key.

    The key is not signed either: it tells retries apart from news, and names nothing that is posted.
    """
    signature = _hex(headers.get("x-webhook-signature", ""), 32)
    if signature is None:
        return Untrusted("The header x-webhook-signature is missing or not the hex of 32 bytes.")
    if not _any(secrets, signature, raw, "sha256"):
        return Untrusted(_WRONG)
    key = headers.get("idempotency-key") or headers.get("x-idempotency-key") or ""
    key = key.strip().removeprefix('"').removesuffix('"')
    return f"key:{key}" if key else ""


def trueidentity(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """The hex HMAC-SHA256 of the body with the client's API key; no time is signed."""
    signature = _hex(headers.get("x-webhook-signature", ""), 32)
    if signature is None:
        return Untrusted("The header x-webhook-signature is missing or not the hex of 32 bytes.")
    return "" if _any(secrets, signature, raw, "sha256") else Untrusted(_WRONG)


def paystack(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """The hex HMAC-SHA512 of the body; no time is signed."""
    signature = _hex(headers.get("x-paystack-signature", ""), 64)
    if signature is None:
        return Untrusted("The header x-paystack-signature is missing or not the hex of 64 bytes.")
    return "" if _any(secrets, signature, raw, "sha512") else Untrusted(_WRONG)


def wise(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """The base64 RSA-SHA256 (PKCS #1 v1.5) of the body; the secrets are Wise's public keys in PEM.

    Its X-Delivery-Id is not signed, so it does not name the event.
    """
    signature = _base64(headers.get("x-signature-sha256", ""))
    if not signature:
        return Untrusted("The header x-signature-sha256 is missing or not base64.")
    for secret in secrets:
        try:
            _rsa(secret).verify(signature, raw, PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return ""
    return Untrusted(_WRONG)


def standard(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """Standard Webhooks 1.0.0: base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`; so the id is signed."""
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or not _STAMP.match(stamp):
        return Untrusted("The header webhook-id or webhook-timestamp is missing, or it is not in seconds.")
    versions = [one.partition(",") for one in headers.get("webhook-signature", "").split(" ")]
    given = [_base64(signature, 32) for version, _, signature in versions if version == "v1"]
    signed = f"{id}.{stamp}.".encode("latin-1", "replace") + raw
    keys = [base64.b64decode(secret.removeprefix(PREFIX)) for secret in secrets]
    good = False
    for signature in given:
        if signature is not None:
            good |= _any_key(keys, signature, signed, "sha256")
    if not good:
        return Untrusted("The header webhook-signature has no v1 signature that is right.")
    return _timely(int(stamp), now) or id


def stripe(secrets: Sequence[str], headers: Headers, raw: bytes, now: datetime) -> str | Untrusted:
    """Stripe's own library looks at the signature; we at its time, both ways: it knows only too late."""
    # Imported here: it brings a client of Stripe's whole API along, which the console has no use for.
    from stripe import SignatureVerificationError, WebhookSignature

    header = headers.get("stripe-signature", "")
    stamps = [value for name, _, value in (item.partition("=") for item in header.split(",")) if name == "t"]
    if not stamps or not _STAMP.match(stamps[0]):
        return Untrusted("The header Stripe-Signature is missing or has no time.", 400)
    good = False
    for secret in secrets:
        try:
            good |= WebhookSignature.verify_header(raw, header, secret)
        except UnicodeDecodeError:
            return Untrusted("The body is not UTF-8.", 400)
        except SignatureVerificationError:
            continue
    if not good:
        return Untrusted("The header Stripe-Signature has no v1 signature that is right.", 400)
    late = _timely(int(stamps[0]), now)
    return Untrusted(late.reason, 400) if late is not None else ""


# ---------------------------------------------------------------- parts

_WRONG = "The signature is not the one that this endpoint's secret makes."


def _any(secrets: Sequence[str], signature: bytes, signed: bytes, digest: str) -> bool:
    return _any_key([secret.encode() for secret in secrets], signature, signed, digest)


def _any_key(keys: Sequence[bytes], signature: bytes, signed: bytes, digest: str) -> bool:
    good = False
    for key in keys:
        good |= hmac.compare_digest(hmac.digest(key, signed, digest), signature)
    return good


def _timely(seconds: float, now: datetime) -> Untrusted | None:
    away = seconds - now.timestamp()
    if abs(away) > TOLERANCE.total_seconds():
        return Untrusted(
            f"The timestamp is {abs(away):.0f} s {'ahead of' if away > 0 else 'behind'} our clock."
        )
    return None


def _hex(text: str, length: int) -> bytes | None:
    return bytes.fromhex(text) if len(text) == 2 * length and _HEX.match(text) else None


def _base64(text: str, length: int | None = None) -> bytes | None:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if length is None or len(decoded) == length else None


def _rsa(pem: str) -> RSAPublicKey:
    try:
        key: Any = load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("`secret` must be an RSA public key in PEM")
    return key


# ---------------------------------------------------------------- secrets


def _check_text(secret: str) -> None:
    if not (secret.isascii() and secret.isprintable() and 16 <= len(secret) <= 255):
        raise ValueError("`secret` must be 16 to 255 printable ASCII characters")


def _check_stripe(secret: str) -> None:
    _check_text(secret)
    if not secret.startswith(PREFIX):
        raise ValueError("`secret` must be the signing secret that Stripe shows, whsec_...")


def _check_standard(secret: str) -> None:
    key = _base64(secret.removeprefix(PREFIX)) or b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("`secret` must be whsec_ and the base64 of 24 to 64 bytes")


def _check_rsa(secret: str) -> None:
    _rsa(secret)


def new_secret(scheme: Scheme) -> str:
    """A secret of ours, as whoever signs with it is told once (ValueError: only the provider makes them)."""
    if not scheme.ours:
        raise ValueError("`secret` is missing: this provider makes its own")
    made = chance.token_bytes(SECRET_BYTES)
    return PREFIX + base64.b64encode(made).decode() if scheme is STANDARD else made.hex()


KREDIT = Scheme(kredit, _check_text, ours=True)
CAAS = Scheme(caas, _check_text, ours=True)
BUFFR = Scheme(buffr, _check_text, ours=True)
TRUEIDENTITY = Scheme(trueidentity, _check_text, ours=False)
PAYSTACK = Scheme(paystack, _check_text, ours=False)
WISE = Scheme(wise, _check_rsa, ours=False)
STANDARD = Scheme(standard, _check_standard, ours=True)
STRIPE = Scheme(stripe, _check_stripe, ours=False)
