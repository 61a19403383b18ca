"""Who decides about a second factor besides its owner: an organization that requires one, admins, and staff."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client, override_settings

from portal.models import ApiToken, Membership, MembershipState, Organization, QueuedMail, User
from tests.factories import PASSWORD, make_member
from tests.fixtures import signed_in
from tests.portal.codes import (
    ACCOUNT,
    APP,
    CODES,
    LOGIN,
    REMOVE,
    STEP,
    code_of,
    enter_code,
    enter_password,
    give_app,
    recovery_codes,
    shown_key,
    wrong_code,
)
from tests.portal.mailbox import send_what_waits
from tests.vpn.api.caller import Caller

pytestmark = pytest.mark.django_db
NEW = "a brand new password"


@pytest.fixture
def strict(organization: Organization) -> Organization:
    """The organization, which requires a second factor."""
    organization.second_factor_required = True
    organization.save()
    return organization


# Required -------------------------------------------------------------------------------------------------------------


def test_an_admin_requires_one_on_the_settings_page(admin: Membership, organization: Organization) -> None:
    give_app(admin.user)
    browser = signed_in(admin.user)
    browser.post("/settings/", {"name": "Acme", "second_factor_required": "on"})
    organization.refresh_from_db()
    assert organization.second_factor_required
    assert b"checked" in browser.get("/settings/").content
    browser.post("/settings/", {"name": "Acme"})
    organization.refresh_from_db()
    assert not organization.second_factor_required


def test_an_auditor_does_not(auditor_browser: Client, organization: Organization) -> None:
    assert auditor_browser.post("/settings/", {"name": "Acme", "second_factor_required": "on"}).status_code == 403


@pytest.mark.parametrize("page", ["/", "/my/", "/people/", "/settings/", "/sites/"])
def test_a_member_without_one_is_led_to_set_one_up(strict: Organization, admin: Membership, page: str) -> None:
    browser = enter_password(admin.user)
    assert browser.get(page)["Location"] == ACCOUNT
    assert b"Acme requires a second factor" in browser.get(ACCOUNT).content
    assert browser.get(page, headers={"HX-Request": "true"})["HX-Redirect"] == ACCOUNT
    key = shown_key(browser.get(APP).content)
    browser.post(APP, {"code": code_of(key)})
    assert browser.get(page).status_code == 200
    assert b"requires a second factor" not in browser.get(ACCOUNT).content


def test_nothing_is_changed_without_one(strict: Organization, admin: Membership) -> None:
    data = {"email": "new@example.org", "name": "", "role": "admin"}
    assert signed_in(admin.user).post("/people/new/", data)["Location"] == ACCOUNT
    assert not User.objects.filter(email="new@example.org").exists()


def test_recovery_codes_alone_do_not_count(strict: Organization, member: Membership) -> None:
    give_app(member.user)
    Authenticator.objects.filter(type=Authenticator.Type.TOTP).delete()
    assert signed_in(member.user).get("/my/")["Location"] == ACCOUNT


def test_another_organization_of_theirs_still_answers(strict: Organization, stranger: Membership) -> None:
    Membership.objects.create(organization=strict, user=stranger.user, state=MembershipState.ACTIVE)
    browser = signed_in(stranger.user)
    browser.post("/organization/", {"organization": str(strict.pk)})
    assert browser.get("/my/")["Location"] == ACCOUNT
    browser.post("/organization/", {"organization": str(stranger.organization_id)})
    assert browser.get("/my/").status_code == 200


def test_api_tokens_go_on(strict: Organization, admin: Membership) -> None:
    _, token = ApiToken.issue(admin)
    assert Caller(token).get("/users").status_code == 200


def test_the_last_one_is_not_removed_where_it_is_required(strict: Organization, member: Membership) -> None:
    key = give_app(member.user)
    browser = enter_password(member.user)
    assert enter_code(browser, code_of(key))
    assert b"Acme requires a second factor" in browser.get(REMOVE).content
    assert b"Acme requires a second factor" in browser.post(REMOVE).content
    assert Authenticator.objects.filter(type=Authenticator.Type.TOTP).exists()


# Reset by an admin ----------------------------------------------------------------------------------------------------


def reset_page(person: Membership) -> str:
    """The page on which an admin resets a person's factor."""
    return f"/people/{person.pk}/second-factor/"


