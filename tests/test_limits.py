"""Rate limits: counted for each key and each tenant, told in every answer, refused with a time to wait."""

from __future__ import annotations

import re

import pytest

from api.access.limits import RateLimits, RateSettings, TooMany
from api.access.scopes import Principal

NOBODY_ELSE = frozenset[str]()


def principal(actor: str, tenant: str = "default") -> Principal:
    return Principal(tenant=tenant, actor=actor, scopes=NOBODY_ELSE)


def remaining(limits: RateLimits, who: Principal) -> list[tuple[str, int]]:
    """What is left after a request, by limit."""
    headers = dict(limits.take(who))
    return [
        (name, int(left))
        for name, left in re.findall(r'"(\w+)";r=(\d+);t=\d+', headers[b"ratelimit"].decode())
    ]


def test_without_settings_nothing_is_counted() -> None:
    """No header, no refusal."""
    limits = RateLimits(RateSettings())
    assert all(limits.take(principal("key:a")) == () for _ in range(1_000))


def test_each_key_and_each_tenant_has_its_own_count() -> None:
    """A key that has used its share leaves another key of the tenant its own, but not the tenant's."""
    limits = RateLimits(RateSettings("3/hour", "5/hour"))
    first, second, other = principal("key:a"), principal("key:b"), principal("key:a", "acme")
    assert remaining(limits, first) == [("key", 2), ("tenant", 4)]
    assert remaining(limits, first) == [("key", 1), ("tenant", 3)]
    assert remaining(limits, second) == [("key", 2), ("tenant", 2)]
    assert remaining(limits, first) == [("key", 0), ("tenant", 1)]
    with pytest.raises(TooMany) as refused:
        limits.take(first)
    assert refused.value.limit == "key"
    assert remaining(limits, second) == [("key", 1), ("tenant", 0)]
    with pytest.raises(TooMany) as refused:
        limits.take(second)
    assert refused.value.limit == "tenant"
    assert remaining(limits, other) == [("key", 2), ("tenant", 4)]


def test_a_refusal_says_how_long_to_wait() -> None:
    """Whole seconds within the window, and the same policy as every answer."""
    limits = RateLimits(RateSettings("1/minute"))
    policy, _ = limits.take(principal("key:a"))
    assert policy == (b"ratelimit-policy", b'"key";q=1;w=60')
    with pytest.raises(TooMany) as refused:
        limits.take(principal("key:a"))
    assert 1 <= refused.value.retry_after <= 60
    assert refused.value.headers[0] == policy
    assert re.fullmatch(rb'"key";r=0;t=\d+', refused.value.headers[1][1])


@pytest.mark.parametrize("rate", ["", "many", "10", "10/fortnight", "-1/minute"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    """At start-up, not at the first request."""
    with pytest.raises(ValueError, match=r".*"):
        RateLimits(RateSettings(rate))
