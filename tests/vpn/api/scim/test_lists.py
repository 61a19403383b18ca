"""Filters, pages by index, and which attributes are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Group, Membership, Organization
from tests.crowds import add_members
from tests.vpn.api.scim.directory import Directory, refused, told
from vpn.api.scim.faults import Fault
from vpn.api.scim.filters import parse_filter

pytestmark = pytest.mark.django_db
# The filters of RFC 7644, 3.4.2.2, figure 1.
PUBLISHED = (
    'userName eq "bjensen"',
    'name.familyName co "O\'Malley"',
    'userName sw "J"',
    'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"',
    "title pr",
    'meta.lastModified gt "2011-05-13T04:42:34Z"',
    'meta.lastModified ge "2011-05-13T04:42:34Z"',
    'title pr and userType eq "Employee"',
    'title pr or userType eq "Intern"',
    'schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"',
    'userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")',
    'userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")',
    'userType eq "Employee" and (emails.type eq "work")',
    'userType eq "Employee" and emails[type eq "work" and value co "@example.com"]',
    'emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]',
)


@pytest.mark.parametrize("text", PUBLISHED)
def test_each_published_filter_is_understood(text: str) -> None:
    assert parse_filter(text) == parse_filter(f"({text})")


@pytest.fixture
def people(directory: Directory) -> dict[str, str]:
    """The names of three users by their ids."""
    made = {
        "anna": directory.user("Anna@example.com", externalId="A1", displayName="Anna Ott"),
        "berta": directory.user("berta", emails=[{"value": "berta@example.org"}], externalId="b2"),
        "carl": directory.user("carl@example.org", active=False),
    }
    directory.group("Engineers", [made["anna"]["id"], made["carl"]["id"]])
    return {user["id"]: name for name, user in made.items()}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ('userName eq "anna@EXAMPLE.com"', "anna"),
        ('USERNAME Eq "berta"', "berta"),
        ('userName eq "berta@example.org"', ""),
        ('userName sw "c"', "carl"),
        ('userName ew "example.org"', "carl"),
        ('userName co "nobody"', ""),
        ('externalId eq "A1"', "anna"),
        ('externalId eq "a1"', ""),
        ("externalId pr", "anna berta"),
        ("not (externalId pr)", "carl"),
        ('externalId ne "A1"', "berta carl"),
        ('displayName eq "anna ott"', "anna"),
        ('name.formatted co "Ott"', "anna"),
        ('emails eq "berta@example.org"', "berta"),
        ('emails[type eq "work"].value eq "berta@example.org"', "berta"),
        ('emails[type eq "work" and value ew "example.org"]', "berta carl"),
        ('emails[type eq "home"]', ""),
        ('emails.type ne "home" and userName sw "b"', "berta"),
        ("active eq true", "anna berta"),
        ('active eq "False"', "carl"),
        ("active ne True", "carl"),
        ('groups.display pr or userName eq "x"', None),
        ('externalId eq "A1" or userName eq "berta" and active eq true', "anna berta"),
        ('(externalId eq "A1" or userName eq "berta") and displayName pr', "anna"),
        ('meta.created gt "2020-01-01T00:00:00Z"', "anna berta carl"),
        ('meta.created lt "2020-01-01T00:00:00Z"', ""),
        ('id eq "no id"', ""),
    ],
)
def test_a_filter_finds_users(directory: Directory, people: dict[str, str], wanted: str, found: str | None) -> None:
    rule = f'({wanted}) and not (userName sw "admin")'
    if found is None:
        refused(directory.get(f"/Users?filter={rule}"), 400, "invalidFilter")
        return
    assert [people[user["id"]] for user in directory.found("Users", rule)] == found.split()


def test_users_and_groups_are_found_by_id_and_member(directory: Directory, people: dict[str, str]) -> None:
    ids = {name: pk for pk, name in people.items()}
    assert [user["id"] for user in directory.found("Users", f'id eq "{ids["berta"]}"')] == [ids["berta"]]
    (group,) = directory.found("Groups", 'displayName eq "ENGINEERS"')
    assert [one["id"] for one in directory.found("Groups", f'members[value eq "{ids["anna"]}"]')] == [group["id"]]
    assert directory.found("Groups", f'members eq "{ids["berta"]}"') == []
    # What Entra ID asks about each membership.
    found = directory.found(
        "Groups", f'id eq "{group["id"]}" and members eq "{ids["carl"]}"', excludedAttributes="members"
    )
    assert [one["id"] for one in found] == [group["id"]]
    users = directory.found("Users", f'groups eq "{group["id"]}"')
    assert [people[user["id"]] for user in users] == ["anna", "carl"]


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("", "invalidFilter"),
        ("userName", "invalidFilter"),
        ("userName eq", "invalidFilter"),
        ("userName eq anna", "invalidFilter"),
        ('userName is "anna"', "invalidFilter"),
        ('userName eq "anna', "invalidFilter"),
        ('userName eq "anna" and', "invalidFilter"),
        ('(userName eq "anna"', "invalidFilter"),
        ('userName eq "anna")', "invalidFilter"),
        ('not userName eq "anna"', "invalidFilter"),
        ('emails[type eq "work"', "invalidFilter"),
        ('favourite eq "anna"', "invalidFilter"),
        ("userName eq 7", "invalidFilter"),
        ('userName eq "\\u0000"', "invalidFilter"),
        ('userName eq "\\ud800"', "invalidFilter"),
        ('userName eq ["anna"]', "invalidFilter"),
        ('id co "anna"', "invalidFilter"),
        ("active eq 7", "invalidFilter"),
        ("active gt true", "invalidFilter"),
        ('meta.created gt "yesterday"', "invalidFilter"),
        ('meta.created gt "2020-01-01T00:00:00"', "invalidFilter"),
        ('meta.created gt "0001-01-01T00:00:00+14:00"', "invalidFilter"),
        ('meta.created lt "9999-12-31T23:59:59-14:00"', "invalidFilter"),
        (f'userName eq "{"a" * 60_000}"', "invalidFilter"),
        ("(" * 30 + "active eq true" + ")" * 30, "invalidFilter"),
        (" or ".join(["active eq true"] * 51), "tooMany"),
    ],
)
def test_a_filter_at_fault_is_refused(directory: Directory, wanted: str, kind: str) -> None:
    answer = directory.client.get(
        "/scim/v2/Users", {"filter": wanted}, headers={"Authorization": f"Bearer {directory.token}"}
    )
    refused(answer, 400, kind)


def test_the_parser_refuses_what_it_does_not_know() -> None:
    with pytest.raises(Fault):
        parse_filter("a.b.c eq 1")


# Pages ----------------------------------------------------------------------------------------------------------------


def test_pages_go_by_index(directory: Directory, people: dict[str, str]) -> None:
    whole = told(directory.get("/Users"))
    assert (whole["totalResults"], whole["itemsPerPage"], whole["startIndex"]) == (4, 4, 1)
    ids = [user["id"] for user in whole["Resources"]]
    page = told(directory.get("/Users?startIndex=2&count=2"))
    assert (page["totalResults"], page["itemsPerPage"], page["startIndex"]) == (4, 2, 2)
    assert [user["id"] for user in page["Resources"]] == ids[1:3]
    for query, shown in {"count=0": [], "count=-1": [], "startIndex=0": ids, "startIndex=9": []}.items():
        page = told(directory.get(f"/Users?{query}"))
        assert (page["totalResults"], [user["id"] for user in page["Resources"]]) == (4, shown)
    for query in ("count=x", "startIndex=1.5"):
        refused(directory.get(f"/Users?{query}"), 400, "invalidValue")


# Attributes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("attributes=userName", "schemas id userName"),
        ("attributes=username,NAME.formatted", "schemas id userName name"),
        ("attributes=urn:ietf:params:scim:schemas:core:2.0:User:active", "schemas id active"),
        ("attributes=emails.value", "schemas id emails"),
        ("excludedAttributes=emails,groups,id", "schemas id userName active externalId displayName name meta"),
    ],
)
def test_attributes_are_chosen(directory: Directory, people: dict[str, str], query: str, names: str) -> None:
    pk = next(iter(people))
    one = told(directory.get(f"/Users/{pk}?{query}"))
    assert set(one) == set(names.split())
    assert {"value"} == set(one.get("emails", [{"value": ""}])[0])
    listed = told(directory.get(f"/Users?{query}"))["Resources"]
    shown = next(user for user in listed if user["id"] == pk)
    assert {**shown, "meta": None} == {**one, "meta": None}


def test_attributes_are_chosen_in_one_way(directory: Directory) -> None:
    query = "/Users?attributes=id&excludedAttributes=emails"
    refused(directory.get(query), 400, "invalidValue")


# Large organizations --------------------------------------------------------------------------------------------------


def test_lists_of_a_thousand_take_as_many_queries_as_of_a_few(directory: Directory, organization: Organization) -> None:
    def asked(path: str) -> tuple[int, Any]:
        with CaptureQueriesContext(connection) as queries:
            body = told(directory.get(path))
        return len([one for one in queries if one["sql"].startswith("SELECT")]), body

    paths = ("/Users?count=1000", "/Groups?count=1000", "/Groups?excludedAttributes=members")
    group = Group.objects.create(organization=organization, name="Engineers")
    few = [asked(path)[0] for path in paths]
    add_members(organization, 1000)
    group.members.set(Membership.objects.filter(organization=organization))
    Group.objects.bulk_create(Group(organization=organization, name=f"Group {number}") for number in range(50))
    many = [asked(path) for path in paths]
    assert [count for count, _ in many] == few
    assert max(few) <= 4
    assert len(many[0][1]["Resources"]) == 1000
    assert len(many[1][1]["Resources"][0]["members"]) == 1001
    assert "members" not in json.dumps(many[2][1])
