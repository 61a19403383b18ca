"""Pending work in CONTRACT's terms, for a whole list at once."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, F, Q

from vpn.actions.instances.instance import pending_work
from vpn.choices import InstanceState
from vpn.models import Instance, Peer, PeerTombstone


def statuses(instances: Sequence[Instance]) -> dict[UUID, list[str]]:
    """The result of `pending_work` for each instance, in at most two queries however many there are."""
    if len(instances) == 1:
        return {instances[0].pk: pending_work(instances[0])}
    applying = {one.pk for one in instances if one.state == InstanceState.READY and not one.is_up_to_date}
    words = {one.pk: ["applying"] if one.pk in applying else pending_work(one) for one in instances}
    if not applying:
        return words
    removed = set(PeerTombstone.objects.filter(instance__in=applying).values_list("instance_id", flat=True))
    waiting = Peer.objects.filter(instance__in=applying, changed_generation__gt=F("instance__applied_generation"))
    is_new = ExpressionWrapper(Q(applied_digest=""), output_field=BooleanField())
    kinds = set(waiting.order_by().values_list("instance_id", is_new).distinct())
    for one in instances:
        if one.pk in applying:
            changed = one.settings_generation > one.applied_generation or (one.pk, False) in kinds
            words[one.pk] += ["peer-removed"] if one.pk in removed else []
            words[one.pk] += ["peer-created"] if (one.pk, True) in kinds else []
            words[one.pk] += ["settings-changed"] if changed else []
    return words
