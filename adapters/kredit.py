"""Kredit: what it asks the administration for. Daybook keeps what comes; there is no rule for it yet.

Its bodies have no event id. A request for a payment names itself (`request_id`), however a retry writes it;
the others are named by their bytes, which a retry repeats under a new timestamp and signature.
"""

from __future__ import annotations

from adapters.adapter import Adapter, Named, decode, hash_of, no_translation, text_at
from adapters.signatures import KREDIT


def parse(raw: bytes) -> Named:
    """The request's own id, which its event type makes unique, where there is one."""
    body = decode(raw)
    type, request = text_at(body, "event"), text_at(body, "request_id")
    return Named(f"{type}:{request}" if request else hash_of(raw), type, text_at(body, "tenant_id"))


ADAPTER = Adapter("kredit", KREDIT, parse, no_translation)
