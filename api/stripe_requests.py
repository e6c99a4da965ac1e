"""Requests to Stripe that a caller waits for: in threads of their own, since Stripe may be slow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from adapters.stripe_calls import StripeApi
from api.settings import StripeSettings
from ledger.errors import Overloaded

T = TypeVar("T")

AT_ONCE = 8
MOST_WAITING = 100


class StripeRequests:
    """Stripe's API for the coroutines of one event loop. `app_url`: where customers come back to."""

    def __init__(self, settings: StripeSettings) -> None:
        self.app_url = settings.app_url
        self._api = StripeApi(settings.secret_key, settings.address)
        self._limiter = CapacityLimiter(AT_ONCE)

    async def ask(self, question: Callable[[StripeApi], T]) -> T:
        """Run what asks Stripe (Overloaded, the errors of `adapters.stripe_calls`)."""
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} wait for Stripe")
        return await to_thread.run_sync(partial(question, self._api), limiter=self._limiter)
