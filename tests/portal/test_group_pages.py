"""The Groups pages, as admins, auditors and members meet them."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.actions.group import create_group
from portal.forms.searched import MOST_OPTIONS
from portal.models import Group, Membership, Organization
from tests.crowds import add_members
from tests.factories import BY, make_member
from tests.visitor import forms_in
from vpn.actions.instances.settings import update_instance
from vpn.models import Instance


@pytest.fixture
def group(organization: Organization, member: Membership) -> Group:
    return create_group(organization, name="Sales", members=[member.pk], by=BY)


def test_without_groups_the_page_says_what_they_are_for(admin_browser: Client, auditor_browser: Client) -> None:
    page = admin_browser.get("/people/groups/").content
    assert b"No groups yet" in page
    assert b"/people/groups/new/" in page
    assert b"/people/groups/new/" not in auditor_browser.get("/people/groups/").content


def test_groups_are_listed_with_how_many_are_in_them(
    admin_browser: Client, organization: Organization, group: Group, django_assert_max_num_queries: object
) -> None:
    for number in range(10):
        create_group(organization, name=f"Group {number}", members=[make_member(organization, password=None).pk], by=BY)
    with django_assert_max_num_queries(7):  # type: ignore[operator]
        page = admin_browser.get("/people/groups/").content.decode()
    assert "Sales" in page
    assert page.count('<td data-label="Members">1</td>') == 11
    assert 'href="/people/groups/"' in admin_browser.get("/people/").content.decode()


def test_a_group_is_made(admin_browser: Client, organization: Organization, member: Membership) -> None:
    assert member.user.email.encode() in admin_browser.get("/people/groups/new/").content
    page = admin_browser.post("/people/groups/new/", {"name": "Sales", "members": [str(member.pk)]}, follow=True)
    assert b"Sales is made" in page.content
    assert list(Group.objects.get().members.all()) == [member]


def test_members_may_be_sent_one_per_line(
    admin_browser: Client, organization: Organization, member: Membership
) -> None:
    lines = f"{member.pk}\r\n{make_member(organization).pk}\r\n"
    admin_browser.post("/people/groups/new/", {"name": "Sales", "members": lines})
    assert Group.objects.get().members.count() == 2


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "x" * 41}, "at most 40 characters"),
        ({"name": "sALES"}, "There is a group called sALES already"),
        ({"name": "New", "members": "nobody"}, "Choose members of this organization"),
    ],
)
def test_faults_stand_beside_their_fields(
    admin_browser: Client, group: Group, sent: dict[str, str], words: str
) -> None:
    assert words in admin_browser.post("/people/groups/new/", sent).content.decode()
    assert Group.objects.count() == 1


def test_another_organizations_member_is_no_choice(admin_browser: Client, group: Group, stranger: Membership) -> None:
    path = f"/people/groups/{group.pk}/"
    page = admin_browser.post(path, {"name": "Sales", "members": [str(stranger.pk)]}).content.decode()
    assert "Choose members of this organization" in page
    assert stranger.user.email not in page


def test_a_group_is_changed(admin_browser: Client, group: Group, member: Membership) -> None:
    path = f"/people/groups/{group.pk}/"
    form = forms_in(admin_browser.get(path).content.decode())[0]
    assert form.fields["members"] == [str(member.pk)]
    assert "Saved." in admin_browser.post(path, {"name": "Vertrieb"}, follow=True).content.decode()
    group.refresh_from_db()
    assert (group.name, group.members.count()) == ("Vertrieb", 0)


def test_a_person_shows_their_groups(admin_browser: Client, group: Group, member: Membership) -> None:
    assert f"/people/groups/{group.pk}/" in admin_browser.get(f"/people/{member.pk}/").content.decode()


def test_a_group_is_deleted_after_one_question(admin_browser: Client, group: Group, instance: Instance) -> None:
    path = f"/people/groups/{group.pk}/delete/"
    assert "Its members stay" in admin_browser.get(path).content.decode()
    update_instance(instance, firewall=[{"source": f"group:{group.pk}"}], by=BY)
    page = admin_browser.post(path).content.decode()
    assert "Sales was not deleted" in page
    assert "Firewall rules of Frankfurt name Sales" in page
    update_instance(instance, firewall=[], by=BY)
    assert b"Sales is deleted" in admin_browser.post(path, follow=True).content
    assert not Group.objects.exists()


def test_an_auditor_reads(auditor_browser: Client, group: Group, member: Membership) -> None:
    page = auditor_browser.get(f"/people/groups/{group.pk}/").content.decode()
    assert member.user.email in page
    assert not forms_in(page)
    for path in ("", "delete/"):
        assert auditor_browser.post(f"/people/groups/{group.pk}/{path}").status_code == 403


def test_staff_look_at_groups(staff_browser: Client, group: Group) -> None:
    assert b"Sales" in staff_browser.get("/admin/portal/group/").content
    assert staff_browser.get("/admin/portal/group/add/").status_code == 403


def boxes_in(page: str) -> list[str]:
    """The labels of the checkboxes, those that are ticked with a star."""
    found = re.findall(r'name="members" value="[^"\n]*" id="[^"]*"( checked)?><span>([^<]*)', page)
    return [f"*{label}" if ticked else label for ticked, label in found]


def test_a_search_among_many_members_keeps_those_that_are_ticked(
    admin_browser: Client, organization: Organization
) -> None:
    crowd = add_members(organization)
    group = create_group(organization, name="Sales", members=[one.pk for one in crowd[:53]], by=BY)
    path = f"/people/groups/{group.pk}/"
    page = admin_browser.get(path).content.decode()
    assert boxes_in(page)[MOST_OPTIONS - 1] == "*Person 049 (user049@example.org)"
    assert len(boxes_in(page)) == MOST_OPTIONS + 3
    assert "53 ticked, shown or not" in page
    form = forms_in(page)[0]
    data = {"name": "New name", "members": [*form.fields["members"], str(crowd[54].pk)]}
    sent = {**data, "search": "members", "members_search": "person 05"}
    page = admin_browser.post(path, sent).content.decode()
    numbers = (5, 50, 51, 52, 54, 53)
    shown = [f"{'' if one == 53 else '*'}Person {one:03} (user{one:03}@example.org)" for one in numbers]
    assert boxes_in(page) == shown
    assert forms_in(page)[0].fields["name"] == ["New name"]
    answer = admin_browser.post(path, sent, headers={"HX-Request": "true", "HX-Target": "members"}).content.decode()
    assert boxes_in(answer) == shown
    assert "<html" not in answer
    assert group.members.count() == 53
    admin_browser.post(path, {"name": "New name", "members": forms_in(page)[0].fields["members"]})
    group.refresh_from_db()
    assert (group.name, group.members.count()) == ("New name", 54)


def test_an_auditor_pages_through_many_members(auditor_browser: Client, organization: Organization) -> None:
    group = create_group(organization, name="All", members=[one.pk for one in add_members(organization)], by=BY)
    page = auditor_browser.get(f"/people/groups/{group.pk}/?page=2").content.decode()
    assert "of 55 members" in page
    assert "Person 054" in page
    assert "Person 049" not in page
