"""A parsed filter, as a condition on rows and on the items of a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from vpn.api.scim.faults import Fault
from vpn.api.scim.filters import Compare, Every, Node, Not, Some, Within

# Returns the condition for an operator and a value.
Condition: TypeAlias = Callable[[str, Any], Q]
NONE: Final = Q(pk__in=[])
_ORDER: Final = {"gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
_PARTS: Final = {"co": "contains", "sw": "startswith", "ew": "endswith"}


def rows_where(node: Node, known: Mapping[str, Condition]) -> Q:
    """The condition on rows; `known` has the attributes by their names in lower case. Raises the fault."""
    match node:
        case Not(inner):
            return ~rows_where(inner, known)
        case Every(parts):
            return Q(*(rows_where(part, known) for part in parts))
        case Some(parts):
            return Q(*(rows_where(part, known) for part in parts), _connector=Q.OR)
        case Within(name, inner):
            prefix = f"{name}."
            inside = {key.removeprefix(prefix): one for key, one in known.items() if key.startswith(prefix)}
            return rows_where(inner, inside)
        case Compare(name, operator, value):
            if name not in known:
                raise Fault(400, "invalidFilter", "This attribute cannot be filtered by.")
            return known[name](operator, value)


def text(lookup: str, *, exact: bool = False) -> Condition:
    """A text; its case does not matter unless it is `exact`."""
    i = "" if exact else "i"

    def condition(operator: str, value: Any) -> Q:
        if operator == "pr":
            return ~Q(**{lookup: ""}) & Q(**{f"{lookup}__isnull": False})
        if not isinstance(value, str):
            raise _wrong(operator)
        if operator in {"eq", "ne"}:
            same = Q(**{f"{lookup}__{i}exact": value}) & Q(**{f"{lookup}__isnull": False})
            return same if operator == "eq" else ~same
        if operator in _PARTS:
            return Q(**{f"{lookup}__{i}{_PARTS[operator]}": value})
        return Q(**{f"{lookup}__{_ORDER[operator]}": value})

    return condition


def ident(of: Callable[[UUID], Q]) -> Condition:
    """An id, or those of a list; what is no id is nobody's."""

    def condition(operator: str, value: Any) -> Q:
        if operator not in {"eq", "ne"} or not isinstance(value, str):
            raise _wrong(operator)
        try:
            found = of(UUID(value))
        except ValueError:
            found = NONE
        return found if operator == "eq" else ~found

    return condition


def flag(is_set: Q) -> Condition:
    """True or false; also as a text, as some directories send it."""

    def condition(operator: str, value: Any) -> Q:
        if operator == "pr":
            return ~NONE
        wanted = {"true": True, "false": False}.get(str(value).lower())
        if operator not in {"eq", "ne"} or wanted is None:
            raise _wrong(operator)
        return is_set if wanted == (operator == "eq") else ~is_set

    return condition


def constant(present: str) -> Condition:
    """A text that is the same for all."""

    def condition(operator: str, value: Any) -> Q:
        return ~NONE if _compares(present, operator, value) else NONE

    return condition


def moment(lookup: str) -> Condition:
    """A time."""

    def condition(operator: str, value: Any) -> Q:
        if operator == "pr":
            return ~NONE
        at = _parsed(value)
        if at is None or operator in _PARTS:
            raise _wrong(operator)
        if operator in _ORDER:
            return Q(**{f"{lookup}__{_ORDER[operator]}": at})
        return Q(**{lookup: at}) if operator == "eq" else ~Q(**{lookup: at})

    return condition


def item_matches(node: Node, item: Mapping[str, Any]) -> bool:
    """Does the condition hold for an item of a list? Its keys are in lower case."""
    match node:
        case Not(inner):
            return not item_matches(inner, item)
        case Every(parts):
            return all(item_matches(part, item) for part in parts)
        case Some(parts):
            return any(item_matches(part, item) for part in parts)
        case Within():
            raise Fault(400, "invalidPath", "An item of a list has no lists.")
        case Compare(name, operator, value):
            return _compares(item.get(name), operator, value)


def _compares(present: Any, operator: str, value: Any) -> bool:
    if operator == "pr":
        return present not in (None, "")
    one, other = (found.casefold() if isinstance(found, str) else found for found in (present, value))
    if operator in {"eq", "ne"}:
        return bool(one == other) == (operator == "eq")
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    found = {
        "co": other in one,
        "sw": one.startswith(other),
        "ew": one.endswith(other),
        "gt": one > other,
        "ge": one >= other,
        "lt": one < other,
        "le": one <= other,
    }
    return found[operator]


def _parsed(value: Any) -> datetime | None:
    try:
        at = parse_datetime(value) if isinstance(value, str) else None
        # In UTC, the first and last hours of the calendar are out of range.
        return None if at is None or is_naive(at) else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _wrong(operator: str) -> Fault:
    return Fault(400, "invalidFilter", f"This attribute cannot be compared with that value by “{operator}”.")


def within(rows: QuerySet[Any], node: Node | None, known: Mapping[str, Condition]) -> QuerySet[Any]:
    """The rows for which a filter holds; all without one."""
    return rows if node is None else rows.filter(rows_where(node, known))
