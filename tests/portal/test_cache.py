"""The cache while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from portal.web.cache import TolerantRedisCache


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[TolerantRedisCache]:
    """A cache whose Redis is not there."""
    monkeypatch.setattr(TolerantRedisCache, "_away_until", 0.0)
    cache = TolerantRedisCache("unix:///nonexistent/redis.sock", {})
    yield cache
    cache._memory.clear()


def test_it_remembers_and_forgets(cache: TolerantRedisCache) -> None:
    assert cache.get("a", "nothing") == "nothing"
    assert cache.add("a", 1) is True
    assert cache.add("a", 2) is False
    assert cache.get("a") == 1
    cache.set("a", 3)
    assert cache.get("a") == 3
    assert cache.delete("a") is True
    assert cache.get("a") is None


def test_a_counter_that_redis_went_away_with_begins_anew(cache: TolerantRedisCache) -> None:
    assert [cache.incr("count"), cache.incr("count")] == [1, 2]


def test_a_redis_that_failed_is_left_alone_for_a_while(
    cache: TolerantRedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def hang(*args: object, **kwargs: object) -> None:
        asked.append(time.monotonic())
        raise redis.TimeoutError

    monkeypatch.setattr("django.core.cache.backends.redis.RedisCacheClient.get", hang)
    for _ in range(20):
        cache.get("a")
    assert len(asked) == 1
