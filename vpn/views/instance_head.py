"""What the head of every page of an instance shows, whatever the tab."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count
from django.utils import timezone

from portal.models import Membership
from vpn.access import peers_of
from vpn.actions.drift import recurring_drift
from vpn.choices import InstanceState
from vpn.models import Instance
from vpn.models.querysets import connected_filter

# The hub is asked every few seconds; silence this long means that nobody asks, or that it does not answer.
SILENCE = timedelta(seconds=60)


def head_of(member: Membership, instance: Instance, tab: str) -> dict[str, Any]:
    """Context for vpn/instance_base.html; asks the database twice."""
    counts = (
        peers_of(member, instance)
        .order_by()
        .select_related(None)
        .aggregate(total=Count("pk"), online=Count("pk", filter=connected_filter()))
    )
    return {
        "instance": instance,
        "tab": tab,
        "peer_total": counts["total"],
        "peer_online": counts["online"],
        "may_change": member.is_admin,
        "may_add_peers": member.is_admin and instance.state not in {InstanceState.DELETING, InstanceState.LOST},
        "is_silent": _is_silent(instance),
        "recurring": recurring_drift(instance),
    }


def _is_silent(instance: Instance) -> bool:
    """Has a hub that should be running not been heard for a while?"""
    if instance.state != InstanceState.READY:
        return False
    return instance.observed_at is None or instance.observed_at < timezone.now() - SILENCE
