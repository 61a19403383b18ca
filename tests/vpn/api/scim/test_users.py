"""Users by SCIM: the examples of RFC 7643 and RFC 7644, and what becomes of people."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from portal.actions.member import add_member, change_member
from portal.exceptions import Conflict
from portal.models import ApiToken, JournalEntry, Membership, MembershipState, Organization, Role, User
from tests.factories import BY, make_client_peer, make_member
from tests.vpn.api.scim.directory import GROUP, PATCH, USER, Directory, refused, told
from vpn.models import Instance

# RFC 7643, 8.1 and 8.2.
MINIMAL = {
    "schemas": [USER],
    "id": "2819c223-7f76-453a-919d-413861904646",
    "userName": "bjensen@example.com",
    "meta": {
        "resourceType": "User",
        "created": "2010-01-23T04:56:22Z",
        "lastModified": "2011-05-13T04:42:34Z",
        "version": 'W/"3694e05e9dff590"',
        "location": "https://example.com/v2/Users/2819c223-7f76-453a-919d-413861904646",
    },
}
FULL: dict[str, Any] = {
    "schemas": [USER],
    "id": "2819c223-7f76-453a-919d-413861904646",
    "externalId": "701984",
    "userName": "bjensen@example.com",
    "name": {
        "formatted": "Ms. Barbara J Jensen, III",
        "familyName": "Jensen",
        "givenName": "Barbara",
        "middleName": "Jane",
        "honorificPrefix": "Ms.",
        "honorificSuffix": "III",
    },
    "displayName": "Babs Jensen",
    "nickName": "Babs",
    "profileUrl": "https://login.example.com/bjensen",
    "emails": [
        {"value": "bjensen@example.com", "type": "work", "primary": True},
        {"value": "babs@jensen.org", "type": "home"},
    ],
    "addresses": [{"type": "work", "streetAddress": "100 Universal City Plaza", "country": "USA", "primary": True}],
    "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
    "ims": [{"value": "someaimhandle", "type": "aim"}],
    "photos": [{"value": "https://photos.example.com/profilephoto/72930000000Ccne/F", "type": "photo"}],
    "userType": "Employee",
    "title": "Tour Guide",
    "preferredLanguage": "en-US",
    "locale": "en-US",
    "timezone": "America/Los_Angeles",
    "active": True,
    "password": "t1meMa$heen",
    "groups": [{"value": "e9e30dba-f08f-4109-8486-d5c6a331660a", "display": "Tour Guides"}],
    "meta": {"resourceType": "User"},
}
# RFC 7644, 3.3 and 3.5.1: a user name that is not a mail address.
CREATED = {
    "schemas": [USER],
    "userName": "bjensen",
    "externalId": "bjensen",
    "name": {"formatted": "Ms. Barbara J Jensen III", "familyName": "Jensen", "givenName": "Barbara"},
}
REPLACED = {
    "schemas": [USER],
    "id": "2819c223-7f76-453a-919d-413861904646",
    "userName": "bjensen",
    "externalId": "bjensen",
    "name": {
        "formatted": "Ms. Barbara J Jensen III",
        "familyName": "Jensen",
        "givenName": "Barbara",
        "middleName": "Jane",
    },
    "roles": [],
    "emails": [{"value": "bjensen@example.com"}, {"value": "babs@jensen.org"}],
}


def member_of(user: Any) -> Membership:
    """The membership that a user is."""
    return Membership.objects.select_related("user").get(pk=user["id"])


# Creating -------------------------------------------------------------------------------------------------------------


def test_the_minimal_user_is_invited(directory: Directory, organization: Organization) -> None:
    answer = directory.call("POST", "/Users", MINIMAL)
    user = told(answer, 201)
    assert user["id"] != MINIMAL["id"]
    assert answer["Location"] == user["meta"]["location"]
    assert answer["Location"].endswith(f"/scim/v2/Users/{user['id']}")
    member = member_of(user)
    assert (member.organization, member.role, member.state) == (organization, Role.MEMBER, MembershipState.INVITED)
    assert (member.user.email, member.user.has_usable_password()) == ("bjensen@example.com", False)
    assert told(directory.get(f"/Users/{user['id']}")) == user


def test_the_full_user_keeps_what_the_portal_needs(directory: Directory) -> None:
    user = told(directory.call("POST", "/Users", FULL), 201)
    del user["meta"], user["id"]
    assert user == {
        "schemas": [USER],
        "userName": "bjensen@example.com",
        "externalId": "701984",
        "displayName": "Babs Jensen",
        "name": {"formatted": "Babs Jensen"},
        "active": True,
        "emails": [{"value": "bjensen@example.com", "type": "work", "primary": True}],
        "groups": [],
    }
    made = User.objects.get(email="bjensen@example.com")
    assert (made.has_usable_password(), made.proven) == (False, False)  # never the password of the body


def test_a_user_name_that_is_no_address_needs_one(directory: Directory) -> None:
    assert "invitation" in refused(directory.call("POST", "/Users", CREATED), 400, "invalidValue")
    body = {**CREATED, "emails": [{"value": "bjensen@example.com"}]}
    user = told(directory.call("POST", "/Users", body), 201)
    assert (user["userName"], user["emails"][0]["value"]) == ("bjensen", "bjensen@example.com")
    assert user["displayName"] == "Ms. Barbara J Jensen III"
    replaced = told(directory.call("PUT", f"/Users/{user['id']}", REPLACED))
    assert (replaced["userName"], replaced["externalId"]) == ("bjensen", "bjensen")


def test_the_account_of_an_address_stays_untouched(directory: Directory, stranger: Membership) -> None:
    account = User.objects.get(pk=stranger.user_id)
    user = directory.user(account.email, displayName="Somebody else", password="another one")
    member = member_of(user)
    assert member.user_id != account.pk
    assert member.state == MembershipState.INVITED
    fresh = User.objects.get(pk=account.pk)
    assert (fresh.name, fresh.password, fresh.proven) == (account.name, account.password, account.proven)


def test_a_user_created_as_inactive_is_invited_once_active(directory: Directory) -> None:
    user = directory.user(active=False)
    assert (user["active"], member_of(user).state) == (False, MembershipState.DEACTIVATED)
    changed = told(directory.patch(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": True}))
    assert (changed["active"], member_of(user).state) == (True, MembershipState.INVITED)


@pytest.mark.parametrize(
    "body",
    [
        {"userName": "ANNA@example.com"},
        {"userName": "other@example.com", "emails": [{"value": "anna@example.com"}]},
        {"userName": "anna", "emails": [{"value": "other@example.com"}]},
        {"userName": "other@example.com", "externalId": "1"},
    ],
)
def test_who_is_here_already_is_refused(directory: Directory, body: dict[str, Any]) -> None:
    directory.user("anna@example.com", externalId="1")
    directory.user("anna", emails=[{"value": "second@example.com"}])
    refused(directory.call("POST", "/Users", {"schemas": [USER], **body}), 409, "uniqueness")


def test_who_was_invited_on_a_page_is_refused_as_well(directory: Directory, member: Membership) -> None:
    refused(directory.call("POST", "/Users", {"userName": member.user.email}), 409, "uniqueness")


def test_a_page_invites_nobody_by_the_user_name_of_another(directory: Directory, organization: Organization) -> None:
    directory.user("anna@login.example.com", emails=[{"value": "anna@example.com"}])
    with pytest.raises(Conflict, match="already"):
        add_member(organization, by=BY, email="anna@login.example.com", role="member")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({}, 400, "invalidValue"),
        ({"userName": " "}, 400, "invalidValue"),
        ({"userName": 7}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "active": "perhaps"}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "emails": 7}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "emails": [{"type": "work"}]}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "name": "Anna"}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "displayName": "x" * 61}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "externalId": "x" * 255}, 400, "invalidValue"),
        ({"userName": "anna@example.com", "schemas": [GROUP]}, 400, "invalidSyntax"),
        ([], 400, "invalidSyntax"),
        ("{", 400, "invalidSyntax"),
        (b'{"userName": "\\ud800@example.com"}', 400, "invalidSyntax"),
    ],
)
def test_a_body_at_fault_is_refused(directory: Directory, body: Any, status: int, kind: str) -> None:
    refused(directory.call("POST", "/Users", body), status, kind)
    assert Membership.objects.count() == 1


def test_the_quota_of_members_holds(directory: Directory, organization: Organization) -> None:
    Organization.objects.filter(pk=organization.pk).update(most_members=1)
    assert "1 of 1" in refused(directory.call("POST", "/Users", MINIMAL), 409)


# Changing -------------------------------------------------------------------------------------------------------------


def test_what_put_leaves_out_stays(directory: Directory) -> None:
    user = directory.user(externalId="1", displayName="Anna")
    changed = told(directory.call("PUT", f"/Users/{user['id']}", {"schemas": [USER], "userName": "anna@example.com"}))
    assert changed == user
    emptied = {"userName": "anna@example.com", "externalId": None}
    assert "externalId" not in told(directory.call("PUT", f"/Users/{user['id']}", emptied))


@pytest.mark.parametrize(
    ("operation", "changes"),
    [
        ({"op": "replace", "path": "displayName", "value": "Babs"}, {"displayName": "Babs"}),
        ({"op": "Replace", "path": "name.formatted", "value": "Babs"}, {"displayName": "Babs"}),
        ({"op": "add", "path": "name", "value": {"givenName": "B", "familyName": "J"}}, {"displayName": "B J"}),
        ({"op": "replace", "path": "externalId", "value": "2"}, {"externalId": "2"}),
        ({"op": "Add", "path": "userName", "value": "anna"}, {"userName": "anna"}),
        ({"op": "replace", "path": f"{USER}:userName", "value": "anna"}, {"userName": "anna"}),
        # Entra ID: the value as a text, and several attributes without a path.
        ({"op": "Replace", "path": "active", "value": "False"}, {"active": False}),
        ({"op": "Replace", "value": {"active": "False", "displayName": "B"}}, {"active": False, "displayName": "B"}),
        ({"op": "Add", "value": {"name.givenName": "Anna", "externalId": "2"}}, {"externalId": "2"}),
        # Okta.
        ({"op": "replace", "value": {"active": False}}, {"active": False}),
        # The address that it is already.
        ({"op": "Add", "path": 'emails[type eq "work"].value', "value": "Anna@example.com"}, {}),
        ({"op": "add", "path": "emails", "value": [{"value": "babs@jensen.org", "type": "home"}]}, {}),
        # RFC 7644, 3.5.2.1 and 3.5.2.3: attributes that the portal does not keep.
        ({"op": "add", "value": {"nickname": "Babs"}}, {}),
        ({"op": "replace", "path": 'addresses[type eq "work"].streetAddress', "value": "1010 Broadway Ave"}, {}),
        (
            {
                "op": "Add",
                "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                "value": "x",
            },
            {},
        ),
    ],
)
def test_a_patch_changes_a_user(directory: Directory, operation: dict[str, Any], changes: dict[str, Any]) -> None:
    user = directory.user(displayName="Anna", externalId="1")
    changed = told(directory.patch(f"/Users/{user['id']}", operation))
    kept = set(user) - set(changes) - {"meta"} - ({"name"} if "displayName" in changes else set())
    assert {name: changed[name] for name in kept} == {name: user[name] for name in kept}
    for name, value in changes.items():
        assert changed[name] == value


@pytest.mark.parametrize(
    "refused_alone",
    [
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@example.com"},
        {"op": "Replace", "path": "userName", "value": "bea@example.com"},
        {"op": "Replace", "path": "displayName", "value": "x" * 100},
    ],
)
def test_what_is_refused_keeps_nobody_from_being_deactivated(
    directory: Directory, refused_alone: dict[str, Any]
) -> None:
    """Entra ID sends all that differs, each time: a mail address that changed would keep a leaver's access."""
    user = directory.user(displayName="Anna")
    directory.user("bea@example.com")
    path = f"/Users/{user['id']}"
    assert directory.patch(path, refused_alone).status_code in {400, 409}
    changed = told(directory.patch(path, refused_alone, {"op": "Replace", "path": "active", "value": "False"}))
    assert {**changed, "meta": 0} == {**user, "active": False, "meta": 0}
    assert JournalEntry.objects.filter(object_id=user["id"], code="member.changed").count() == 1


