"""Groups: made, changed and deleted within one organization."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from portal.actions.group import change_group, create_group, delete_group
from portal.actions.member import add_member, change_member, remove_member
from portal.exceptions import Conflict, InvalidInput
from portal.models import Group, Membership, Organization
from portal.signals import group_changed
from tests.factories import BY, make_member


@pytest.fixture
def heard() -> Any:
    """What was said of groups: who came and went."""
    said: list[set[object]] = []

    def listen(membership_ids: set[object], **kwargs: Any) -> None:
        said.append(membership_ids)

    group_changed.connect(listen)
    yield said
    group_changed.disconnect(listen)


def test_a_group_is_made_of_members(organization: Organization, member: Membership, heard: list[object]) -> None:
    group = create_group(organization, name=" Sales ", members=[member.pk], by=BY)
    assert (group.name, list(group.members.all())) == ("Sales", [member])
    assert heard == [{member.pk}]


@pytest.mark.parametrize("name", ["Sales", "SALES", " sales "])
def test_a_name_is_taken_in_any_case(organization: Organization, name: str) -> None:
    create_group(organization, name="Sales", by=BY)
    other = create_group(organization, name="Support", by=BY)
    with pytest.raises(Conflict) as refused:
        create_group(organization, name=name, by=BY)
    assert (refused.value.field, refused.value.code) == ("name", "name-taken")
    with pytest.raises(Conflict):
        change_group(other, name=name, by=BY)


def test_another_organization_may_use_the_name(organization: Organization, other_organization: Organization) -> None:
    create_group(organization, name="Sales", by=BY)
    assert create_group(other_organization, name="Sales", by=BY).name == "Sales"


def test_every_fault_is_told_at_once(organization: Organization, stranger: Membership) -> None:
    for name in ("", " ", "x" * 41, "a\nb"):
        with pytest.raises(InvalidInput) as refused:
            create_group(organization, name=name, members=[stranger.pk], by=BY)
        assert set(refused.value.errors) == {"name", "members"}
    assert not Group.objects.exists()


def test_only_who_comes_or_goes_is_told(organization: Organization, member: Membership, heard: list[object]) -> None:
    other = make_member(organization)
    group = create_group(organization, name="Sales", members=[member.pk], by=BY)
    change_group(group, members=[member.pk], by=BY)
    change_group(group, name="Vertrieb", by=BY)
    change_group(group, members=[other.pk], by=BY)
    assert heard == [{member.pk}, {member.pk, other.pk}]
    assert list(group.members.all()) == [other]


def test_a_person_is_put_into_groups(organization: Organization, member: Membership, heard: list[object]) -> None:
    sales, support = (create_group(organization, name=name, by=BY) for name in ("Sales", "Support"))
    change_member(member, groups=[sales.pk], by=BY)
    change_member(member, groups=[support.pk], by=BY)
    assert list(member.groups.all()) == [support]
    assert heard == [{member.pk}] * 3
    added = add_member(organization, email="new@example.org", role="member", groups=[sales.pk], by=BY)
    assert list(sales.members.all()) == [added]


def test_a_group_that_is_not_there_is_refused(
    organization: Organization, other_organization: Organization, member: Membership
) -> None:
    for pk in (uuid4(), create_group(other_organization, name="Theirs", by=BY).pk):
        with pytest.raises(InvalidInput, match="this organization"):
            change_member(member, groups=[pk], by=BY)
        with pytest.raises(InvalidInput):
            add_member(organization, email="new@example.org", role="member", groups=[pk], by=BY)
    assert not Membership.objects.filter(user__email="new@example.org").exists()


def test_who_leaves_the_organization_leaves_its_groups(organization: Organization, member: Membership) -> None:
    group = create_group(organization, name="Sales", members=[member.pk], by=BY)
    remove_member(member, by=BY)
    assert not group.members.exists()


def test_a_deleted_group_is_gone(organization: Organization, member: Membership) -> None:
    delete_group(create_group(organization, name="Sales", members=[member.pk], by=BY), by=BY)
    assert not Group.objects.exists()
    assert Membership.objects.filter(pk=member.pk).exists()


def test_there_are_not_too_many_groups(organization: Organization, other_organization: Organization) -> None:
    Group.objects.bulk_create(Group(organization=organization, name=f"Group {number}") for number in range(500))
    with pytest.raises(Conflict, match="500 of 500 groups are in use"):
        create_group(organization, name="One more", by=BY)
    create_group(other_organization, name="One more", by=BY)
