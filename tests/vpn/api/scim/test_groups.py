"""Groups by SCIM: those that a directory made, those of people, and their members."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from portal.actions.group import change_group, create_group
from portal.models import Group, Membership, Organization
from tests.factories import BY
from tests.vpn.api.scim.directory import GROUP, Directory, refused, told

# RFC 7643, 8.4, with the ids of its members left open.
TOUR_GUIDES: dict[str, Any] = {
    "schemas": [GROUP],
    "id": "e9e30dba-f08f-4109-8486-d5c6a331660a",
    "displayName": "Tour Guides",
    "members": [
        {"value": "2819c223-7f76-453a-919d-413861904646", "display": "Babs Jensen"},
        {"value": "902c246b-6245-4190-8e05-00816be7344a", "display": "Mandy Pepperidge"},
    ],
    "meta": {"resourceType": "Group"},
}


def ids_in(group: Any) -> set[str]:
    """The ids of a group's members."""
    return {member["value"] for member in group["members"]}


@pytest.fixture
def people(directory: Directory) -> list[str]:
    """The ids of three users."""
    return [directory.user(f"{name}@example.com")["id"] for name in ("babs", "mandy", "tom")]


def test_the_group_of_the_standard_is_made(directory: Directory, people: list[str]) -> None:
    members = [{**one, "value": pk} for one, pk in zip(TOUR_GUIDES["members"], people, strict=False)]
    answer = directory.call("POST", "/Groups", {**TOUR_GUIDES, "members": members})
    group = told(answer, 201)
    assert (group["displayName"], ids_in(group)) == ("Tour Guides", set(people[:2]))
    assert answer["Location"] == group["meta"]["location"]
    assert told(directory.get(f"/Groups/{group['id']}")) == group
    assert told(directory.get(f"/Users/{people[0]}"))["groups"] == [
        {"value": group["id"], "$ref": group["meta"]["location"], "display": "Tour Guides"}
    ]
    refused(directory.call("POST", "/Groups", TOUR_GUIDES), 400, "invalidValue")  # members that are not there


@pytest.mark.parametrize(
    ("operation", "left"),
    [
        # RFC 7644, 3.5.2.1 to 3.5.2.3.
        ({"op": "add", "path": "members", "value": [{"display": "Tom", "value": "TOM"}]}, "BABS MANDY TOM"),
        ({"op": "add", "path": "members", "value": [{"value": "BABS"}]}, "BABS MANDY"),
        ({"op": "remove", "path": 'members[value eq "BABS"]'}, "MANDY"),
        ({"op": "remove", "path": 'members[value eq "TOM"]'}, "BABS MANDY"),
        ({"op": "remove", "path": 'members[value eq "BABS" or value eq "MANDY"]'}, ""),
        ({"op": "remove", "path": "members"}, ""),
        ({"op": "replace", "path": "members", "value": [{"value": "TOM"}]}, "TOM"),
        ({"op": "replace", "value": {"members": [{"value": "TOM"}]}}, "TOM"),
        # Entra ID.
        ({"op": "Add", "path": "members", "value": [{"value": "TOM"}]}, "BABS MANDY TOM"),
        ({"op": "Remove", "path": "members", "value": [{"value": "BABS"}]}, "MANDY"),
        ({"op": "Remove", "path": "members", "value": []}, "BABS MANDY"),
        # One member without a list.
        ({"op": "add", "path": "members", "value": {"value": "TOM"}}, "BABS MANDY TOM"),
    ],
)
def test_a_patch_changes_the_members(
    directory: Directory, people: list[str], operation: dict[str, Any], left: str
) -> None:
    names = dict(zip(("BABS", "MANDY", "TOM"), people, strict=True))
    text = json.dumps(operation)
    for name, pk in names.items():
        text = text.replace(name, pk)
    group = directory.group(members=people[:2])
    answer = directory.patch(f"/Groups/{group['id']}", json.loads(text))
    assert answer.status_code == 204
    assert ids_in(told(directory.get(f"/Groups/{group['id']}"))) == {names[name] for name in left.split()}


def test_several_operations_are_one_change(directory: Directory, people: list[str]) -> None:
    group = directory.group(members=people[:2])
    operations = (
        {"op": "remove", "path": f'members[value eq "{people[0]}"]'},
        {"op": "add", "path": "members", "value": [{"value": people[2]}]},
        {"op": "replace", "value": {"id": group["id"], "displayName": "Renamed"}},  # as Okta renames
    )
    answer = directory.patch(f"/Groups/{group['id']}?attributes=displayName,members", *operations)
    changed = told(answer)
    assert (changed["displayName"], ids_in(changed)) == ("Renamed", set(people[1:]))


def test_put_replaces_what_it_has(directory: Directory, people: list[str]) -> None:
    path = f"/Groups/{directory.group(members=people[:2], externalId='1')['id']}"
    changed = told(directory.call("PUT", path, {"schemas": [GROUP], "displayName": "Renamed"}))
    assert (changed["displayName"], changed["externalId"], ids_in(changed)) == ("Renamed", "1", set(people[:2]))
    assert ids_in(told(directory.call("PUT", path, {"displayName": "Renamed", "members": []}))) == set()


