"""Members: adding, changing, removing, and the last admin."""

from __future__ import annotations

from typing import Any

import pytest

from portal.actions.member import add_member, change_member, remove_member
from portal.exceptions import Conflict, InvalidInput
from portal.models import ApiToken, Membership, MembershipState, Organization, Role, User
from portal.signals import membership_changed
from tests.factories import BY, make_client_peer, make_member
from vpn.models import Instance, Peer


def test_whoever_is_added_is_invited_and_has_no_password(organization: Organization) -> None:
    added = add_member(organization, email=" Anna@Example.ORG ", name=" Anna ", role="auditor", by=BY)
    assert (added.user.email, added.user.name, added.role) == ("anna@example.org", "Anna", Role.AUDITOR)
    assert added.state == MembershipState.INVITED
    assert not added.user.has_usable_password()


def test_nobody_is_added_twice(organization: Organization, member: Membership) -> None:
    with pytest.raises(Conflict) as refused:
        add_member(organization, email=member.user.email.upper(), role="member", by=BY)
    assert (refused.value.field, refused.value.code) == ("email", "member-exists")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b.c\nx"}, "email"),
        ({"email": f"{'a' * 250}@example.org"}, "email"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"role": "owner"}, "role"),
    ],
)
def test_what_is_not_well_formed_is_refused_by_field(
    organization: Organization, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        add_member(organization, by=BY, **{"email": "a@example.org", "name": "", "role": "member", **given})
    assert list(refused.value.errors) == [field]


@pytest.mark.parametrize("change", [{"role": "member"}, {"active": False}])
def test_the_last_admin_stays(admin: Membership, change: dict[str, Any]) -> None:
    with pytest.raises(Conflict) as refused:
        change_member(admin, by=BY, **change)
    assert refused.value.code == "last-admin"
    assert refused.value.field == next(iter(change))
    admin.refresh_from_db()
    assert (admin.role, admin.state) == (Role.ADMIN, MembershipState.ACTIVE)


def test_the_last_admin_is_not_removed(admin: Membership) -> None:
    with pytest.raises(Conflict, match="last admin"):
        remove_member(admin, by=BY)
    assert Membership.objects.filter(pk=admin.pk).exists()


@pytest.mark.parametrize("state", [MembershipState.INVITED, MembershipState.DEACTIVATED])
def test_an_admin_who_cannot_sign_in_does_not_count(admin: Membership, state: str) -> None:
    make_member(admin.organization, Role.ADMIN, state=state)
    with pytest.raises(Conflict, match="last admin"):
        remove_member(admin, by=BY)


def test_one_of_two_admins_may_go(admin: Membership) -> None:
    make_member(admin.organization, Role.ADMIN)
    assert change_member(admin, role="member", by=BY).role == Role.MEMBER


def test_an_admin_of_another_organization_does_not_count(admin: Membership, stranger: Membership) -> None:
    with pytest.raises(Conflict, match="last admin"):
        remove_member(admin, by=BY)


def test_deactivating_ends_the_api_tokens_of_this_membership_alone(
    member: Membership, other_organization: Organization
) -> None:
    elsewhere = Membership.objects.create(organization=other_organization, user=member.user)
    ApiToken.issue(member)
    kept, _ = ApiToken.issue(elsewhere)
    change_member(member, active=False, by=BY)
    assert list(ApiToken.objects.all()) == [kept]


def test_deactivating_is_told_within_the_transaction(member: Membership) -> None:
    told: list[str] = []

    def hear(membership: Membership, **kwargs: Any) -> None:
        told.append(membership.state)

    membership_changed.connect(hear)
    try:
        change_member(member, active=False, by=BY)
        change_member(member, active=False, by=BY)
    finally:
        membership_changed.disconnect(hear)
    assert told == [MembershipState.DEACTIVATED]


def test_deactivating_raises_the_generation_of_the_hubs(instance: Instance, client_peer: Peer) -> None:
    assert client_peer.member is not None
    before = Instance.objects.get(pk=instance.pk).desired_generation
    change_member(client_peer.member, active=False, by=BY)
    assert Instance.objects.get(pk=instance.pk).desired_generation > before
    assert not Peer.objects.admitted().filter(pk=client_peer.pk).exists()


def test_removing_takes_the_devices_along_and_leaves_the_account(instance: Instance, member: Membership) -> None:
    make_client_peer(instance, member, "phone")
    make_client_peer(instance, member, "laptop")
    remove_member(member, by=BY)
    assert not Peer.objects.exists()
    assert instance.tombstones.count() == 2
    assert User.objects.filter(pk=member.user_id).exists()


def test_a_shared_account_keeps_its_name(member: Membership, other_organization: Organization) -> None:
    Membership.objects.create(organization=other_organization, user=member.user, state=MembershipState.ACTIVE)
    with pytest.raises(InvalidInput) as refused:
        change_member(member, name="Mallory", by=BY)
    assert list(refused.value.errors) == ["name"]


def test_the_name_of_an_own_account_changes(member: Membership) -> None:
    assert change_member(member, name="Anna", by=BY).user.name == "Anna"
