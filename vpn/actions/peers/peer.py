"""Creating, changing, rotating and deleting peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Unpack
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.actions.quota import lock_organization, require_room
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Membership, MembershipState, Principal, Quota
from vpn import keys
from vpn.actions.activity import planning
from vpn.actions.change import Scope, changing, lock_changeable
from vpn.actions.peers import certificates
from vpn.actions.peers.address import give_host, release_host
from vpn.actions.peers.input import (
    PeerChanges,
    change_faults,
    checked_subnets,
    client_faults,
    prepare_networks,
    protocol_faults,
    refuse_taken_name,
)
from vpn.actions.peers.labels import follow_name, give_label, wanted_label
from vpn.actions.peers.protocol_change import end_former, end_former_of_refused, keep_former
from vpn.actions.sites.subnets import follow_changed_peer, follow_new_peer, lock_site
from vpn.actions.unchanged import differing_changes
from vpn.choices import KeyCustody, PeerType, Protocol
from vpn.desired.firewall import GroupChange
from vpn.models import Instance, Peer, PeerObservation, PeerTombstone, ProfileLink, Site
from vpn.models.querysets import PeerQuerySet
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
    public_key: str = "",
) -> Peer:
    """Add a member's device; raises InvalidInput, Conflict (the pool is full, the key is known) or QuotaReached."""
    errors = client_faults(device, expires_at, public_key) | protocol_faults(protocol, None)
    if public_key and protocol == Protocol.OPENVPN:
        errors["public_key"] = ["Only WireGuard devices make their own key. Leave it empty for OpenVPN."]
    if member.organization_id != instance.organization_id or member.state == MembershipState.DEACTIVATED:
        errors["user_id"] = ["Choose an active member of this organization."]
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
        )
        refuse_taken_name(peer, locked, peer.device)
        planning.touch_new_peer(peer)
        _give_keys(peer, locked, public_key)
        _insert(peer, locked, by)
    return peer


def create_site_peer(
    instance: Instance,
    *,
    by: Principal,
    site: Site,
    subnets: Sequence[str],
    protocol: str = Protocol.WIREGUARD,
    confirm_broad_routes: bool = False,
) -> Peer:
    """Connect a site, with all of its subnets unless others are named; raises InvalidInput, or Conflict where subnets
    overlap or the site is connected already, or QuotaReached."""
    errors = protocol_faults(protocol, site)
    if site.organization_id != instance.organization_id:
        errors["site_id"] = ["Choose a site of this organization."]
    if errors:
        raise InvalidInput(errors)
    prepare_networks(list(subnets) or site.subnets)
    with _one_more(instance):
        held = lock_site(site.pk, instance.pk)
        peer = _connect(held, instance, list(subnets) or held.subnets, protocol, confirm_broad_routes, by)
        follow_new_peer(held, peer, confirmed=confirm_broad_routes, by=by)
    return peer


def _connect(
    site: Site, instance: Instance, subnets: list[str], protocol: str, confirm_broad_routes: bool, by: Principal
) -> Peer:
    """Insert the peer of a locked site."""
    with planning.planned_change(instance.pk, by=by, scope=Scope.PEERS) as locked:
        if locked.peers.filter(site=site).exists():
            raise Conflict(
                f"{site.name} is connected to this instance already.", field="site_id", code="site-connected"
            )
        peer = Peer(
            instance=locked,
            type=PeerType.SITE,
            protocol=protocol,
            site=site,
            subnets=checked_subnets(locked, subnets, confirm_broad_routes, except_peer=None),
            confirm_broad_routes=confirm_broad_routes,
        )
        require_room(locked.organization_id, Quota.SUBNETS, broad_routes(peer.subnets), field="subnets")
        planning.touch_new_peer(peer)
        _give_keys(peer, locked)
        _insert(peer, locked, by)
    return peer


@contextmanager
def _one_more(instance: Instance) -> Iterator[None]:
    """The transaction that adds a peer: it counts the organization's peers first, and keeps others from adding one.

    Raises QuotaReached.
    """
    with transaction.atomic():
        require_room(instance.organization_id, Quota.PEERS)
        yield


@contextmanager
def _holding(member: Membership) -> Iterator[None]:
    """Keep a member from being removed; raises Conflict where they are gone.

    Owners are locked before instances, as when an owner is removed, so that no deadlock arises.
    """
    with transaction.atomic():
        rows = Membership.objects.select_for_update(of=("self",), no_key=True)
        if not rows.filter(pk=member.pk).values_list("pk"):
            raise Conflict(
                "This member was removed at this very moment.", field="user_id", next_step="Choose another one."
            )
        yield


