"""The values in reports, which come from servers and are untrusted: each is validated and limited in size."""

from __future__ import annotations

import math
import re
from typing import Any, Final

_LARGEST_SCHEMA: Final = 32_767
_MAXIMUM_COUNTER: Final = 2**63 - 1
_ENDPOINT = re.compile(r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,15})?\]):[0-9]{1,5}")


class ReportInvalidError(ValueError):
    """A document that is not a valid report."""


def endpoint(value: object) -> str | None:
    """Return an address with a port, or None. Raises ReportInvalidError, as all of these do."""
    if value is None:
        return None
    if not isinstance(value, str) or not _ENDPOINT.fullmatch(value):
        raise ReportInvalidError("an endpoint is an address and a port")
    return value


def text(document: dict[Any, Any], name: str, pattern: re.Pattern[str]) -> str:
    """Return the text under `name` if it fully matches `pattern`."""
    value = document.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ReportInvalidError(f"{name} is malformed")
    return value


def count(value: object, name: str) -> int:
    """Return a whole number that fits in a column of the database."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAXIMUM_COUNTER:
        raise ReportInvalidError(f"{name} is a whole number")
    return value


def schema(value: object) -> int:
    """Return the number of a schema."""
    number = count(value, "schema")
    if number > _LARGEST_SCHEMA:
        raise ReportInvalidError("schema is a small number")
    return number


def seconds(value: object, name: str) -> float:
    """Return a time or a duration."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not 0 <= value < 1e12
    ):
        raise ReportInvalidError(f"{name} is a number")
    return float(value)
