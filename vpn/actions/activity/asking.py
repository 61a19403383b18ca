"""Who requested the changes that a hub has not applied yet.

Each change notes its requester on the instance. The operation that carries the change takes the requesters over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from portal.models import Principal
from vpn.models import Instance, Operation

# The most requesters kept on an instance that does not apply its changes; the oldest are dropped first.
MOST_ASKERS: Final = 20


def note_asker(instance: Instance, *, by: Principal) -> None:
    """Note in a locked instance that `by` requested its newest generation; the caller saves `asked_by`.

    Each requester has one entry, with the first and the last of their generations that are not confirmed yet.
    """
    waiting = [entry for entry in instance.asked_by if entry["last"] > instance.applied_generation]
    newest = instance.desired_generation
    mine = next((entry for entry in waiting if _principal(entry) == by), None)
    first = newest if mine is None else mine["first"]
    others = [entry for entry in waiting if entry is not mine]
    instance.asked_by = [*others, {**by.document(), "first": first, "last": newest}][-MOST_ASKERS:]


def keep_askers(instance: Instance, since: int) -> None:
    """Count requests after generation `since` as requests for the newest one; the caller saves `asked_by`."""
    newest = instance.desired_generation
    instance.asked_by = [{**entry, "last": newest} if entry["last"] > since else entry for entry in instance.asked_by]


def askers_of(instance: Instance, generation: int) -> list[Principal]:
    """The principals who requested what the hub gets with this generation."""
    applied = instance.applied_generation
    carried = [entry for entry in instance.asked_by if entry["first"] <= generation and entry["last"] > applied]
    return [_principal(entry) for entry in carried]


def add_askers(operation: Operation, askers: Sequence[Principal]) -> None:
    """Add requesters to an operation, each once; the caller saves `asked_by`."""
    known = list(operation.asked_by)
    operation.asked_by = [*known, *(document for one in askers if (document := one.document()) not in known)]


def _principal(entry: dict[str, Any]) -> Principal:
    return Principal.from_document(entry)
