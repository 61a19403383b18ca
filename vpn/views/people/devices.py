"""A person's devices on their page, for admins and auditors: their state, and what they reach."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.utils.translation import gettext as _

from portal.access import require_reader
from portal.models import Membership, MembershipState
from vpn.access import instances_of
from vpn.choices import InstanceState
from vpn.models import Instance, Site
from vpn.plan.reached import reached_sites
from vpn.presenters.activity.plan_sentences import Way
from vpn.presenters.lists import shortened
from vpn.views.profiles.my import Device, devices_of


@dataclass(frozen=True)
class OnInstance:
    """A person's devices on one instance, and what all of them reach there, in sentences."""

    instance: Instance
    devices: list[Device]
    reaches: list[str]


def person_devices(person: Membership, reader: Membership) -> dict[str, Any]:
    """Context about a person's devices; raises PermissionDenied unless the reader may read everything."""
    require_reader(reader)
    devices = devices_of(person, may_change=reader.is_admin)
    names = {
        f"site:{pk}": name
        for pk, name in Site.objects.filter(organization=person.organization_id).values_list("pk", "name")
    }
    names[f"user:{person.pk}"] = person.label
    found = [
        OnInstance(instance, list(theirs), _reaches(instance, person, names))
        for instance, theirs in groupby(devices, key=lambda device: device.peer.instance)
    ]
    return {"person": person, "found": found, "count": len(devices), "addable": _addable(person, reader)}


def _reaches(instance: Instance, person: Membership, names: dict[str, str]) -> list[str]:
    by_way: dict[str, list[str]] = defaultdict(list)
    for line in reached_sites(instance, person.pk):
        by_way[str(Way(line.protocol, line.port))].append(names.get(line.destination, line.destination))
    words = _("%(person)s reaches %(ends)s %(way)s")
    return [
        (words % {"person": person.label, "ends": shortened(sorted(ends)), "way": way}).rstrip()
        for way, ends in sorted(by_way.items())
    ]


def _addable(person: Membership, reader: Membership) -> list[Instance]:
    """The instances on which the reader can add a device for this person."""
    if not reader.is_admin or person.state == MembershipState.DEACTIVATED or not person.user.is_active:
        return []
    rows = instances_of(reader).exclude(state__in=[InstanceState.DELETING, InstanceState.LOST])
    return list(rows.order_by("name"))
