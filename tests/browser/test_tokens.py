"""API tokens in both themes and widths: none, the form, the token shown once, the lists, revoking."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.models import ApiToken
from tests.browser.conftest import Camera
from tests.factories import PASSWORD, an_admin, make_instance, make_member, make_organization

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "a.very.long.address.of.somebody@department.acme.example"


def test_a_token_is_made_and_revoked_at_any_width(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    admin = an_admin(organization)
    hubs = [make_instance(organization, name=name) for name in ("Frankfurt hub", "Paris hub")]
    ApiToken.issue(make_member(organization, email=LONG), name="Nightly import of the branch in München-Riem")
    ApiToken.issue(admin, name="Old", expires_at=timezone.now() - timedelta(days=1), instances=[hubs[0].pk])
    page = visit(admin.user)
    camera = Camera(page)
    page.goto("/accounts/")
    page.get_by_role("link", name="Show tokens").click()
    page.get_by_role("link", name="Make token").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name").fill("Monitoring")
    page.get_by_text("Only the instances ticked below").click()
    page.get_by_text("Paris hub").click()
    camera.look("token-new")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_role("heading", name="Monitoring is made")).to_be_visible()
    expect(page.get_by_label("Token", exact=True)).to_have_value(re.compile(r"vpn_[\w-]{43}"))
    camera.look("token-made")
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("row", name="Monitoring")).to_contain_text("Paris hub")
    camera.look("tokens-own")
    page.goto("/settings/tokens/")
    camera.look("tokens-all")
    page.get_by_role("link", name="Revoke Monitoring").click()
    camera.look("token-revoke")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Monitoring is revoked.")).to_be_visible()
    assert camera.complaints == []
