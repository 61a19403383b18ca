"""Exit through a site: a site's router passes on the internet traffic of those clients that chose it."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.exceptions import Conflict, InvalidInput
from portal.figures import grouped
from vpn.actions.peers.input import PeerChanges
from vpn.addressing.networks import is_default_route
from vpn.choices import PeerType, Protocol
from vpn.models import Instance, Peer
from vpn.validators import parse_network


def exit_faults(peer: Peer, changes: PeerChanges) -> dict[str, list[str]]:
    """The faults in what the changes say of an exit, by field."""
    errors: dict[str, list[str]] = {}
    if peer.is_site:
        if changes.get("exit_site_id") is not None:
            errors["exit_site_id"] = [_("A site has none: this is for client peers.")]
        if not changes.get("is_exit", peer.is_exit) or changes.get("protocol", peer.protocol) != Protocol.OPENVPN:
            return errors
        field = "protocol" if "protocol" in changes else "is_exit"
        errors[field] = [_("A site is an exit over WireGuard alone. With OpenVPN it cannot be one.")]
    elif changes.get("is_exit"):
        errors["is_exit"] = [_("A client is no exit: this is for sites.")]
    return errors


def change_exit(fresh: Peer, locked: Instance, changes: PeerChanges) -> None:
    """Write what the changes say of an exit to the locked peer; raises InvalidInput or Conflict."""
    if "is_exit" in changes:
        if changes["is_exit"]:
            _refuse_second(fresh, locked)
        else:
            refuse_used_exit(fresh, locked)
        fresh.is_exit = changes["is_exit"]
    if "exit_site_id" in changes:
        fresh.exit_site_id = _known(locked, changes["exit_site_id"])
        if fresh.exit_site_id is not None and not changes.get("route_all", fresh.route_all):
            raise InvalidInput.in_field("exit_site_id", _("Choose “All traffic” first: a split tunnel has no exit."))
    elif changes.get("route_all") is False:
        fresh.exit_site_id = None


def refuse_used_exit(peer: Peer, locked: Instance) -> None:
    """Raise Conflict while devices leave through this site: without it, the hub would reject their traffic."""
    if not peer.is_exit:
        return
    users = locked.peers.filter(exit_site=peer.site_id).count()
    if users:
        message = ngettext(
            "%(users)s device leaves through %(site)s.", "%(users)s devices leave through %(site)s.", users
        ) % {"users": grouped(users), "site": peer.label}
        raise Conflict(message, field="is_exit", code="exit-in-use", next_step=_("Choose another exit for it first."))


def refuse_default_route_beside_exit(locked: Instance, subnets: list[str], peer: Peer | None) -> None:
    """Raise Conflict if a site would become the way of all traffic on an instance where another one is the exit."""
    if not any(is_default_route(parse_network(text)) for text in subnets):
        return
    others = locked.peers.filter(is_exit=True)
    other = (others if peer is None else others.exclude(pk=peer.pk)).select_related("site").first()
    if other is not None:
        message = _("%(site)s is the exit of this instance, so no other site can have the default route.")
        raise Conflict(message % {"site": other.label}, field="subnets", code="exit-taken")


def exits_of(instance: Instance) -> list[tuple[UUID, str]]:
    """The ids and names of the sites through which clients of an instance may leave; one query."""
    found = instance.peers.filter(is_exit=True, type=PeerType.SITE).order_by("site__name")
    return list(found.values_list("site_id", "site__name"))


def _refuse_second(fresh: Peer, locked: Instance) -> None:
    """Raise Conflict if the instance has an exit, or a default route: WireGuard gives the internet to one peer."""
    sites = locked.peers.filter(type=PeerType.SITE).exclude(pk=fresh.pk).select_related("site")
    exits = [peer for peer in sites if peer.is_exit or any(_is_default(text) for text in peer.subnets)]
    if exits:
        message = _("%(site)s is the exit of this instance already: an instance has one.")
        raise Conflict(message % {"site": exits[0].label}, field="is_exit", code="exit-taken")


def _is_default(text: str) -> bool:
    return is_default_route(parse_network(text))


def _known(locked: Instance, site_id: UUID | None) -> UUID | None:
    if site_id is not None and not locked.peers.filter(site_id=site_id, is_exit=True).exists():
        raise InvalidInput.in_field("exit_site_id", _("Choose a site that is an exit of this instance."))
    return site_id
