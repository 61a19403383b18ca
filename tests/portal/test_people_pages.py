"""The People pages, as admins, auditors and members meet them."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.test import Client

from portal.models import Membership, MembershipState, Organization, Role
from tests.factories import make_member
from tests.fixtures import signed_in


def test_the_list_shows_name_address_role_and_state(admin_browser: Client, organization: Organization) -> None:
    make_member(organization, Role.AUDITOR, email="anna@example.org", name="Anna Weber", state="invited")
    page = admin_browser.get("/people/").content.decode()
    for words in ("Anna Weber", "anna@example.org", "Auditor", "Invited"):
        assert words in page


def test_the_list_never_shows_another_organizations_people(admin_browser: Client, stranger: Membership) -> None:
    assert stranger.user.email.encode() not in admin_browser.get("/people/").content


def test_the_list_is_searched_on_the_server(admin_browser: Client, organization: Organization) -> None:
    make_member(organization, email="anna@example.org", name="Anna Weber")
    make_member(organization, email="bob@example.org", name="Bob")
    for words in ("WEBER", "weber anna", "example.org  anna"):
        page = admin_browser.get("/people/", {"q": words}).content
        assert b"anna@example.org" in page
        assert b"bob@example.org" not in page


def test_a_nul_in_the_search_is_no_part_of_it(admin_browser: Client, member: Membership) -> None:
    assert member.user.email.encode() in admin_browser.get("/people/", {"q": f"\x00{member.user.email}"}).content


def test_htmx_gets_the_rows_alone(admin_browser: Client, member: Membership) -> None:
    headers = {"HX-Request": "true", "HX-Target": "rows"}
    rows = admin_browser.get("/people/", headers=headers).content
    assert member.user.email.encode() in rows
    assert b"<html" not in rows


def test_the_list_is_paged_with_a_constant_number_of_queries(
    admin_browser: Client, organization: Organization, django_assert_max_num_queries: object
) -> None:
    for number in range(60):
        make_member(organization, email=f"many{number}@example.org", password=None)
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        page = admin_browser.get("/people/").content
    assert b"of 61" in page
    assert b"page=2" in page
    assert admin_browser.get("/people/?page=2").status_code == 200
    assert admin_browser.get("/people/?page=nonsense").status_code == 200


def test_adding_a_person_shows_their_link_once(admin_browser: Client) -> None:
    response = admin_browser.post("/people/new/", {"email": "anna@example.org", "name": "Anna", "role": "member"})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    link = next(word for word in response.content.decode().split('id="link">')[1].split("<")[:1])
    assert Client().get(urlsplit(link).path).status_code == 302
    added = Membership.objects.get(user__email="anna@example.org")
    assert b"/accounts/link/" not in admin_browser.get(f"/people/{added.pk}/").content
    assert b"/accounts/link/" not in admin_browser.get("/people/").content


def test_adding_a_person_twice_is_refused_beside_the_field(admin_browser: Client, member: Membership) -> None:
    response = admin_browser.post("/people/new/", {"email": member.user.email, "name": "", "role": "member"})
    assert b"is here already" in response.content


def test_the_link_page_takes_a_post(admin_browser: Client, member: Membership) -> None:
    assert admin_browser.get(f"/people/{member.pk}/link/").status_code == 405
    assert b"/accounts/link/" in admin_browser.post(f"/people/{member.pk}/link/").content


def test_an_admin_changes_role_name_and_access(admin_browser: Client, member: Membership) -> None:
    data = {"name": "Anna", "role": "auditor", "active": "false"}
    assert admin_browser.post(f"/people/{member.pk}/", data).status_code == 302
    member.refresh_from_db()
    assert (member.role, member.state, member.user.name) == (Role.AUDITOR, MembershipState.DEACTIVATED, "Anna")


def test_the_last_admin_is_told_so_beside_the_field(admin_browser: Client, admin: Membership) -> None:
    response = admin_browser.post(f"/people/{admin.pk}/", {"name": "", "role": "member", "active": "true"})
    assert b"is the last admin" in response.content
    removal = admin_browser.post(f"/people/{admin.pk}/remove/")
    assert b"is the last admin" in removal.content


def test_removing_asks_once(admin_browser: Client, member: Membership) -> None:
    page = admin_browser.get(f"/people/{member.pk}/remove/").content
    assert b"What stops working" in page
    assert admin_browser.post(f"/people/{member.pk}/remove/")["Location"].startswith("/people/receipts/")
    assert not Membership.objects.filter(pk=member.pk).exists()


def test_an_auditor_reads_and_changes_nothing(auditor_browser: Client, member: Membership) -> None:
    page = auditor_browser.get(f"/people/{member.pk}/").content
    assert b"Save changes" not in page
    assert b"Add person" not in auditor_browser.get("/people/").content
    for path in ("/people/new/", f"/people/{member.pk}/", f"/people/{member.pk}/link/", f"/people/{member.pk}/remove/"):
        assert auditor_browser.post(path).status_code == 403


def test_somebody_who_was_deactivated_is_out_at_once(admin_browser: Client, auditor: Membership) -> None:
    browser = signed_in(auditor.user)
    assert browser.get("/people/").status_code == 200
    admin_browser.post(f"/people/{auditor.pk}/", {"name": "", "role": "auditor", "active": "false"})
    answer = browser.get("/people/")
    assert answer.status_code == 403
    assert f"You are deactivated in {auditor.organization.name}".encode() in answer.content


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
def test_switching_leads_to_what_the_role_there_may_see(
    admin: Membership, admin_browser: Client, other_organization: Organization, role: str
) -> None:
    Membership.objects.create(organization=other_organization, user=admin.user, role=role, state=MembershipState.ACTIVE)
    response = admin_browser.post("/organization/", {"organization": str(other_organization.pk)})
    assert response["Location"] == ("/" if role == Role.ADMIN else "/my/")
    assert admin_browser.get("/people/").status_code == (200 if role == Role.ADMIN else 403)
    assert admin_browser.post("/organization/", {"organization": "nonsense"}).status_code == 404
