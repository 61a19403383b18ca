"""Choices among many members or sites: a search asks the server, with and without JavaScript."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from portal.forms.searched import MOST_OPTIONS
from portal.models import Membership, Organization
from tests.crowds import MANY, add_members, add_sites
from tests.factories import make_member
from tests.vpn.views.peer_forms import client_url, site_url
from vpn import keys
from vpn.models import Instance, Peer, Site


@pytest.fixture
def crowd(admin: Membership) -> list[Membership]:
    """More members than a select has options, besides the admin."""
    return add_members(admin.organization, MANY)


def options_in(page: str, field: str = "user_id") -> list[str]:
    """The labels of a select's options, in a page or in an answer to HTMX."""
    select = re.search(rf'<select name="{field}".*?</select>', page, re.DOTALL)
    return re.findall(r"<option[^>]*>\s*([^<]*?)\s*</option>", select[0] if select else page)


def test_few_members_are_a_plain_select(admin_browser: Client, instance: Instance, member: Membership) -> None:
    page = admin_browser.get(client_url(instance)).content.decode()
    assert 'name="search"' not in page
    assert options_in(page)[0] == "Choose a member"


def test_of_many_members_the_first_are_offered(
    admin_browser: Client, instance: Instance, crowd: list[Membership]
) -> None:
    page = admin_browser.get(client_url(instance)).content.decode()
    assert len(options_in(page)) == MOST_OPTIONS
    assert f"The first {MOST_OPTIONS} of {MANY + 1} members." in page


def test_a_search_answers_with_the_options_that_match_and_their_number(
    admin_browser: Client, instance: Instance, crowd: list[Membership]
) -> None:
    chosen = crowd[1]
    sent = {"search": "user_id", "user_id_search": "person 5", "user_id": str(chosen.pk), "device": "phone"}
    headers = {"HX-Request": "true", "HX-Target": "id_user_id"}
    answer = admin_browser.post(client_url(instance), sent, headers=headers).content.decode()
    found = [f"Person {one:03} (user{one:03}@example.org)" for one in range(MANY) if "5" in f"{one:03}"]
    assert options_in(answer) == ["Person 001 (user001@example.org)", *found]
    assert f'<option value="{chosen.pk}" selected>' in answer
    assert f"{len(found)} of {MANY + 1} members match" in answer
    assert "<html" not in answer
    assert not Peer.objects.exists()


def test_without_javascript_the_search_button_loses_nothing_that_was_typed(
    admin_browser: Client, instance: Instance, crowd: list[Membership]
) -> None:
    own = keys.public_key(keys.generate_private_key())
    typed = {"device": "Phone of 54", "route_all": "true", "protocol": "openvpn", "expires_at": "2099-01-01T00:00"}
    sent = {"search": "user_id", "user_id_search": "user054@", "public_key": own, **typed}
    page = unescape(admin_browser.post(client_url(instance), sent).content.decode())
    assert options_in(page) == ["Person 054 (user054@example.org)"]
    for value in ("user054@", "Phone of 54", "2099-01-01T00:00", own):
        assert f'value="{value}"' in page
    assert re.search(r'name="route_all" value="true"[^>]* checked', page)
    assert re.search(r'name="protocol" value="openvpn"[^>]* checked', page)
    assert "field__error" not in page
    assert not Peer.objects.exists()
    assert admin_browser.post(client_url(instance), {"user_id": str(crowd[54].pk), **typed}).status_code == 302


def test_a_search_does_not_send_back_a_key_that_is_none(
    admin_browser: Client, instance: Instance, crowd: list[Membership]
) -> None:
    sent = {"search": "user_id", "user_id_search": "5", "public_key": "PrivateKey = abc"}
    assert "PrivateKey" not in admin_browser.post(client_url(instance), sent).content.decode()


def test_no_match_is_said_and_other_tenants_are_not_found(
    admin_browser: Client, instance: Instance, crowd: list[Membership], other_organization: Organization
) -> None:
    stranger = make_member(other_organization, name="Stranger")
    for text in ("stranger", str(stranger.pk), "\x00'\"<b>"):
        sent = {"search": "user_id", "user_id_search": text, "user_id": str(stranger.pk)}
        page = admin_browser.post(client_url(instance), sent).content.decode()
        assert options_in(page) == []
        assert f"No match among {MANY + 1} members." in page
        assert "<b>" not in page


def test_a_refused_form_shows_what_the_text_finds(
    admin_browser: Client, instance: Instance, crowd: list[Membership]
) -> None:
    """Enter in the search presses the form's own button where there is no JavaScript."""
    page = admin_browser.post(client_url(instance), {"user_id_search": "person 054"}).content.decode()
    assert options_in(page) == ["Person 054 (user054@example.org)"]
    assert "Choose whose device this is." in page


def test_sites_are_found_by_name_place_and_subnet(admin_browser: Client, instance: Instance) -> None:
    sites = add_sites(instance.organization, MANY)
    Site.objects.filter(pk=sites[7].pk).update(place="Hamburg, DE")
    for text, found in (("hamburg", "Branch 007"), ("10.54.", "Branch 054"), ("021 branch", "Branch 021")):
        sent = {"search": "site_id", "site_id_search": text, "site_name": "Kept", "subnets": "10.99.0.0/24"}
        page = admin_browser.post(site_url(instance), sent).content.decode()
        assert options_in(page, "site_id") == ["A new site", found]
        assert 'value="Kept"' in page
        assert "10.99.0.0/24</textarea>" in page
        assert "field__error" not in page
    assert admin_browser.post(site_url(instance), {"site_id": str(sites[54].pk), "subnets": ""}).status_code == 302


def test_a_search_of_a_field_that_is_none_shows_the_form(admin_browser: Client, instance: Instance) -> None:
    answer = admin_browser.post(client_url(instance), {"search": "device", "device": "phone"})
    assert answer.status_code == 200
    assert b'value="phone"' in answer.content
