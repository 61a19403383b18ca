"""Context for the head of every page of an instance, on all tabs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from portal.models import Membership
from vpn.choices import InstanceState
from vpn.models import Instance
from vpn.needs import Code, peer_facts_of
from vpn.presenters.activity.plan import moved_plan
from vpn.presenters.instances.trial import shown_trial
from vpn.presenters.needs import Notice, notices_of


def told_to(member: Membership, needs: list[Notice]) -> list[Notice]:
    """The notices for this member: operators see no settings, and learn what is wrong without the details."""
    if member.sees_everything:
        return needs
    return [replace(need, message=_("An admin can see why."), next_step="") for need in needs]


def head_of(member: Membership, instance: Instance, tab: str) -> dict[str, Any]:
    """Context for vpn/instances/base.html.

    What is counted is known for each observation of a large hub; `notices_of` makes the other queries.
    """
    peers = peer_facts_of([instance])
    counted = peers[instance.pk]
    needs = told_to(member, notices_of(instance, peers))
    return {
        "instance": instance,
        "tab": tab,
        "peers": counted,
        "peer_total": counted.total,
        "peer_online": counted.online(instance),
        "may_change": member.is_admin,
        "trial": shown_trial(instance) if member.sees_everything else None,
        "sees_settings": member.sees_everything,
        "may_add_peers": member.manages_peers_of(instance.pk)
        and instance.state not in {InstanceState.DELETING, InstanceState.LOST},
        "needs": needs,
        # The page's poll sends these codes, so that unchanged notices are not replaced while they are read.
        "need_codes": ".".join(need.code for need in needs),
        "moved": moved_plan(instance) if any(need.code == Code.ADDRESS_CHANGED for need in needs) else None,
    }
