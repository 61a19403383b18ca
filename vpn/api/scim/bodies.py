"""Bodies of SCIM: attribute names in any case, and attributes that the portal does not keep are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest

from portal.exceptions import InvalidInput
from vpn.api.scim.faults import CONTENT_TYPE, Fault

# Of one request, each changes one attribute.
MOST_OPERATIONS: Final = 1000
PATCH_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_READ_ONLY: Final = frozenset({"id", "meta", "schemas", "groups"})


@dataclass(frozen=True)
class Shape:
    """What a body may have: the attributes that are kept, and those of the standard that are accepted and left out."""

    schema: str
    kept: tuple[str, ...]
    lists: frozenset[str]
    left_out: frozenset[str] = frozenset()

    def name(self, lower: str) -> str:
        """An attribute as the standard spells it; "" for one that is not kept."""
        return next((name for name in self.kept if name.lower() == lower), "")

    def is_read_only(self, lower: str) -> bool:
        """May clients not change this attribute?"""
        return lower in _READ_ONLY

    def is_left_out(self, lower: str) -> bool:
        """Is this one of the standard or of an extension that the portal does not keep?"""
        return lower in self.left_out or lower.startswith("urn:ietf:params:scim:schemas:extension:")


def read_resource(request: HttpRequest, shape: Shape) -> dict[str, Any]:
    """The kept attributes of a body. Raises the fault."""
    data = _json(request)
    _check_schemas(data, shape.schema)
    named = ((shape.name(str(name).lower()), value) for name, value in data.items())
    return {name: value for name, value in named if name}


def read_operations(request: HttpRequest) -> list[Mapping[str, Any]]:
    """The operations of a PATCH, with their keys in lower case. Raises the fault."""
    data = _json(request)
    _check_schemas(data, PATCH_SCHEMA)
    found = {str(name).lower(): value for name, value in data.items()}.get("operations")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise Fault(400, "invalidSyntax", "Send the changes as a list called “Operations”.")
    if len(found) > MOST_OPERATIONS:
        raise Fault(400, "tooMany", f"A request has at most {MOST_OPERATIONS:,} operations.")
    return [{str(name).lower(): value for name, value in one.items()} for one in found]


def as_text(body: Mapping[str, Any], name: str) -> str | None:
    """A text of a body; None where it says nothing of it, "" where it is to go."""
    if name not in body:
        return None
    value = body[name]
    if value is not None and not isinstance(value, str):
        raise InvalidInput.in_field(name, "Send a text.")
    return value or ""


def as_flag(body: Mapping[str, Any], name: str) -> bool | None:
    """True or false, also as a text, as Entra ID sends it; None where the body says nothing of it."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput.in_field(name, "Send true or false.")
    return found


def as_items(value: Any) -> list[dict[str, Any]]:
    """The items of a list with their keys in lower case; one item is a list, too. Raises the fault."""
    listed = [] if value is None else value if isinstance(value, list) else [value]
    items = [{"value": one} if isinstance(one, str) else one for one in listed]
    if not all(isinstance(one, dict) for one in items):
        raise Fault(400, "invalidValue", "Send a list of items that have a “value”.")
    return [{str(name).lower(): part for name, part in one.items()} for one in items]


def ids_of(items: Iterable[Mapping[str, Any]], name: str) -> set[UUID]:
    """The ids that are the values of items. Raises InvalidInput."""
    try:
        return {UUID(str(item.get("value"))) for item in items}
    except ValueError:
        raise InvalidInput.in_field(name, "Send ids of users.") from None


def _json(request: HttpRequest) -> dict[str, Any]:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in {"", CONTENT_TYPE, "application/json"}:
        raise Fault(415, "", f"Send the body as {CONTENT_TYPE}.")
    try:
        data = json.loads(request.body)
        json.dumps(data, ensure_ascii=False).encode()  # no halves of characters
    except (ValueError, RecursionError):
        raise Fault(400, "invalidSyntax", "The body is not valid JSON.") from None
    if not isinstance(data, dict):
        raise Fault(400, "invalidSyntax", "The body must be a JSON object.")
    return data


def _check_schemas(data: Mapping[str, Any], wanted: str) -> None:
    listed = {str(name).lower(): value for name, value in data.items()}.get("schemas")
    # Some clients leave it out.
    if listed is not None and (not isinstance(listed, list) or wanted not in listed):
        raise Fault(400, "invalidSyntax", f"The body has to name the schema {wanted}.")
