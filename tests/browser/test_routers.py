"""What a router shows of itself is pasted into a form; the steps for its platform are copied as they must be pasted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import BY, settle
from vpn.actions.peers.peer import create_site_peer
from vpn.actions.sites.site import create_site
from vpn.models import Instance, Site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_version_is_pasted_and_shown_as_it_is_understood(
    visit: Callable[..., Page], admin: Membership, site: Site
) -> None:
    page = visit(admin.user)
    camera = Camera(page)
    page.goto(f"/sites/{site.pk}/")
    page.get_by_label("The router runs").select_option("vyos")
    page.get_by_text("More settings").click()
    page.get_by_label("Version").fill("the newest")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("No version of VyOS was understood in this.")).to_be_visible()
    expect(page.get_by_label("Version")).to_have_value("the newest")
    camera.look("site-version-refused")
    page.get_by_label("Version").fill("1.5-rolling-202411190007")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("VyOS 1.5-rolling-202411190007", exact=True)).to_be_visible()
    camera.look("site-version")
    assert camera.complaints == []


@pytest.mark.parametrize(
    ("platform", "version"), [("pfsense", "2.7.2-RELEASE"), ("opnsense", ""), ("vyos", "VyOS 1.3.8")]
)
def test_the_steps_of_a_router(
    visit: Callable[..., Page],
    admin: Membership,
    instance: Instance,
    platform: str,
    version: str,
) -> None:
    for name, subnets in (("Plant", ["10.1.0.0/24"]), ("Office", ["10.2.0.0/24", "10.3.0.0/24"])):
        site = create_site(
            admin.organization, name=name, platform=platform, platform_version=version, subnets=subnets, by=BY
        )
        peer = create_site_peer(instance, site=site, subnets=subnets, protocol="wireguard", by=BY)
    settle(instance)
    page = visit(admin.user)
    camera = Camera(page)
    page.goto(f"/peers/{peer.pk}/profile/")
    page.get_by_role("button", name="Show profile").first.click()
    expect(page.get_by_role("heading", name="Steps")).to_be_visible()
    camera.look(f"router-{platform}")
    if platform == "pfsense":
        # A list is shown, and copied, a network a line.
        shown = page.locator("dt", has_text="Aliases to import").first.locator("xpath=..")
        expect(shown.locator("pre")).to_contain_text("10.1.0.0/24")
        assert "\n" in (shown.locator("[data-copy]").get_attribute("data-copy") or "")
    assert camera.complaints == []
