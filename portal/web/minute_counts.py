"""Counters per minute of the clock, for example for calls of a token or pages of an account.

They are in the cache, where Redis counts atomically. Without Redis, requests are answered and not counted.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
_WINDOW: Final = 60  # seconds


def count(name: str) -> int:
    """Add one and return the count of this minute; 0 if counting is not possible."""
    try:
        return _counted(_key(name))
    except (RedisError, OSError, ValueError) as error:
        logger.warning("What %s is not counted: %s", name.partition(":")[0], type(error).__name__)
        return 0


def counted(name: str) -> int:
    """Return the count of this minute so far."""
    try:
        return int(cache.get(_key(name), 0))
    except (RedisError, OSError):
        return 0


def seconds_left() -> int:
    """Return the seconds until the next minute begins; at least 1."""
    now = time.time()
    return max(1, round((now // _WINDOW + 1) * _WINDOW - now))


def _counted(key: str) -> int:
    """Increment atomically; the first call of a minute creates the counter."""
    try:
        return int(cache.incr(key))
    except ValueError:
        return 1 if cache.add(key, 1, _WINDOW * 2) else int(cache.incr(key))


def _key(name: str) -> str:
    return f"minute:{name}:{int(time.time() // _WINDOW)}"
