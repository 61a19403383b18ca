"""Which listeners of a hub are reachable from outside."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from vpn.choices import InstanceState, Listener
from vpn.models import ListenerProof


def reachable_of_all(instances: Collection[UUID]) -> dict[UUID, dict[str, str | None]]:
    """By instance and listener `proven`, `unproven` or `unreachable`; None if it is off, or nothing is known yet.

    One query.
    """
    found: dict[UUID, dict[str, str | None]] = {pk: dict.fromkeys(Listener.values) for pk in instances}
    # Nothing is known about a hub that is lost or being created, whatever was proven before.
    proofs = ListenerProof.objects.filter(instance__in=instances, is_first=True, instance__state=InstanceState.READY)
    for instance_id, listener, state in proofs.values_list("instance_id", "listener", "state"):
        found[instance_id][listener] = state
    return found
