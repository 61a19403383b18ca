"""Groups of members: create, change, delete, and set the groups of a member."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.actions.directory import free_external_id
from portal.actions.quota import lock_organization, require_room
from portal.audit.fields import cut
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Group, Membership, Organization, Principal, Quota
from portal.signals import group_changed, group_removing
from portal.validators import clean_group_name


def create_group(
    organization: Organization,
    *,
    by: Principal,
    name: str,
    members: Iterable[UUID] = (),
    provisioned: bool = False,
    external_id: str = "",
) -> Group:
    """Create a group of these members; a directory may change it by SCIM if it is `provisioned`.

    Raises InvalidInput, or Conflict if the name (ignoring case) or the external id is taken.
    """
    wanted = set(members)
    with transaction.atomic():
        lock_organization(organization.pk)
        label = _checked(organization.pk, name, wanted)
        require_room(organization.pk, Quota.GROUPS)
        group = Group(organization=organization, name=label)
        _set_directory(group, provisioned=provisioned, external_id=external_id)
        _saved(group)
        with one_act(by, "created", group) as act:
            act.details |= _set_members(group, wanted, by)
    return group


def change_group(
    group: Group,
    *,
    by: Principal,
    name: str | None = None,
    members: Iterable[UUID] | None = None,
    provisioned: bool | None = None,
    external_id: str | None = None,
) -> Group:
    """Change the given values; `members` is the complete new list. Raises InvalidInput or Conflict."""
    with transaction.atomic():
        lock_organization(group.organization_id)
        fresh = _fresh(group)
        wanted = None if members is None else set(members)
        label = _checked(fresh.organization_id, fresh.name if name is None else name, wanted or set())
        with one_act(by, "changed", fresh, is_change=True) as act:
            if _set_directory(fresh, provisioned=provisioned, external_id=external_id) or label != fresh.name:
                fresh.name = label
                _saved(fresh)
            if wanted is not None:
                act.details |= _set_members(fresh, wanted, by)
    return fresh


def delete_group(group: Group, *, by: Principal) -> None:
    """Delete a group. Raises Conflict if something refers to it, such as a firewall rule."""
    with transaction.atomic():
        lock_organization(group.organization_id)
        fresh = _fresh(group)
        group_removing.send(sender=Group, group=fresh)
        acted(by, "deleted", fresh)
        fresh.delete()


def set_groups(membership: Membership, groups: Iterable[UUID], *, by: Principal) -> bool:
    """Set the groups of a member; False if they are in these already.

    The organization's row must be locked already. Raises InvalidInput.
    """
    wanted = set(groups)
    found = {group.pk: group for group in Group.objects.filter(organization=membership.organization_id)}
    if not wanted <= found.keys():
        raise InvalidInput.in_field("groups", _("Choose groups of this organization."))
    present = set(membership.groups.values_list("pk", flat=True))
    for pk in sorted(wanted ^ present):
        if pk in wanted:
            membership.groups.add(found[pk])
        else:
            membership.groups.remove(found[pk])
        details = {"added" if pk in wanted else "removed": [membership.user.email]}
        acted(by, "members changed", found[pk], details=details)
        group_changed.send(sender=Group, group=found[pk], membership_ids={membership.pk}, by=by)
    return wanted != present


def _set_directory(group: Group, *, provisioned: bool | None, external_id: str | None) -> bool:
    """Set whether a directory may change the group, and what it calls it; False if nothing changes."""
    former = (group.provisioned_since, group.external_id)
    if provisioned is not None and provisioned != group.is_provisioned:
        group.provisioned_since = timezone.now() if provisioned else None
    if external_id is not None:
        others = Group.objects.filter(organization=group.organization_id).exclude(pk=group.pk)
        group.external_id = free_external_id(others, external_id)
    return former != (group.provisioned_since, group.external_id)


def _fresh(group: Group) -> Group:
    fresh = Group.objects.filter(pk=group.pk).first()
    if fresh is None:
        raise NotPossible(_("This group was deleted meanwhile."))
    return fresh


def _checked(organization_id: UUID, name: str, members: set[UUID]) -> str:
    """Return the normalized name. Raises InvalidInput with every fault."""
    errors: dict[str, list[str]] = {}
    label = ""
    try:
        label = clean_group_name(name)
    except InvalidInput as fault:
        errors |= fault.errors
    if members:
        everyone = Membership.objects.filter(organization=organization_id).values_list("pk", flat=True)
        if not members <= set(everyone):
            errors["members"] = [_("Choose members of this organization.")]
    if errors:
        raise InvalidInput(errors)
    return label


def _saved(group: Group) -> Group:
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise Conflict(
            _("There is a group called %(group)s already.") % {"group": group.name}, field="name", code="name-taken"
        ) from None
    return group


def _set_members(group: Group, wanted: set[UUID], by: Principal) -> dict[str, list[str]]:
    """Set the members of a group; returns the addresses of whom it `added` and `removed`, as far as there are any."""
    present = set(group.members.values_list("pk", flat=True))
    if wanted != present:
        group.members.remove(*Membership.objects.filter(pk__in=present - wanted))
        group.members.add(*Membership.objects.filter(pk__in=wanted - present))
        group_changed.send(sender=Group, group=group, membership_ids=wanted ^ present, by=by)
    found = {"added": _addresses(wanted - present), "removed": _addresses(present - wanted)}
    return {name: addresses for name, addresses in found.items() if addresses}


def _addresses(ids: set[UUID]) -> list[str]:
    return cut(Membership.objects.filter(pk__in=ids).order_by("user__email").values_list("user__email", flat=True))
