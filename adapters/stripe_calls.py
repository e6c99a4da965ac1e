"""Requests to Stripe that somebody waits for, by its official client; and what can go wrong with them.

A request that may have been carried out without an answer is safe to ask again with the same key: Stripe
keeps its answer for a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from adapters.adapter import text_at

if TYPE_CHECKING:
    from stripe import StripeError

TIMEOUT_SECONDS = 15.0
RETRIES = 1
LONGEST_MESSAGE = 500
_OVER = ("requires_payment_method", "canceled")


class StripeUnreachable(Exception):
    """Nothing is known: no answer, an error of Stripe's own, or too many requests."""


class StripeKeyRefused(Exception):
    """Stripe does not take our key, or not for this."""


class StripeKeyReused(Exception):
    """The idempotency key was used for another request."""


class StripeRefused(Exception):
    """Stripe does not do what it was asked. `param` is the parameter that is wrong, in Stripe's spelling."""

    def __init__(self, code: str, param: str, message: str) -> None:
        super().__init__(code, param, message)
        self.code, self.param, self.message = code, param, message


class StripeNotFound(StripeRefused):
    """Stripe has no such object."""


class StripeDeclined(StripeRefused):
    """The customer's bank does not pay; `code` is why, in Stripe's word; `payment` what it did not pay."""

    payment = ""


class StripeApi:
    """Stripe's API for one key. Threads may share it."""

    def __init__(self, key: str, address: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        """`address` instead of Stripe's own."""
        # Imported here: Stripe's client takes a while to load, and who has no key does without it.
        from stripe import RequestsClient, StripeClient

        addresses: Any = None if address is None else {"api": address}
        self._client = StripeClient(
            key,
            base_addresses=addresses,
            max_network_retries=RETRIES,
            http_client=RequestsClient(timeout=timeout),
        )

    def create_session(self, wanted: dict[str, Any], key: str) -> dict[str, Any]:
        """A Checkout session, made now or since it was asked for before (the errors of this module)."""
        sessions = self._client.v1.checkout.sessions
        return _asked(lambda: sessions.create(wanted, {"idempotency_key": key}))  # type: ignore[arg-type]

    def session(self, id: str) -> dict[str, Any]:
        """A Checkout session with its payment (the errors of this module)."""
        sessions = self._client.v1.checkout.sessions
        return _asked(lambda: sessions.retrieve(id, {"expand": ["payment_intent"]}))

    def invoice(self, id: str) -> dict[str, Any]:
        """An invoice with its payments (the errors of this module)."""
        return _asked(lambda: self._client.v1.invoices.retrieve(id, {"expand": ["payments"]}))

    def end_subscription(self, id: str, at_period_end: bool) -> dict[str, Any]:
        """A subscription that ends, now or with what is paid for (the errors of this module)."""
        subscriptions = self._client.v1.subscriptions
        if at_period_end:
            return _asked(lambda: subscriptions.update(id, {"cancel_at_period_end": True}))
        return _asked(lambda: subscriptions.cancel(id))

    def charge(self, wanted: dict[str, Any], key: str, since: datetime) -> dict[str, Any]:
        """A payment of a saved payment method, made now or since it was asked for before (likewise).

        A debit can take longer than Stripe keeps the key's answer. So the customer's payments `since` then
        are looked through first, for one of the same metadata that was not declined.
        """
        intents = self._client.v1.payment_intents
        asked: Any = {
            "customer": wanted["customer"],
            "created": {"gte": int(since.timestamp())},
            "limit": 100,
        }
        made = _found(lambda: intents.list(asked).auto_paging_iter(), wanted["metadata"])
        if made is not None:
            return made
        return _asked(lambda: intents.create(wanted, {"idempotency_key": key}))  # type: ignore[arg-type]


def _asked(request: Callable[[], Any]) -> dict[str, Any]:
    from stripe import StripeError

    try:
        answer: dict[str, Any] = request().to_dict()
    except StripeError as error:
        _raise(error)
    return answer


def _found(request: Callable[[], Iterable[Any]], metadata: dict[str, str]) -> dict[str, Any] | None:
    """The payment of these metadata that money may still come of, or has."""
    from stripe import StripeError

    try:
        bodies: Iterator[dict[str, Any]] = (one.to_dict() for one in request())
        return next(
            (b for b in bodies if b.get("metadata") == metadata and text_at(b, "status") not in _OVER), None
        )
    except StripeError as error:
        _raise(error)


def _raise(error: StripeError) -> NoReturn:
    import stripe

    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        raise StripeKeyRefused(type(error).__name__) from None
    if isinstance(error, stripe.IdempotencyError):
        raise StripeKeyReused from None
    said: Any = error.json_body
    told: Any = said.get("error") if isinstance(said, dict) else None
    message = (error.user_message or "")[:LONGEST_MESSAGE]
    if isinstance(error, stripe.CardError):
        declined = StripeDeclined(
            text_at(told, "decline_code") or error.code or "", error.param or "", message
        )
        declined.payment = text_at(told, "payment_intent", "id")
        raise declined from None
    if isinstance(error, stripe.InvalidRequestError):
        kind = StripeNotFound if error.http_status == 404 else StripeRefused
        raise kind(error.code or "", error.param or "", message) from None
    raise StripeUnreachable(type(error).__name__) from None
