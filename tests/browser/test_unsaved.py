"""What was typed is not lost: a form that is left asks once, and a session that ended keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Dialog, Page, expect

from portal.actions.group import create_group
from portal.models import Membership
from tests.browser.conftest import Camera
from tests.crowds import add_members
from tests.factories import BY, PASSWORD, make_client_peer, make_instance, make_member, settle
from vpn.models import Instance, Peer

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


@pytest.fixture
def hub(transactional_db: None, admin: Membership) -> Instance:
    """A hub with the admin's laptop."""
    instance = make_instance(admin.organization, name="Frankfurt hub")
    make_client_peer(instance, admin, "laptop")
    return settle(instance)


@pytest.fixture
def tab(visit: Visit, admin: Membership, hub: Instance) -> Page:
    """The admin's tab."""
    return visit(admin.user)


def asked(page: Page, *, leave: bool) -> list[Dialog]:
    """Every question from now on, answered alike."""
    dialogs: list[Dialog] = []

    def answer(dialog: Dialog) -> None:
        dialogs.append(dialog)
        dialog.accept() if leave else dialog.dismiss()

    page.on("dialog", answer)
    return dialogs


def sign_in_again(page: Page, admin: Membership) -> None:
    page.get_by_label("Email").fill(admin.user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_an_edited_form_that_is_left_asks_once(tab: Page, hub: Instance) -> None:
    tab.goto(f"/peers/{hub.peers.get().pk}/edit/")
    dialogs = asked(tab, leave=True)
    tab.locator("[name=device]").fill("desktop")
    tab.get_by_role("link", name="Sites", exact=True).click()
    tab.wait_for_url("**/sites/")
    assert [dialog.type for dialog in dialogs] == ["beforeunload"]
    tab.get_by_role("link", name="People", exact=True).click()
    tab.wait_for_url("**/people/")
    assert len(dialogs) == 1


def test_staying_keeps_what_was_typed(tab: Page, hub: Instance) -> None:
    tab.goto(f"/instances/{hub.pk}/routing/")
    dialogs = asked(tab, leave=False)
    tab.get_by_label("Networks").fill("10.99.0.0/16")
    tab.evaluate("location.assign('/sites/')")
    tab.wait_for_function("true")
    expect(tab.get_by_label("Networks")).to_have_value("10.99.0.0/16")
    assert len(dialogs) == 1


def test_nothing_is_asked_where_nothing_is_lost(tab: Page, hub: Instance) -> None:
    dialogs = asked(tab, leave=True)
    url = f"/peers/{hub.peers.get().pk}/edit/"
    tab.goto(url)
    tab.locator("[name=device]").fill("desktop")
    tab.locator("[name=device]").fill("laptop")
    tab.goto(f"/instances/{hub.pk}/")
    tab.get_by_role("searchbox").fill("laptop")
    tab.goto(url)
    tab.locator("[name=device]").fill("desktop")
    tab.get_by_role("button", name="Save changes").click()
    expect(tab.get_by_text("was saved")).to_be_visible()
    tab.goto("/sites/")
    assert dialogs == []


def test_a_session_that_ends_on_submit_keeps_what_was_typed(tab: Page, hub: Instance, admin: Membership) -> None:
    camera = Camera(tab)
    dialogs = asked(tab, leave=True)
    tab.goto(f"/peers/{hub.peers.get().pk}/edit/")
    tab.locator("[name=device]").fill("work laptop")
    tab.locator("[name=route_all][value=true]").check()
    Session.objects.all().delete()
    tab.get_by_role("button", name="Save changes").click()
    sign_in_again(tab, admin)
    expect(tab.get_by_text("What you typed is back in its fields. It is not saved yet.")).to_be_visible()
    expect(tab.locator("[name=device]")).to_have_value("work laptop")
    expect(tab.locator("[name=route_all][value=true]")).to_be_checked()
    expect(tab.locator("#plan")).not_to_contain_text("While you edit, this shows")
    camera.look("kept")
    assert Peer.objects.get().device == "laptop"
    tab.get_by_role("button", name="Save changes").click()
    expect(tab.get_by_text("was saved")).to_be_visible()
    assert (Peer.objects.get().device, Peer.objects.get().route_all) == ("work laptop", True)
    tab.goto(f"/peers/{hub.peers.get().pk}/edit/")
    expect(tab.get_by_text("You had to sign in again")).to_have_count(0)
    assert dialogs == []
    assert camera.complaints == []


def test_a_session_that_ends_while_a_change_is_previewed_keeps_what_was_typed(
    tab: Page, hub: Instance, admin: Membership
) -> None:
    dialogs = asked(tab, leave=True)
    tab.goto(f"/instances/{hub.pk}/routing/")
    Session.objects.all().delete()
    tab.get_by_label("Networks").press_sequentially("10.99.0.0/16")
    expect(tab.get_by_label("Password", exact=True)).to_be_visible()
    sign_in_again(tab, admin)
    expect(tab.get_by_text("What you typed is back")).to_be_visible()
    expect(tab.get_by_label("Networks")).to_have_value("10.99.0.0/16")
    expect(tab.locator("#plan")).not_to_contain_text("While you edit, this shows")
    assert dialogs == []


def test_a_confirmation_is_asked_for_again(tab: Page, hub: Instance, admin: Membership) -> None:
    tab.goto(f"/peers/{hub.peers.get().pk}/disable/")
    Session.objects.all().delete()
    tab.get_by_role("button", name="Disable").click()
    sign_in_again(tab, admin)
    expect(tab.get_by_text("Nothing was changed meanwhile.")).to_be_visible()
    assert Peer.objects.get().enabled
    tab.get_by_role("button", name="Disable").click()
    expect(tab.get_by_text("disabled.")).to_be_visible()


def test_rows_that_were_added_can_be_sent_again(tab: Page, hub: Instance, admin: Membership) -> None:
    tab.goto(f"/instances/{hub.pk}/firewall/")
    tab.get_by_role("button", name="Add rule").click()
    tab.locator("[name=firewall-0-name]").fill("No printing")
    tab.locator("[name=firewall-0-action]").select_option("drop")
    tab.locator("[name=firewall-0-source]").fill("Anything")
    tab.locator("[name=firewall-0-destination]").fill("10.1.0.9/32")
    Session.objects.all().delete()
    tab.get_by_role("button", name="Save").last.click()
    sign_in_again(tab, admin)
    tab.get_by_role("button", name="Send it again").click()
    expect(tab.locator("[name=firewall-0-name]")).to_have_value("No printing")
    assert [rule.name for rule in hub.firewall_rules.all()] == ["No printing"]


def test_nobody_else_gets_what_was_typed_and_no_secret_is_kept(
    tab: Page, hub: Instance, organization_colleague: Membership
) -> None:
    tab.goto(f"/instances/{hub.pk}/peers/new-client/")
    tab.locator("[name=device]").fill("of the first admin")
    tab.locator("summary", has_text="More settings").click()
    tab.locator("[name=public_key]").fill("a private key by mistake")
    tab.locator("[name=user_id]").select_option(index=1)
    Session.objects.all().delete()
    tab.get_by_role("button", name="Add peer").click()
    expect(tab.get_by_label("Password", exact=True)).to_be_visible()
    stored = tab.evaluate("sessionStorage.getItem('kept')")
    assert "of the first admin" in stored
    assert "by mistake" not in stored
    assert "csrf" not in stored
    sign_in_again(tab, organization_colleague)
    expect(tab.locator("[name=device]")).to_have_value("")
    expect(tab.get_by_text("You had to sign in again")).to_have_count(0)
    assert tab.evaluate("sessionStorage.getItem('kept')") is None


@pytest.fixture
def organization_colleague(admin: Membership) -> Membership:
    """Another admin."""
    return make_member(admin.organization, "admin")


def test_a_form_that_is_too_old_can_be_opened_again(tab: Page, hub: Instance) -> None:
    tab.goto(f"/peers/{hub.peers.get().pk}/edit/")
    tab.locator("[name=device]").fill("desktop")
    tab.context.clear_cookies(name="csrftoken")
    tab.get_by_role("button", name="Save changes").click()
    tab.get_by_role("link", name="Open the form again").click()
    expect(tab.locator("[name=device]")).to_have_value("desktop")
    tab.get_by_role("button", name="Save changes").click()
    expect(tab.get_by_text("was saved")).to_be_visible()


def test_a_search_alone_is_left_without_a_question(tab: Page, hub: Instance) -> None:
    add_members(hub.organization)
    tab.goto(f"/instances/{hub.pk}/peers/new-client/")
    dialogs = asked(tab, leave=True)
    tab.get_by_label("Search members").fill("person 054")
    expect(tab.get_by_label("Member", exact=True).locator("option")).to_have_count(1)
    tab.get_by_role("link", name="Sites", exact=True).click()
    tab.wait_for_url("**/sites/")
    assert dialogs == []


def test_a_found_member_stays_chosen_when_the_session_ended(tab: Page, hub: Instance, admin: Membership) -> None:
    add_members(hub.organization)
    tab.goto(f"/instances/{hub.pk}/peers/new-client/")
    tab.get_by_label("Search members").fill("person 054")
    members = tab.get_by_label("Member", exact=True)
    expect(members.locator("option")).to_have_count(1)
    members.select_option(index=0)
    tab.get_by_label("Search members").fill("person 053")
    expect(members.locator("option")).to_have_count(2)
    Session.objects.all().delete()
    tab.get_by_role("button", name="Add peer").click()
    sign_in_again(tab, admin)
    expect(members.locator("option:checked")).to_have_text("Person 054 (user054@example.org)")


def test_members_of_a_group_that_are_not_shown_stay_ticked_when_the_session_ended(
    tab: Page, hub: Instance, admin: Membership
) -> None:
    crowd = add_members(hub.organization)
    group = create_group(hub.organization, name="Sales", members=[one.pk for one in crowd[:53]], by=BY)
    tab.goto(f"/people/groups/{group.pk}/")
    tab.get_by_label("Search members").fill("person 054")
    expect(tab.locator(".checklist__item")).to_have_count(1)
    tab.get_by_label("Person 054").check()
    Session.objects.all().delete()
    tab.get_by_role("button", name="Save changes").click()
    sign_in_again(tab, admin)
    expect(tab.get_by_text("You had to sign in again")).to_be_visible()
    tab.get_by_role("button", name="Save changes").click()
    expect(tab.get_by_text("Saved.")).to_be_visible()
    assert set(group.members.values_list("pk", flat=True)) == {one.pk for one in (*crowd[:53], crowd[54])}
