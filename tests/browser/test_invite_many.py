"""Inviting many people, in both themes and widths: the lines, the preview, the outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Camera
from tests.factories import an_admin, make_instance, make_member, make_organization

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "a.very.long.address.of.somebody@department.acme.example"


def test_many_are_invited_at_any_width(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    make_instance(organization, name="Frankfurt hub")
    make_member(organization, email="anna@acme.example")
    page = visit(an_admin(organization).user)
    camera = Camera(page)
    page.goto("/people/")
    page.get_by_role("link", name="Invite many").click()
    camera.look("invite-many")
    page.get_by_label("People", exact=True).fill(f"{LONG},Änne Weber,auditor\nanna@acme.example\nnobody\n{LONG}")
    page.get_by_label("Device on").select_option(label="Frankfurt hub")
    page.get_by_role("button", name="Preview", exact=True).last.click()
    expect(page.get_by_text("1 of 4 lines will be invited.")).to_be_visible()
    camera.look("invite-many-preview")
    page.get_by_role("button", name="Invite 1 person").click()
    expect(page.get_by_role("heading", name="1 person is invited")).to_be_visible()
    camera.look("invite-many-done")
    assert camera.complaints == []