def test_an_admin_resets_the_factor_of_a_member_who_lost_it(admin: Membership, member: Membership) -> None:
    give_app(member.user)
    browser = enter_password(admin.user)
    assert reset_page(member).encode() in browser.get(f"/people/{member.pk}/").content
    assert b"Reset the second factor" in browser.get(reset_page(member)).content
    assert browser.post(reset_page(member))["Location"] == f"/people/{member.pk}/"
    assert not Authenticator.objects.exists()
    assert enter_password(member.user).get("/my/").status_code == 200


def test_an_admins_browser_that_was_left_open_resets_nothing(admin: Membership, member: Membership) -> None:
    give_app(member.user)
    assert signed_in(admin.user).post(reset_page(member))["Location"].startswith("/accounts/confirm/password/")
    assert Authenticator.objects.exists()


def test_the_factor_of_who_belongs_elsewhere_too_is_not_reset(
    admin: Membership, member: Membership, other_organization: Organization
) -> None:
    Membership.objects.create(organization=other_organization, user=member.user, state=MembershipState.ACTIVE)
    give_app(member.user)
    browser = enter_password(admin.user)
    assert b"also used outside this organization" in browser.post(reset_page(member)).content
    assert Authenticator.objects.filter(user=member.user).exists()
    page = browser.get(f"/people/{member.pk}/").content
    assert b"also used outside this organization" in page
    assert reset_page(member).encode() not in page


def test_neither_staffs_factor_nor_ones_own_is_reset_here(
    admin: Membership, staff: User, organization: Organization
) -> None:
    operator = Membership.objects.create(organization=organization, user=staff, state=MembershipState.ACTIVE)
    give_app(staff)
    key = give_app(admin.user)
    browser = enter_password(admin.user)
    assert enter_code(browser, code_of(key))
    assert b"also used outside" in browser.post(reset_page(operator)).content
    assert b"This is your own account" in browser.post(reset_page(admin)).content
    assert Authenticator.objects.count() == 4


@pytest.mark.parametrize(("role", "status"), [("auditor", 403), ("member", 404)])
def test_others_reset_nobodys_factor(organization: Organization, member: Membership, role: str, status: int) -> None:
    give_app(member.user)
    other = make_member(organization, role)
    assert enter_password(other.user).post(reset_page(member)).status_code == status
    assert Authenticator.objects.exists()


# Staff ----------------------------------------------------------------------------------------------------------------


