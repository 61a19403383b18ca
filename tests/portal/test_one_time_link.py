"""One-time links: who gets which, and that each opens one door once."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.test import Client

from portal.actions.member import add_member, change_member
from portal.actions.sign_in_link import one_time_link
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState, Organization, Role, User
from tests.factories import BY, PASSWORD, make_member, make_user
from tests.fixtures import signed_in

NEW = {"password1": "a brand new password", "password2": "a brand new password"}
USE = "/accounts/link/"


def path_of(membership: Membership) -> str:
    """The path of a new link."""
    return urlsplit(one_time_link(membership)).path


@pytest.fixture
def invited(organization: Organization) -> Membership:
    """Somebody who was added and has not come yet."""
    return add_member(organization, email="anna@example.org", name="Anna", role=Role.MEMBER, by=BY)


def test_the_link_is_a_full_address(invited: Membership, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://vpn.example.org"
    assert one_time_link(invited).startswith("https://vpn.example.org/accounts/link/")


def test_an_invited_person_sets_a_password_and_is_in(client: Client, invited: Membership) -> None:
    assert client.get(path_of(invited), follow=True).status_code == 200
    response = client.post(USE, NEW)
    assert response["Location"] == "/my/"
    assert "_auth_user_id" in client.session
    invited.refresh_from_db()
    assert invited.state == MembershipState.ACTIVE
    assert invited.user.check_password(NEW["password1"])


def test_the_token_leaves_the_address_at_once(client: Client, invited: Membership) -> None:
    response = client.get(path_of(invited))
    assert (response.status_code, response["Location"]) == (302, USE)


def test_opening_a_link_does_not_spend_it(client: Client, invited: Membership) -> None:
    path = path_of(invited)
    Client().get(path, follow=True)
    assert client.get(path, follow=True).status_code == 200


def test_a_link_works_once(client: Client, invited: Membership) -> None:
    path = path_of(invited)
    client.get(path)
    client.post(USE, NEW)
    again = Client()
    assert again.get(path).status_code == 404
    assert again.post(USE, NEW).status_code == 404


def test_two_who_opened_the_same_link_cannot_both_use_it(client: Client, invited: Membership) -> None:
    path, late = path_of(invited), Client()
    client.get(path)
    late.get(path)
    client.post(USE, NEW)
    assert late.post(USE, {"password1": "another password", "password2": "another password"}).status_code == 404
    assert User.objects.get(pk=invited.user_id).check_password(NEW["password1"])


def test_a_link_expires(client: Client, invited: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of(invited)
    now = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + timedelta(days=3, seconds=1).total_seconds())
    assert client.get(path).status_code == 404


def test_an_altered_link_opens_nothing(client: Client, invited: Membership) -> None:
    assert client.get(path_of(invited)[:-2] + "x/").status_code == 404
    assert client.get("/accounts/link/nonsense/").status_code == 404
    assert client.get(USE).status_code == 404


def test_a_weak_password_does_not_spend_the_link(client: Client, invited: Membership) -> None:
    client.get(path_of(invited))
    assert b"too short" in client.post(USE, {"password1": "short", "password2": "short"}).content
    assert b"differ" in client.post(USE, {**NEW, "password2": "something else"}).content
    assert client.post(USE, NEW).status_code == 302


def test_deactivating_ends_a_link(client: Client, invited: Membership) -> None:
    path = path_of(invited)
    change_member(invited, active=False, by=BY)
    assert client.get(path).status_code == 404
    with pytest.raises(NotPossible):
        one_time_link(invited)


def test_who_lost_a_password_gets_a_link_that_sets_a_new_one(client: Client, member: Membership) -> None:
    client.get(path_of(member))
    assert client.post(USE, NEW).status_code == 302
    assert User.objects.get(pk=member.user_id).check_password(NEW["password1"])


def test_signing_in_ends_a_forgotten_link(client: Client, member: Membership) -> None:
    path = path_of(member)
    Client().post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    assert client.get(path).status_code == 404


# The border between organizations ------------------------------------------------------------------------------------


def test_somebody_elses_account_gets_no_link_that_sets_its_password(
    member: Membership, other_organization: Organization, client: Client
) -> None:
    """An admin who invites a stranger's account must not be able to take it over."""
    guest = add_member(other_organization, email=member.user.email, role=Role.MEMBER, by=BY)
    response = client.get(urlsplit(one_time_link(guest, mailed=True)).path, follow=True)
    assert response.redirect_chain[-1][0] == f"/accounts/login/?next={USE}"
    assert client.post(USE, NEW).status_code == 302
    assert User.objects.get(pk=member.user_id).check_password(PASSWORD)


