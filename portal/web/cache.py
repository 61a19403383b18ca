"""A cache in Redis with a fallback: while Redis is unreachable, counters are kept in this process.

It counts for the rate limits of signing in. Without Redis, users can still sign in, and the limits still apply. Values
are JSON: with pickle, a process that can write to Redis could run code in the portal.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
# Seconds before Redis is tried again after a failure, so that not every call waits for a hanging Redis.
_PAUSE = 5.0
# Django asks whether the counter is there, then counts: two requests, and one that ends between them stays for ever.
_COUNT_IF_THERE: Final = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('INCRBY', KEYS[1], ARGV[1]) end"


class NotJson(ValueError):
    """The value in Redis was not written by the portal."""


class JsonSerializer:
    """Serializer for Django's Redis cache. Integers are stored as numbers, so that Redis can count."""

    def dumps(self, value: Any) -> int | bytes:
        """Return the value as JSON. Raises TypeError for other types, such as a set or a model."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes | str | int) -> Any:
        """Return the value of JSON data. Raises NotJson."""
        try:
            return json.loads(data) if isinstance(data, bytes | str) else data
        except (ValueError, RecursionError):
            raise NotJson from None


class ReusingClient(RedisCacheClient):
    """Django's client with one object for each server, where Django makes one for each request; counts in one request.

    These objects are safe for threads, and their pools for forks (redis-py's documentation).
    """

    def __init__(self, servers: list[str], **options: Any) -> None:
        super().__init__(servers, **options)
        self._clients: dict[int, Redis] = {}

    def get_client(self, key: Any = None, *, write: bool = False) -> Redis:
        """Return the client of the server that has the key."""
        index: int = self._get_connection_pool_index(write)  # type: ignore[attr-defined]  # its stubs leave it out
        client = self._clients.get(index)
        if client is None:
            client = self._clients[index] = super().get_client(key, write=write)
        return client

    def incr(self, key: Any, delta: int) -> int:
        """Increment a counter. Raises ValueError if there is none."""
        found = self.get_client(key, write=True).eval(_COUNT_IF_THERE, 1, key, delta)
        if found is None:
            raise ValueError("There is no such counter")
        return int(found)


class TolerantRedisCache(RedisCache):
    """Django's Redis cache with a cache in memory behind it."""

    _away_until = 0.0

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {"socket_timeout": 1, "socket_connect_timeout": 1, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": {**options, "serializer": JsonSerializer}})
        self._class = ReusingClient
        self._memory = LocMemCache(
            "portal.web.cache", {key: value for key, value in params.items() if key != "OPTIONS"}
        )

    def _try(self, ask: Callable[[], Answer], fall_back: Callable[[], Answer]) -> Answer:
        if time.monotonic() < TolerantRedisCache._away_until:
            return fall_back()
        try:
            return ask()
        except (RedisError, OSError) as error:
            TolerantRedisCache._away_until = time.monotonic() + _PAUSE
            logger.warning("Redis does not answer (%s): the cache is in memory for now", type(error).__name__)
            return fall_back()
        except NotJson:
            # Treat it as missing, so limits start at zero. The value may be anything, so it is not logged.
            logger.warning("A value in the cache is not JSON, and was not read")
            return fall_back()

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        """Store a value if there is none; return True if it was stored."""
        return self._try(
            lambda: super(TolerantRedisCache, self).add(key, value, *args, **kwargs),
            lambda: self._memory.add(key, value, *args, **kwargs),
        )

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the stored value, else the default."""
        return self._try(
            lambda: super(TolerantRedisCache, self).get(key, *args, **kwargs),
            lambda: self._memory.get(key, *args, **kwargs),
        )

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        """Store."""
        self._try(
            lambda: super(TolerantRedisCache, self).set(key, value, *args, **kwargs),
            lambda: self._memory.set(key, value, *args, **kwargs),
        )

    def get_many(self, keys: Any, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Return the stored ones of these keys, in one request."""
        asked = list(keys)
        return self._try(
            lambda: super(TolerantRedisCache, self).get_many(asked, *args, **kwargs),
            lambda: self._memory.get_many(asked, *args, **kwargs),
        )

    def set_many(self, data: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Store several values in one request; return the keys that were not stored."""
        return self._try(
            lambda: super(TolerantRedisCache, self).set_many(data, *args, **kwargs),
            lambda: self._memory.set_many(data, *args, **kwargs),
        )

    def incr(self, key: Any, *args: Any, **kwargs: Any) -> int:
        """Increment a counter. Raises ValueError if there is none."""
        return self._try(
            lambda: super(TolerantRedisCache, self).incr(key, *args, **kwargs),
            lambda: self._count_in_memory(key, *args, **kwargs),
        )

    def _count_in_memory(self, key: Any, *args: Any, **kwargs: Any) -> int:
        # A counter that was in Redis starts at zero here, instead of raising an error.
        self._memory.add(key, 0)
        return self._memory.incr(key, *args, **kwargs)

    def delete(self, key: Any, *args: Any, **kwargs: Any) -> bool:
        """Delete a value; return True if there was one."""
        return self._try(
            lambda: super(TolerantRedisCache, self).delete(key, *args, **kwargs),
            lambda: self._memory.delete(key, *args, **kwargs),
        )
