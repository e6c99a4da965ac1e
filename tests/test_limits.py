"""Rate limits: counted for each key and each tenant, told in every answer, refused with a time to wait."""

from __future__ import annotations

import re

import pytest
from websockets.sync.client import connect

from api.access.gate import AccessSettings
from api.access.limits import RateLimits, RateSettings, TooMany
from api.access.scopes import Principal
from tests.feeds import STREAM
from tests.keys import make_key
from tests.served import move, served

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


def test_every_answer_says_what_is_left(database: str) -> None:
    """Pages, problems and feeds alike; then 429 with the seconds to wait, for this key alone."""
    access = AccessSettings(rates=RateSettings("5/hour", "1000/hour"))
    with served(database, access=access) as service:
        busy = {"authorization": f"Bearer {make_key(database, 'admin')}"}
        book = service.open()
        assert service.call("GET", book.path, headers=busy).headers["ratelimit"].startswith('"key";r=4;t=')
        missing = service.call("GET", "/v1/ledgers/nothing", headers=busy)
        assert (missing.status_code, missing.headers["ratelimit"].split(";")[1]) == (404, "r=3")
        with service.client.stream("GET", f"{book.path}/events", headers=STREAM | busy) as feed:
            assert feed.headers["ratelimit"].split(";")[1] == "r=2"
            assert feed.headers["ratelimit-policy"] == '"key";q=5;w=3600, "tenant";q=1000;w=3600'
        with connect(
            service.base.replace("http", "ws", 1) + f"{book.path}/events", additional_headers=busy
        ) as socket:
            assert socket.response is not None
            assert socket.response.headers["ratelimit"].split(";")[1] == "r=1"
        assert service.call("GET", book.path, headers=busy).status_code == 200
        refused = book.call("POST", "/transactions", move("cash", "fx", 1), headers=busy)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 3_600
        assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
        assert book.head() == 1
