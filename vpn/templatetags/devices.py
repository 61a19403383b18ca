"""A person's devices on that person's page, which belongs to the portal app and does not know about tunnels."""

from __future__ import annotations

from typing import Any

from django import template

from portal.models import Membership
from vpn.views.people.devices import person_devices

register = template.Library()


@register.inclusion_tag("vpn/people/devices.html")
def devices_of_person(person: Membership, reader: Membership) -> dict[str, Any]:
    """The devices with their state and what they reach; for admins also a button to add one."""
    return person_devices(person, reader)