def test_a_patch_removes_values(directory: Directory) -> None:
    user = directory.user(displayName="Anna", externalId="1")
    gone = ({"op": "remove", "path": "externalId"}, {"op": "remove", "path": "displayName"})
    changed = told(directory.patch(f"/Users/{user['id']}", *gone))
    assert not {"externalId", "displayName", "name"} & set(changed)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "move", "path": "active", "value": True}, "invalidSyntax"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "active"}, "invalidValue"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "replace", "path": "favourite", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "active[", "value": True}, "invalidPath"),
        ({"op": "replace", "path": 'active[value eq "x"]', "value": True}, "invalidPath"),
        ({"op": "replace", "path": "displayName.first", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "emails.value", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type eq "home"].value', "value": "x"}, "noTarget"),
        ({"op": "replace", "path": "id", "value": str(uuid4())}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": str(uuid4())}]}, "mutability"),
        ({"op": "remove", "path": "userName"}, "invalidValue"),
        ({"op": "replace", "path": 'emails[type eq "work"].value', "value": "evil@example.com"}, "mutability"),
        ({"op": "replace", "path": "emails", "value": [{"value": "evil@example.com"}]}, "mutability"),
        ({"op": "remove", "path": "emails"}, "mutability"),
        ({"op": "remove", "path": 'emails[type eq "work"]'}, "mutability"),
        ({"op": "replace", "value": {"name": "Babs", "name.givenName": "Babs"}}, "invalidValue"),
    ],
)
def test_a_patch_at_fault_changes_nothing(directory: Directory, operation: dict[str, Any], kind: str) -> None:
    user = directory.user(displayName="Anna")
    first = {"op": "replace", "path": "displayName", "value": "Babs"}
    refused(directory.patch(f"/Users/{user['id']}", first, operation), 400, kind)
    assert told(directory.get(f"/Users/{user['id']}")) == user


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"schemas": [PATCH]}, "invalidSyntax"),
        ({"schemas": [USER], "Operations": [{"op": "remove", "path": "externalId"}]}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": []}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": ["x"]}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "externalId"}] * 1001}, "tooMany"),
    ],
)
def test_operations_at_fault_are_refused(directory: Directory, body: dict[str, Any], kind: str) -> None:
    refused(directory.call("PATCH", f"/Users/{directory.user()['id']}", body), 400, kind)


