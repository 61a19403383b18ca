"""Who asked for what a hub does not have yet: noted with each change, taken over by the operation that carries it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from portal.models import Principal
from vpn.models import Instance, Operation

# As many are kept of those who change a hub that does not follow; the oldest go first.
MOST_ASKERS: Final = 20


def note_asker(instance: Instance, *, by: Principal) -> None:
    """Note in a locked instance that `by` asked for its newest generation; the caller saves `asked_by`.

    Each asker has one entry, with the first and the last generation of those that are not confirmed yet.
    """
    waiting = [entry for entry in instance.asked_by if entry["last"] > instance.applied_generation]
    newest = instance.desired_generation
    mine = next((entry for entry in waiting if _principal(entry) == by), None)
    first = newest if mine is None else mine["first"]
    others = [entry for entry in waiting if entry is not mine]
    instance.asked_by = [*others, {**by.document(), "first": first, "last": newest}][-MOST_ASKERS:]


def keep_askers(instance: Instance, since: int) -> None:
    """Let what was asked for after generation `since` count for the newest one; the caller saves `asked_by`."""
    newest = instance.desired_generation
    instance.asked_by = [{**entry, "last": newest} if entry["last"] > since else entry for entry in instance.asked_by]


def askers_of(instance: Instance, generation: int) -> list[Principal]:
    """Who asked for what the hub gets with this generation."""
    applied = instance.applied_generation
    carried = [entry for entry in instance.asked_by if entry["first"] <= generation and entry["last"] > applied]
    return [_principal(entry) for entry in carried]


def add_askers(operation: Operation, askers: Sequence[Principal]) -> None:
    """Name more askers in an operation, each once; the caller saves `asked_by`."""
    known = list(operation.asked_by)
    operation.asked_by = [*known, *(document for one in askers if (document := one.document()) not in known)]


def _principal(entry: dict[str, Any]) -> Principal:
    return Principal.from_document(entry)
