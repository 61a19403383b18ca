"""Nothing that is needed is cut off: tables at 1280 px, tabs on phones, long names in a checklist; and its search."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import Camera, sign_in
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.browser, pytest.mark.network]
PLACES = {"instance": ""}
LONG = "a.very.long.address.of.somebody@subsidiary.department.acme.example"
# Which boxes reach out of the one that they are in.
CUT = """() => [...document.querySelectorAll(".card--flush")].filter(
  (card) => card.scrollWidth > card.clientWidth).length"""
OVERLAPS = """() => { const tops = [...document.querySelectorAll(".checklist__item")].filter((one) => !one.hidden);
  return tops.filter((one) => one.scrollHeight > one.clientHeight + 1).length; }"""


def test_an_instance_with_devices_of_long_names(page: Page, tenant: Tenant) -> None:
    sign_in(page, tenant)
    for email, name in ((LONG, ""), ("anna@acme.example", "Anna Schmidt"), ("cagla@acme.example", "Çağla Yilmaz")):
        page.goto("/people/new/")
        page.get_by_label("Email").fill(email)
        page.locator("[name=name]").fill(name)
        page.locator("main form button").last.click()
        expect(page.locator("main")).to_contain_text("link")
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).fill("Frankfurt hub")
    page.get_by_label("Hostname", exact=True).fill("fra-layout")
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    PLACES["instance"] = page.url.replace("progress/", "")
    page.goto(PLACES["instance"] + "peers/new-client/")
    page.get_by_label("Member").select_option(label=LONG)
    page.locator("[name=device]").fill("laptop")
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    page.goto(PLACES["instance"] + "peers/new-site/")
    page.locator("[name=site_name]").fill("München Werk 2 mit einem langen Namen")
    page.locator("[name=subnets]").fill("172.16.100.0/24 fd00:1234:5678::/48")
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text("was added")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 1024, 1440])
def test_the_peers_table_shows_addresses_and_cuts_nothing_off(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(PLACES["instance"])
    expect(page.get_by_text("100.64.0.2", exact=True)).to_be_visible()
    assert page.evaluate(CUT) == 0


def test_the_tab_that_is_open_is_in_view_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("settings", "activity"):
        page.goto(PLACES["instance"] + f"{tab}/")
        expect(page.locator(".tab[aria-current]")).to_be_in_viewport(ratio=0.95)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_room_that_is_open_is_in_the_bar_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for room in ("/", "/sites/", "/settings/", "/my/"):
        page.goto(room)
        expect(page.locator(".room[aria-current]")).to_be_in_viewport(ratio=0.95)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto("/")
    expect(page.locator(".room:visible")).to_have_count(4)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_a_browser_without_scroll_initial_target_is_helped_by_a_script(browser: Browser, page: Page) -> None:
    def as_older(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("scroll-initial-target", "unknown"))

    context = browser.new_context(
        base_url=page.url, storage_state=page.context.storage_state(), viewport={"width": 390, "height": 844}
    )
    older = context.new_page()
    older.route("**/*.css", as_older)
    older.add_init_script("CSS.supports = () => false")
    older.goto(PLACES["instance"] + "activity/")
    expect(older.locator(".tab[aria-current]")).to_be_in_viewport(ratio=0.95)
    context.close()


def test_a_checklist_is_searched_and_keeps_what_is_ticked(page: Page, camera: Camera) -> None:
    page.goto("/people/groups/new/")
    page.locator("[name=name]").fill("Sales")
    assert page.evaluate(OVERLAPS) == 0
    search = page.get_by_label("Search members")
    search.fill("schmidt anna")
    expect(page.locator(".checklist__item:visible")).to_have_count(1)
    page.get_by_label("Anna Schmidt").check()
    search.fill("cagla")
    expect(page.locator(".checklist__item:visible")).to_have_text("Çağla Yilmaz (cagla@acme.example)")
    page.get_by_label("Çağla").check()
    search.fill("nobody of that name")
    expect(page.get_by_text("No match")).to_be_visible()
    search.press("Enter")
    expect(page.get_by_role("heading", name="Add group")).to_be_visible()
    camera.look("group-search")
    page.get_by_role("button", name="Add group").click()
    page.get_by_role("link", name="Sales").click()
    expect(page.locator(".page-head__facts")).to_contain_text("2 members")
    camera.look("group")
    assert camera.complaints == []


def test_a_persons_devices_are_looked_at(page: Page, camera: Camera) -> None:
    page.goto("/people/")
    page.get_by_role("link", name=LONG).click()
    expect(page.locator(".reaches")).to_contain_text("reaches München Werk 2")
    camera.look("person-devices")
    assert camera.complaints == []


def test_my_vpn_and_the_list_of_hubs_keep_within_a_phone(page: Page, tenant: Tenant) -> None:
    page.goto(PLACES["instance"] + "peers/new-client/")
    page.get_by_label("Member").select_option(label=tenant.email)
    page.locator("[name=device]").fill("a" * 40)
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/my/")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.goto("/")
    lefts = page.locator("td[data-label=Address] .line").evaluate_all(
        "lines => lines.map((line) => line.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1, "a server's second address stands elsewhere than the first"
    page.set_viewport_size({"width": 1280, "height": 900})
