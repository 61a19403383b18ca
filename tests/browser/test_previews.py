"""What a change means, seen while it is typed, without its button, and with its operation afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Camera, sign_in
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.browser, pytest.mark.network]
PLACES = {"instance": "", "site": ""}


@pytest.fixture(autouse=True)
def nothing_to_complain_about(camera: Camera) -> Iterator[None]:
    """Each page: no error in the console (so no breach of the content security policy), nothing from axe."""
    yield
    complaints, camera.complaints = camera.complaints, []
    assert complaints == []


def test_an_instance_with_a_site_and_a_device_that_has_its_profile(page: Page, tenant: Tenant) -> None:
    sign_in(page, tenant)
    page.goto("/instances/new/")
    page.get_by_label("Name", exact=True).fill("Frankfurt hub")
    page.get_by_label("Hostname", exact=True).fill("fra-plans")
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    expect(page.get_by_role("link", name="Open instance")).to_be_visible(timeout=30_000)
    PLACES["instance"] = page.url.replace("progress/", "")
    page.goto(PLACES["instance"] + "peers/new-client/")
    page.get_by_label("Member").select_option(index=1)
    page.locator("[name=device]").fill("laptop")
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    page.get_by_role("button", name="Show profile").first.click()
    expect(page.locator("img.qr").first).to_be_visible()


def test_a_new_site_is_previewed_while_it_is_typed(page: Page, camera: Camera) -> None:
    page.goto(PLACES["instance"] + "peers/new-site/")
    page.locator("[name=site_name]").fill("Berlin office")
    page.locator("[name=subnets]").press_sequentially("10.1.0.0/24")
    expect(page.locator("#plan")).to_contain_text("1 of 1 delivered profile becomes outdated")
    expect(page.locator("#plan")).to_contain_text("reach each other")
    expect(page.locator("[name=subnets]")).to_have_value("10.1.0.0/24")
    camera.look("preview-site")
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text("was added")).to_be_visible()
    PLACES["site"] = page.url


def test_a_policy_is_previewed_and_its_rules_too(page: Page, camera: Camera) -> None:
    page.goto(PLACES["instance"] + "firewall/")
    page.locator("[name=firewall_policy][value=deny]").check()
    expect(page.locator("#plan")).to_contain_text("no longer reach each other")
    camera.look("preview-firewall")
    page.locator("[name=firewall_policy][value=allow]").check()
    expect(page.locator("#plan")).to_contain_text("Nothing changes for any peer")
    page.get_by_role("button", name="Add rule").click()
    page.locator("[name=firewall-0-action]").select_option("drop")
    page.locator("[name=firewall-0-source]").fill("Anything")
    page.locator("[name=firewall-0-destination]").fill("Berlin office (site)")
    expect(page.locator("#plan")).to_contain_text("no longer reaches Berlin office")
    page.get_by_role("button", name="Remove rule").click()
    expect(page.locator("#plan")).to_contain_text("Nothing changes for any peer")


def test_what_is_wrong_is_said_and_nothing_typed_is_lost(page: Page) -> None:
    page.goto(PLACES["instance"] + "routing/")
    page.get_by_label("Networks").press_sequentially("8.8.0.0/1")
    expect(page.locator("#plan")).to_contain_text("Correct these first")
    page.get_by_label("Networks").press_sequentially("6")
    # The one profile that was delivered is outdated already.
    expect(page.locator("#plan")).to_contain_text("8.8.0.0/16 goes through the hub, out to the internet")
    expect(page.get_by_label("Networks")).to_have_value("8.8.0.0/16")


def test_the_dns_page_previews_after_a_row_was_added(page: Page, camera: Camera) -> None:
    page.goto(PLACES["instance"] + "dns/")
    page.get_by_role("button", name="Add record").click()
    expect(page.get_by_text("Not saved yet. Nothing changes on the hub")).to_be_visible()
    page.locator("[name=dns_custom-0-name]").fill("nas")
    page.locator("[name=dns_custom-0-value]").fill("10.1.0.9")
    expect(page.locator("#plan")).to_contain_text("is answered with 10.1.0.9 (A)")
    camera.look("preview-dns")


def test_activity_tells_what_the_change_meant(page: Page, camera: Camera) -> None:
    page.goto(PLACES["instance"] + "activity/")
    meant = page.locator("details.run", has_text="What the change means").first
    expect(meant).to_be_attached()
    meant.locator("summary").first.click()
    camera.look("activity-plan")
    meant.get_by_role("link", name="Mail these people").click()
    expect(page.get_by_role("heading", name="Mail 1 person?")).to_be_visible()
    expect(page.get_by_text("laptop")).to_be_visible()
    camera.look("plan-mail")
    page.get_by_role("button", name="Mail these people").click()
    expect(page.get_by_text("people with outdated profiles are being mailed.")).to_be_visible()


def test_whoever_is_outdated_is_marked_and_found(page: Page, camera: Camera) -> None:
    page.goto(PLACES["instance"])
    page.get_by_role("link", name="1 of 1 delivered profile is outdated").click()
    expect(page.locator("#peers").get_by_text("outdated").first).to_be_visible()
    camera.look("peers-outdated")
    page.goto("/my/")
    expect(page.get_by_text("Its delivered profile is outdated")).to_be_visible()
    camera.look("my-outdated")


def test_a_button_previews_without_javascript(browser: Browser, tenant: Tenant, page: Page) -> None:
    context = browser.new_context(
        base_url=tenant.portal.url, java_script_enabled=False, storage_state=page.context.storage_state()
    )
    plain = context.new_page()
    plain.goto(PLACES["instance"] + "firewall/")
    plain.locator("[name=firewall_policy][value=deny]").check()
    plain.get_by_role("button", name="Preview").click()
    expect(plain.locator("#plan")).to_contain_text("no longer reach each other")
    expect(plain.locator("[name=firewall_policy][value=deny]")).to_be_checked()
    context.close()
