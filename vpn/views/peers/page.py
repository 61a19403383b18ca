"""The peer page: whether it is connected, and if not, what to do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from portal.access import get_member
from portal.htmx import render_page
from portal.models import Membership
from vpn.access import get_peer, may_fetch_profile
from vpn.actions.profiles.mailed_link import can_be_mailed
from vpn.actions.profiles.profile import find_share_link
from vpn.actions.sites.subnets import follows
from vpn.choices import ProfileState
from vpn.models import Peer
from vpn.observed.trail import networks_on
from vpn.presenters.instances.hub_side import HubSide, host_of
from vpn.presenters.peers.condition import condition_of
from vpn.presenters.peers.router import router_shown
from vpn.presenters.profiles.outdated import outdated_words, remedy_of
from vpn.presenters.profiles.routes import routed_networks, routes_sentence
from vpn.profiles.known import known_digests
from vpn.profiles.state import profile_states


@require_safe
def peer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole page; for HTMX, which polls it, only the part that changes."""
    member = get_member(request)
    found = get_peer(member, pk)
    return render_page(request, "vpn/peers/page.html", _context(member, found), fragment="peer_status")


def _context(member: Membership, peer: Peer) -> dict[str, Any]:
    may_change = member.manages_peers_of(peer.instance_id)
    hub = HubSide(peer.instance, for_admin=member.is_admin)
    digests = known_digests(peer.instance)
    may_fetch = may_fetch_profile(member, peer) and peer.is_admitted
    state = profile_states(peer.instance, [peer], digests=digests)[peer.pk]
    return {
        "peer": peer,
        "instance": peer.instance,
        "condition": condition_of(peer, state, may_change=may_change, hub=hub),
        "profile_state": state,
        "is_new": state == ProfileState.UNDELIVERED,
        "host": host_of(peer),
        "remedy": remedy_of(peer),
        "outdated_words": outdated_words(peer),
        "site_part": peer.site is not None and not follows(peer, peer.site.subnets),
        "routes_sentence": routes_sentence(peer, digests.sites),
        "routed_networks": routed_networks(peer, digests.sites),
        "may_change": may_change,
        "may_fetch": may_fetch,
        "can_mail": may_fetch and can_be_mailed(peer),
        "share_link": find_share_link(peer) if may_fetch else None,
        "twofold_addresses": sorted(set(networks_on(peer.seen.trail))),
        "router": router_shown(peer),
        "is_own": peer.member_id == member.pk,
    }
