"""Recovery where a server has another state than the database says."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.db import transaction

from portal.actions.acting import acted
from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity.asking import keep_askers, note_asker
from vpn.actions.change import lock_instance
from vpn.models import Instance


def raise_generation(instance_id: UUID, *, by: Principal, since: int | None = None) -> None:
    """Request the whole state again under a new generation.

    If this only repeats changes requested after generation `since`, their requesters stay named.
    """
    with transaction.atomic():
        instance = _locked(instance_id)
        if instance is None:
            return
        instance.desired_generation += 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        if since is None:
            note_asker(instance, by=by)
        else:
            keep_askers(instance, since)
        fields = ["desired_generation", "settings_generation", "whole_generation", "asked_by"]
        instance.save(update_fields=fields)
        acted(by, "requested again", instance)


def raise_epoch(instance_id: UUID, above: int, *, by: Principal) -> None:
    """Begin a new epoch, higher than `above`: state of older epochs on the server no longer counts.

    Needed where the database was restored from a backup, or the hub was destroyed without the portal.
    """
    with transaction.atomic():
        instance = lock_instance(instance_id)
        instance.epoch = max(instance.epoch, above) + 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        instance.save(update_fields=["epoch", "settings_generation", "whole_generation"])
        acted(by, "epoch raised", instance)


def apply_again(instance_id: UUID, organization_id: UUID, *, by: Principal) -> None:
    """Discard what the server confirmed, so that the whole state is sent and compared with the server."""
    with transaction.atomic():
        instance = _locked(instance_id)
        if instance is None:
            return
        note_asker(instance, by=by)
        instance.applied_generation, instance.applied_digest, instance.applied_total = 0, "", ""
        instance.retry_at = None
        fields = ["applied_generation", "applied_digest", "applied_total", "retry_at", "asked_by"]
        instance.save(update_fields=fields)
        acted(by, "applied again", instance)
        transaction.on_commit(partial(doorbell.enqueue_apply, instance_id, organization_id, instance.region_id))


def _locked(instance_id: UUID) -> Instance | None:
    """The instance's row, locked; None if it is gone."""
    return Instance.objects.select_for_update().filter(pk=instance_id).first()
