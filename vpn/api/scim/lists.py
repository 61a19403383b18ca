"""Lists: filter, pages by index, and which attributes are shown (RFC 7644, 3.4.2 and 3.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from vpn.api.scim.faults import Fault, answer
from vpn.api.scim.filters import parse_filter
from vpn.api.scim.matching import Condition, within

MOST_ROWS: Final = 1000
DEFAULT_ROWS: Final = 100
_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
# Always shown.
_ALWAYS: Final = frozenset({"id", "schemas"})


class Shown:
    """The attributes that a call asks for."""

    def __init__(self, request: HttpRequest) -> None:
        self._wanted = _names(request, "attributes")
        self._unwanted = _names(request, "excludedAttributes")
        if self._wanted and self._unwanted:
            raise Fault(400, "invalidValue", "Send either “attributes” or “excludedAttributes”.")

    def has(self, name: str) -> bool:
        """Is any part of an attribute shown?"""
        lower = name.lower()
        if lower in _ALWAYS:
            return True
        if self._wanted:
            return any(one == lower or one.startswith(f"{lower}.") for one in self._wanted)
        return lower not in self._unwanted

    def of(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """The resource as the call asks for it."""
        return {name: self._part(name.lower(), value) for name, value in resource.items() if self.has(name)}

    def _part(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._part(name, one) for one in value]
        if not isinstance(value, dict) or name in self._wanted:
            return value
        if self._wanted:
            return {key: one for key, one in value.items() if f"{name}.{key.lower()}" in self._wanted}
        return {key: one for key, one in value.items() if f"{name}.{key.lower()}" not in self._unwanted}


def listed(
    request: HttpRequest,
    rows: QuerySet[Any],
    known: Mapping[str, Condition],
    show: Callable[[Sequence[Any], Shown], list[dict[str, Any]]],
) -> HttpResponse:
    """One page of the rows that the filter chooses, oldest first."""
    filtered = request.GET.get("filter")
    found = within(rows, None if filtered is None else parse_filter(filtered), known)
    start = max(1, _number(request, "startIndex", 1))
    count = min(MOST_ROWS, max(0, _number(request, "count", DEFAULT_ROWS)))
    shown = Shown(request)
    total = found.count()
    page = list(found.order_by("created_at", "pk")[start - 1 : start - 1 + count]) if count else []
    return answer(listing([shown.of(one) for one in show(page, shown)], total, start))


def listing(resources: Sequence[Mapping[str, Any]], total: int, start: int = 1) -> dict[str, Any]:
    """The body of a list."""
    counts = {"totalResults": total, "itemsPerPage": len(resources), "startIndex": start}
    return {"schemas": [_SCHEMA], **counts, "Resources": list(resources)}


def _names(request: HttpRequest, parameter: str) -> set[str]:
    texts = (text.strip().lower() for text in request.GET.get(parameter, "").split(","))
    # A name may have its schema before it: urn:…:User:userName.
    return {text.rpartition(":")[2] for text in texts if text}


def _number(request: HttpRequest, parameter: str, default: int) -> int:
    try:
        # No list is longer, and no database takes larger offsets.
        return min(int(request.GET.get(parameter, default)), 10**9)
    except ValueError:
        raise Fault(400, "invalidValue", f"“{parameter}” is a whole number.") from None
