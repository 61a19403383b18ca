"""Groups over the API."""

from __future__ import annotations

from uuid import uuid4

import pytest

from portal.models import Membership
from tests.factories import BY, make_member
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.settings import update_instance
from vpn.models import Instance


@pytest.fixture
def group(api: Caller, member: Membership) -> str:
    """The id of a group with a member."""
    body = told(api.post("/groups", {"name": "Sales", "members": [str(member.pk)]}), 201)
    return str(body["id"])


def test_a_group_is_shown_as_the_contract_has_it(api: Caller, group: str, member: Membership) -> None:
    body = told(api.get(f"/groups/{group}"), 200)
    assert body == {"id": group, "name": "Sales", "members": [str(member.pk)]}
    assert told(api.get("/groups"), 200) == [body]
    assert told(api.get(f"/users/{member.pk}"), 200)["groups"] == [group]


def test_a_group_is_changed_field_by_field(api: Caller, group: str, member: Membership) -> None:
    other = make_member(member.organization)
    assert told(api.put(f"/groups/{group}", {"name": "Vertrieb"}), 200)["members"] == [str(member.pk)]
    body = told(api.put(f"/groups/{group}", {"members": [str(other.pk), str(member.pk)]}), 200)
    assert (body["name"], set(body["members"])) == ("Vertrieb", {str(other.pk), str(member.pk)})
    assert told(api.put(f"/groups/{group}", body), 200) == body


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 41}, "name"),
        ({"name": 7}, "name"),
        ({"members": ["nobody"]}, "members"),
        ({"members": [str(uuid4())]}, "members"),
        ({"frob": 1}, "frob"),
    ],
)
def test_a_body_at_fault_names_its_field(api: Caller, group: str, fault: dict[str, object], field: str) -> None:
    assert list(refused(api.post("/groups", {"name": "New", **fault}), 422)["errors"]) == [field]
    assert list(refused(api.put(f"/groups/{group}", fault), 422)["errors"]) == [field]


def test_another_organizations_member_is_no_member(api: Caller, group: str, stranger: Membership) -> None:
    body = refused(api.put(f"/groups/{group}", {"members": [str(stranger.pk)]}), 422)
    assert list(body["errors"]) == ["members"]


def test_a_name_is_taken_in_any_case(api: Caller, group: str) -> None:
    assert list(refused(api.post("/groups", {"name": "sALES"}), 409, "name-taken")["errors"]) == ["name"]


def test_a_group_that_a_rule_names_stays(api: Caller, group: str, instance: Instance) -> None:
    update_instance(instance, firewall=[{"source": f"group:{group}"}], by=BY)
    assert "Frankfurt" in refused(api.delete(f"/groups/{group}"), 409, "group-in-use")["message"]
    update_instance(instance, firewall=[], by=BY)
    assert api.delete(f"/groups/{group}").status_code == 204
    refused(api.get(f"/groups/{group}"), 404)


def test_many_groups_take_a_constant_number_of_queries(
    api: Caller, member: Membership, django_assert_max_num_queries: object
) -> None:
    for number in range(20):
        told(api.post("/groups", {"name": f"Group {number}", "members": [str(member.pk)]}), 201)
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        assert len(told(api.get("/groups?limit=15"), 200)) == 15


def test_another_organization_sees_nothing(stranger_api: Caller, group: str) -> None:
    path = f"/groups/{group}"
    assert told(stranger_api.get("/groups"), 200) == []
    for response in (stranger_api.get(path), stranger_api.put(path, {"name": "Mine"}), stranger_api.delete(path)):
        refused(response, 404)
