"""Creating, changing and deleting peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Unpack
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.actions.quota import lock_organization, require_room
from portal.exceptions import Conflict, InvalidInput
from portal.models import Membership, MembershipState, Principal, Quota
from vpn.actions.activity import planning
from vpn.actions.change import Scope, lock_changeable
from vpn.actions.peers.address import give_host, release_host
from vpn.actions.peers.exits import (
    change_exit,
    exit_faults,
    refuse_default_route_beside_exit,
    refuse_used_exit,
)
from vpn.actions.peers.input import (
    PeerChanges,
    change_faults,
    checked_subnets,
    client_faults,
    end_faults,
    prepare_networks,
    protocol_faults,
    refuse_taken_name,
)
from vpn.actions.peers.keys import end_keys, give_keys, refuse_used_key, renew_keys
from vpn.actions.peers.labels import follow_name, give_label, wanted_label
from vpn.actions.peers.protocol_change import end_former, keep_former
from vpn.actions.peers.row import fresh_peer
from vpn.actions.peers.use import Unused, count_from_now
from vpn.actions.sites.subnets import follow_changed_peer, follow_new_peer, lock_site
from vpn.actions.unchanged import differing_changes
from vpn.addressing.aliases import published
from vpn.choices import EndReason, PeerType, Protocol
from vpn.connections.acting import end_connection, note_subnets
from vpn.models import Instance, Peer, PeerObservation, PeerTombstone, Site
from vpn.quota_use import broad_routes


def create_client_peer(
    instance: Instance,
    *,
    by: Principal,
    member: Membership,
    device: str = "",
    route_all: bool = False,
    protocol: str = Protocol.WIREGUARD,
    expires_at: datetime | None = None,
    unused_days: int | Unused | None = Unused.AS_ORGANIZATION,
    public_key: str = "",
) -> Peer:
    """Add a member's device; raises InvalidInput, Conflict (the pool is full, the key is known) or QuotaReached."""
    days = member.organization.unused_days if isinstance(unused_days, Unused) else unused_days
    errors = client_faults(device, public_key) | protocol_faults(protocol, None) | end_faults(expires_at, days)
    if public_key and protocol == Protocol.OPENVPN:
        errors["public_key"] = [_("Only WireGuard devices make their own key. Leave it empty for OpenVPN.")]
    if member.organization_id != instance.organization_id or member.state == MembershipState.DEACTIVATED:
        errors["user_id"] = [_("Choose an active member of this organization.")]
    if errors:
        raise InvalidInput(errors)
    change = planning.planned_change(instance.pk, by=by, scope=Scope.PEERS, is_noted=False)
    with _one_more(instance), _holding(member), change as locked:
        peer = Peer(
            instance=locked,
            type=PeerType.CLIENT,
            protocol=protocol,
            member=member,
            device=device.strip(),
            route_all=route_all,
            expires_at=expires_at,
            unused_days=days,
        )
        count_from_now(peer)
        refuse_taken_name(peer, locked, peer.device)
        planning.touch_new_peer(peer)
        give_keys(peer, locked, public_key)
        _insert(peer, locked, by)
        acted(by, "created", peer)
    return peer


def create_site_peer(
    instance: Instance,
    *,
    by: Principal,
    site: Site,
    subnets: Sequence[str],
    protocol: str = Protocol.WIREGUARD,
    confirm_broad_routes: bool = False,
    expires_at: datetime | None = None,
    unused_days: int | None = None,
) -> Peer:
    """Connect a site, with all of its subnets unless others are named; raises InvalidInput, or Conflict where subnets
    overlap or the site is connected already, or QuotaReached.

    It has no end unless one is set here: the organization's days without use are for devices.
    """
    errors = protocol_faults(protocol, site) | end_faults(expires_at, unused_days)
    if site.organization_id != instance.organization_id:
        errors["site_id"] = [_("Choose a site of this organization.")]
    if errors:
        raise InvalidInput(errors)
    prepare_networks(list(subnets) or site.subnets)
    with _one_more(instance):
        held = lock_site(site.pk, instance.pk)
        peer = Peer(
            instance=instance,
            type=PeerType.SITE,
            protocol=protocol,
            site=held,
            confirm_broad_routes=confirm_broad_routes,
            expires_at=expires_at,
            unused_days=unused_days,
        )
        with one_act(by, "created", peer):
            _connect(peer, held, published(list(subnets) or held.subnets, held.alias or ()), by)
            follow_new_peer(held, peer, confirmed=confirm_broad_routes, by=by)
    return peer


def _connect(peer: Peer, site: Site, subnets: list[str], by: Principal) -> None:
    """Insert the peer of a locked site."""
    with planning.planned_change(peer.instance_id, by=by, scope=Scope.PEERS) as locked:
        if locked.peers.filter(site=site).exists():
            raise Conflict(
                _("%(site)s is connected to this instance already.") % {"site": site.name},
                field="site_id",
                code="site-connected",
            )
        peer.instance = locked
        peer.subnets = checked_subnets(locked, subnets, peer.confirm_broad_routes, except_peer=None)
        count_from_now(peer)
        refuse_default_route_beside_exit(locked, peer.subnets, None)
        require_room(locked.organization_id, Quota.SUBNETS, broad_routes(peer.subnets), field="subnets")
        planning.touch_new_peer(peer)
        give_keys(peer, locked)
        _insert(peer, locked, by)


@contextmanager
def _one_more(instance: Instance) -> Iterator[None]:
    """The transaction that adds a peer. It locks the organization and counts its peers first; raises QuotaReached."""
    with transaction.atomic():
        require_room(instance.organization_id, Quota.PEERS)
        yield


