"""Organizations: staff add one with its first admin, who comes in by a link; an admin renames it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.test import Client

from portal.models import Membership, MembershipState, Organization, Role, User
from tests.factories import PASSWORD, make_member, make_organization, make_user

ADD = "/admin/portal/organization/add/"
NEW = {"name": "Weber GmbH", "slug": "weber", "admin_email": "Anna@Example.org", "admin_name": "Anna Weber"}
# What the page's own list of members sends along.
INLINE = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


def link_in(page: bytes) -> str:
    """The path of the link that the page shows."""
    found = re.search(rb"readonly[^>]*>([^<]+)</textarea>", page)
    assert found, "no link is shown"
    return urlsplit(found[1].decode().strip()).path


def come_in(path: str) -> Client:
    """A browser in which somebody set a password by their link."""
    browser = Client()
    assert browser.get(path, follow=True).status_code == 200
    browser.post("/accounts/link/", {"password1": PASSWORD, "password2": PASSWORD})
    return browser


def test_staff_add_an_organization_and_its_first_admin_comes_in_by_the_link(staff_browser: Client) -> None:
    assert b"admin_email" in staff_browser.get(ADD).content
    answer = staff_browser.post(ADD, {**NEW, **INLINE})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    invited = Membership.objects.get(organization__slug="weber")
    assert (invited.user.email, invited.user.name) == ("anna@example.org", "Anna Weber")
    assert (invited.role, invited.state) == (Role.ADMIN, MembershipState.INVITED)
    browser = come_in(link_in(answer.content))
    assert b"Weber GmbH" in browser.get("/people/").content
    assert browser.get("/instances/new/").status_code == 200
    again = staff_browser.get(f"/admin/portal/organization/{invited.organization_id}/change/").content
    assert b"/accounts/link/" not in again


@pytest.mark.parametrize("email", ["", "anna", "a@b"])
def test_an_organization_without_an_admin_is_not_added(staff_browser: Client, email: str) -> None:
    answer = staff_browser.post(ADD, {**NEW, **INLINE, "admin_email": email})
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert not Organization.objects.filter(slug="weber").exists()


@pytest.mark.parametrize(
    ("field", "text"),
    [("name", "Acme\u202egnp"), ("name", "Ac\u200bme"), ("admin_name", "Eve\nAdmin"), ("admin_name", "Eve\u200b")],
)
def test_names_with_what_cannot_be_seen_are_refused_beside_the_field_and_nothing_is_added(
    staff_browser: Client, field: str, text: str
) -> None:
    before = Organization.objects.count()
    answer = staff_browser.post(ADD, {**NEW, **INLINE, field: text})
    assert answer.status_code == 200
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert Organization.objects.count() == before


def test_staff_rename_it_by_the_same_rule(staff_browser: Client, organization: Organization) -> None:
    former, url = organization.name, f"/admin/portal/organization/{organization.pk}/change/"
    for name, expected in (("Ac\u202eme", former), ("Weber & Söhne", "Weber & Söhne")):
        staff_browser.post(url, {"name": name, "slug": organization.slug, **INLINE})
        organization.refresh_from_db()
        assert organization.name == expected


def test_an_account_that_is_there_joins_with_its_own_password(staff_browser: Client) -> None:
    elsewhere = make_organization("Other").memberships.get()
    elsewhere.user.email = "anna@example.org"
    elsewhere.user.save()
    path = link_in(staff_browser.post(ADD, {**NEW, **INLINE}).content)
    browser = Client()
    browser.force_login(elsewhere.user)
    browser.get(path)
    assert browser.post("/accounts/link/").status_code == 302
    assert Membership.objects.get(organization__slug="weber").state == MembershipState.ACTIVE


def test_a_first_admin_who_never_came_is_invited_anew_and_then_it_is_theirs(staff_browser: Client) -> None:
    staff_browser.post(ADD, {**NEW, **INLINE})
    organization = Organization.objects.get(slug="weber")
    url = f"/admin/portal/organization/{organization.pk}/change/"
    assert b"admin_email" in staff_browser.get(url).content
    same = {**NEW, **INLINE, "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "1"}
    same["memberships-0-id"] = str(organization.memberships.get().pk)
    same["memberships-0-organization"] = str(organization.pk)
    path = link_in(staff_browser.post(url, same).content)
    assert Membership.objects.filter(organization=organization).count() == 1
    come_in(path)
    assert b"admin_email" not in staff_browser.get(url).content
    staff_browser.post(url, {**same, "admin_email": "mallory@example.org"})
    assert not User.objects.filter(email="mallory@example.org").exists()


def test_a_member_of_it_is_not_made_admin_by_an_invitation(staff_browser: Client) -> None:
    staff_browser.post(ADD, {**NEW, **INLINE})
    organization = Organization.objects.get(slug="weber")
    make_member(organization, email="bob@example.org")
    url = f"/admin/portal/organization/{organization.pk}/change/"
    values = {"name": "Weber GmbH", "slug": "weber", "admin_email": "bob@example.org", **INLINE}
    page = staff_browser.post(url, values, follow=True).content
    assert b"ob@example.org is here already." in page
    assert organization.memberships.get(user__email="bob@example.org").role == Role.MEMBER


def test_accounts_and_memberships_are_still_not_added_by_hand(staff_browser: Client) -> None:
    for model in ("user", "membership"):
        assert staff_browser.get(f"/admin/portal/{model}/add/").status_code == 403


def test_an_admin_renames_the_organization(
    admin_browser: Client, organization: Organization, other_organization: Organization
) -> None:
    assert b'href="/settings/"' in admin_browser.get("/people/").content
    page = admin_browser.post("/settings/", {"name": " Acme & Sons "}, follow=True).content
    assert b"Acme &amp; Sons is saved." in page
    names = dict(Organization.objects.values_list("slug", "name"))
    assert names[organization.slug] == "Acme & Sons"
    assert names[other_organization.slug] == "Other"


@pytest.mark.parametrize("name", ["", "   ", "a\u202eb", "x" * 61])
def test_a_name_that_is_none_is_refused_beside_the_field(
    admin_browser: Client, organization: Organization, name: str
) -> None:
    page = admin_browser.post("/settings/", {"name": name}).content
    assert b'id="id_name_error"' in page
    organization.refresh_from_db()
    assert organization.name == "Acme"


def test_an_auditor_reads_the_settings_and_changes_nothing(auditor_browser: Client, organization: Organization) -> None:
    page = auditor_browser.get("/settings/").content
    assert b"Acme" in page
    assert b"Save changes" not in page
    assert auditor_browser.post("/settings/", {"name": "Mine"}).status_code == 403
    organization.refresh_from_db()
    assert organization.name == "Acme"


def test_whoever_belongs_nowhere_has_no_settings(client: Client, db: None) -> None:
    client.force_login(make_user())
    assert client.get("/settings/").status_code == 404
