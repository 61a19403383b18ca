"""Context for the head of every page of an instance, on all tabs."""

from __future__ import annotations

from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count

from portal.models import Membership
from vpn.access import peers_of
from vpn.choices import InstanceState
from vpn.constants import OBSERVATION_MAX_AGE
from vpn.models import Instance
from vpn.models.querysets import PeerQuerySet, connected_filter
from vpn.needs import Code
from vpn.presenters.activity.plan import moved_plan
from vpn.presenters.needs import notices_of

_LARGE: Final = 1000


def head_of(member: Membership, instance: Instance, tab: str) -> dict[str, Any]:
    """Context for vpn/instances/base.html.

    One query counts the peers; `notices_of` makes the others.
    """
    total, online = _counts(peers_of(member, instance).order_by().select_related(None), instance)
    needs = notices_of(instance)
    return {
        "instance": instance,
        "tab": tab,
        "peer_total": total,
        "peer_online": online,
        "may_change": member.is_admin,
        "may_add_peers": member.is_admin and instance.state not in {InstanceState.DELETING, InstanceState.LOST},
        "needs": needs,
        # The page's poll sends these codes, so that unchanged notices are not replaced while they are read.
        "need_codes": ".".join(need.code for need in needs),
        "moved": moved_plan(instance) if any(need.code == Code.ADDRESS_CHANGED for need in needs) else None,
    }


def _counts(peers: PeerQuerySet, instance: Instance) -> tuple[int, int]:
    """How many peers there are, and how many are connected.

    The connected ones of a large instance are counted once for each look at its hub.
    """
    observed_at = instance.seen.observed_at
    key = f"online:{instance.pk}:{observed_at and observed_at.timestamp()}:{instance.desired_generation}"
    known: int | None = cache.get(key)
    if known is not None:
        return peers.count(), known
    counts = peers.aggregate(total=Count("pk"), online=Count("pk", filter=connected_filter()))
    if counts["total"] >= _LARGE:
        cache.set(key, counts["online"], OBSERVATION_MAX_AGE)
    return counts["total"], counts["online"]