def test_names_of_others_are_refused(directory: Directory) -> None:
    directory.user("anna@example.com", externalId="1")
    path = f"/Users/{directory.user('berta@example.com')['id']}"
    for name, value in {"userName": "Anna@example.com", "externalId": "1"}.items():
        refused(directory.patch(path, {"op": "replace", "path": name, "value": value}), 409, "uniqueness")


def test_an_account_that_is_used_elsewhere_keeps_its_name(
    directory: Directory, organization: Organization, stranger: Membership
) -> None:
    Membership.objects.create(organization=organization, user=stranger.user, state=MembershipState.ACTIVE)
    (user,) = directory.found("Users", f'userName eq "{stranger.user.email}"')
    changed = told(
        directory.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"displayName": "X", "externalId": "1"}})
    )
    assert ("displayName" in changed, changed["externalId"]) == (False, "1")


# Ending ---------------------------------------------------------------------------------------------------------------


def test_deactivating_ends_what_the_page_ends(directory: Directory, instance: Instance, member: Membership) -> None:
    make_client_peer(instance, member)
    ApiToken.issue(member)
    before = Instance.objects.get(pk=instance.pk).desired_generation
    body = told(directory.patch(f"/Users/{member.pk}", {"op": "Replace", "path": "active", "value": "False"}))
    assert body["active"] is False
    assert Membership.objects.get(pk=member.pk).state == MembershipState.DEACTIVATED
    assert not ApiToken.objects.filter(membership=member).exists()
    assert Instance.objects.get(pk=instance.pk).desired_generation > before
    again = told(directory.patch(f"/Users/{member.pk}", {"op": "Replace", "path": "active", "value": "True"}))
    assert (again["active"], Membership.objects.get(pk=member.pk).state) == (True, MembershipState.ACTIVE)


