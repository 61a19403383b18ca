"""Changes on trial on the pages: the choice beside Save, the banner, and its two buttons, without JavaScript."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Membership
from tests.factories import BY, make_client_peer, observe_hubs, observe_peers, settle
from tests.vpn.api.caller import Caller, refused, told
from tests.vpn.test_trials import BEFORE, CLOSED, settings_of, try_closing
from vpn.actions.instances.settings import update_instance
from vpn.actions.instances.trial import keep_change, return_change
from vpn.models import ChangeTrial, Instance
from vpn.models import Server as ServerRow
from vpn.presenters.instances.trial import is_through, span_words

TABS = ("", "routing/", "dns/", "firewall/", "settings/", "activity/")


@pytest.fixture
def hub(instance: Instance) -> Instance:
    ServerRow.objects.update(agent_features=["trial"])
    update_instance(
        instance,
        firewall=[{"name": "open", "action": "accept", "source": "10.0.0.0/8"}],
        pushed_routes=["192.0.2.0/24"],
        by=BY,
    )
    return settle(instance)


def page(browser: Client, hub: Instance, tab: str = "firewall/", **more: Any) -> str:
    return browser.get(f"/instances/{hub.pk}/{tab}", **more).content.decode()


def checkbox(text: str) -> str:
    """The choice beside Save, as HTML."""
    start = text.index('<input type="checkbox" name="confirm_within"')
    return text[start : text.index(">", start)]


def is_running(hub: Instance) -> None:
    ChangeTrial.objects.filter(instance=hub).update(ends_at=timezone.now() + timedelta(seconds=112))


def test_the_choice_is_preselected_for_who_comes_through_the_hub(admin_browser: Client, hub: Instance) -> None:
    for tab in ("firewall/", "routing/"):
        assert " checked" not in checkbox(page(admin_browser, hub, tab))
        through = page(admin_browser, hub, tab, REMOTE_ADDR=str(hub.network_v4[9]))
        assert " checked" in checkbox(through)
        assert "You are connected through this hub." in through


def test_through_the_hub_is_told_by_the_address(hub: Instance, admin: Membership, member: Membership) -> None:
    peer, anothers = make_client_peer(hub, admin), make_client_peer(hub, member)
    now = timezone.now()
    observe_hubs(hub, observed_at=now)
    observe_peers(peer, endpoint="198.51.100.7:51820", last_handshake=now)
    observe_peers(anothers, endpoint="198.51.100.8:51820", last_handshake=now)
    for address in (str(hub.network_v4[3]), str(hub.network_v6[3]), "203.0.113.1", "198.18.0.1", "198.51.100.7"):
        assert is_through(address, admin, hub), address
    for address in ("198.51.100.8", "127.0.0.1", "", "nonsense"):
        assert not is_through(address, admin, hub), address
    observe_peers(peer, endpoint="198.51.100.7:51820", last_handshake=now - timedelta(hours=1))
    assert not is_through("198.51.100.7", admin, hub), "the device left an hour ago"


def test_what_is_sent_and_means_the_same_is_not_said_to_be_on_trial(admin_browser: Client, hub: Instance) -> None:
    for text, words in (
        ("198.51.100.0/24", "Confirm it within 2 minutes"),
        ("198.51.100.0/24 198.51.100.0/24", "Nothing was"),
    ):
        data = {"pushed_routes": text, "confirm_within": "120"}
        shown = admin_browser.post(f"/instances/{hub.pk}/routing/", data, follow=True).content.decode()
        assert words in shown
        assert ("Confirm it within" in shown) == (words != "Nothing was")
        if words != "Nothing was":
            is_running(hub)
            keep_change(hub, by=BY)


def test_a_saved_change_has_a_banner_on_every_page(
    admin_browser: Client, auditor_browser: Client, hub: Instance
) -> None:
    data = {"firewall_policy": "deny", "confirm_within": "120"}
    text = admin_browser.post(f"/instances/{hub.pk}/firewall/", data, follow=True).content.decode()
    assert "Confirm it within 2 minutes, or the hub returns." in text
    assert "about to try a change" in text
    assert "Keep this change<" not in text, "the hub does not run it yet"
    is_running(hub)
    for tab in TABS:
        text = page(admin_browser, hub, tab)
        assert "Keep this change? 1 min 5" in text
        assert 'value="keep"' in text
        assert 'value="return"' in text
        text = page(auditor_browser, hub, tab)
        assert "Keep this change? 1 min 5" in text
        assert 'value="keep"' not in text
    poll = admin_browser.get(f"/instances/{hub.pk}/trial/?tab=dns", headers={"HX-Request": "true"}).content.decode()
    assert "Keep this change? 1 min 5" in poll
    assert "<html" not in poll
    assert admin_browser.get(f"/instances/{hub.pk}/trial/?tab=dns").headers["Location"].endswith("/dns/")


def test_the_buttons_keep_the_change_or_take_it_back(admin_browser: Client, hub: Instance) -> None:
    try_closing(hub)
    is_running(hub)
    answer = admin_browser.post(f"/instances/{hub.pk}/trial/", {"act": "perhaps", "tab": "../x"}, follow=True)
    assert "Choose whether to keep the change" in answer.content.decode()
    answer = admin_browser.post(f"/instances/{hub.pk}/trial/", {"act": "return", "tab": "routing"}, follow=True)
    assert answer.redirect_chain[-1][0].endswith("/routing/")
    assert "The former settings are back." in answer.content.decode()
    assert settings_of(hub) == BEFORE
    try_closing(hub)
    is_running(hub)
    answer = admin_browser.post(f"/instances/{hub.pk}/trial/", {"act": "keep"}, follow=True)
    assert "The change is confirmed and stays." in answer.content.decode()
    assert not ChangeTrial.objects.exists()
    answer = admin_browser.post(f"/instances/{hub.pk}/trial/", {"act": "keep"}, follow=True)
    assert "No change of this instance is waiting" in answer.content.decode()


def test_a_refusal_is_shown_in_the_form_and_nothing_is_saved(admin_browser: Client, hub: Instance) -> None:
    ServerRow.objects.update(agent_features=None)
    for tab, data in (("firewall/", {"firewall_policy": "deny"}), ("routing/", {"pushed_routes": ""})):
        sent = {**data, "confirm_within": "120"}
        text = admin_browser.post(f"/instances/{hub.pk}/{tab}", sent).content.decode()
        assert "of an older release and cannot return by itself. Nothing is saved." in text
        assert " checked" in checkbox(text), "the choice stays as it was made"
        text = admin_browser.post(f"/instances/{hub.pk}/{tab}", {**data, "confirm_within": "soon"}).content.decode()
        assert "Choose 5 to 3,600 seconds." in text
    assert settings_of(hub) == BEFORE


def test_the_page_says_that_the_hub_returned(admin_browser: Client, hub: Instance) -> None:
    try_closing(hub)
    return_change(hub, by=BY)
    ChangeTrial.objects.update(was_unconfirmed=True)
    text = page(admin_browser, hub)
    assert "The last change was not confirmed, so the hub returned" in text
    assert "allow your own access first" in text
    assert 'value="return"' not in text
    ChangeTrial.objects.update(returned_at=timezone.now() - timedelta(days=2))
    assert "was not confirmed" not in page(admin_browser, hub)


def test_programs_try_confirm_and_take_back(admin: Membership, hub: Instance) -> None:
    api, path = Caller.of(admin), f"/instances/{hub.pk}"
    body = told(api.put(f"{path}?confirm_within=60", {"firewall": [CLOSED]}), 200)
    assert body["trial"] == {"seconds": 60, "ends_at": None}
    told(api.put(path, body), 200)
    assert refused(api.put(path, {"firewall": []}), 409, "trial-running")
    assert refused(api.post(f"{path}/confirm"), 409)
    is_running(hub)
    assert told(api.get(path), 200)["trial"]["ends_at"] is not None
    assert told(api.post(f"{path}/confirm"), 200)["trial"] is None
    assert refused(api.post(f"{path}/confirm"), 409, "no-trial")
    told(api.put(f"{path}?confirm_within=60", {"firewall_policy": "deny"}), 200)
    assert told(api.post(f"{path}/return"), 200)["firewall_policy"] == "allow"
    for given in ("", "soon", "-1", "3601", "1.5"):
        assert "confirm_within" in refused(api.put(f"{path}?confirm_within={given}", {"firewall": []}), 422)["errors"]
    assert settings_of(hub)[0] == ["closed"]


def test_spans_in_words() -> None:
    assert [span_words(seconds) for seconds in (1, 59, 60, 112, 120)] == [
        "1 second",
        "59 seconds",
        "1 minute",
        "1 min 52 s",
        "2 minutes",
    ]
