"""Devices that members add for themselves, on instances that allow it, up to a number."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.actions.quota import lock_organization
from portal.exceptions import InvalidInput, NotPossible, QuotaReached
from portal.models import Membership, Principal
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import InstanceState, PeerType, Protocol
from vpn.models import Instance, Peer
from vpn.models.querysets import InstanceQuerySet

DEVICE_LIMIT: Final = "device-limit"
_NOT_NOW: Final[Collection[str]] = (InstanceState.DELETING, InstanceState.LOST, InstanceState.FAILED)


def open_instances(member: Membership) -> InstanceQuerySet:
    """The instances on which this member may add a device, by name."""
    found = Instance.objects.filter(organization=member.organization_id, members_add_devices=True)
    return found.exclude(state__in=_NOT_NOW).order_by("name", "id")


def devices_left(member: Membership) -> int:
    """How many more devices this member may add. Those that an admin added count, too."""
    return max(0, member.device_limit - _devices(member))


def add_own_device(
    instance: Instance,
    *,
    by: Principal,
    member: Membership,
    device: str,
    protocol: str = Protocol.WIREGUARD,
    route_all: bool = False,
) -> Peer:
    """Add a device of the member who asks.

    The organization's row is the lock of the number, as for quotas. Raises InvalidInput, NotPossible for an instance
    that does not allow it, QuotaReached, or what `create_client_peer` raises.
    """
    if not device.strip():
        raise InvalidInput.in_field("device", _("Name the device, such as phone."))
    with transaction.atomic():
        organization = lock_organization(member.organization_id)
        fresh = Membership.objects.select_related("user").get(pk=member.pk)
        fresh.organization = organization
        if not open_instances(fresh).filter(pk=instance.pk).exists():
            raise NotPossible(_("Members cannot add devices there any more."), next_step=_("Ask an admin."))
        _require_left(fresh)
        return create_client_peer(instance, by=by, member=fresh, device=device, protocol=protocol, route_all=route_all)


def _require_left(member: Membership) -> None:
    used, limit = _devices(member), member.device_limit
    if used < limit:
        return
    words = ngettext(
        "You have %(used)d device, and members may have %(limit)d.",
        "You have %(used)d devices, and members may have %(limit)d.",
        used,
    )
    raise QuotaReached(
        words % {"used": used, "limit": limit},
        code=DEVICE_LIMIT,
        next_step=_("Remove one that you no longer use, or ask an admin."),
    )


def _devices(member: Membership) -> int:
    return Peer.objects.filter(member=member, type=PeerType.CLIENT).count()
