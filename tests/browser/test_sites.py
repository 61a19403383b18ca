"""The list of sites where there are many: pages and a search."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Camera
from tests.factories import an_admin, make_instance, make_organization, make_site, make_site_peer
from vpn.models import Site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_search_narrows_the_list_while_it_is_typed(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    instance = make_instance(organization)
    for number in range(51):
        make_site_peer(instance, make_site(organization, name=f"Branch {number:02}", subnets=[f"10.{number}.0.0/24"]))
    Site.objects.filter(name="Branch 50").update(place="Hamburg, DE")
    page = visit(an_admin(organization).user)
    camera = Camera(page)
    page.goto("/sites/")
    expect(page.get_by_text("of 51 sites")).to_be_visible()
    camera.look("sites")
    page.get_by_label("Search sites").fill("hamburg")
    expect(page.get_by_role("link", name="Branch 50")).to_be_visible()
    expect(page.get_by_role("link", name="Branch 01")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"\?q=hamburg$"))
    page.get_by_label("Search sites").fill("nowhere")
    expect(page.get_by_text("No site has “nowhere”")).to_be_visible()
    camera.look("sites-no-match")
    page.goto(f"/instances/{instance.pk}/routing/")
    page.get_by_role("link", name="All sites").click()
    expect(page.get_by_role("link", name="Branch 00")).to_be_visible()
    camera.look("sites-of-instance")
    assert camera.complaints == []
