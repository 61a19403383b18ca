"""For how long rows are kept, in days."""

from __future__ import annotations

from typing import Final

import environ
from django.core.exceptions import ImproperlyConfigured

_MOST_DAYS: Final = 36_500


def read_days(env: environ.Env, name: str, default: int, least: int) -> int:
    """A number of days from the environment, between `least` and a hundred years."""
    days: int = env.int(name, default=default)
    if not least <= days <= _MOST_DAYS:
        raise ImproperlyConfigured(f"{name} is {days}; choose {least} to {_MOST_DAYS:,} days")
    return days
