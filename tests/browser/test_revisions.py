"""Revisions in the browser, in both themes and widths: the list, two side by side, and the return."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.actions.group import create_group
from tests.browser.conftest import Camera
from tests.factories import (
    BY,
    an_admin,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
    settle,
)
from vpn.actions.instances.settings import update_instance
from vpn.actions.revisions.notes import noted
from vpn.models import Revision

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_two_are_compared_and_one_is_returned_to(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    admin, member = an_admin(organization), make_member(organization, name="Anna")
    instance, berlin = make_instance(organization), make_site(organization, name="Berlin")
    make_client_peer(instance, member, "laptop")
    make_site_peer(instance, berlin, subnets=["10.1.0.0/24"])
    group = create_group(organization, name="A group with a rather long name", members=[member.pk], by=BY)
    rule = {"name": "print", "source": f"group:{group.pk}", "destination": f"site:{berlin.pk}"}
    with noted("they have to print, and the printer is in Berlin"):
        update_instance(instance, firewall=[{**rule, "protocol": "tcp", "port": "631"}], firewall_policy="deny", by=BY)
    update_instance(instance, firewall=[], mtu=1300, public_dns=["1.1.1.1", "8.8.8.8"], by=BY)
    settle(instance)
    page = visit(admin.user)
    camera = Camera(page)
    page.goto(f"/instances/{instance.pk}/activity/")
    page.get_by_role("link", name="Revisions").click()
    camera.look("revisions")
    page.get_by_label("Revision 3 on the left").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("row", name="print")).to_contain_text("Accept TCP 631 from A group with a rather long name")
    expect(page.locator(".plan__part--closes")).to_contain_text("Anna")
    camera.look("revisions-compared")
    page.get_by_role("link", name="Return to this revision").click()
    expect(page.locator(".plan__part--opens")).to_contain_text("Anna")
    camera.look("revision-return")
    page.get_by_role("button", name="Return to this revision").click()
    expect(page.get_by_text("Returned to revision 3.")).to_be_visible()
    assert Revision.objects.filter(instance=instance)[0].returned_to == 3
    page.goto(f"/instances/{instance.pk}/firewall/")
    expect(page.get_by_label("Note")).to_be_visible()
    camera.look("firewall-with-note")
    assert camera.complaints == []
