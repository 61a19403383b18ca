"""PATCH (RFC 7644, 3.5.2): operations on the attributes of one resource, before anything is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from vpn.api.scim.bodies import Shape, as_items
from vpn.api.scim.faults import Fault
from vpn.api.scim.filters import Path, comparisons_in, parse_path
from vpn.api.scim.matching import item_matches

Document = dict[str, Any]
# How many items of lists all operations of a request may look at: some seconds of work, in which it holds the
# organization's lock. A comparison takes longer than a look.
_MOST_LOOKS: Final = 5_000_000
_COMPARISON: Final = 4


def patch(document: Document, operations: Iterable[Mapping[str, Any]], shape: Shape) -> Document:
    """Apply the operations to a document of all kept attributes. Raises the fault; the document changes in place."""
    looks = 0
    for operation in operations:
        # Entra ID sends "Add".
        what, path, value = str(operation.get("op", "")).lower(), operation.get("path"), operation.get("value")
        if what not in {"add", "replace", "remove"}:
            raise Fault(400, "invalidSyntax", "An operation is “add”, “replace” or “remove”.")
        where = parse_path(str(path)) if path else None
        looks += _looks(document, where, value, shape)
        if looks > _MOST_LOOKS:
            raise Fault(400, "tooMany", "These changes are too much work for one request. Send fewer at once.")
        if where:
            _apply(document, what, where, value, shape)
        else:
            _apply_all(document, what, value, shape)
    return document


def _looks(document: Document, path: Path | None, value: Any, shape: Shape) -> int:
    """How many items of lists an operation looks at; one that is compared counts as several."""
    if path is not None and shape.name(path.name) not in shape.lists:
        return 0
    items = sum(len(document.get(name) or []) for name in shape.lists)
    sent = value.values() if path is None and isinstance(value, dict) else [value]
    items += sum(len(one) for one in sent if isinstance(one, list))
    return items * (1 + _COMPARISON * (comparisons_in(path.items) if path is not None else 0))


def _apply_all(document: Document, what: str, value: Any, shape: Shape) -> None:
    """An operation without a path: its value names the attributes, as paths too."""
    if what == "remove":
        raise Fault(400, "noTarget", "Say in “path” what to remove.")
    if not isinstance(value, dict):
        raise Fault(400, "invalidValue", "Without a path, the value has to name attributes.")
    for name, part in value.items():
        path = parse_path(str(name))
        # Okta sends the id along.
        if not shape.is_read_only(path.name) and shape.name(path.name):
            _apply(document, what, path, part, shape)


def _apply(document: Document, what: str, path: Path, value: Any, shape: Shape) -> None:
    name = shape.name(path.name)
    if shape.is_read_only(path.name):
        raise Fault(400, "mutability", f"“{path.name}” cannot be changed.")
    if not name:
        if shape.is_left_out(path.name):
            return
        raise Fault(400, "invalidPath", "There is no such attribute.")
    if what != "remove" and value is None:
        raise Fault(400, "invalidValue", f"Send a value for “{name}”.")
    if name in shape.lists:
        document[name] = _changed_list(document.get(name) or [], what, path, value)
    elif path.items is not None or (path.part and name != "name"):
        raise Fault(400, "invalidPath", f"“{name}” has no parts like that.")
    elif path.part:
        whole = document.get(name) or {}
        if not isinstance(whole, dict):
            raise Fault(400, "invalidValue", f"Send an object for “{name}”.")
        document[name] = {**whole, path.part: None if what == "remove" else value}
    else:
        document[name] = None if what == "remove" else value


def _changed_list(items: list[Document], what: str, path: Path, value: Any) -> list[Document]:
    if path.items is not None:
        return _changed_items(items, what, path, value)
    if path.part:
        raise Fault(400, "invalidPath", f"Say of which items of “{path.name}” the path means the part.")
    sent = as_items(value)
    if what == "replace":
        return sent
    if what == "add":
        present = {_key(item) for item in items}
        return items + [item for item in sent if _key(item) not in present]
    # Entra ID names the members to remove in the value.
    gone = {_key(item) for item in sent}
    return [item for item in items if _key(item) not in gone] if value is not None else []


def _changed_items(items: list[Document], what: str, path: Path, value: Any) -> list[Document]:
    condition = path.items
    assert condition is not None  # noqa: S101 - for mypy
    chosen = [item_matches(condition, item) for item in items]
    if what == "remove":
        kept = [item for item, is_chosen in zip(items, chosen, strict=True) if not is_chosen or path.part]
        return [{**item, path.part: None} if path.part and item_matches(condition, item) else item for item in kept]
    if not any(chosen):
        raise Fault(400, "noTarget", f"No item of “{path.name}” is as the path says.")
    if path.part:
        change = {path.part: value}
    else:
        sent = as_items(value)
        if len(sent) != 1:
            raise Fault(400, "invalidValue", "Send one item.")
        change = sent[0]
    return [{**item, **change} if is_chosen else item for item, is_chosen in zip(items, chosen, strict=True)]


def _key(item: Mapping[str, Any]) -> str:
    return str(item.get("value")).casefold()