def _insert(peer: Peer, instance: Instance, by: Principal) -> None:
    """Give the peer its addresses and save it. The locked instance row keeps others from choosing the same."""
    give_host(peer, instance, by=by)
    same_key = Q(public_key=peer.public_key) | Q(former_public_key=peer.public_key)
    if instance.peers.filter(same_key).exists() or peer.public_key == instance.public_key:
        raise Conflict("Another peer of this instance uses this public key.", field="public_key", code="key-in-use")
    peer.changed_generation = instance.desired_generation
    give_label(peer, instance)
    peer.save(force_insert=True)
    acted(by, "created", peer)


def _give_keys(peer: Peer, instance: Instance, public_key: str = "") -> None:
    """Fresh keys for the peer's protocol: the portal's own, or the device's public key for WireGuard."""
    peer.key_custody = KeyCustody.DEVICE if public_key else KeyCustody.PORTAL
    if peer.is_openvpn:
        certificates.ensure_certificates(instance)
        certificates.issue_for_peer(peer, instance)
        return
    peer.certificate = peer.certificate_serial = peer.tls_crypt_key = ""
    peer.certificate_expires_at = None
    peer.preshared_key = keys.generate_preshared_key()
    if public_key:
        peer.public_key, peer.private_key = public_key, ""
    else:
        private_key = keys.generate_private_key()
        peer.public_key, peer.private_key = keys.public_key(private_key), private_key


def _end_keys(peer: Peer, instance: Instance, by: Principal) -> None:
    """End what the peer has, and what it had before it changed its protocol."""
    certificates.revoke(peer, instance, by=by)
    end_former(peer, instance, by=by)


def _renew_keys(peer: Peer, instance: Instance) -> None:
    """Give the peer other keys, and forget what was delivered of those that it has."""
    _give_keys(peer, instance)
    peer.delivered_digest, peer.delivered_at = "", None
    ProfileLink.objects.filter(peer=peer).delete()


def update_peer(peer: Peer, *, by: Principal, **changes: Unpack[PeerChanges]) -> Peer:
    """Change a peer; raises InvalidInput, Conflict or QuotaReached. Returns the peer as saved.

    What it has already is no change.
    """
    errors = change_faults(peer, changes)
    if errors:
        raise InvalidInput(errors)
    prepare_networks(changes.get("subnets", ()))
    with transaction.atomic():
        site = _lock_site(peer.site_id, peer.instance) if peer.site_id and "subnets" in changes else None
        present = _fresh(peer, lock_changeable(peer.instance_id))
        wanted = differing_changes(present, changes)
        if not wanted:
            return present
        is_noted = _concerns_others(peer, wanted)
        with planning.planned_change(
            peer.instance_id, by=by, scope=Scope.PEERS, urgent=True, is_noted=is_noted
        ) as locked:
            fresh = _fresh(peer, locked)
            planning.touch_peer(fresh)
            _change(fresh, locked, wanted, by)
        if site is not None and "subnets" in wanted:
            confirmed = wanted.get("confirm_broad_routes", False)
            follow_changed_peer(site, fresh, former=present.subnets, confirmed=confirmed, by=by)
    return fresh


def _lock_site(site_id: UUID, instance: Instance) -> Site:
    """The site, locked behind its organization, since its subnets are counted."""
    lock_organization(instance.organization_id)
    return lock_site(site_id)


def _change(fresh: Peer, locked: Instance, changes: PeerChanges, by: Principal) -> None:
    """Write the changes of a peer to its row; the generation is raised already. Raises InvalidInput or Conflict."""
    if "subnets" in changes:
        # A confirmation is for the networks that come with it, and for none later on.
        confirmed = changes.get("confirm_broad_routes", False)
        wanted = checked_subnets(locked, changes["subnets"], confirmed, except_peer=fresh)
        more = broad_routes(wanted) - broad_routes(fresh.subnets)
        require_room(locked.organization_id, Quota.SUBNETS, more, field="subnets")
        fresh.subnets = wanted
        fresh.confirm_broad_routes |= confirmed
    former_label, former_name = wanted_label(fresh), fresh.dns_name
    refuse_taken_name(fresh, locked, changes.get("device", fresh.device), former=fresh.device)
    for field in ("route_all", "device", "expires_at", "enabled"):
        if field in changes:
            setattr(fresh, field, changes[field])
    if wanted_label(fresh) != former_label or not fresh.dns_label:
        give_label(fresh, locked)
    if "protocol" in changes:
        if not keep_former(fresh, by=by):
            _end_keys(fresh, locked, by)
        fresh.protocol = changes["protocol"]
        _renew_keys(fresh, locked)
    if not fresh.enabled:
        PeerObservation.objects.filter(peer=fresh).update(connected_from=None)
    if not fresh.is_admitted:
        end_former(fresh, locked, by=by)
    fresh.changed_generation = locked.desired_generation
    fresh.save()
    acted(by, "changed", fresh)
    follow_name(fresh, former_name, by=by)


