"""A change on trial in a browser: the choice beside Save, the banner that counts down by itself, and its buttons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import BY, make_instance, settle
from vpn.actions.instances.settings import update_instance
from vpn.models import ChangeTrial, Instance, Server

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_change_is_tried_and_kept(visit: Callable[..., Page], admin: Membership) -> None:
    instance = make_instance(admin.organization, name="Frankfurt")
    Server.objects.update(agent_features=["trial"])
    page = visit(admin.user)
    camera = Camera(page)
    page.goto(f"/instances/{instance.pk}/firewall/")
    choice = page.get_by_label("Return by itself unless I confirm within 2 minutes")
    expect(choice).not_to_be_checked()
    page.get_by_label("Deny").check()
    choice.check()
    camera.look("trial-choice")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Confirm it within 2 minutes, or the hub returns.")).to_be_visible()
    expect(page.get_by_role("button", name="Keep this change")).to_have_count(0)
    settle(Instance.objects.get(pk=instance.pk))
    ChangeTrial.objects.update(ends_at=timezone.now() + timedelta(seconds=3000))
    # By the page's own poll.
    expect(page.get_by_role("button", name="Keep this change")).to_be_visible(timeout=15_000)
    camera.look("trial-running")
    page.get_by_role("button", name="Keep this change").click()
    expect(page.get_by_text("The change is confirmed and stays.")).to_be_visible()
    expect(page.locator("#trial")).to_be_hidden()
    settle(Instance.objects.get(pk=instance.pk))
    update_instance(Instance.objects.get(pk=instance.pk), firewall_policy="allow", confirm_within=60, by=BY)
    ChangeTrial.objects.update(state="returned", returned_at=timezone.now(), was_unconfirmed=True)
    page.reload()
    expect(page.get_by_text("The last change was not confirmed, so the hub returned")).to_be_visible()
    camera.look("trial-returned")
    assert camera.complaints == []
