"""Choices that a form makes: they give way to what a person types, and are undone where their reason is gone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import sign_in
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.browser, pytest.mark.network]


def test_a_click_into_a_suggested_hostname_and_typing_replaces_it(page: Page, tenant: Tenant) -> None:
    sign_in(page, tenant)
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).press_sequentially("Frankfurt 2")
    hostname = page.get_by_label("Hostname", exact=True)
    # The suggestion comes with this very click, which takes the focus from the name.
    hostname.click()
    expect(hostname).to_have_value("frankfurt-2")
    page.keyboard.type("fra2")
    expect(hostname).to_have_value("fra2")


def test_a_hostname_that_was_typed_is_edited_where_the_cursor_is(page: Page) -> None:
    page.get_by_label("Name", exact=True).click()
    page.get_by_label("Hostname", exact=True).click()
    page.keyboard.press("End")
    page.keyboard.type("b")
    expect(page.get_by_label("Hostname", exact=True)).to_have_value("fra2b")
    expect(page.get_by_text("fra2b.vpn.example.net is free.")).to_be_visible()
    page.get_by_label("Hostname", exact=True).fill("api")
    expect(page.get_by_text("is reserved")).to_be_visible()


def test_a_second_click_puts_the_cursor_into_the_suggestion(page: Page) -> None:
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).press_sequentially("Paris")
    hostname = page.get_by_label("Hostname", exact=True)
    hostname.click()
    hostname.click()
    page.keyboard.press("End")
    page.keyboard.type("-2")
    expect(hostname).to_have_value("paris-2")


def test_a_linux_branch_stays_with_wireguard_when_the_arrow_keys_pass_routeros_6(page: Page) -> None:
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).fill("Frankfurt hub")
    page.get_by_label("Hostname", exact=True).fill("fra-choices")
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    page.goto(page.url.replace("progress/", "peers/new-site/"))
    page.locator("[name=subnets]").fill("10.1.0.0/24")
    platform = page.get_by_label("Its router runs")
    platform.focus()
    for _ in range(10):
        with page.expect_response(lambda response: "new-site" in response.url):
            page.keyboard.press("ArrowDown")
        if platform.input_value() == "routeros6":
            expect(page.locator("[name=protocol][value=openvpn]")).to_be_checked()
        if platform.input_value() == "linux":
            break
    expect(page.locator("[name=protocol][value=wireguard]")).to_be_checked()
    expect(page.locator("[name=subnets]")).to_have_value("10.1.0.0/24")


def test_a_protocol_that_is_chosen_while_the_server_thinks_about_the_router_stays_chosen(page: Page) -> None:
    page.goto(page.url)
    asked: list[Route] = []

    def hold(route: Route) -> None:
        """Keep the question about the router waiting, and let everything else pass."""
        if "ask=router" in (route.request.post_data or ""):
            asked.append(route)
        else:
            route.continue_()

    page.route("**/peers/new-site/", hold)
    with page.expect_request(lambda request: "ask=router" in (request.post_data or "")):
        page.get_by_label("Its router runs").select_option("linux")
    page.locator("[name=protocol][value=openvpn]").check()
    expect(page.get_by_text("OpenVPN 2.5 or newer")).to_have_count(0)
    asked[0].continue_()
    expect(page.get_by_text("OpenVPN 2.5 or newer")).to_be_visible()
    expect(page.locator("[name=protocol][value=openvpn]")).to_be_checked()
    page.unroute("**/peers/new-site/")
