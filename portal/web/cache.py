"""A cache in Redis that may be away: counters then live in this process until Redis answers again.

Rate limits of signing in are counted here. Without Redis users can still sign in, and the limits still hold. Values are
JSON: a pickle would let a process that can write to Redis run code in the portal.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
# Seconds until Redis is asked again after it failed: a Redis that hangs must not cost every call its timeout.
_PAUSE = 5.0


class NotJson(ValueError):
    """Redis holds something at this key that the portal did not write."""


class JsonSerializer:
    """What Django's Redis cache writes and reads values with; whole numbers stay numbers, so that Redis can count."""

    def dumps(self, value: Any) -> int | bytes:
        """Raises TypeError for what is not JSON, such as a set or a model."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes | str | int) -> Any:
        """Raises NotJson."""
        try:
            return json.loads(data) if isinstance(data, bytes | str) else data
        except (ValueError, RecursionError):
            raise NotJson from None


class TolerantRedisCache(RedisCache):
    """Django's Redis cache with a cache in memory behind it."""

    _away_until = 0.0

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {"socket_timeout": 1, "socket_connect_timeout": 1, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": {**options, "serializer": JsonSerializer}})
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
            # Not there, then: limits count anew. The value itself may be anything, so it is not logged.
            logger.warning("A value in the cache is not JSON, and was not read")
            return fall_back()

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        """Store where nothing is stored yet; says whether it did."""
        return self._try(
            lambda: super(TolerantRedisCache, self).add(key, value, *args, **kwargs),
            lambda: self._memory.add(key, value, *args, **kwargs),
        )

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        """What is stored, else the default."""
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

    def incr(self, key: Any, *args: Any, **kwargs: Any) -> int:
        """Count up; ValueError where nothing is stored."""
        return self._try(
            lambda: super(TolerantRedisCache, self).incr(key, *args, **kwargs),
            lambda: self._count_in_memory(key, *args, **kwargs),
        )

    def _count_in_memory(self, key: Any, *args: Any, **kwargs: Any) -> int:
        # What Redis went away with begins anew here, instead of being an error.
        self._memory.add(key, 0)
        return self._memory.incr(key, *args, **kwargs)

    def delete(self, key: Any, *args: Any, **kwargs: Any) -> bool:
        """Forget; says whether there was anything."""
        return self._try(
            lambda: super(TolerantRedisCache, self).delete(key, *args, **kwargs),
            lambda: self._memory.delete(key, *args, **kwargs),
        )