def test_no_directory_activates_whom_an_admin_deactivated(directory: Directory, member: Membership) -> None:
    by = member.principal
    path = f"/Users/{member.pk}"
    activate = {"op": "Replace", "value": {"active": "True", "externalId": "7"}}
    change_member(member, active=False, by=by)
    assert "deactivated here, by an admin" in refused(directory.patch(path, activate), 400, "mutability")
    whole = {**told(directory.get(path)), "active": True}
    refused(directory.call("PUT", path, whole), 400, "mutability")
    user = told(directory.get(path))
    assert (user["active"], user.get("externalId")) == (False, None), "all or nothing"
    # It may say the same as the admin, which gives it nothing.
    told(directory.patch(path, {"op": "Replace", "path": "active", "value": "False"}))
    refused(directory.patch(path, activate), 400, "mutability")
    assert told(directory.patch(path, {"op": "add", "path": "externalId", "value": "8"}))["externalId"] == "8"
    change_member(member, active=True, by=by)
    for value in ("False", "True"):
        changed = told(directory.patch(path, {"op": "Replace", "path": "active", "value": value}))
        assert changed["active"] is (value == "True")
    assert Membership.objects.get(pk=member.pk).state == MembershipState.ACTIVE


def test_who_has_to_accept_again_is_removed_not_deactivated(directory: Directory, organization: Organization) -> None:
    member = make_member(organization, state=MembershipState.INVITED)
    operation = {"op": "replace", "path": "active", "value": False}
    assert "Remove them" in refused(directory.patch(f"/Users/{member.pk}", operation), 409)
    assert directory.call("DELETE", f"/Users/{member.pk}").status_code == 204