@pytest.mark.parametrize(
    ("operation", "status", "kind"),
    [
        ({"op": "add", "path": "members", "value": [{"value": "nobody"}]}, 400, "invalidValue"),
        ({"op": "add", "path": "members", "value": [{"value": str(uuid4())}]}, 400, "invalidValue"),
        ({"op": "add", "path": "members", "value": [7]}, 400, "invalidValue"),
        ({"op": "replace", "path": 'members[value eq "x"]', "value": {"value": "y"}}, 400, "noTarget"),
        ({"op": "replace", "path": "members[value pr]", "value": []}, 400, "invalidValue"),
        ({"op": "remove", "path": "displayName"}, 400, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": "x" * 41}, 400, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": "sales"}, 409, "uniqueness"),
        ({"op": "replace", "path": "externalId", "value": "1"}, 409, "uniqueness"),
    ],
)
def test_a_patch_at_fault_changes_nothing(
    directory: Directory, people: list[str], operation: dict[str, Any], status: int, kind: str
) -> None:
    directory.group("Sales", externalId="1")
    group = directory.group(members=people[:1])
    refused(directory.patch(f"/Groups/{group['id']}", operation), status, kind)
    assert told(directory.get(f"/Groups/{group['id']}")) == group


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"displayName": ""}, 400, "invalidValue"),
        ({}, 400, "invalidValue"),
        ({"displayName": "x" * 41}, 400, "invalidValue"),
        ({"displayName": "SALES"}, 409, "uniqueness"),
        ({"displayName": "Other", "externalId": "1"}, 409, "uniqueness"),
    ],
)
def test_a_group_at_fault_is_not_made(directory: Directory, body: dict[str, Any], status: int, kind: str) -> None:
    directory.group("Sales", externalId="1")
    refused(directory.call("POST", "/Groups", body), status, kind)


def test_members_of_other_organizations_are_refused(directory: Directory, stranger: Membership) -> None:
    body = {"displayName": "Engineers", "members": [{"value": str(stranger.pk)}]}
    refused(directory.call("POST", "/Groups", body), 400, "invalidValue")


def test_the_quota_of_groups_holds(directory: Directory, organization: Organization) -> None:
    Organization.objects.filter(pk=organization.pk).update(most_groups=0)
    assert "0 of 0" in refused(directory.call("POST", "/Groups", {"displayName": "Engineers"}), 409)


def test_groups_of_people_are_read_and_not_changed(
    directory: Directory, organization: Organization, member: Membership
) -> None:
    made = create_group(organization, name="Sales", members=[member.pk], by=BY)
    path = f"/Groups/{made.pk}"
    assert ids_in(told(directory.get(path))) == {str(member.pk)}
    refused(directory.call("POST", "/Groups", {"displayName": "Sales"}), 409, "uniqueness")
    for answer in (
        directory.patch(path, {"op": "remove", "path": "members"}),
        directory.call("PUT", path, {"displayName": "Sales", "members": []}),
        directory.call("DELETE", path),
    ):
        assert "hand it over" in refused(answer, 403, "mutability")
    change_group(made, by=BY, provisioned=True)
    assert directory.patch(path, {"op": "remove", "path": "members"}).status_code == 204
    assert not made.members.exists()
    change_group(made, by=BY, provisioned=False)
    refused(directory.call("DELETE", path), 403, "mutability")


def test_a_group_is_deleted(directory: Directory) -> None:
    path = f"/Groups/{directory.group()['id']}"
    assert directory.call("DELETE", path).status_code == 204
    refused(directory.get(path), 404)
    assert not Group.objects.exists()


def test_another_organizations_groups_are_not_there(directory: Directory, other_directory: Directory) -> None:
    path = f"/Groups/{directory.group()['id']}"
    refused(other_directory.get(path), 404)
    refused(other_directory.call("PUT", path, {"displayName": "X"}), 404)
    refused(other_directory.patch(path, {"op": "remove", "path": "members"}), 404)
    refused(other_directory.call("DELETE", path), 404)
    assert other_directory.found("Groups", 'displayName eq "Engineers"') == []


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "members[" + " or ".join(['value eq "x"'] * 50) + "]"},
        {"op": "add", "path": "members", "value": ["x"]},
        {"op": "add", "value": {"members": ["x"]}},
    ],
)
def test_operations_that_take_too_long_together_are_refused(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, operation: dict[str, Any]
) -> None:
    """Their request holds the organization's lock: a thousand filters on 100,000 items took hours."""
    monkeypatch.setattr("vpn.api.scim.patch._MOST_LOOKS", 20_000)
    group = directory.group()
    many = {"op": "add", "path": "members", "value": [str(one) for one in range(1_000)]}
    refused(directory.patch(f"/Groups/{group['id']}", many, *[operation] * 30), 400, "tooMany")
