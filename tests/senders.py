"""Providers for the tests: each signs a body as its own documents say. Shares no code with what verifies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature

Sign = Callable[[str, bytes, float], dict[str, str]]

WISE_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
WISE_PEM = (
    WISE_KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

SECRETS = {
    "stripe": "whsec_test_of_the_stripe_scheme",
    "paystack": "sk_test_0123456789abcdef",
    "kredit": "kredit-secret-0123456789",
    "caas": "caas-secret-0123456789",
    "buffr": "buffr-secret-0123456789",
    "trueidentity": "ts_live_0123456789abcdef",
    "standard": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    "wise": WISE_PEM,
}
OTHERS = {
    "stripe": "whsec_another_secret_of_stripe",
    "standard": "whsec_" + base64.b64encode(bytes(range(1, 33))).decode(),
    "wise": rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode(),
}


def other(provider: str) -> str:
    """A good secret that is not the provider's."""
    return OTHERS.get(provider, "another-secret-0123456789")


def mac(secret: str, signed: bytes, digest: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), signed, getattr(hashlib, digest)).digest()


def stripe(secret: str, body: bytes, at: float) -> dict[str, str]:
    return {
        "Stripe-Signature": WebhookSignature.generate_signature_header(
            body.decode(), secret, timestamp=int(at)
        )
    }


def kredit(secret: str, body: bytes, at: float) -> dict[str, str]:
    stamp = str(int(at * 1_000))
    signature = base64.b64encode(mac(secret, stamp.encode() + b"." + body)).decode()
    return {"x-kredit-signature": signature, "x-kredit-timestamp": stamp}


def kredit_in_hex(secret: str, body: bytes, at: float) -> dict[str, str]:
    stamp = str(int(at * 1_000))
    return {
        "x-kredit-signature": mac(secret, stamp.encode() + b"." + body).hex(),
        "x-kredit-timestamp": stamp,
    }


def caas(secret: str, body: bytes, at: float) -> dict[str, str]:
    return {"x-caas-signature": "sha256=" + mac(secret, body).hex()}


def buffr(secret: str, body: bytes, at: float) -> dict[str, str]:
    return {"x-webhook-signature": mac(secret, body).hex()}


def paystack(secret: str, body: bytes, at: float) -> dict[str, str]:
    return {"x-paystack-signature": mac(secret, body, "sha512").hex()}


def wise(secret: str, body: bytes, at: float) -> dict[str, str]:
    """With the one private key, whatever the secret."""
    signature = WISE_KEY.sign(body, padding.PKCS1v15(), hashes.SHA256())
    return {"X-Signature-SHA256": base64.b64encode(signature).decode(), "X-Delivery-Id": str(time.time_ns())}


def standard(secret: str, body: bytes, at: float, id: str = "msg_1") -> dict[str, str]:
    moment = datetime.fromtimestamp(at, UTC)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(secret).sign(id, moment, body.decode()),
    }


SIGN: dict[str, Sign] = {
    "stripe": stripe,
    "kredit": kredit,
    "caas": caas,
    "buffr": buffr,
    "trueidentity": buffr,
    "paystack": paystack,
    "wise": wise,
    "standard": standard,
}
# The schemes that sign a time; the others cannot tell an old webhook from a new one.
TIMED = ("stripe", "kredit", "standard")


def signed(provider: str, body: bytes, secret: str | None = None, at: float | None = None) -> dict[str, str]:
    """The headers that a provider sends with a body."""
    return SIGN[provider](secret or SECRETS[provider], body, time.time() if at is None else at)
