"""Getting back in step with a server that has something else than what the database believes."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F

from portal.actions.acting import acted
from portal.models import Principal
from vpn import doorbell
from vpn.actions.change import lock_instance
from vpn.models import Instance


def raise_generation(instance_id: UUID, *, by: Principal) -> None:
    """Ask for the whole state anew under a new generation."""
    acted(by, "asked for anew", Instance(pk=instance_id))
    Instance.objects.filter(pk=instance_id).update(
        desired_generation=F("desired_generation") + 1,
        settings_generation=F("desired_generation") + 1,
        whole_generation=F("desired_generation") + 1,
    )


def raise_epoch(instance_id: UUID, above: int, *, by: Principal) -> None:
    """Begin a new epoch, higher than `above`: what the server has or had under older ones no longer counts.

    Needed where the database was restored from a backup, or the hub was taken down behind the portal's back.
    """
    with transaction.atomic():
        instance = lock_instance(instance_id)
        instance.epoch = max(instance.epoch, above) + 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        instance.save(update_fields=["epoch", "settings_generation", "whole_generation"])
        acted(by, "epoch raised", instance)


def apply_again(instance_id: UUID, organization_id: UUID, *, by: Principal) -> None:
    """Forget what the server confirmed, so that the whole state is sent and compared with reality."""
    with transaction.atomic():
        Instance.objects.filter(pk=instance_id).update(
            applied_generation=0, applied_digest="", applied_total="", retry_at=None
        )
        acted(by, "applied again", Instance(pk=instance_id))
        transaction.on_commit(partial(doorbell.enqueue_apply, instance_id, organization_id))
