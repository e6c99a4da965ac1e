"""The time zones that a ledger may have: IANA's names, whatever spelling this machine would also accept."""

from functools import cache
from zoneinfo import available_timezones


@cache
def time_zones() -> frozenset[str]:
    """Their names, without `localtime`, which is whatever the machine has."""
    return frozenset(available_timezones() - {"localtime"})
