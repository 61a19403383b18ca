"""Users: the organization's memberships. A directory invites, names, deactivates and removes people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from portal.actions.link_mail import mail_link
from portal.actions.member import add_member, change_member, remove_member
from portal.actions.sign_in_link import shares_account
from portal.actions.slug import lock_organizations_of
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.mail import reaches_people
from portal.models import Group, Membership, MembershipState, Principal, Role
from vpn.api.scim.bodies import read_operations, read_resource
from vpn.api.scim.endpoint import caller, location, one, refuse_stale, with_meta
from vpn.api.scim.faults import Fault
from vpn.api.scim.lists import Shown, listed
from vpn.api.scim.matching import Condition, constant, flag, ident, moment, text
from vpn.api.scim.patch import patch
from vpn.api.scim.person import SHAPE, USER, Person, keep_address, person_of

KNOWN: Final[Mapping[str, Condition]] = {
    "id": ident(lambda pk: Q(pk=pk)),
    "username": text("known_by"),
    "externalid": text("external_id", exact=True),
    "displayname": text("user__name"),
    "name.formatted": text("user__name"),
    "emails": text("user__email"),
    "emails.value": text("user__email"),
    "emails.type": constant("work"),
    "active": flag(~Q(state=MembershipState.DEACTIVATED)),
    "groups": ident(lambda pk: Q(pk__in=_members_of(pk))),
    "groups.value": ident(lambda pk: Q(pk__in=_members_of(pk))),
    "meta.created": moment("created_at"),
}


def read_users(request: HttpRequest) -> HttpResponse:
    """The people of the organization."""
    return listed(request, _people_of(caller(request)), KNOWN, _show_all)


def create_user(request: HttpRequest) -> HttpResponse:
    """Invite a person; an account of the same address stays untouched."""
    member = caller(request)
    wanted = person_of(read_resource(request, SHAPE))
    added = add_member(
        member.organization,
        by=member.principal,
        email=wanted.address(),
        name=wanted.name or "",
        role=Role.MEMBER,
        active=wanted.active is not False,
        directory=wanted.in_directory(),
    )
    _mail_if_invited(added, member.principal)
    return one(request, _show(added), 201)


def read_user(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One person."""
    return one(request, _show(_person(request, pk)))


def replace_user(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change what the body has; what it leaves out stays."""
    body = read_resource(request, SHAPE)
    return _change(request, pk, lambda _: body)


def patch_user(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Apply the operations, all or none."""
    operations = read_operations(request)
    return _change(request, pk, lambda user: _patched(user, operations))


def delete_user(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Remove a person from the organization, with their devices."""
    user = _person(request, pk)
    with transaction.atomic():
        lock_organizations_of(user.user_id)
        refuse_stale(request, lambda: _show(_person(request, pk)))
        remove_member(user, by=caller(request).principal)
    return HttpResponse(status=204)


def _change(request: HttpRequest, pk: UUID, body_for: Any) -> HttpResponse:
    by = caller(request).principal
    with transaction.atomic():
        # Of all the organizations that a new name concerns, as `change_member` does it.
        lock_organizations_of(_person(request, pk).user_id)
        user = _person(request, pk)
        refuse_stale(request, lambda: _show(user))
        wanted = person_of(body_for(user), user)
        former = user.state
        changed = _written(user, wanted, by)
        if former == MembershipState.DEACTIVATED:
            _mail_if_invited(changed, by)
        shown = _show(_person(request, pk))
    return one(request, shown)


def _written(user: Membership, wanted: Person, by: Principal) -> Membership:
    """Write what is wanted. Raises the fault, InvalidInput or Conflict.

    Directories send all that differs, again and again. So what is refused must not keep a person from being
    deactivated: then the rest is left out.
    """
    try:
        with transaction.atomic():
            keep_address(wanted, user)
            return change_member(
                user,
                by=by,
                active=wanted.active,
                name=_own_name(wanted, user),
                directory=wanted.in_directory(user),
                by_directory=True,
            )
    except (Fault, InvalidInput, Conflict):
        if wanted.active is not False:
            raise
        return change_member(user, by=by, active=False, by_directory=True)


def _own_name(wanted: Person, user: Membership) -> str | None:
    """The new name; None where it stays. An account that is used elsewhere, too, keeps the name that it has."""
    if wanted.name is None or wanted.name.strip() == user.user.name or shares_account(user):
        return None
    return wanted.name


def _mail_if_invited(member: Membership, by: Principal) -> None:
    if member.state == MembershipState.INVITED and reaches_people():
        transaction.on_commit(partial(_mail, member, by))


def _mail(member: Membership, by: Principal) -> None:
    with suppress(NotPossible):  # they got one a moment ago
        mail_link(member, by=by)


def _people_of(member: Membership) -> QuerySet[Membership]:
    rows: QuerySet[Membership] = Membership.objects.by_directory_name().select_related("user")
    return rows.filter(organization=member.organization_id)


def _person(request: HttpRequest, pk: UUID) -> Membership:
    found: Membership = _people_of(caller(request)).select_related("user", "organization").get(pk=pk)
    return found


def _members_of(group: UUID) -> Any:
    return Group.members.through.objects.filter(group=group).values("membership")


def _patched(user: Membership, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The person after the operations. Of `displayName` and `name`, which are one name here, the one that they set."""
    shown = _show(user, [])
    document = patch({name: shown.get(name) for name in SHAPE.kept if name != "name"}, operations, SHAPE)
    if document["displayName"] == shown.get("displayName"):
        del document["displayName"]
    return document


def _show_all(users: Sequence[Membership], shown: Shown) -> list[dict[str, Any]]:
    groups: dict[UUID, list[tuple[UUID, str]]] = {user.pk: [] for user in users}
    if shown.has("groups"):
        rows = Group.members.through.objects.filter(membership__in=list(groups)).order_by("group__name")
        for member, group, name in rows.values_list("membership_id", "group_id", "group__name"):
            groups[member].append((group, name))
    return [_show(user, groups[user.pk], is_whole=shown.has("groups")) for user in users]


def _show(
    user: Membership, groups: Sequence[tuple[UUID, str]] | None = None, *, is_whole: bool = True
) -> dict[str, Any]:
    if groups is None:
        groups = list(user.groups.order_by("name").values_list("pk", "name"))
    resource: dict[str, Any] = {
        "schemas": [USER],
        "id": str(user.pk),
        "userName": user.directory_name or user.user.email,
        "active": user.state != MembershipState.DEACTIVATED,
        "emails": [{"value": user.user.email, "type": "work", "primary": True}],
        "groups": [{"value": str(pk), "$ref": location("Groups", pk), "display": name} for pk, name in groups],
    }
    if user.external_id:
        resource["externalId"] = user.external_id
    if user.user.name:
        resource |= {"displayName": user.user.name, "name": {"formatted": user.user.name}}
    return with_meta(resource, "User", created=user.created_at.isoformat(), is_whole=is_whole)
