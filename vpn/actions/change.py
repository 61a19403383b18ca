"""The one way to change what a hub should run: lock, write, raise the generation, ring after the commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity import planning
from vpn.actions.activity.asking import note_asker
from vpn.choices import InstanceState
from vpn.desired.firewall import Turned
from vpn.models import Instance

_UNCHANGEABLE = {
    InstanceState.DELETING: "This instance is being deleted.",
    InstanceState.LOST: "This instance's server is gone, so nothing can be changed on it.",
}


def lock_instance(pk: UUID) -> Instance:
    """The instance's row, locked until the transaction ends; Instance.DoesNotExist where it is gone."""
    return Instance.objects.select_for_update(of=("self",)).select_related("region", "server").get(pk=pk)


def lock_changeable(pk: UUID) -> Instance:
    """As `lock_instance`; raises NotPossible where the instance can take no change."""
    instance = lock_instance(pk)
    refusal = _UNCHANGEABLE.get(InstanceState(instance.state))
    if refusal:
        raise NotPossible(refusal)
    return instance


@contextmanager
def changing(
    pk: UUID,
    *,
    by: Principal,
    only_peers: bool = False,
    as_delta: bool = False,
    explained: bool = False,
    urgent: bool = False,
    turned: Turned | None = None,
) -> Iterator[Instance]:
    """Change an instance or its peers.

    `by` is told to the hook of all actions (portal.actions.acting), and named by the operation that carries the change.

    Yields the locked instance with its `desired_generation` already raised (and saved at the end together with
    whatever the caller changed on it); the apply job is rung after the commit. `only_peers` says that nothing else
    changes, `as_delta` that of the settings only what a delta can carry does (see desired/compiling.py); `explained`
    that it may concern others, so that what it means is worked out afterwards, for the operation that carries it: the
    caller tells `planning` which peers and rules it touches. `urgent` says that somebody may lose access, who must not
    keep it while other work waits; `turned` what of the change is in the database already. The generation rises
    whatever the caller does: an action that may find nothing to change compares first, under `lock_changeable`. Raises
    NotPossible where the instance can take no change.
    """
    with transaction.atomic():
        instance = lock_changeable(pk)
        noted = explained or planning.is_asked()
        with planning.recording(instance, turned, by=by) if noted else nullcontext():
            instance.desired_generation += 1
            if not only_peers:
                instance.settings_generation = instance.desired_generation
            if not only_peers and not as_delta:
                instance.whole_generation = instance.desired_generation
            note_asker(instance, by=by)
            yield instance
            instance.save()
            acted(by, "changed", instance)
        if instance.configured:
            transaction.on_commit(partial(doorbell.enqueue_apply, instance.pk, instance.organization_id, urgent=urgent))
            if noted:
                transaction.on_commit(partial(doorbell.enqueue_plans, instance.pk, instance.organization_id))


@contextmanager
def changing_if_possible(pk: UUID, *, by: Principal, **options: Any) -> Iterator[Instance | None]:
    """As `changing`; None for an instance that can take no change, such as one that is going away."""
    with ExitStack() as stack:
        try:
            locked = stack.enter_context(changing(pk, by=by, **options))
        except NotPossible:
            locked = None
        yield locked
