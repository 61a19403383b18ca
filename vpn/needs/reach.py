"""Which listeners of a hub are reachable from outside."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from vpn.choices import InstanceState, Listener
from vpn.models import Instance, ListenerProof


def proofs_of_all(instances: Iterable[Instance]) -> list[ListenerProof]:
    """The proofs of the listeners of these hubs; one query at most.

    Nothing is known about a hub that is lost or being created, whatever was proven before.
    """
    running = [instance.pk for instance in instances if instance.state == InstanceState.READY]
    return list(ListenerProof.objects.filter(instance__among=running)) if running else []


def reachable_in(proofs: Iterable[ListenerProof], instances: Collection[UUID]) -> dict[UUID, dict[str, str | None]]:
    """By instance and listener `proven`, `unproven` or `unreachable`; None if it is off, or nothing is known yet."""
    unknown: dict[str, str | None] = dict.fromkeys(Listener.values)
    found = {pk: unknown.copy() for pk in instances}
    for proof in proofs:
        if proof.is_first:
            found[proof.instance_id][proof.listener] = proof.state
    return found
