"""What all schemas share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictBool,
    StrictInt,
    StrictStr,
)

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


class Out(BaseModel):
    """A representation.

    `observed` names the fields that change without an edit; `observed_within` those of the items of a list.
    """

    model_config = ConfigDict(frozen=True)
    observed: ClassVar[frozenset[str]] = frozenset()
    observed_within: ClassVar[Mapping[str, frozenset[str]]] = {}


class In(BaseModel):
    """A body. An unknown field is refused: a typing mistake must not be ignored."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ErrorOut(BaseModel):
    """Every refusal. `errors` has the messages by field if the input is at fault."""

    type: str
    code: str
    message: str
    doc_url: str
    errors: dict[str, list[str]] | None = None


def _only_text(value: Any) -> Any:
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        raise ValueError("Enter a time with its zone, such as 2030-01-31T18:00:00Z.")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Enter a time that exists.") from None


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("Remove the NUL character.")  # PostgreSQL does not accept it, not even in a query.
    return value


# Strict types: in JSON "yes" is not a boolean and "20" is not a number.
Text = Annotated[StrictStr, AfterValidator(_without_nul)]
Flag = StrictBool
Days = StrictInt
Number = StrictInt
Moment = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_in_utc)]
