"""The organization's settings, with its quotas: in both themes and widths, one of them reached."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Camera
from tests.factories import an_admin, make_organization

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_use_and_limits_are_read_at_any_width(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    organization.most_members = 1
    organization.save()
    page = visit(an_admin(organization).user)
    camera = Camera(page)
    page.goto("/settings/")
    expect(page.get_by_role("row", name="Members and invitations")).to_contain_text("Reached")
    camera.look("organization-quotas")
    assert camera.complaints == []
