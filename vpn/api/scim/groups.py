"""Groups: a directory changes those that it made, and those that an admin handed over to it on the group's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from portal.actions.group import change_group, create_group, delete_group
from portal.actions.quota import lock_organization
from portal.exceptions import InvalidInput
from portal.models import Group, Membership
from vpn.api.scim.bodies import Shape, as_items, as_text, ids_of, read_operations, read_resource
from vpn.api.scim.endpoint import caller, location, one, refuse_stale, with_meta
from vpn.api.scim.faults import Fault
from vpn.api.scim.lists import Shown, listed
from vpn.api.scim.matching import Condition, ident, moment, text
from vpn.api.scim.patch import patch

GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
SHAPE: Final = Shape(GROUP, ("displayName", "externalId", "members"), frozenset({"members"}))
KNOWN: Final[Mapping[str, Condition]] = {
    "id": ident(lambda pk: Q(pk=pk)),
    "displayname": text("name"),
    "externalid": text("external_id", exact=True),
    "members": ident(lambda pk: Q(pk__in=_groups_of(pk))),
    "members.value": ident(lambda pk: Q(pk__in=_groups_of(pk))),
    "meta.created": moment("created_at"),
}


def read_groups(request: HttpRequest) -> HttpResponse:
    """The groups of the organization, also those that only people may change."""
    return listed(request, _groups(caller(request)), KNOWN, _show_all)


def make_group(request: HttpRequest) -> HttpResponse:
    """Create a group that the directory may change."""
    member = caller(request)
    body = read_resource(request, SHAPE)
    made = create_group(
        member.organization,
        by=member.principal,
        name=_name(body) or "",
        members=ids_of(as_items(body.get("members")), "members"),
        provisioned=True,
        external_id=as_text(body, "externalId") or "",
    )
    return one(request, _show(made), 201)


def read_group(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One group."""
    group, shown = _group(request, pk), Shown(request)
    return one(request, _show_all([group], shown)[0])


def replace_group(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change what the body has; what it leaves out stays."""
    body = read_resource(request, SHAPE)
    return one(request, _show(_change(request, pk, lambda _: body)))


def patch_group(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Apply the operations, all or none. The answer is empty, since groups may be large."""
    operations = read_operations(request)
    changed = _change(request, pk, lambda group: patch(_document(group), operations, SHAPE))
    if "attributes" in request.GET:
        return one(request, _show(changed))
    return HttpResponse(status=204)


def remove_group(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Delete a group; refused while a firewall rule names it."""
    with transaction.atomic():
        delete_group(_lock_for_change(request, pk), by=caller(request).principal)
    return HttpResponse(status=204)


def _change(request: HttpRequest, pk: UUID, body_for: Any) -> Group:
    with transaction.atomic():
        group = _lock_for_change(request, pk)
        body = body_for(group)
        items = as_items(body["members"]) if "members" in body else None
        return change_group(
            group,
            by=caller(request).principal,
            name=_name(body),
            external_id=as_text(body, "externalId"),
            members=None if items is None else ids_of(items, "members"),
        )


def _lock_for_change(request: HttpRequest, pk: UUID) -> Group:
    """The group, which this transaction then holds. Raises the fault of one that the directory may not change."""
    lock_organization(caller(request).organization_id)
    group = _group(request, pk)
    if not group.is_provisioned:
        detail = f"The group {group.name} is changed by people. An admin can hand it over to SCIM on its page."
        raise Fault(403, "mutability", detail)
    refuse_stale(request, lambda: _show(group))
    return group


def _name(body: Mapping[str, Any]) -> str | None:
    name = as_text(body, "displayName")
    if name == "":
        raise InvalidInput.in_field("displayName", "A group has a name.")
    return name


def _groups(member: Membership) -> QuerySet[Group]:
    return Group.objects.filter(organization=member.organization_id)


def _group(request: HttpRequest, pk: UUID) -> Group:
    found: Group = _groups(caller(request)).get(pk=pk)
    return found


def _groups_of(member: UUID) -> Any:
    return Group.members.through.objects.filter(membership=member).values("group")


def _document(group: Group) -> dict[str, Any]:
    ids = group.members.values_list("pk", flat=True)
    members = [{"value": str(pk)} for pk in ids]
    return {"displayName": group.name, "externalId": group.external_id, "members": members}


def _show(group: Group) -> dict[str, Any]:
    return _show_all([group], None)[0]


def _show_all(groups: Sequence[Group], shown: Shown | None) -> list[dict[str, Any]]:
    """The groups, with one query for the members of all, if they are shown."""
    members: dict[UUID, list[tuple[UUID, str]]] = {group.pk: [] for group in groups}
    is_whole = shown is None or shown.has("members")
    if is_whole:
        rows = Group.members.through.objects.filter(group__in=list(members)).order_by("membership__created_at", "pk")
        for group, member, address in rows.values_list("group_id", "membership_id", "membership__user__email"):
            members[group].append((member, address))
    return [_shown(group, members[group.pk], is_whole=is_whole) for group in groups]


def _shown(group: Group, members: Sequence[tuple[UUID, str]], *, is_whole: bool) -> dict[str, Any]:
    resource: dict[str, Any] = {"schemas": [GROUP], "id": str(group.pk), "displayName": group.name}
    if group.external_id:
        resource["externalId"] = group.external_id
    if is_whole:
        resource["members"] = [
            {"value": str(pk), "$ref": location("Users", pk), "type": "User", "display": address}
            for pk, address in members
        ]
    return with_meta(resource, "Group", created=group.created_at.isoformat(), is_whole=is_whole)
