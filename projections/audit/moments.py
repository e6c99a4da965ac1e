"""Moments as they must stand in a body: UTC, six decimals, one spelling, so that they sort as text."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

_form = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


@lru_cache(maxsize=4_096)
def is_moment(text: object) -> bool:
    """Whether this is a moment in its one spelling."""
    if not isinstance(text, str) or _form.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
