"""My VPN: the member's own devices and whether they are protected."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.access import get_member
from portal.htmx import render_page
from portal.models import Membership, MembershipState, Role
from vpn.access import own_peers
from vpn.actions.peers.own import open_instances
from vpn.choices import ProfileState
from vpn.models import Peer
from vpn.presenters.instances.hub_side import Hubs, HubSide
from vpn.presenters.peers.condition import Condition, condition_of
from vpn.presenters.peers.office import sites_beside
from vpn.presenters.profiles.outdated import outdated_words, remedy_of
from vpn.presenters.profiles.routes import names_of_sites, routes_sentence
from vpn.profiles.known import known_digests_of_all
from vpn.profiles.state import profile_states


class Coverage(Enum):
    """How much of a connected device's traffic goes through the VPN."""

    ALL = "all"
    NETWORKS = "networks"
    # Its profile is outdated, so it may do either.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Device:
    """One of the member's own peers, with its words on the page."""

    peer: Peer
    condition: Condition
    profile_state: str
    # What goes through the VPN, in words; "" where the reader is not its owner.
    routes: str = ""
    # The site from whose address it connects, so that it is there; "" if none is known.
    office: str = ""

    @property
    def name(self) -> str:
        """The name that its owner gave it."""
        return self.peer.device or _("The device without a name")

    @property
    def is_new(self) -> bool:
        """Was its profile never fetched?"""
        return self.profile_state == ProfileState.UNDELIVERED

    @property
    def coverage(self) -> str:
        """A value of Coverage if the device is connected; else "".

        A hub routes or rejects each address family of all traffic, so that no packet bypasses the VPN.
        """
        if self.condition.tone != "good":
            return ""
        if self.profile_state != ProfileState.CURRENT:
            return Coverage.UNKNOWN.value
        return Coverage.ALL.value if self.peer.route_all else Coverage.NETWORKS.value

    @property
    def outdated_words(self) -> str:
        """What it means that its profile is outdated."""
        return outdated_words(self.peer)

    @property
    def remedy(self) -> str:
        """What to do about an outdated profile."""
        return remedy_of(self.peer)


@require_safe
def my(request: HttpRequest) -> HttpResponse:
    """A member's own devices only."""
    member = get_member(request)
    devices = devices_of(member, may_change=member.is_admin, for_owner=True)
    context = {
        "devices": devices,
        "connected": [device for device in devices if device.condition.tone == "good"],
        "unknown": [device for device in devices if not device.condition.is_known],
        "admins": [] if devices else _admins_of(member),
        "is_admin": member.is_admin,
        "may_add": open_instances(member).exists(),
        "left": max(0, member.device_limit - len(devices)),
        "limit": member.device_limit,
    }
    return render_page(request, "vpn/profiles/my.html", context, fragment="my_devices")


def devices_of(member: Membership, *, may_change: bool, for_owner: bool = False) -> list[Device]:
    """A member's devices by instance; `may_change` says whether the reader can change what an admin set.

    `for_owner`: also what is routed, and in which office each device is.
    """
    devices: list[Device] = []
    found = list(own_peers(member).order_by("instance__name", "instance_id", "created_at", "id"))
    instances = {peer.instance_id: peer.instance for peer in found}
    offices = sites_beside(found) if for_owner else {}
    digests, hubs = known_digests_of_all(instances.values()), Hubs(list(instances.values()))
    names = names_of_sites(one.sites for one in digests.values()) if for_owner else {}
    for instance, peers in groupby(found, key=lambda peer: peer.instance):
        listed = list(peers)
        states = profile_states(instance, listed, digests=digests[instance.pk])
        hub = HubSide(instance, for_admin=member.is_admin, hubs=hubs)
        words: dict[tuple[bool, str], str] = {}
        for peer in listed:
            kind = (peer.route_all, peer.protocol)
            if for_owner and kind not in words:
                words[kind] = routes_sentence(peer, digests[instance.pk].sites, names)
            condition = condition_of(peer, states[peer.pk], may_change=may_change, hub=hub)
            devices.append(Device(peer, condition, states[peer.pk], words.get(kind, ""), offices.get(peer.pk, "")))
    return devices


def _admins_of(member: Membership) -> list[Membership]:
    """The admins whom a member can ask for a device."""
    found = Membership.objects.filter(
        organization=member.organization_id, role=Role.ADMIN, state=MembershipState.ACTIVE, user__is_active=True
    )
    return list(found.select_related("user").order_by("user__name", "user__email")[:5])
