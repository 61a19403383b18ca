"""Context for the head of every page of an instance, on all tabs."""

from __future__ import annotations

from typing import Any

from django.db.models import Count

from portal.models import Membership
from vpn.access import peers_of
from vpn.choices import InstanceState
from vpn.models import Instance
from vpn.models.querysets import connected_filter
from vpn.needs import Code
from vpn.presenters.activity.plan import moved_plan
from vpn.presenters.needs import notices_of


def head_of(member: Membership, instance: Instance, tab: str) -> dict[str, Any]:
    """Context for vpn/instances/base.html.

    One query counts the peers; `notices_of` makes the others.
    """
    counts = (
        peers_of(member, instance)
        .order_by()
        .select_related(None)
        .aggregate(total=Count("pk"), online=Count("pk", filter=connected_filter()))
    )
    needs = notices_of(instance)
    return {
        "instance": instance,
        "tab": tab,
        "peer_total": counts["total"],
        "peer_online": counts["online"],
        "may_change": member.is_admin,
        "may_add_peers": member.is_admin and instance.state not in {InstanceState.DELETING, InstanceState.LOST},
        "needs": needs,
        # The page's poll sends these codes, so that unchanged notices are not replaced while they are read.
        "need_codes": ".".join(need.code for need in needs),
        "moved": moved_plan(instance) if any(need.code == Code.ADDRESS_CHANGED for need in needs) else None,
    }