@contextmanager
def _holding(member: Membership) -> Iterator[None]:
    """Keep a member from being removed; raises Conflict if they were.

    Members are locked before instances, as when a member is removed, so that no two actions deadlock.
    """
    with transaction.atomic():
        rows = Membership.objects.select_for_update(of=("self",), no_key=True)
        if not rows.filter(pk=member.pk).values_list("pk"):
            raise Conflict(
                _("This member was removed at this very moment."), field="user_id", next_step=_("Choose another one.")
            )
        yield


def _insert(peer: Peer, instance: Instance, by: Principal) -> None:
    """Give the peer its addresses and save it. The lock on the instance keeps other actions from choosing the same."""
    give_host(peer, instance, by=by)
    refuse_used_key(peer.public_key, instance)
    peer.changed_generation = instance.desired_generation
    give_label(peer, instance)
    peer.save(force_insert=True)


def update_peer(peer: Peer, *, by: Principal, **changes: Unpack[PeerChanges]) -> Peer:
    """Change a peer; raises InvalidInput, Conflict or QuotaReached. Returns the peer as saved.

    Values that it has already change nothing: no generation is raised.
    """
    errors = change_faults(peer, changes) | exit_faults(peer, changes)
    if errors:
        raise InvalidInput(errors)
    prepare_networks(changes.get("subnets", ()))
    with transaction.atomic():
        site = _lock_site(peer.site_id, peer.instance) if peer.site_id and "subnets" in changes else None
        present = fresh_peer(peer, lock_changeable(peer.instance_id))
        if site is not None and site.alias:
            changes["subnets"] = published(changes["subnets"], site.alias)
        wanted = differing_changes(present, changes)
        if not wanted:
            return present
        with one_act(by, "changed", present) as act:
            fresh = act.on = _write(present, wanted, by)
            if site is not None and "subnets" in wanted:
                confirmed = wanted.get("confirm_broad_routes", False)
                follow_changed_peer(site, fresh, former=present.subnets, confirmed=confirmed, by=by)
    return fresh


def _write(peer: Peer, wanted: PeerChanges, by: Principal) -> Peer:
    is_noted = _concerns_others(peer, wanted)
    with planning.planned_change(peer.instance_id, by=by, scope=Scope.PEERS, urgent=True, is_noted=is_noted) as locked:
        fresh = fresh_peer(peer, locked)
        planning.touch_peer(fresh)
        _change(fresh, locked, wanted, by)
    return fresh


def _lock_site(site_id: UUID, instance: Instance) -> Site:
    """The site, locked after its organization, as its subnets count for a quota."""
    lock_organization(instance.organization_id)
    return lock_site(site_id)


def _change(fresh: Peer, locked: Instance, changes: PeerChanges, by: Principal) -> None:
    """Write the changes to the peer's row, whose generation was raised before. Raises InvalidInput or Conflict."""
    if "subnets" in changes:
        # A confirmation covers the networks sent with it, and none later.
        confirmed = changes.get("confirm_broad_routes", False)
        wanted = checked_subnets(locked, changes["subnets"], confirmed, except_peer=fresh)
        more = broad_routes(wanted) - broad_routes(fresh.subnets)
        require_room(locked.organization_id, Quota.SUBNETS, more, field="subnets")
        refuse_default_route_beside_exit(locked, wanted, fresh)
        fresh.subnets = wanted
        fresh.confirm_broad_routes |= confirmed
        note_subnets(fresh)
    change_exit(fresh, locked, changes)
    former_label, former_name = wanted_label(fresh), fresh.dns_name
    refuse_taken_name(fresh, locked, changes.get("device", fresh.device), former=fresh.device)
    for field in ("route_all", "device", "expires_at", "unused_days", "enabled"):
        if field in changes:
            setattr(fresh, field, changes[field])
    if "unused_days" in changes or changes.get("enabled"):
        count_from_now(fresh)
    if wanted_label(fresh) != former_label or not fresh.dns_label:
        give_label(fresh, locked)
    if "protocol" in changes:
        if not keep_former(fresh, by=by):
            end_keys(fresh, locked, by=by)
        fresh.protocol = changes["protocol"]
        renew_keys(fresh, locked, by=by)
    if fresh.enabled:
        fresh.lost_at = None
    else:
        PeerObservation.objects.filter(peer=fresh).update(connected_from=None)
    if not fresh.is_admitted:
        end_former(fresh, locked, by=by)
        end_connection(fresh, EndReason.REVOKED)
    fresh.changed_generation = locked.desired_generation
    fresh.save()
    follow_name(fresh, former_name, by=by)


def _concerns_others(peer: Peer, changes: PeerChanges) -> bool:
    """Can the change outdate a profile? Disabling a device cannot, and it has to be quick."""
    return peer.is_site or bool({"protocol", "route_all", "exit_site_id"} & changes.keys())


def delete_peer(peer: Peer, *, by: Principal) -> None:
    """Revoke and delete a peer; its live session ends once the hub has applied that, within two seconds."""
    with planning.planned_change(
        peer.instance_id, by=by, scope=Scope.PEERS, urgent=True, is_noted=peer.is_site
    ) as locked:
        fresh = fresh_peer(peer, locked)
        refuse_used_exit(fresh, locked)
        planning.touch_peer(fresh)
        end_keys(fresh, locked, by=by)
        PeerTombstone.objects.create(
            instance=locked,
            peer_id=fresh.pk,
            label=fresh.label,
            applied_digest=fresh.applied_digest,
            generation=locked.desired_generation,
        )
        release_host(fresh, by=by)
        end_connection(fresh, EndReason.REMOVED)
        acted(by, "deleted", fresh)
        fresh.delete()
