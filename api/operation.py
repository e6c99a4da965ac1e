"""An operation: one method of one path, and all that its route and its part of the document are made from."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

import msgspec

from api.access.scopes import Scope
from api.examples import EXAMPLES
from api.handlers import Handler
from api.http import JSON, NoQuery

OperationScope = Literal["none"] | Scope
Tag = Literal[
    "Ledgers",
    "Accounts",
    "Transactions",
    "Periods",
    "Reports",
    "Proofs",
    "Projections",
    "Jobs",
    "Webhooks",
    "Credits",
    "Payments",
    "Loans",
    "Credit providers",
    "Inbox",
    "Vouchers",
    "Reconciliation",
    "Kredit",
    "Access",
    "Approvals",
    "Service",
]

# What may come of every operation, of every one with a body or a ledger, of every command, of every read.
_ALWAYS = ("invalid_request", "internal_error")
_LEDGER = ("ledger_not_found",)
_BODY = ("payload_too_large", "unsupported_media_type")
_DATABASE = ("unavailable", "overloaded")
_ACCESS = ("unauthenticated", "forbidden", "too_many_requests")
_SIGNED = (
    "provider_not_found",
    "webhook_unreadable",
    "webhook_signature_bad",
    "webhook_untrusted",
    "webhooks_closed",
    "secrets_unavailable",
    "idempotency_key_reused",
)
_MIN_SEQ = ("projection_behind", "projection_stopped")
_COMMAND = ("idempotency_key_reused", "event_too_large", "clock_behind")
# What comes of dating a command, and of posting to accounts.
POSTING = (
    "asset_not_in_chart",
    "account_not_in_chart",
    "account_closed",
    "asset_not_allowed",
    "account_of_product",
    "condition_unknown",
    "nothing_available",
    "amount_overflow",
    "insufficient_available",
    "max_balance_exceeded",
    "condition_failed",
    "approval_required",
)
DATED = ("effective_at_in_future", "original_not_earlier", "period_closed")


class Operation:
    """One method of one path. `status`, `media` and `answer` (bytes: as they are) are those of success.

    `signed`: a webhook, whose signature is its credentials, and whose body is nobody's but the provider's.
    `told`: what stands in it, where only one thing can.
    `uploads`: the media types of a file that is its body.
    """

    def __init__(
        self,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        path: str,
        id: str,
        summary: str,
        *,
        tag: Tag,
        scope: OperationScope,
        handler: Handler,
        answer: type,
        status: int = 200,
        body: type | None = None,
        optional_body: bool = False,
        query: type[Any] = NoQuery,
        codes: tuple[str, ...] = (),
        location: str | None = None,
        description: str = "",
        keyed: bool = True,
        media: bytes = JSON,
        feed: bool = False,
        signed: bool = False,
        told: type | None = None,
        uploads: tuple[bytes, ...] = (),
    ) -> None:
        self.method = method
        self.path = path
        self.id = id
        self.summary = summary
        self.tag = tag
        self.scope = scope
        self.handler = handler
        self.answer = answer
        self.status = status
        self.body = body
        self.empty_body = b"{}" if optional_body else b""
        self.query = query
        self.location = location
        self.description = description
        self.feed = feed
        self.signed = signed
        self.told = told
        self.uploads = uploads
        self.example: Any = EXAMPLES.get(id, {}).get("body")
        self.answer_example: Any = EXAMPLES.get(id, {}).get("answer")
        self._codes = codes
        self._keyed = keyed
        self.media = media

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Of the body."""
        return msgspec.json.Decoder(self.body)

    @cached_property
    def located_by(self) -> tuple[str, ...]:
        """The members of the body that `location` names."""
        names = re.findall(r"\{(\w+)\}", self.location or "")
        return tuple(
            name for name in names if name not in ("ledger", "seq") and f"{{{name}}}" not in self.path
        )

    @property
    def optional_body(self) -> bool:
        """Whether no body means `{}`."""
        return bool(self.empty_body)

    @property
    def keyed(self) -> bool:
        """Whether it takes an Idempotency-Key: every command does, what asks for a job does not."""
        return self.body is not None and self._keyed

    @property
    def codes(self) -> tuple[str, ...]:
        """Every problem that may come of it."""
        codes = _ALWAYS + self._codes
        if "{ledger}" in self.path:
            codes += _LEDGER
        if self.body is not None or self.signed or self.uploads:
            codes += _BODY
        if self.keyed:
            codes += _COMMAND
        if "min_seq" in self.query.__struct_fields__:
            codes += _MIN_SEQ
        if "incarnation" in self.query.__struct_fields__:
            codes += ("incarnation_ended",)
        if self.signed:
            codes += _DATABASE + _SIGNED
        if self.scope != "none":
            codes += _DATABASE + _ACCESS
        return codes
