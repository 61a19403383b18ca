"""The subnets of a site: one list, which its peers advertise on every connected instance.

A peer advertises all of its site's subnets, or the part that was chosen when it was connected. Broad routes
(vpn.addressing.networks.is_broad) only lead through a site: they belong to one peer, not to the site's subnets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.actions.quota import require_room
from portal.audit.fields import values_of
from portal.exceptions import Conflict, InvalidInput
from portal.models import Principal, Quota
from vpn.actions.activity import planning
from vpn.actions.change import Scope, if_possible
from vpn.actions.peers.input import checked_subnets
from vpn.actions.revisions.recording import revising
from vpn.actions.unchanged import same_networks
from vpn.addressing.networks import is_broad
from vpn.connections.acting import note_subnets
from vpn.constants import SUBNET_NESTED
from vpn.models import Instance, Peer, Site
from vpn.validators import parse_network


def lock_site(pk: UUID, *more: UUID) -> Site:
    """The site's row, locked together with its connected instances and with `more` of them.

    The site is locked first, then its instances in the order of their ids, so that no deadlock arises. Raises Conflict
    where the site is gone.
    """
    site = Site.objects.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if site is None:
        raise Conflict(_("This site was just removed."), field="site_id", next_step=_("Choose another one."))
    connected = Q(pk__in=Peer.objects.filter(site=pk).values("instance")) | Q(pk__in=more)
    rows = Instance.objects.filter(connected).order_by("pk")
    list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
    return site


def lan_of(subnets: Iterable[str]) -> list[str]:
    """The subnets of a peer that belong to its site: all but the broad routes."""
    return [text for text in subnets if not is_broad(parse_network(text))]


def follows(peer: Peer, site_subnets: Sequence[str]) -> bool:
    """Does the peer advertise all of its site's subnets?"""
    return same_networks(lan_of(peer.subnets), site_subnets)


def follow_new_peer(site: Site, peer: Peer, *, by: Principal, confirmed: bool) -> None:
    """Add to the locked site the subnets that its new peer advertises.

    For the first peer of a site, the site's subnets become those that it advertises. A further peer may choose a part
    of the subnets; new ones are added for all peers.
    """
    wanted = lan_of(peer.subnets)
    is_only = not _others(site, peer).exists()
    after = wanted if wanted and is_only else _with(site.subnets, wanted)
    set_subnets(site, after, by=by, confirmed=confirmed, except_peer=peer)


def follow_changed_peer(site: Site, peer: Peer, former: Sequence[str], *, by: Principal, confirmed: bool) -> None:
    """Update the locked site after its peer changed from the `former` subnets.

    If the peer advertised all subnets, the site changes with it. If it advertised a part, its new subnets are added to
    the site, and removals apply to this peer only.
    """
    wanted = lan_of(peer.subnets)
    decides = same_networks(lan_of(former), site.subnets) or not _others(site, peer).exists()
    after = wanted if decides else _with(site.subnets, wanted)
    set_subnets(site, after, by=by, confirmed=confirmed, except_peer=peer)


def set_subnets(
    site: Site,
    wanted: Sequence[str],
    *,
    by: Principal,
    confirmed: bool,
    except_peer: Peer | None = None,
    renamed: Mapping[str, str] | None = None,
) -> None:
    """Set the subnets of the locked site, and of its peers on all instances but `except_peer`.

    Added subnets go to the peers that advertise all; removed ones are removed from each. `confirmed` allows new ones to
    nest with those of other sites. `renamed` are those that an alias replaces.

    Raises InvalidInput or Conflict naming the instances where a peer cannot follow, or
    QuotaReached. The caller locked the organization before the site.
    """
    if same_networks(site.subnets, wanted):
        return
    require_room(site.organization_id, Quota.SUBNETS, len(wanted) - len(site.subnets), field="subnets")
    former, before, site.subnets = site.subnets, values_of(site), list(wanted)
    site.save(update_fields=["subnets"])
    acted(by, "subnets changed", site, before=before)
    peers = _others(site, except_peer) if except_peer else Peer.objects.filter(site=site)
    moving = [
        (peer, subnets)
        for peer in peers.select_related("instance", "site").order_by("instance__name", "instance_id")
        if not same_networks(peer.subnets, subnets := _followed(peer, former, wanted, renamed or {}))
    ]
    _refuse_impossible(moving, wanted, confirmed)
    for peer, subnets in moving:
        change = planning.planned_change(peer.instance_id, by=by, scope=Scope.PEERS, urgent=True)
        with revising(peer.instance_id, by=by), if_possible(change) as locked:
            planning.touch_peer(peer)
            before, peer.subnets = values_of(peer), subnets
            peer.confirm_broad_routes |= confirmed
            if locked is not None:
                peer.changed_generation = locked.desired_generation
            peer.save(update_fields=["subnets", "confirm_broad_routes", "changed_generation"])
            note_subnets(peer)
            acted(by, "subnets changed", peer, before=before)


def _others(site: Site, peer: Peer) -> QuerySet[Peer]:
    return Peer.objects.filter(site=site).exclude(pk=peer.pk)


def _with(subnets: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*subnets, *more]))


def _followed(peer: Peer, former: Sequence[str], wanted: Sequence[str], renamed: Mapping[str, str]) -> list[str]:
    """The subnets that a peer advertises after its site changed from the former to the wanted ones."""
    removed = set(former) - set(wanted)
    part = (renamed.get(text, text) for text in lan_of(peer.subnets))
    lan = wanted if follows(peer, former) else [text for text in part if text not in removed]
    return [*lan, *(text for text in peer.subnets if is_broad(parse_network(text)))]


def _refuse_impossible(moving: Iterable[tuple[Peer, list[str]]], wanted: Sequence[str], confirmed: bool) -> None:
    """Check everything before anything is written; each fault names its instance."""
    invalid: list[str] = []
    conflicts: dict[str, str] = {}
    for peer, subnets in moving:
        where = _("On %(instance)s:") % {"instance": peer.instance.name} + " "
        if wanted and not subnets:
            only = ", ".join(peer.subnets)
            invalid.append(
                _(
                    "%(where)sthis would leave the peer without subnets: it has only %(only)s. Change or delete that "
                    "peer first."
                )
                % {"where": where, "only": only}
            )
            continue
        try:
            checked_subnets(peer.instance, subnets, confirmed, except_peer=peer)
        except InvalidInput as refusal:
            invalid += [where + message for message in refusal.errors["subnets"]]
        except Conflict as refusal:
            conflicts[where + refusal.message] = refusal.code
    if invalid:
        raise InvalidInput({"subnets": [*invalid, *conflicts]})
    if conflicts:
        # Confirmation is requested only if there is no other fault.
        code = next((code for code in conflicts.values() if code != SUBNET_NESTED), SUBNET_NESTED)
        raise Conflict(" ".join(conflicts), field="subnets", code=code)
