"""Signing in, and what keeps strangers out."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.test import Client

from portal.models import Membership, Organization, Role, User
from tests.factories import PASSWORD, make_member

LOGIN = "/accounts/login/"
SIGNUP = "/accounts/signup/"


def sign_in(browser: Client, email: str, password: str = PASSWORD, **extra: str) -> int:
    """Post the sign-in form; returns the status."""
    return browser.post(LOGIN, {"login": email, "password": password, **extra}).status_code


@pytest.mark.django_db
def test_a_page_asks_a_stranger_to_sign_in(client: Client) -> None:
    response = client.get("/people/")
    assert response.status_code == 302
    assert response["Location"] == f"{LOGIN}?next=/people/"


@pytest.mark.django_db
def test_the_sign_in_page_needs_no_account_and_offers_no_sign_up(client: Client) -> None:
    page = client.get(LOGIN)
    assert page.status_code == 200
    assert b'name="login"' in page.content
    assert b'name="password"' in page.content
    assert SIGNUP.encode() not in page.content


def test_an_admin_lands_on_the_instances(client: Client, admin: Membership) -> None:
    response = client.post(LOGIN, {"login": admin.user.email, "password": PASSWORD})
    assert response["Location"] == "/"


def test_a_member_lands_on_their_own_devices(client: Client, member: Membership) -> None:
    response = client.post(LOGIN, {"login": member.user.email.upper(), "password": PASSWORD})
    assert response["Location"] == "/my/"


def test_signing_in_goes_on_to_the_page_that_was_asked_for(client: Client, admin: Membership) -> None:
    response = client.post(LOGIN, {"login": admin.user.email, "password": PASSWORD, "next": "/people/"})
    assert response["Location"] == "/people/"


def test_signing_in_never_leads_to_another_site(client: Client, admin: Membership) -> None:
    response = client.post(LOGIN, {"login": admin.user.email, "password": PASSWORD, "next": "https://evil.example/"})
    assert response["Location"] == "/"


def test_a_wrong_password_is_refused(client: Client, admin: Membership) -> None:
    assert sign_in(client, admin.user.email, "wrong") == 200
    assert client.get("/people/").status_code == 302


def test_somebody_who_was_never_given_a_password_cannot_sign_in(client: Client, organization: Organization) -> None:
    invited = make_member(organization, password=None)
    assert sign_in(client, invited.user.email, "") == 200
    assert sign_in(client, invited.user.email, "!") == 200


def test_guessing_is_slowed_down(client: Client, admin: Membership) -> None:
    for _ in range(5):
        sign_in(client, admin.user.email, "wrong")
    assert sign_in(client, admin.user.email) == 200
    assert client.get("/people/").status_code == 302


def test_signing_in_works_while_redis_is_away(client: Client, admin: Membership, settings: LazySettings) -> None:
    nowhere = "unix:///nonexistent/redis.sock"
    settings.CACHES = {"default": {"BACKEND": "portal.web.cache.TolerantRedisCache", "LOCATION": nowhere}}
    assert sign_in(client, admin.user.email) == 302


def test_guessing_is_slowed_down_while_redis_is_away(client: Client, admin: Membership, settings: LazySettings) -> None:
    nowhere = "unix:///nonexistent/redis.sock"
    settings.CACHES = {"default": {"BACKEND": "portal.web.cache.TolerantRedisCache", "LOCATION": nowhere}}
    for _ in range(5):
        sign_in(client, admin.user.email, "wrong")
    assert sign_in(client, admin.user.email) == 200


def test_an_account_that_was_switched_off_cannot_sign_in(client: Client, admin: Membership) -> None:
    User.objects.filter(pk=admin.user_id).update(is_active=False)
    response = client.post(LOGIN, {"login": admin.user.email, "password": PASSWORD})
    assert response["Location"] == "/accounts/inactive/"
    assert client.get("/accounts/inactive/").status_code == 200


@pytest.mark.django_db
def test_there_is_no_sign_up(client: Client) -> None:
    assert client.get(SIGNUP).status_code == 404
    data = {"email": "new@example.org", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(SIGNUP, data).status_code == 404
    assert not User.objects.exists()


def test_where_it_is_allowed_a_stranger_gets_an_organization_of_their_own(
    client: Client, organization: Organization, settings: LazySettings
) -> None:
    settings.ALLOW_SIGNUP = True
    assert client.get(SIGNUP).status_code == 200
    assert SIGNUP.encode() in client.get(LOGIN).content
    data = {"email": "New@Example.org", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(SIGNUP, data)["Location"] == "/"
    made = Membership.objects.get(user__email="new@example.org")
    assert made.organization != organization
    assert (made.role, made.state) == (Role.ADMIN, "active")


def test_signing_out_takes_a_post(admin_browser: Client) -> None:
    assert admin_browser.get("/accounts/logout/").status_code == 200
    assert admin_browser.get("/people/").status_code == 200
    admin_browser.post("/accounts/logout/")
    assert admin_browser.get("/people/").status_code == 302


def test_the_password_is_changed_by_who_knows_it(client: Client, admin: Membership) -> None:
    sign_in(client, admin.user.email)
    assert client.get("/accounts/password/change/").status_code == 200
    data = {"oldpassword": "wrong", "password1": "a new long password", "password2": "a new long password"}
    assert client.post("/accounts/password/change/", data).status_code == 200
    assert client.post("/accounts/password/change/", {**data, "oldpassword": PASSWORD}).status_code == 302
    assert client.get("/people/").status_code == 200
    admin.user.refresh_from_db()
    assert admin.user.check_password("a new long password")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["password/reset/", "email/", "confirm-email/", "reauthenticate/", "login/code/"])
def test_pages_that_would_need_mail_are_not_there(client: Client, path: str) -> None:
    assert client.get(f"/accounts/{path}").status_code == 404


def test_admin_pages_use_the_same_sign_in(client: Client, staff_browser: Client, admin_browser: Client) -> None:
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith(f"{LOGIN}?next=")
    assert staff_browser.get("/admin/").status_code == 200
    assert admin_browser.get("/admin/", follow=True).status_code == 403


def test_the_operator_lands_on_the_admin_pages(client: Client, staff: User) -> None:
    response = client.post(LOGIN, {"login": staff.email, "password": PASSWORD})
    assert response["Location"] == "/admin/"


def test_somebody_who_belongs_nowhere_is_told_so(client: Client, member: Membership) -> None:
    Membership.objects.filter(pk=member.pk).delete()
    response = client.post(LOGIN, {"login": member.user.email, "password": PASSWORD}, follow=True)
    assert b"in no organization" in response.content


def test_a_deactivated_member_is_told_so_on_every_page(client: Client, member: Membership) -> None:
    Membership.objects.filter(pk=member.pk).update(state="deactivated")
    response = client.post(LOGIN, {"login": member.user.email, "password": PASSWORD}, follow=True)
    assert f"You are deactivated in {member.organization.name}".encode() in response.content
    for path in ("/my/", "/", "/people/", "/settings/"):
        answer = client.get(path)
        assert answer.status_code == 403
        assert b"Ask an admin to activate you again." in answer.content


def test_who_is_deactivated_in_one_organization_works_in_another(
    client: Client, member: Membership, other_organization: Organization
) -> None:
    Membership.objects.filter(pk=member.pk).update(state="deactivated")
    Membership.objects.create(organization=other_organization, user=member.user, state="active")
    client.force_login(member.user)
    page = client.get("/my/")
    assert page.status_code == 200
    assert b"Other" in page.content