def test_staff_sign_in_with_their_second_factor(staff: User) -> None:
    key = give_app(staff)
    browser = Client()
    assert browser.get("/admin/", follow=True).request["PATH_INFO"] == LOGIN
    browser.post("/admin/login/", {"username": staff.email, "password": PASSWORD})
    assert browser.get("/admin/").status_code == 302
    browser.post(LOGIN, {"login": staff.email, "password": PASSWORD, "next": "/admin/"})
    assert browser.get("/admin/").status_code == 302
    assert browser.post(STEP, {"code": code_of(key)})["Location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_who_is_signed_in_as_staff_does_not_become_another_one_by_djangos_form(staff: User) -> None:
    """Its form takes a password alone, and counts no attempt."""
    other = User.objects.create_superuser("other@example.org", PASSWORD)
    give_app(other)
    browser = signed_in(staff)
    answer = browser.post("/admin/login/?next=/admin/", {"username": other.email, "password": PASSWORD})
    assert answer["Location"] == "/admin/"
    assert browser.session["_auth_user_id"] == str(staff.pk)


def test_django_admins_login_leads_to_no_other_site_and_lets_nobody_else_in(member: Membership, staff: User) -> None:
    assert signed_in(staff).get("/admin/login/?next=https://evil.example/")["Location"] == "/admin/"
    assert "evil" not in Client().get("/admin/login/?next=https://evil.example/")["Location"]
    assert signed_in(member.user).get("/admin/login/").status_code == 403
    assert signed_in(staff).get("/admin/password_change/")["Location"] == "/accounts/password/change/"


def test_staff_reset_the_factor_of_who_belongs_to_several_organizations(staff: User, member: Membership) -> None:
    give_app(member.user)
    data = {"action": "reset_factors", "_selected_action": [str(member.user_id)]}
    left_open = signed_in(staff).post("/admin/portal/user/", data)
    assert left_open["Location"].startswith("/accounts/confirm/")
    assert Authenticator.objects.exists()
    page = enter_password(staff).post("/admin/portal/user/", data, follow=True)
    assert b"is reset" in page.content
    assert not Authenticator.objects.exists()


def test_only_superusers_reset_the_factor_of_staff(staff: User) -> None:
    helper = User.objects.create_user("helper@example.org", PASSWORD, is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(codename__in=("change_user", "view_user")))
    give_app(staff)
    data = {"action": "reset_factors", "_selected_action": [str(staff.pk)]}
    page = enter_password(helper).post("/admin/portal/user/", data, follow=True)
    assert b"only superusers" in page.content
    assert Authenticator.objects.filter(user=staff).exists()


def test_only_superusers_deactivate_staff(staff: User, member: Membership) -> None:
    helper = User.objects.create_user("helper@example.org", PASSWORD, is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(codename__in=("change_user", "view_user")))
    browser = enter_password(helper)
    for account in (staff, member.user):
        browser.post(f"/admin/portal/user/{account.pk}/change/", {"name": "Renamed"})
        account.refresh_from_db()
    assert (staff.is_active, staff.name == "Renamed") == (True, False)
    assert (member.user.is_active, member.user.name) == (False, "Renamed")


def test_staff_who_only_look_reset_nothing(staff: User, member: Membership) -> None:
    looker = User.objects.create_user("looker@example.org", PASSWORD, is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename="view_user"))
    give_app(member.user)
    data = {"action": "reset_factors", "_selected_action": [str(member.user_id)]}
    enter_password(looker).post("/admin/portal/user/", data, follow=True)
    assert Authenticator.objects.exists()


# Told by mail ---------------------------------------------------------------------------------------------------------


def subjects() -> list[str]:
    """The subjects of what was mailed since."""
    send_what_waits()
    found = [message.subject.removesuffix(" (VPN portal)") for message in mail.outbox]
    mail.outbox.clear()
    return found


@pytest.fixture
def mails() -> object:
    """A portal that sends mail."""
    with override_settings(
        EMAIL_CONFIGURED=True, EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"
    ) as settings:
        yield settings


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("mails")
def test_the_owner_is_told_of_every_change(admin: Membership, member: Membership) -> None:
    browser = enter_password(member.user, headers={"user-agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"})
    key = shown_key(browser.get(APP).content)
    browser.post(APP, {"code": code_of(key)})
    send_what_waits()
    [told] = mail.outbox
    assert told.to == [member.user.email]
    assert "From: 127.0.0.1, Firefox on Windows" in told.body
    assert key not in told.body
    assert subjects() == ["An authenticator app was added to your account"]
    browser.post("/accounts/recovery-codes/new/")
    assert subjects() == ["New recovery codes were made for your account"]
    browser.post(REMOVE)
    assert subjects() == ["The authenticator app of your account was removed"]
    browser.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    assert subjects() == ["Your password was changed"]
    give_app(member.user)
    assert recovery_codes(member.user)
    enter_password(admin.user).post(reset_page(member))
    assert subjects() == ["The second factor of your account was reset"]


@pytest.mark.usefixtures("mails")
def test_a_wrong_code_is_no_change(member: Membership) -> None:
    key = give_app(member.user)
    enter_password(member.user).post(STEP, {"code": wrong_code(key)})
    assert not QueuedMail.objects.exists()


def test_without_a_mail_server_nothing_is_queued(member: Membership) -> None:
    key = give_app(member.user)
    browser = enter_password(member.user)
    assert enter_code(browser, code_of(key))
    assert browser.post("/accounts/recovery-codes/new/")["Location"] == CODES
    assert not QueuedMail.objects.exists()
