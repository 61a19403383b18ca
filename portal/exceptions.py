"""Exceptions of actions. Each says for an admin what to do next; none contains a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Conflict(Exception):
    """The request is well formed but conflicts with existing data: 409 in the API, a message in the form on a page.

    `field` names the input at fault ("" for none in particular), `code` is a short stable word, and `next_step` a
    sentence on how to continue ("" if the message says it already). `told` is the message as rows keep it
    (portal.told), for what a job refuses.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        code: str = "conflict",
        next_step: str = "",
        told: dict[str, Any] | None = None,
    ) -> None:
        self.message = f"{message} {next_step}".rstrip()
        self.field = field
        self.code = code
        self.next_step = next_step
        self.told = told
        super().__init__(self.message)


class NotPossible(Conflict):
    """The object's state does not allow this action now, such as a sign-in link for a deactivated member."""

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        code: str = "not-possible",
        next_step: str = "",
        told: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, field=field, code=code, next_step=next_step, told=told)


class QuotaReached(Conflict):
    """The organization has reached a quota; `code` names it, such as `quota-peers`."""


class InvalidInput(Exception):
    """The input is invalid: 422 in the API. `errors` lists all faults by field."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        self.errors: dict[str, list[str]] = {field: list(messages) for field, messages in errors.items()}
        super().__init__(" ".join(f"{field}: {' '.join(messages)}" for field, messages in self.errors.items()))

    @classmethod
    def in_field(cls, field: str, message: str) -> InvalidInput:
        """The fault of a single field."""
        return cls({field: [message]})
