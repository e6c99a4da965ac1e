"""When a message is tried again, and when an endpoint is given up. Pure: moments and chance come in.

The delays are those of the Standard Webhooks specification: after the first attempt 5 s, 5 min, 30 min, 2 h,
5 h, 10 h, 14 h, 20 h and 24 h, each counted from the attempt before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

DELAYS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
ATTEMPTS = len(DELAYS) + 1
JITTER = 0.1  # of the delay, at most, added
LONGEST_RETRY_AFTER = timedelta(hours=24)
GIVES_UP_AFTER = timedelta(days=5)


def next_attempt(
    made: int, now: datetime, chance: float, retry_after: timedelta | None = None
) -> datetime | None:
    """When to try again after `made` attempts have failed, the last one now; None: never.

    `chance` is in [0, 1). What the endpoint asks for counts where it is later, for a day at most.
    """
    if made >= ATTEMPTS:
        return None
    delay = DELAYS[made - 1]
    jittered = delay * (1 + JITTER * chance)
    if retry_after is not None:
        jittered = max(jittered, min(retry_after, LONGEST_RETRY_AFTER))
    return now + jittered


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Retry-After as a span: seconds or an HTTP date (RFC 9110, section 10.2.3); None: it is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:10]), 10**9))
    try:
        moment = parsedate_to_datetime(value)
        return max(moment.astimezone(UTC) - now, timedelta())
    except (ValueError, TypeError, OverflowError):
        return None


def gives_up(failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint that has failed since then, with no success in between, is to be disabled."""
    return now - failing_since >= GIVES_UP_AFTER