def test_a_deleted_user_is_removed_with_their_devices(
    directory: Directory, instance: Instance, member: Membership
) -> None:
    make_client_peer(instance, member)
    assert directory.call("DELETE", f"/Users/{member.pk}").status_code == 204
    assert not instance.peers.exists()
    refused(directory.get(f"/Users/{member.pk}"), 404)
    refused(directory.call("DELETE", f"/Users/{member.pk}"), 404)
    assert directory.user(member.user.email)["id"] != str(member.pk)


def test_the_last_admin_stays(directory: Directory, admin: Membership) -> None:
    operation = {"op": "replace", "path": "active", "value": False}
    assert "last admin" in refused(directory.patch(f"/Users/{admin.pk}", operation), 409)
    assert "last admin" in refused(directory.call("DELETE", f"/Users/{admin.pk}"), 409)
    assert told(directory.get(f"/Users/{admin.pk}"))["active"] is True


def test_no_role_comes_from_a_directory(directory: Directory, auditor: Membership) -> None:
    user = directory.user(roles=[{"value": "admin"}], entitlements=[{"value": "admin"}])
    assert member_of(user).role == Role.MEMBER
    for pk in (user["id"], auditor.pk):
        role = {"op": "replace", "path": "roles", "value": [{"value": "admin"}]}
        told(directory.patch(f"/Users/{pk}", role, {"op": "add", "value": {"role": "admin"}}))
    assert not Membership.objects.filter(role=Role.ADMIN, pk__in=[user["id"], auditor.pk]).exists()
    assert Membership.objects.get(pk=auditor.pk).role == Role.AUDITOR


# Other organizations --------------------------------------------------------------------------------------------------


def test_another_organizations_people_are_not_there(other_directory: Directory, member: Membership) -> None:
    path, body = f"/Users/{member.pk}", {"schemas": [USER], "userName": "x@example.com"}
    refused(other_directory.get(path), 404)
    refused(other_directory.call("PUT", path, body), 404)
    refused(other_directory.patch(path, {"op": "remove", "path": "externalId"}), 404)
    refused(other_directory.call("DELETE", path), 404)
    assert other_directory.found("Users", f'userName eq "{member.user.email}"') == []
    assert other_directory.found("Users", f'id eq "{member.pk}"') == []
    refused(other_directory.get(f"/Users/{uuid4()}"), 404)
    refused(other_directory.get("/Users/nobody"), 404)


def test_external_ids_are_each_organizations_own(directory: Directory, other_directory: Directory) -> None:
    assert directory.user(externalId="1")["id"] != other_directory.user(externalId="1")["id"]
