"""The firewall's table by mouse and by keyboard, and the groups that its rules name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Camera, sign_in
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.browser, pytest.mark.network]
PLACES = {"firewall": ""}


@pytest.fixture(autouse=True)
def nothing_to_complain_about(camera: Camera) -> Iterator[None]:
    """Each page: no error in the console (so no breach of the content security policy), nothing from axe."""
    yield
    complaints, camera.complaints = camera.complaints, []
    assert complaints == []


def names(page: Page) -> list[str]:
    """The rules' names from top to bottom, which is how they are numbered, too."""
    fields = page.locator("tbody [name$='-name']")
    shown = fields.evaluate_all("fields => fields.map(field => [field.name, field.value])")
    assert [name for name, _ in shown] == [f"firewall-{number}-name" for number in range(len(shown))]
    return [value for _, value in shown]


def field(page: Page, column: str, number: int) -> Locator:
    """A rule's field, by what a screen reader calls it."""
    role: Literal["textbox", "combobox"] = "textbox" if column in {"Name", "Port"} else "combobox"
    return page.get_by_role(role, name=f"{column} Rule {number}", exact=True)


def announced(page: Page, words: str) -> None:
    """Wait until a screen reader is told."""
    expect(page.locator("#announcements")).to_contain_text(words)


def add_rule(page: Page, name: str, **values: str) -> None:
    """Press the button and fill in the new row; the focus is in its name already."""
    number = len(names(page)) + 1
    page.get_by_role("button", name="Add rule").click()
    expect(field(page, "Name", number)).to_be_focused()
    page.keyboard.type(name)
    for column, value in {"Source": "Anything", "Destination": "Anything", **values}.items():
        if column in {"Action", "Protocol"}:
            field(page, column, number).select_option(value)
        else:
            field(page, column, number).fill(value)


def save(page: Page) -> None:
    """Press the button at the end of the form."""
    expect(page.get_by_text("Not saved yet.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    expect(page.get_by_text("Not saved yet.", exact=True)).to_be_hidden()


def test_an_instance_with_a_group_and_a_site(page: Page, camera: Camera, tenant: Tenant) -> None:
    sign_in(page, tenant)
    page.goto("/sites/new/")
    page.get_by_label("Name", exact=True).fill("Berlin")
    page.get_by_role("button", name="Add site").click()
    page.goto("/people/groups/")
    camera.look("groups-empty")
    page.get_by_role("link", name="Add group").click()
    page.get_by_label("Name", exact=True).fill("Sales")
    page.get_by_role("checkbox").first.check()
    camera.look("group-new")
    page.get_by_role("button", name="Add group").click()
    camera.look("groups")
    page.get_by_role("link", name="Sales").click()
    expect(page.get_by_role("checkbox").first).to_be_checked()
    camera.look("group")
    page.get_by_role("link", name="Delete group").click()
    camera.look("group-delete")
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).fill("Frankfurt hub")
    page.get_by_label("Hostname", exact=True).fill("fra-rules")
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    expect(page.get_by_role("link", name="Open instance")).to_be_visible(timeout=30_000)
    PLACES["firewall"] = page.url.replace("progress/", "firewall/")


def test_without_rules_the_page_explains(page: Page, camera: Camera) -> None:
    page.goto(PLACES["firewall"])
    expect(page.get_by_text("All peers reach each other, except what a rule stops.")).to_be_visible()
    expect(page.get_by_role("table")).to_be_hidden()
    camera.look("firewall-empty")


def test_rules_are_added_and_saved(page: Page, camera: Camera) -> None:
    page.get_by_label(re.compile("^Deny")).check()
    add_rule(page, "web", Protocol="tcp", Port="443", Source="Sales (group)", Destination="Berlin (site)")
    add_rule(page, "ping", Protocol="icmp")
    add_rule(page, "printer", Action="reject", Destination="10.1.0.9/32")
    camera.look("firewall-typed")
    save(page)
    assert names(page) == ["web", "ping", "printer"]
    expect(field(page, "Source", 1)).to_have_value("Sales (group)")
    expect(page.get_by_label(re.compile("^Deny"))).to_be_checked()
    camera.look("firewall")


def test_a_rule_is_moved_by_the_keyboard(page: Page) -> None:
    field(page, "Port", 1).focus()
    page.keyboard.press("Alt+ArrowDown")
    assert names(page) == ["ping", "web", "printer"]
    announced(page, "web is now rule 2 of 3")
    expect(field(page, "Port", 2)).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("Alt+ArrowDown")
    announced(page, "web is the last rule already")
    page.keyboard.press("Alt+ArrowUp")
    assert names(page) == ["ping", "web", "printer"]
    page.get_by_role("button", name="Move rule 1 down").press("Enter")
    assert names(page) == ["web", "ping", "printer"]
    expect(page.get_by_role("button", name="Move rule 2 down")).to_be_focused()


def test_a_rule_is_dragged(page: Page) -> None:
    grip = page.locator("[data-drag]").nth(2).bounding_box()
    first = page.locator("tbody tr").first.bounding_box()
    assert grip
    assert first
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 5, first["y"] + 4, steps=8)
    page.mouse.up()
    assert names(page) == ["printer", "web", "ping"]
    announced(page, "printer is now rule 1 of 3")
    save(page)
    assert names(page) == ["printer", "web", "ping"]


def test_a_rule_is_removed(page: Page) -> None:
    page.get_by_role("button", name="Remove rule 2").click()
    assert names(page) == ["printer", "ping"]
    announced(page, "web is removed")
    page.reload()
    assert names(page) == ["printer", "web", "ping"], "nothing was saved"


def test_what_is_refused_is_said_beside_the_field(page: Page, camera: Camera) -> None:
    field(page, "Port", 2).fill("70000")
    field(page, "Source", 2).fill("Nobody")
    field(page, "Port", 2).press("Enter")
    expect(page.get_by_text("Nothing is saved yet")).to_be_visible()
    expect(field(page, "Port", 2)).to_have_attribute("aria-invalid", "true")
    camera.look("firewall-refused")
    page.get_by_role("button", name="Move rule 2 up").click()
    assert names(page) == ["web", "printer", "ping"]
    field(page, "Port", 1).fill("443")
    field(page, "Source", 1).fill("sales")
    save(page)


def test_the_table_works_without_javascript(browser: Browser, tenant: Tenant, page: Page) -> None:
    state = page.context.storage_state()
    context = browser.new_context(base_url=tenant.portal.url, storage_state=state, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(PLACES["firewall"])
    field(plain, "Name", 3).fill("typed")
    plain.get_by_role("button", name="Move rule 3 up").click()
    expect(field(plain, "Name", 2)).to_have_value("typed")
    plain.get_by_role("button", name="Add rule").click()
    field(plain, "Name", 4).fill("new")
    field(plain, "Source", 4).fill("Berlin")
    field(plain, "Destination", 4).fill("any")
    plain.get_by_role("button", name="Remove rule 1").click()
    plain.get_by_role("button", name="Save").last.click()
    expect(plain.get_by_text("Saved.", exact=True)).to_be_visible()
    values = [field(plain, "Name", number).input_value() for number in (1, 2, 3)]
    assert values == ["typed", "printer", "new"]
    context.close()
