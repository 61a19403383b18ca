"""The one way to change what a hub should run.

Lock the instance, write the rows, raise the generation, and enqueue the apply job after the commit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity.asking import note_asker
from vpn.actions.revisions.recording import revising
from vpn.choices import InstanceState
from vpn.models import Instance

_UNCHANGEABLE = {
    InstanceState.DELETING: _("This instance is being deleted."),
    InstanceState.LOST: _("This instance's server is lost, so nothing can be changed on it until it has another one."),
}


class Scope(enum.Enum):
    """What a change touches. The smaller the scope, the less the hub compares (see desired/compiling.py)."""

    PEERS = "peers"  # only rows of peers
    RULES = "rules"  # settings that a delta carries: the rules, the policy, the name
    WHOLE = "whole"  # any other setting: the hub compares itself with a whole specification


def lock_instance(pk: UUID) -> Instance:
    """The instance's row, locked until the transaction ends. Raises Instance.DoesNotExist."""
    return Instance.objects.select_for_update(of=("self",)).select_related("region", "server").get(pk=pk)


def hold_instance(pk: UUID) -> None:
    """Lock an instance's row without reading it, until the transaction ends. Raises Instance.DoesNotExist."""
    Instance.objects.select_for_update().values_list("pk").get(pk=pk)


def lock_changeable(pk: UUID, *, even_lost: bool = False) -> Instance:
    """As `lock_instance`; raises NotPossible where the instance accepts no changes.

    With `even_lost`, a lost instance accepts it: its hub follows once it is found again or rebuilt.
    """
    instance = lock_instance(pk)
    state = InstanceState(instance.state)
    refusal = None if even_lost and state == InstanceState.LOST else _UNCHANGEABLE.get(state)
    if refusal:
        raise NotPossible(str(refusal))
    return instance


@contextmanager
def changing(
    pk: UUID, *, by: Principal, scope: Scope, urgent: bool = False, even_lost: bool = False
) -> Iterator[Instance]:
    """Change an instance or its peers.

    Yields the locked instance with `desired_generation` already raised. It is saved at the end, with whatever the
    caller changed on it, and the apply job is enqueued after the commit. `by` is passed to the hook of all actions
    (portal.actions.acting), and named by the operation that carries the change. `urgent` says that a device may lose
    access, which must not wait for other work; `even_lost` that it may wait for a lost hub.

    What it changes of the instance's settings, rules, records and routes is a revision (vpn.actions.revisions). The
    generation rises in any case: an action that may find nothing to change compares first, under `lock_changeable`.
    Use `planned_change` (vpn.actions.activity.planning) for a change that may affect other users. Raises NotPossible
    where the instance accepts no changes.
    """
    with transaction.atomic():
        instance = lock_changeable(pk, even_lost=even_lost)
        instance.desired_generation += 1
        if scope is not Scope.PEERS:
            instance.settings_generation = instance.desired_generation
        if scope is Scope.WHOLE:
            instance.whole_generation = instance.desired_generation
        note_asker(instance, by=by)
        with revising(pk, by=by) as watch:
            watch.note_before(instance)
            yield instance
            instance.save()
            watch.note_after(instance)
            acted(by, "changed", instance)
        if instance.configured and instance.state != InstanceState.LOST:
            ids = instance.pk, instance.organization_id, instance.region_id
            transaction.on_commit(partial(doorbell.enqueue_apply, *ids, urgent=urgent))


@contextmanager
def if_possible(change: AbstractContextManager[Instance]) -> Iterator[Instance | None]:
    """Enter a change; yields None where its instance accepts none, such as one that is being deleted."""
    with ExitStack() as stack:
        try:
            locked = stack.enter_context(change)
        except NotPossible:
            locked = None
        yield locked
