"""A choice among many members or sites: typing asks the server, the keyboard chooses; a button without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.models import Group
from tests.browser.conftest import Camera
from tests.crowds import MANY, add_members, add_sites
from tests.factories import an_admin, make_instance, make_organization
from vpn.models import Instance, Peer, Site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def instance() -> Instance:
    """An instance of an organization with many members and sites."""
    organization = make_organization()
    add_members(organization)
    add_sites(organization)
    return make_instance(organization)


def test_typing_narrows_the_members_and_the_keyboard_chooses(instance: Instance, visit: Callable[..., Page]) -> None:
    page = visit(an_admin(instance.organization).user)
    camera = Camera(page)
    page.goto(f"/instances/{instance.pk}/peers/new-client/")
    search, members = page.get_by_label("Search members"), page.get_by_label("Member", exact=True)
    expect(page.get_by_role("status").filter(has_text=f"The first 50 of {MANY + 1} members")).to_be_visible()
    camera.look("client-new-many")
    search.fill("person 05")
    expect(page.get_by_role("status").filter(has_text=f"6 of {MANY + 1} members match")).to_be_visible()
    expect(members.locator("option")).to_have_count(6)
    search.press("Enter")
    expect(members).to_be_focused()
    expect(page).to_have_url(re.compile("/new-client/$"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(members.locator("option:checked")).to_have_text("Person 050 (user050@example.org)")
    search.fill("nowhere")
    expect(page.get_by_role("status").filter(has_text="No match among")).to_be_visible()
    expect(members.locator("option:checked")).to_have_text("Person 050 (user050@example.org)")
    camera.look("client-new-no-match")
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text("was added")).to_be_visible()
    assert Peer.objects.get().member.user.email == "user050@example.org"  # type: ignore[union-attr]
    assert camera.complaints == []


def test_a_found_site_brings_its_subnets_along(instance: Instance, visit: Callable[..., Page]) -> None:
    page = visit(an_admin(instance.organization).user)
    camera = Camera(page)
    page.goto(f"/instances/{instance.pk}/peers/new-site/")
    page.get_by_label("Search sites").fill("10.54.")
    sites = page.get_by_label("Site", exact=True)
    expect(sites.locator("option")).to_have_text(["A new site", "Branch 054"])
    sites.select_option("Branch 054")
    expect(page.get_by_label("Subnets behind the router")).to_have_value("10.54.0.0/24")
    expect(page.get_by_label("Name of the new site")).to_be_hidden()
    camera.look("site-peer-new-many")
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text("was added")).to_be_visible()
    assert camera.complaints == []


def test_without_javascript_a_button_searches_and_keeps_what_was_typed(
    instance: Instance, visit: Callable[..., Page]
) -> None:
    page = visit(an_admin(instance.organization).user, java_script_enabled=False)
    page.goto(f"/instances/{instance.pk}/peers/new-client/")
    page.locator("[name=device]").fill("Phone")
    page.get_by_label("All traffic").check()
    page.get_by_label("Search members").fill("user054@")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("[name=device]")).to_have_value("Phone")
    expect(page.get_by_label("All traffic")).to_be_checked()
    members = page.get_by_label("Member", exact=True)
    expect(members.locator("option")).to_have_text(["Person 054 (user054@example.org)"])
    members.select_option(index=0)
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text("was added")).to_be_visible()
    assert Peer.objects.get().device == "Phone"


def test_a_rule_names_a_site_that_was_not_suggested_at_first(instance: Instance, visit: Callable[..., Page]) -> None:
    page = visit(an_admin(instance.organization).user)
    camera = Camera(page)
    page.goto(f"/instances/{instance.pk}/firewall/")
    page.get_by_role("button", name="Add rule").click()
    source = page.locator("[name=firewall-0-source]")
    source.press_sequentially("054 branch")
    suggested = page.locator("#rule-ends option")
    expect(suggested).to_have_count(2)
    expect(suggested.last).to_have_attribute("value", "Branch 054 (site)")
    source.fill("Branch 054 (site)")
    expect(page.locator("#plan")).to_contain_text("Rule 1 changes nothing")
    camera.look("firewall-many")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert instance.firewall_rules.get().source == f"site:{Site.objects.get(name='Branch 054').pk}"
    assert camera.complaints == []


def test_members_of_a_group_are_found_and_stay_ticked(instance: Instance, visit: Callable[..., Page]) -> None:
    page = visit(an_admin(instance.organization).user)
    camera = Camera(page)
    page.goto("/people/groups/new/")
    page.locator("[name=name]").fill("Sales")
    search = page.get_by_label("Search members")
    for number in ("000", "054"):
        search.fill(f"person {number}")
        expect(page.locator(".checklist__item")).to_have_count(1)
        page.get_by_label(f"Person {number}").check()
    search.fill("person 05")
    expect(page.locator(".checklist__item")).to_have_count(6)
    expect(page.get_by_role("status").filter(has_text="2 ticked, shown or not")).to_be_visible()
    search.press("Enter")
    expect(page.locator("#id_members_0")).to_be_focused()
    camera.look("group-new-many")
    page.get_by_role("button", name="Add group").click()
    expect(page.get_by_text("Sales is made")).to_be_visible()
    found = Group.objects.get().members.order_by("user__email").values_list("user__email", flat=True)
    assert list(found) == ["user000@example.org", "user054@example.org"]
    assert camera.complaints == []
