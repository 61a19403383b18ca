"""Members over the API, where they are called users."""

from __future__ import annotations

from uuid import uuid4

import pytest

from portal.actions.group import create_group
from portal.models import Membership, Organization, Role
from tests.factories import BY
from tests.vpn.api.caller import Caller, refused, told
from vpn.models import Instance, Peer


def test_somebody_is_invited_and_can_have_peers_already(api: Caller, instance: Instance) -> None:
    body = told(api.post("/users", {"email": "New@example.org", "role": "member"}), 201)
    assert " ".join(body) == "id email name role state groups instances most_devices created_at"
    assert (body["email"], body["role"], body["state"], body["groups"]) == ("new@example.org", "member", "invited", [])
    wanted = {"type": "client", "user_id": body["id"], "route_all": False}
    told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    assert told(api.get(f"/users/{body['id']}"), 200) == body


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"role": "king"}, "role"),
        ({"groups": ["x"]}, "groups"),
        ({"active": True}, "active"),
    ],
)
def test_a_body_at_fault_names_its_field(api: Caller, fault: dict[str, object], field: str) -> None:
    body = {"email": "new@example.org", "role": "member", "groups": [], **fault}
    assert list(refused(api.post("/users", body), 422)["errors"]) == [field]


def test_who_is_here_already_is_a_conflict(api: Caller, member: Membership) -> None:
    refused(api.post("/users", {"email": member.user.email, "role": "member"}), 409)


def test_a_role_is_changed(api: Caller, member: Membership) -> None:
    read = told(api.get(f"/users/{member.pk}"), 200)
    assert told(api.put(f"/users/{member.pk}", {**read, "role": "auditor"}), 200)["role"] == "auditor"


def test_a_deactivated_members_tokens_end(api: Caller, member: Membership, member_api: Caller) -> None:
    told(member_api.get(f"/users/{member.pk}"), 200)
    assert told(api.put(f"/users/{member.pk}", {"active": False}), 200)["state"] == "deactivated"
    refused(member_api.get(f"/users/{member.pk}"), 401)
    assert told(api.put(f"/users/{member.pk}", {"active": True}), 200)["state"] == "active"
    refused(member_api.get(f"/users/{member.pk}"), 401)


def test_somebody_is_put_into_groups(api: Caller, member: Membership, organization: Organization) -> None:
    sales, support = (str(create_group(organization, name=name, by=BY).pk) for name in ("Sales", "Support"))
    path = f"/users/{member.pk}"
    assert told(api.put(path, {"groups": [sales, support]}), 200)["groups"] == sorted([sales, support])
    told(api.put(path, {"role": "auditor"}), 200)
    assert told(api.get(path), 200)["groups"] == sorted([sales, support])
    assert told(api.put(path, {"groups": [support]}), 200)["groups"] == [support]
    body = told(api.post("/users", {"email": "new@example.org", "role": "member", "groups": [sales]}), 201)
    assert body["groups"] == [sales]
    assert [user["groups"] for user in told(api.get("/users"), 200)] == [[], [support], [sales]]


def test_a_group_that_is_not_there_is_refused(
    api: Caller, member: Membership, other_organization: Organization
) -> None:
    for group in (str(uuid4()), str(create_group(other_organization, name="Theirs", by=BY).pk)):
        body = refused(api.put(f"/users/{member.pk}", {"role": "auditor", "groups": [group]}), 422)
        assert list(body["errors"]) == ["groups"]
        new = {"email": "new@example.org", "role": "member", "groups": [group]}
        assert list(refused(api.post("/users", new), 422)["errors"]) == ["groups"]
    assert told(api.get(f"/users/{member.pk}"), 200)["role"] == "member"


def test_an_email_address_cannot_be_changed(api: Caller, member: Membership) -> None:
    assert list(refused(api.put(f"/users/{member.pk}", {"email": "else@example.org"}), 422)["errors"]) == ["email"]


def test_the_last_admin_stays(api: Caller, admin: Membership) -> None:
    refused(api.put(f"/users/{admin.pk}", {"role": "member"}), 409, "last-admin")
    refused(api.put(f"/users/{admin.pk}", {"active": False}), 409, "last-admin")
    refused(api.delete(f"/users/{admin.pk}"), 409, "last-admin")


def test_a_removed_members_peers_go_along(api: Caller, client_peer: Peer, member: Membership) -> None:
    assert api.delete(f"/users/{member.pk}").status_code == 204
    assert told(api.get(f"/instances/{client_peer.instance_id}/peers"), 200) == []
    refused(api.get(f"/users/{member.pk}"), 404)


def test_members_are_listed(api: Caller, admin: Membership, member: Membership, stranger: Membership) -> None:
    assert [user["id"] for user in told(api.get("/users"), 200)] == [str(admin.pk), str(member.pk)]


def test_another_organization_sees_nobody(stranger_api: Caller, member: Membership) -> None:
    path = f"/users/{member.pk}"
    for response in (
        stranger_api.get(path),
        stranger_api.put(path, {"role": Role.ADMIN}),
        stranger_api.delete(path),
    ):
        refused(response, 404)


def test_a_person_in_two_organizations_is_two_users(
    api: Caller, stranger: Membership, stranger_api: Caller, member: Membership
) -> None:
    body = told(stranger_api.post("/users", {"email": member.user.email, "role": "admin"}), 201)
    assert (body["id"] != str(member.pk), body["state"]) == (True, "invited")
    assert Membership.objects.get(pk=member.pk).role == Role.MEMBER
