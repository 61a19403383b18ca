"""Reads a body as JSON of an expected shape; reports every fault at once, and echoes no input.

A call checks rights before it reads its body, so that a caller without the right learns nothing from faults.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from django.http import HttpRequest
from pydantic import ValidationError

from vpn.api.protocol.errors import Refusal, invalid
from vpn.api.schemas.base import In, Out

MAX_BODY = 1024 * 1024
_DRAINED = 16 * MAX_BODY
Body = TypeVar("Body", bound=In)

# Messages that replace pydantic's. All others stay as they are; none of them contains the input.
_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "Enter a text.",
    "string_unicode": "Enter a text in valid Unicode.",
    "bool_type": "Enter true or false.",
    "int_type": "Enter a whole number.",
    "int_from_float": "Enter a whole number.",
    "float_type": "Enter a number.",
    "finite_number": "Enter a number.",
    "list_type": "Enter a list.",
    "uuid_type": "Enter an id.",
    "uuid_parsing": "Enter an id, as a read gives it.",
    "timezone_aware": "Enter a time with its zone, such as 2030-01-31T18:00:00Z.",
    "datetime_type": "Enter a time with its zone, such as 2030-01-31T18:00:00Z.",
    "datetime_from_date_parsing": "Enter a time that exists.",
    "datetime_parsing": "Enter a time that exists.",
}


def is_too_large(request: HttpRequest) -> bool:
    """Is the body over the limit? Some of it is then read, so that its sender gets the answer."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length <= MAX_BODY:
        return False
    drained = 0
    while drained < min(length, _DRAINED) and (chunk := request.read(64 * 1024)):
        drained += len(chunk)
    return True


def read(request: HttpRequest, shape: type[Body]) -> Body:
    """The body of a call that creates an object; raises the refusal (400, 415, 422)."""
    return _shaped(_json(request), shape, {})


def read_nothing(request: HttpRequest) -> None:
    """Refuse a body with fields, of a call that takes none (400, 415, 422); no body and `{}` are the same."""
    if request.body:
        _shaped(_json(request), In, {})


def read_change(request: HttpRequest, shape: type[Body], current: Out) -> dict[str, Any]:
    """The fields that the body of a PUT changes; absent fields stay.

    A read may be sent back as a whole: fields that cannot be changed are refused only if they differ from `current`.
    """
    data = _json(request)
    faults: dict[str, list[str]] = {}
    if isinstance(data, dict):
        shown = current.model_dump(mode="json")
        known = set(shown) | current.observed
        for field in [field for field in data if field in known and field not in shape.model_fields]:
            value = data.pop(field)
            if field not in current.observed and value != shown[field]:
                faults[field] = ["This cannot be changed."]
    return _shaped(data, shape, faults).model_dump(exclude_unset=True)


def _json(request: HttpRequest) -> Any:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in {"", "application/json"}:
        raise Refusal(415, "unsupported-media-type", "Send the body as application/json.")
    try:
        return json.loads(request.body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, "not-json", "The body is not valid JSON.") from None


def _refuse_constant(_name: str) -> None:
    raise ValueError("JSON knows neither NaN nor Infinity")


def _shaped(data: Any, shape: type[Body], faults: dict[str, list[str]]) -> Body:
    if not isinstance(data, dict):
        raise Refusal(422, "invalid-input", "The body must be a JSON object.", errors={"body": ["Enter an object."]})
    try:
        body = shape.model_validate(data)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            path = ".".join(str(part) for part in fault["loc"][:1]) or "body"
            messages = faults.setdefault(path, [])
            message = _place(fault["loc"][1:]) + _message(fault["type"], fault["msg"])
            if message not in messages:
                messages.append(message)
        raise invalid(faults) from None
    if faults:
        raise invalid(faults)
    return body


def _place(loc: Sequence[int | str]) -> str:
    """The position of a fault in a list, before its message: "Number 2, port: "."""
    # If a field accepts two shapes, pydantic's location also names the shape: "list[...]".
    known = [part for part in loc if isinstance(part, int) or not part.startswith(("function-", "list["))]
    words = [f"Number {part + 1}" if isinstance(part, int) else part for part in known]
    return f"{', '.join(words)}: " if words else ""


def _message(kind: str, message: str) -> str:
    return _MESSAGES.get(kind) or message.removeprefix("Value error, ")