def _concerns_others(peer: Peer, changes: PeerChanges) -> bool:
    """Can the change outdate a profile? Shutting a device out cannot, and has to be quick."""
    return peer.is_site or bool({"protocol", "route_all"} & changes.keys())


def rotate_keys(peer: Peer, *, by: Principal) -> Peer:
    """New keys; the old ones end as soon as the hub has followed. The profile has to be fetched again."""
    if peer.key_custody == KeyCustody.DEVICE:
        raise NotPossible(
            "This device made its own key, so the portal cannot renew it.",
            next_step="Delete the peer and add the device again with its new public key.",
        )
    with changing(peer.instance_id, by=by, scope=Scope.PEERS, urgent=True) as locked:
        fresh = _fresh(peer, locked)
        _end_keys(fresh, locked, by)
        _renew_keys(fresh, locked)
        fresh.changed_generation = locked.desired_generation
        fresh.save()
        acted(by, "keys rotated", fresh)
    return fresh


def renew_peer(peer: Peer, *, by: Principal) -> None:
    """A new certificate before the old one runs out; the old one stays good until then, its profile is outdated."""
    with changing(peer.instance_id, by=by, scope=Scope.PEERS) as locked:
        fresh = _fresh(peer, locked)
        former_key = fresh.public_key
        certificates.keep_as_earlier(fresh, by=by)
        certificates.issue_for_peer(fresh, locked)
        fresh.save()
        acted(by, "certificate renewed", fresh)
        # It goes on with what it had, so what was seen of it stays true.
        PeerObservation.objects.filter(peer=fresh, public_key=former_key).update(public_key=fresh.public_key)


def delete_peer(peer: Peer, *, by: Principal) -> None:
    """Revoke and remove a peer; its live session ends when the hub has followed, within two seconds."""
    with planning.planned_change(
        peer.instance_id, by=by, scope=Scope.PEERS, urgent=True, is_noted=peer.is_site
    ) as locked:
        fresh = _fresh(peer, locked)
        planning.touch_peer(fresh)
        _end_keys(fresh, locked, by)
        PeerTombstone.objects.create(
            instance=locked,
            peer_id=fresh.pk,
            label=fresh.label,
            applied_digest=fresh.applied_digest,
            generation=locked.desired_generation,
        )
        release_host(fresh, by=by)
        acted(by, "deleted", fresh)
        fresh.delete()


def reconsider_peers(peers: PeerQuerySet, *, by: Principal, group_change: GroupChange | None = None) -> None:
    """Let the hubs look at these peers again, because what admits them or names them changed (member, expiry, group).

    What a group's change means is noted; `group_change` is that change.
    """
    # Locked in one order everywhere, so that no two actions wait in a circle.
    for instance_id in list(peers.order_by("instance_id").values_list("instance_id", flat=True).distinct()):
        try:
            with planning.planned_change(
                instance_id,
                by=by,
                scope=Scope.PEERS,
                urgent=True,
                is_noted=group_change is not None,
                group_change=group_change,
            ) as locked:
                moving = peers.filter(instance=locked).exclude(former_protocol="")
                end_former_of_refused(moving.select_related("member__user"), locked, by=by)
                peers.filter(instance=locked).update(changed_generation=locked.desired_generation)
        except NotPossible:
            continue  # An instance that is going away needs no such change.


def expire_peers(*, by: Principal) -> None:
    """Take away from the hubs whose time is over; what is on its way to them already need not be sent twice."""
    over = Peer.objects.filter(expires_at__lte=timezone.now()).exclude(applied_digest="")
    reconsider_peers(over.filter(changed_generation__lte=F("instance__applied_generation")), by=by)


def _fresh(peer: Peer, locked: Instance) -> Peer:
    """The peer's row as it is under the lock; raises NotPossible where it is gone."""
    fresh = (
        Peer.objects.select_related("member__user", "site", "observation").filter(pk=peer.pk, instance=locked).first()
    )
    if fresh is None:
        raise NotPossible("This peer was deleted meanwhile.")
    fresh.instance = locked
    return fresh