def test_a_link_from_hand_to_hand_sets_the_password_of_the_invitations_own_account_alone(
    member: Membership, other_organization: Organization, client: Client
) -> None:
    guest = add_member(other_organization, email=member.user.email, role=Role.MEMBER, by=BY)
    client.get(path_of(guest))
    assert client.post(USE, NEW).status_code == 302
    assert User.objects.get(pk=member.user_id).check_password(PASSWORD)
    guest.refresh_from_db()
    assert guest.user_id != member.user_id
    assert not guest.user.proven
    assert client.get("/people/").status_code == 403, "a member there, and nobody elsewhere"


def test_an_existing_account_joins_with_its_own_password(
    member: Membership, other_organization: Organization, client: Client
) -> None:
    guest = add_member(other_organization, email=member.user.email.upper(), role=Role.AUDITOR, by=BY)
    client.get(path_of(guest))
    client.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    assert other_organization.name.encode() in client.get(USE).content
    assert client.post(USE)["Location"] == "/"
    guest.refresh_from_db()
    assert guest.state == MembershipState.ACTIVE
    assert guest.user_id == member.user_id
    assert User.objects.filter(email=member.user.email).count() == 1
    assert client.get(USE).status_code == 404


def test_an_invitation_gives_no_rights_before_it_is_accepted(
    member: Membership, other_organization: Organization
) -> None:
    add_member(other_organization, email=member.user.email, role=Role.ADMIN, by=BY)
    browser = signed_in(member.user)
    assert browser.get("/people/").status_code == 403
    assert browser.post("/organization/", {"organization": str(other_organization.pk)}).status_code == 404


def test_only_the_invited_account_can_join(
    member: Membership, auditor: Membership, other_organization: Organization
) -> None:
    guest = add_member(other_organization, email=member.user.email, role=Role.MEMBER, by=BY)
    browser = signed_in(auditor.user)
    page = browser.get(path_of(guest), follow=True)
    assert b"another account" in page.content
    assert browser.post(USE).status_code == 200
    guest.refresh_from_db()
    assert guest.state == MembershipState.INVITED


def test_a_link_dies_when_the_account_joins_another_organization(
    member: Membership, other_organization: Organization, client: Client
) -> None:
    """Otherwise a link that was kept back would open the other organization as well."""
    kept_back = path_of(member)
    Membership.objects.create(organization=other_organization, user=member.user, state=MembershipState.ACTIVE)
    assert client.get(kept_back).status_code == 404
    with pytest.raises(NotPossible, match="password of their own"):
        one_time_link(member)


def test_an_invitation_elsewhere_does_not_block_the_link(member: Membership, other_organization: Organization) -> None:
    add_member(other_organization, email=member.user.email, role=Role.MEMBER, by=BY)
    assert one_time_link(member)


def test_who_captures_an_account_that_two_have_invited_is_not_in_the_other_organization(
    client: Client, invited: Membership, other_organization: Organization
) -> None:
    elsewhere = add_member(other_organization, email=invited.user.email, role=Role.ADMIN, by=BY)
    client.get(path_of(invited))
    client.post(USE, NEW)
    elsewhere.refresh_from_db()
    assert elsewhere.state == MembershipState.INVITED


def test_staff_accounts_are_never_reset_by_an_organization(organization: Organization) -> None:
    operator = make_user("operator@example.org", is_staff=True)
    active = Membership.objects.create(
        organization=organization, user=operator, role=Role.ADMIN, state=MembershipState.ACTIVE
    )
    with pytest.raises(NotPossible):
        one_time_link(active)


def test_activating_again_does_not_skip_the_link_of_a_shared_account(
    member: Membership, other_organization: Organization
) -> None:
    guest = Membership.objects.create(
        organization=other_organization, user=member.user, state=MembershipState.DEACTIVATED
    )
    assert change_member(guest, active=True, by=BY).state == MembershipState.INVITED
    with pytest.raises(NotPossible, match="not joined"):
        change_member(guest, active=False, by=BY)


def test_an_invitation_is_deactivated_alike_whether_there_is_an_account_or_not(
    member: Membership, other_organization: Organization
) -> None:
    for email in (member.user.email, "nobody@example.org"):
        guest = add_member(other_organization, email=email, role=Role.MEMBER, by=BY)
        assert change_member(guest, active=False, by=BY).state == MembershipState.DEACTIVATED
        assert change_member(guest, active=True, by=BY).state == MembershipState.INVITED


def test_activating_again_who_never_came_leaves_them_invited(invited: Membership) -> None:
    assert change_member(invited, active=False, by=BY).state == MembershipState.DEACTIVATED
    assert change_member(invited, active=True, by=BY).state == MembershipState.INVITED


def test_activating_again_who_was_here_lets_them_in(organization: Organization) -> None:
    here = make_member(organization)
    change_member(here, active=False, by=BY)
    assert change_member(here, active=True, by=BY).state == MembershipState.ACTIVE


def test_a_refused_call_of_the_links_address_is_logged_without_its_token(
    admin: Membership, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.post("/accounts/link/a-token-that-works/").status_code == 405
    assert "/accounts/link/-/" in caplog.text
    assert "a-token-that-works" not in caplog.text
