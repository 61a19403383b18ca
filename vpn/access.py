"""Fetch what a member may see or change: one call fetches and authorises.

What belongs to another organization does not exist (404). In their own organization, a member whose role is too small
gets 403, except that a member does not see other members' peers either (404).
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from portal.access import require_admin, require_reader
from portal.exceptions import InvalidInput
from portal.models import Membership
from vpn.models import AskedPlan, ChangePlan, Instance, Peer, Revision, Site
from vpn.models.querysets import InstanceQuerySet, PeerQuerySet


def instances_of(member: Membership) -> InstanceQuerySet:
    """The organization's instances, for members who may read everything; an operator's own."""
    found = Instance.objects.filter(organization=member.organization_id)
    if member.is_operator:
        found = found.filter(pk__in=member.operated)
    else:
        require_reader(member)
    if member.acting_instances is not None:
        found = found.filter(pk__in=member.acting_instances)
    return found.select_related("region", "server", "observation", "public_name")


def find_token_instances(member: Membership, wanted: Iterable[UUID]) -> list[UUID]:
    """The ids of instances that a token of this member is limited to.

    Raises InvalidInput if there is none, or if the member may not see one.
    """
    asked = set(wanted)
    if not asked:
        raise InvalidInput.in_field("instances", _("Name at least one instance."))
    known = (
        set(instances_of(member).filter(pk__in=asked).values_list("pk", flat=True)) if member.sees_everything else ()
    )
    if asked - set(known):
        raise InvalidInput.in_field("instances", _("There is no such instance."))
    return sorted(asked)


def get_instance(member: Membership, pk: UUID, *, write: bool = False) -> Instance:
    """One instance of the organization."""
    instance = _found_instance(member, pk)
    _require(member, write=write)
    return instance


def get_instance_of_peers(member: Membership, pk: UUID, *, write: bool = False) -> Instance:
    """One instance whose peers this member may read, or with `write` change: operators may do so on theirs."""
    instance = _found_instance(member, pk)
    if not member.is_operator:
        _require(member, write=write)
    return instance


def _found_instance(member: Membership, pk: UUID) -> Instance:
    """One instance of the organization; for an operator, those of others are not there."""
    found = Instance.objects.select_related("region", "server", "observation", "public_name", "move", "trial")
    found = found.defer("trial__former")  # 1,000 rules, which no page shows
    if member.is_operator:
        found = found.filter(pk__in=member.operated)
    return get_object_or_404(found, pk=pk, organization=member.organization_id)


def peers_of(member: Membership, instance: Instance) -> PeerQuerySet:
    """All peers of an instance that `get_instance` or `get_instance_of_peers` returned."""
    if instance.pk not in member.operated:
        require_reader(member)
    return _joined().filter(instance=instance)


def own_peers(member: Membership) -> PeerQuerySet:
    """A member's own devices, on all instances."""
    return _joined().filter(member=member)


def get_peer(member: Membership, pk: UUID, *, write: bool = False, instance: Instance | None = None) -> Peer:
    """One peer of the organization; for an operator, of their instances.

    Members and operators have their own besides, to read and to fetch its profile.
    """
    found = _joined().select_related("router").filter(instance__organization=member.organization_id)
    if instance is not None:
        found = found.filter(instance=instance)
    peer = get_object_or_404(found, pk=pk)
    manages = member.manages_peers_of(peer.instance_id)
    if not manages and not member.sees_everything and peer.member_id != member.pk:
        raise Http404
    if write and not manages:
        require_admin(member)
    return peer


def find_peer(member: Membership, pk: UUID) -> Peer | None:
    """The same as `get_peer` to read; None where there is none."""
    found = _joined().filter(instance__organization=member.organization_id, pk=pk)
    theirs = Q(member=member) | Q(instance__in=member.operated)
    return (found if member.sees_everything else found.filter(theirs)).first()


def sites_of(member: Membership) -> QuerySet[Site]:
    """The organization's sites."""
    require_reader(member)
    return Site.objects.filter(organization=member.organization_id)


def get_site(member: Membership, pk: UUID, *, write: bool = False) -> Site:
    """One site of the organization."""
    site = get_object_or_404(Site, pk=pk, organization=member.organization_id)
    _require(member, write=write)
    return site


def get_plan(member: Membership, pk: UUID, *, write: bool = False) -> ChangePlan:
    """The plan of a change of one of the organization's instances."""
    found = ChangePlan.objects.select_related("instance__server")
    plan = get_object_or_404(found, pk=pk, instance__organization=member.organization_id)
    _require(member, write=write)
    return plan


def get_revision(member: Membership, pk: UUID, *, write: bool = False) -> Revision:
    """A revision of one of the organization's instances, with its content."""
    found = Revision.objects.with_parts()
    revision = get_object_or_404(found, pk=pk, instance__organization=member.organization_id)
    _require(member, write=write)
    return revision


def find_asked_plan(member: Membership, pk: str) -> AskedPlan | None:
    """The preview that this user requested in this organization; None if it has expired, or is another's."""
    if not member.is_operator:
        require_admin(member)
    try:
        found = AskedPlan.objects.filter(pk=UUID(pk), organization=member.organization_id, user=member.user_id).first()
    except ValueError:
        return None
    return None if found is None or found.is_over else found


def get_fetchable(member: Membership, pk: UUID) -> Peer:
    """One peer whose profile this member may fetch, and whose keys they may renew; else 404 or 403."""
    peer = get_peer(member, pk)
    if not may_fetch_profile(member, peer):
        raise PermissionDenied(_("Only admins and its owner can do this."))
    return peer


def may_fetch_profile(member: Membership, peer: Peer) -> bool:
    """May this member fetch this peer's profile?

    Admins any, operators those of their instances, every member their own; auditors only read.
    """
    return member.manages_peers_of(peer.instance_id) or peer.member_id == member.pk


def may_change_subnets(member: Membership, site_id: UUID) -> bool:
    """May this member change what a site advertises? All hubs that it is connected to follow.

    Operators, and tokens with limits, may do so only where they manage all of these hubs.
    """
    allowed = member.operated if member.is_operator else member.acting_instances
    return allowed is None or not Peer.objects.filter(site=site_id).exclude(instance__in=allowed).exists()


def _joined() -> PeerQuerySet:
    hub = ("instance__region", "instance__server", "instance__observation", "instance__public_name")
    return Peer.objects.select_related(*hub, "member__user", "site", "observation")


def _require(member: Membership, *, write: bool) -> None:
    if write:
        require_admin(member)
    else:
        require_reader(member)
