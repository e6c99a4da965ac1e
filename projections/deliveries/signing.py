"""How a message is written and signed, by scheme.

`standard` is Standard Webhooks 1.0.0; `sha256` is the scheme of the CaaS platform (`x-caas-signature`);
`trueidentity` that of TrueStack Admin to Kredit. The first is for new endpoints; the others are for systems
that exist. Time is signed by the first and the last, so that an old message cannot be sent again by others.
`kredit` is signed as `trueidentity`, and sends callbacks in Kredit's own form, each to its own address.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from ledger.events import Event
from ledger.providers import telling

Scheme = Literal["standard", "sha256", "trueidentity", "kredit"]

PREFIX = "whsec_"
SECRET_BYTES = 32


class Message(Struct, frozen=True):
    """What is sent: the same for every attempt."""

    id: str
    type: str
    body: bytes


class _Envelope(Struct, frozen=True):
    id: str
    type: str
    timestamp: str
    ledger: str
    seq: int
    data: Raw


class _CaasEnvelope(Struct, frozen=True, rename="camel"):
    event_id: str
    event_type: str
    timestamp: str
    ledger: str
    seq: int
    data: Raw


# What the CaaS platform calls our events; the others it hears of by our names.
CAAS_NAMES = {
    "loan_application_submitted": "credit.application.submitted",
    "loan_approved": "credit.application.approved",
    "loan_offer_accepted": "credit.application.approved",
    "loan_disbursed": "credit.disbursement.completed",
    "loan_repayment_due": "credit.repayment.due",
    "loan_repayment_missed": "credit.repayment.missed",
    "collection_case_opened": "credit.collection.initiated",
    "loan_payment_processed": "payment.processed",
    "loan_payment_failed": "payment.failed",
}


class _ProviderEnvelope(Struct, frozen=True, rename="camel", omit_defaults=True):
    event_id: str
    event_type: str
    provider_id: str
    timestamp: str
    data: dict[str, Any]
    expires_at: str = ""


def message_id(subscription: str, incarnation: int, seq: int) -> str:
    """One for each event, subscription and life of the ledger, for ever."""
    return f"msg_{subscription.replace('-', '')}_{incarnation}_{seq}"


def new_secret(scheme: Scheme) -> str:
    """A secret, as its owner gets to see it once."""
    made = secrets.token_bytes(SECRET_BYTES)
    return PREFIX + base64.b64encode(made).decode() if scheme == "standard" else made.hex()


def check_secret(scheme: Scheme, secret: str) -> None:
    """A secret that somebody brings along (ValueError)."""
    if scheme == "standard":
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
            raise ValueError("`secret` must be whsec_ and the base64 of 24 to 64 bytes")
    elif not (secret.isascii() and secret.isprintable() and 16 <= len(secret) <= 255):
        raise ValueError("`secret` must be 16 to 255 printable ASCII characters")


def envelope(
    scheme: Scheme, id: str, type: str, recorded_at: str, ledger: str, seq: int, event: bytes
) -> bytes:
    """The body of a message: `data` is the event exactly as it is stored."""
    if scheme == "sha256":
        named = CAAS_NAMES.get(type, type)
        return msgspec.json.encode(_CaasEnvelope(id, named, recorded_at, ledger, seq, Raw(event)))
    return msgspec.json.encode(_Envelope(id, type, recorded_at, ledger, seq, Raw(event)))


def to_provider(id: str, recorded_at: str, provider: str, event: Event) -> Message:
    """What a credit provider is sent of an event, whatever the scheme of its signature."""
    told = telling.told(event, provider)
    made = _ProviderEnvelope(id, told.event_type, provider, recorded_at, told.data, told.expires_at)
    return Message(id, told.event_type, msgspec.json.encode(made))


def headers(scheme: Scheme, keys: Sequence[str], message: Message, now: datetime) -> dict[str, str]:
    """The headers that say whose it is; `keys` are the secrets in force, the newest first.

    Only Standard Webhooks has room for a signature of each; the others are signed with the newest.
    """
    if scheme == "standard":
        stamp = str(int(now.timestamp()))
        signed = f"{message.id}.{stamp}.".encode() + message.body
        signatures = [
            "v1," + base64.b64encode(_mac(base64.b64decode(key.removeprefix(PREFIX)), signed)).decode()
            for key in keys
        ]
        return {
            "webhook-id": message.id,
            "webhook-timestamp": stamp,
            "webhook-signature": " ".join(signatures),
        }
    if scheme == "sha256":
        return {"x-caas-signature": f"sha256={_mac(keys[0].encode(), message.body).hex()}"}
    stamp = str(int(now.timestamp() * 1_000))
    signature = base64.b64encode(_mac(keys[0].encode(), f"{stamp}.".encode() + message.body)).decode()
    return {
        "x-trueidentity-signature": signature,
        "x-trueidentity-timestamp": stamp,
        "X-TrueStack-Event": message.type,
    }


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")
