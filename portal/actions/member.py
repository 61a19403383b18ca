"""Members of an organization: invite, change, remove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import EllipsisType
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q
from django.utils.translation import gettext as _

from portal.actions.account import delete_unused_account
from portal.actions.acting import Act, one_act
from portal.actions.directory import InDirectory, names_in_directory
from portal.actions.ending import cause_of, end_access
from portal.actions.group import set_groups
from portal.actions.identity import has_identity
from portal.actions.quota import lock_organization, require_room
from portal.actions.sign_in_link import shares_account
from portal.actions.slug import follow_name, lock_organizations_of
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Cause, Membership, MembershipState, Organization, Principal, Quota, Receipt, Role, User
from portal.operated import chosen_instances, instance_names
from portal.signals import membership_changed, membership_removing
from portal.validators import clean_device_limit, clean_email, clean_name, clean_role


def add_member(
    organization: Organization,
    *,
    by: Principal,
    email: str,
    name: str = "",
    role: str,
    groups: Iterable[UUID] = (),
    instances: Iterable[UUID] = (),
    invited_until: datetime | None = None,
    active: bool = True,
    directory: InDirectory | None = None,
) -> Membership:
    """Invite a person, who joins by a link (portal.actions.sign_in_link).

    `instances` are those whose peers an operator manages; `invited_until` is the end of the invitation. A person who is
    not `active` is deactivated from the beginning.

    Raises InvalidInput, QuotaReached, or Conflict if they are a member already. It does not look up other accounts of
    the address, so it reveals nothing about them, not even by its duration.
    """
    address, person_name, wanted_role = clean_email(email), clean_name(name), clean_role(role)
    with transaction.atomic():
        # The organization's row guards addresses and slugs: two people of the same name get different slugs.
        lock_organization(organization.pk)
        known_as = Q(user__email__iexact=address) | Q(directory_name__iexact=address)
        if Membership.objects.filter(known_as, organization=organization).exists():
            raise Conflict(
                _("%(address)s is here already.") % {"address": address}, field="email", code="member-exists"
            )
        ids = chosen_instances(organization.pk, wanted_role, instances)
        require_room(organization.pk, Quota.MEMBERS)
        user = User.objects.create_user(address, name=person_name)
        member = Membership(
            organization=organization, user=user, role=wanted_role, instance_ids=ids, invited_until=invited_until
        )
        member.state = MembershipState.INVITED if active else MembershipState.DEACTIVATED
        member.deactivated_by_directory = not active and directory is not None
        if directory is not None:
            _name(member, directory)
        member.save()
        with one_act(by, "created", member) as act:
            set_groups(member, groups, by=by)
            if ids:
                act.details["instances"] = instance_names(member)
        return member


def change_member(
    membership: Membership,
    *,
    by: Principal,
    role: str | None = None,
    active: bool | None = None,
    name: str | None = None,
    groups: Iterable[UUID] | None = None,
    instances: Iterable[UUID] | None = None,
    most_devices: int | EllipsisType | None = ...,
    directory: InDirectory | None = None,
    by_directory: bool = False,
) -> Membership:
    """Change the given values; `instances` are all whose peers an operator manages.

    `most_devices` of None gives them as many devices as the organization says; without it the number stays. A change
    `by_directory` activates nobody whom somebody here deactivated. Raises InvalidInput, or Conflict if that is asked
    for, or no admin would be left.
    """
    with transaction.atomic():
        if name is not None:
            lock_organizations_of(membership.user_id)
        member = _lock(membership)
        with one_act(by, "changed", member, is_change=True) as act:
            if name is not None:
                _rename(member, clean_name(name), by)
            _change(member, by, act, role=role, active=active, by_directory=by_directory)
            if not isinstance(most_devices, EllipsisType):
                member.most_devices = clean_device_limit(most_devices, "most_devices")
                member.save(update_fields=["most_devices"])
            if _set_instances(member, instances):
                act.details["instances"] = instance_names(member)
            if directory is not None and _name(member, directory):
                member.save(update_fields=["directory_name", "external_id"])
            if groups is not None and set_groups(member, groups, by=by):
                act.details["groups"] = sorted(member.groups.values_list("name", flat=True))
        return member


def _change(
    member: Membership, by: Principal, act: Act, *, role: str | None, active: bool | None, by_directory: bool
) -> None:
    """Write the role and the state of a locked member, and end what they lose with these."""
    before = (member.role, member.state)
    if role is not None:
        member.role = clean_role(role)
    if active is not None:
        if active and by_directory:
            _refuse_deactivated_by_hand(member)
        member.state = _state_for(member, active=active)
    if (member.role, member.state) != before:
        _keep_an_admin(member, field="role" if member.state == before[1] else "active")
        cause = cause_of(*before, member)
        # Before the state is written: signing out is told to the organizations in which an account is active.
        if cause is not None:
            member.receipt = end_access(member, cause, by=by, act=act.id, former_role=before[0])
        if member.state != before[1]:
            member.deactivated_by_directory = by_directory and member.state == MembershipState.DEACTIVATED
        member.save(update_fields=["role", "state", "deactivated_by_directory"])
        membership_changed.send(sender=Membership, membership=member, by=by, receipt=member.receipt)


def _set_instances(member: Membership, instances: Iterable[UUID] | None) -> bool:
    """Write the instances of a locked member whose role is written; False if they stay. Raises InvalidInput."""
    former = member.instance_ids
    kept = former or () if member.is_operator else ()
    wanted = set(kept) if instances is None else {str(pk) for pk in instances}
    if (former is not None) == member.is_operator and wanted == set(kept):
        return False
    ids = chosen_instances(member.organization_id, member.role, map(UUID, wanted))
    member.instance_ids = ids
    member.save(update_fields=["instance_ids"])
    return True


def _name(member: Membership, directory: InDirectory) -> bool:
    """Set what a directory calls a member; False if they are called so already. Raises InvalidInput or Conflict."""
    columns = names_in_directory(member, directory)
    is_new = any(getattr(member, column) != value for column, value in columns.items())
    for column, value in columns.items():
        setattr(member, column, value)
    return is_new


def remove_member(membership: Membership, *, by: Principal) -> Receipt:
    """Remove a person with all their objects from the organization; returns what ended.

    Raises Conflict for the last admin.
    """
    with _leaving():
        member = _lock(membership)
        _keep_an_admin(member, field="")
        with one_act(by, "deleted", member) as act:
            receipt = end_access(member, Cause.REMOVED, by=by, act=act.id)
            membership_removing.send(sender=Membership, membership=member, by=by, receipt=receipt)
        _delete(member, by)
    return receipt


def decline_membership(membership: Membership, *, by: Principal) -> bool:
    """Remove a person who declines their invitation; False if they are not invited any more."""
    with _leaving():
        member = _lock(membership)
        if member.state != MembershipState.INVITED:
            return False
        _keep_an_admin(member, field="")
        with one_act(by, "declined", member):
            membership_removing.send(sender=Membership, membership=member, by=by)
        _delete(member, by)
    return True


@contextmanager
def _leaving() -> Iterator[None]:
    """The transaction that removes a person."""
    try:
        with transaction.atomic():
            yield
    except (IntegrityError, ProtectedError):
        raise Conflict(
            _("A device of theirs was added at this very moment."), next_step=_("Please try again.")
        ) from None


def _delete(member: Membership, by: Principal) -> None:
    member.delete()
    delete_unused_account(member.user, by=by)


def _lock(membership: Membership) -> Membership:
    """Return the member's current row, locked. The organization's row is locked first: it guards the last admin."""
    Organization.objects.select_for_update(no_key=True).get(pk=membership.organization_id)
    found = Membership.objects.select_for_update(of=("self",), no_key=True).select_related("user", "organization")
    return found.get(pk=membership.pk)


def _rename(member: Membership, name: str, by: Principal) -> None:
    if name == member.user.name:
        return
    if shares_account(member):
        raise InvalidInput.in_field(
            "name", _("This account is also used outside this organization: it keeps its name.")
        )
    former_name, member.user.name = member.user.name, name
    member.user.save(update_fields=["name"])
    follow_name(member, former_name, by=by)
    # Also update memberships that were activated again and not accepted yet: they use the account's name too.
    for elsewhere in Membership.objects.filter(user=member.user_id).exclude(pk=member.pk).select_related("user"):
        follow_name(elsewhere, former_name, by=by)


def _state_for(member: Membership, *, active: bool) -> str:
    """Return the new state. A member who never signed in, or with a shared account, joins by a link."""
    if not active:
        if member.state == MembershipState.INVITED and member.user.is_in_use:
            # After a later activation it would be unknown whether they had ever accepted.
            raise NotPossible(
                _("%(member)s has not joined yet.") % {"member": member.label},
                field="active",
                next_step=_("Remove them to end the invitation."),
            )
        return MembershipState.DEACTIVATED
    if member.state != MembershipState.DEACTIVATED:
        return member.state
    came = (member.user.is_in_use or has_identity(member)) and not shares_account(member)
    return MembershipState.ACTIVE if came else MembershipState.INVITED


def _refuse_deactivated_by_hand(member: Membership) -> None:
    """Raise Conflict if somebody here deactivated the member: a directory does not know why."""
    if member.state == MembershipState.DEACTIVATED and not member.deactivated_by_directory:
        raise Conflict(
            _("%(member)s was deactivated here, by an admin.") % {"member": member.label},
            field="active",
            code="deactivated-by-hand",
            next_step=_("Only an admin can activate them again, on their page."),
        )


def _keep_an_admin(member: Membership, *, field: str) -> None:
    """Raise Conflict if no admin who can sign in would be left; `field` is the input at fault ("" for a removal)."""
    if field and member.is_admin and member.state == MembershipState.ACTIVE:
        return
    admins = Membership.objects.filter(organization=member.organization_id, role=Role.ADMIN, user__is_active=True)
    active = set(admins.filter(state=MembershipState.ACTIVE).values_list("pk", flat=True))
    if active == {member.pk}:
        raise Conflict(
            _("%(member)s is the last admin.") % {"member": member.label},
            field=field,
            code="last-admin",
            next_step=_("Make another member an admin first."),
        )
