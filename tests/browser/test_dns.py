"""The DNS page by keyboard and mouse: records edited in place, nothing lost, every fault beside its field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Camera, sign_in
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.browser, pytest.mark.network]
PLACES = {"dns": ""}


@pytest.fixture(autouse=True)
def nothing_to_complain_about(camera: Camera) -> Iterator[None]:
    """Each page: no error in the console (so no breach of the content security policy), nothing from axe."""
    yield
    complaints, camera.complaints = camera.complaints, []
    assert complaints == []


def field(page: Page, column: str, number: int) -> Locator:
    """A record's field, by what a screen reader calls it."""
    role: Literal["textbox", "combobox"] = "combobox" if column == "Type" else "textbox"
    return page.get_by_role(role, name=f"{column} Record {number}", exact=True)


def fill(page: Page, number: int, name: str, kind: str, answer: str) -> None:
    field(page, "Name", number).fill(name)
    field(page, "Type", number).select_option(kind)
    field(page, "Answer", number).fill(answer)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()


def test_an_instance_and_its_dns_page(page: Page, camera: Camera, tenant: Tenant) -> None:
    sign_in(page, tenant)
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).fill("Frankfurt hub")
    page.keyboard.press("Tab")
    # A hostname is suggested; another one is typed over it.
    expect(page.get_by_label("Hostname", exact=True)).to_have_value("frankfurt-hub")
    page.get_by_label("Hostname", exact=True).fill("fra-dns")
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    expect(page.get_by_role("link", name="Open instance")).to_be_visible(timeout=30_000)
    PLACES["dns"] = page.url.replace("progress/", "dns/")
    page.goto(page.url.replace("progress/", "peers/new-client/"))
    page.get_by_label("Member").select_option(index=1)
    page.get_by_label("Device (optional)").fill("Work laptop")
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text("work-laptop.admin.fra-dns.vpn.example.net")).to_be_visible()
    page.goto(PLACES["dns"])
    expect(page.get_by_role("rowheader", name="work-laptop.admin.fra-dns.vpn.example.net")).to_be_visible()


def test_records_are_typed_one_after_the_other(page: Page, camera: Camera) -> None:
    fill(page, 1, "nas", "A", "10.1.0.9")
    page.get_by_role("button", name="Add record").click()
    expect(field(page, "Name", 2)).to_be_focused()
    fill(page, 2, "wiki.intra.example", "CNAME", "nas")
    page.get_by_label("Domains (optional)").fill("corp.example")
    page.get_by_label("Their servers (optional)").fill("10.1.0.53")
    page.get_by_role("button", name="Add record").click()
    expect(field(page, "Name", 3)).to_be_focused()
    fill(page, 3, "old", "A", "10.1.0.8")
    page.get_by_role("button", name="Remove record 3").click()
    expect(field(page, "Name", 3)).to_have_value("")
    expect(field(page, "Name", 3)).to_be_focused()
    expect(page.get_by_label("Their servers (optional)")).to_have_value("10.1.0.53")
    save(page)
    expect(field(page, "Name", 1)).to_have_value("nas.fra-dns.vpn.example.net")
    camera.look("dns")


def test_what_is_refused_is_said_beside_the_field(page: Page, camera: Camera) -> None:
    fill(page, 3, "work-laptop.admin.fra-dns.vpn.example.net", "AAAA", "10.1.0.9")
    page.get_by_label("Domains (optional)").fill("corp.example\n*.other.example")
    field(page, "Name", 3).press("Enter")
    expect(page.get_by_text("Nothing is saved yet")).to_be_visible()
    for column in ("Name", "Answer"):
        expect(field(page, column, 3)).to_have_attribute("aria-invalid", "true")
    camera.look("dns-refused")
    fill(page, 3, "printer", "A", "10.1.0.7")
    page.get_by_label("Domains (optional)").fill("corp.example")
    save(page)
    expect(field(page, "Name", 2)).to_have_value("printer.fra-dns.vpn.example.net")


def test_names_are_searched_without_touching_what_is_typed(page: Page) -> None:
    field(page, "Name", 4).fill("typed")
    page.get_by_role("searchbox", name="Search names").fill("nobody")
    expect(page.get_by_text("No name matches")).to_be_visible()
    page.get_by_role("searchbox", name="Search names").fill("work")
    expect(page.get_by_role("rowheader", name="work-laptop.admin")).to_be_visible()
    expect(field(page, "Name", 4)).to_have_value("typed")


def test_the_table_works_without_javascript(browser: Browser, tenant: Tenant, page: Page) -> None:
    state = page.context.storage_state()
    context = browser.new_context(base_url=tenant.portal.url, storage_state=state, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(PLACES["dns"])
    fill(plain, 4, "typed", "A", "10.1.0.6")
    plain.get_by_role("button", name="Add record").click()
    fill(plain, 5, "more", "A", "10.1.0.5")
    plain.get_by_role("button", name="Remove record 1").click()
    # The alias of the record that was removed has to go, too, or be told where to.
    plain.get_by_role("button", name="Save").last.click()
    expect(plain.get_by_text("the alias would resolve to nothing")).to_be_visible()
    # By name they come in the order in which they were saved: nas, printer, wiki.
    field(plain, "Answer", 2).fill("printer")
    plain.get_by_role("button", name="Save").last.click()
    expect(plain.get_by_text("Saved.", exact=True)).to_be_visible()
    context.close()
