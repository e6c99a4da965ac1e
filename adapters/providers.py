"""The providers that Daybook takes webhooks from, by the name that stands in the path."""

from __future__ import annotations

from adapters import buffr, caas, kredit, paystack, stripe, trueidentity
from adapters.adapter import Adapter, members, no_translation
from adapters.signatures import STANDARD, WISE

ADAPTERS: dict[str, Adapter] = {
    adapter.provider: adapter
    for adapter in (
        stripe.ADAPTER,
        paystack.ADAPTER,
        Adapter("wise", WISE, members((), ("event_type",), ("data", "resource", "id")), no_translation),
        kredit.ADAPTER,
        trueidentity.ADAPTER,
        caas.ADAPTER,
        buffr.ADAPTER,
        # For whoever has no scheme of their own: the id is the header's, which is signed.
        Adapter("standard", STANDARD, members((), ("type",), ()), no_translation),
    )
}


class ProviderNotFound(LookupError):
    """No provider has this name."""


def adapter(provider: str) -> Adapter:
    """The adapter of a provider (ProviderNotFound)."""
    try:
        return ADAPTERS[provider]
    except KeyError:
        raise ProviderNotFound(provider) from None
