"""What SCIM adds to pages: a kind of token, and which groups a directory may change."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.group import create_group
from portal.models import ApiToken, Group, JournalEntry, Membership, Organization
from portal.models.api_token import PREFIX, Ceiling
from tests.factories import BY
from tests.portal.codes import enter_password
from tests.vpn.api.scim.directory import Directory, refused, told

pytestmark = pytest.mark.django_db
NEW = "/accounts/tokens/new/"


def form(ceiling: str = "scim", reach: str = "all") -> dict[str, str]:
    """What the page of a new token sends."""
    last = timezone.localdate() + timedelta(days=7)
    return {"name": "Entra ID", "ceiling": ceiling, "reach": reach, "last_day": last.isoformat()}


def test_an_admin_makes_a_token_and_revokes_it(admin: Membership) -> None:
    browser = enter_password(admin.user)
    page = browser.post(NEW, form()).content.decode()
    assert "/scim/v2</textarea>" in page
    (text,) = set(re.findall(re.escape(PREFIX) + r"[\w-]{43}", page))
    directory, token = Directory(text), ApiToken.objects.get()
    told(directory.get("/Users"))
    listed = browser.get("/settings/tokens/").content.decode()
    assert "Provision people (SCIM)" in listed
    assert text not in listed
    browser.post(f"/accounts/tokens/{token.pk}/revoke/")
    refused(directory.get("/Users"), 401)


def test_a_token_for_scim_is_for_the_whole_organization(admin: Membership, instance: object) -> None:
    page = enter_password(admin.user).post(NEW, {**form(reach="some"), "instances": [str(instance.pk)]})  # type: ignore[attr-defined]
    assert b"choose no instances" in page.content
    assert not ApiToken.objects.exists()


def test_others_are_not_offered_such_a_token(auditor: Membership, member: Membership) -> None:
    for someone in (auditor, member):
        browser = enter_password(someone.user)
        assert b'value="scim"' not in browser.get(NEW).content
        browser.post(NEW, form())
    assert not ApiToken.objects.exists()


def test_an_admin_hands_a_group_over_and_takes_it_back(
    admin: Membership, admin_browser: Client, organization: Organization
) -> None:
    group = create_group(organization, name="Sales", by=BY)
    page = f"/people/groups/{group.pk}/"
    assert b"provisioned" not in admin_browser.get(page).content  # without a directory, it is not asked
    admin_browser.post(page, {"name": "Sales", "provisioned": "on"})
    assert not Group.objects.get().is_provisioned
    directory = Directory.of(admin)
    assert b"provisioned" in admin_browser.get(page).content
    admin_browser.post(page, {"name": "Sales", "provisioned": "on"})
    assert Group.objects.get().is_provisioned
    assert "provisioned_since" in JournalEntry.objects.filter(code="group.changed").latest("id").changes
    assert b"Changed by a directory" in admin_browser.get(page).content
    told(directory.call("PUT", f"/Groups/{group.pk}", {"displayName": "Support"}))
    ApiToken.objects.filter(ceiling=Ceiling.SCIM).delete()
    assert b"provisioned" in admin_browser.get(page).content
    admin_browser.post(page, {"name": "Support"})
    assert not Group.objects.get().is_provisioned


def test_a_person_shows_what_the_directory_calls_them(directory: Directory, admin_browser: Client) -> None:
    user = directory.user("anna-7", emails=[{"value": "anna@example.com"}])
    assert b"anna-7 in the directory" in admin_browser.get(f"/people/{user['id']}/").content
