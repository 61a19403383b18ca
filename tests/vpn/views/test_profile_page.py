"""Revealing a profile: who may, how it reads, and that it is stored nowhere."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.models import Membership
from tests.factories import BY, make_client_peer, make_site, make_site_peer, settle
from vpn import keys
from vpn.actions.instances.instance import delete_instance
from vpn.actions.peers.peer import create_client_peer
from vpn.models import Instance, Peer
from vpn.profiles.names import wg_quick_filename
from vpn.profiles.plain_file import render_profile


def url_of(peer: Peer) -> str:
    return f"/peers/{peer.pk}/profile/"


@pytest.fixture
def on_hub(client_peer: Peer) -> Peer:
    """The member's device, as if the hub had it."""
    return _on_hub(client_peer)


def _on_hub(peer: Peer) -> Peer:
    settle(peer.instance)
    Peer.objects.filter(pk=peer.pk).update(applied_digest="x")
    return Peer.objects.get(pk=peer.pk)


def test_a_get_reveals_nothing_and_leads_to_the_peer(admin_browser: Client, on_hub: Peer) -> None:
    answer = admin_browser.get(url_of(on_hub))
    assert (answer.status_code, answer["Location"]) == (302, f"/peers/{on_hub.pk}/")
    assert Peer.objects.get().delivered_digest == ""


def test_the_page_has_the_code_the_file_and_steps_for_every_system(admin_browser: Client, on_hub: Peer) -> None:
    answer = admin_browser.post(url_of(on_hub), headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    page = answer.content.decode()
    assert '<img class="qr" alt="QR code of the profile"' in page
    assert "Only the devices of this VPN go through the VPN; everything else stays direct" in page
    for system in ("windows", "macos", "linux", "ios", "android"):
        assert f'data-system="{system}"' in page
    assert f"PrivateKey = {on_hub.private_key}" in page
    assert len(answer.content) < 20_000, "is sent uncompressed"
    assert answer["Cache-Control"] == "no-store"
    assert Peer.objects.get().delivered_digest


def test_page_and_file_take_few_queries_however_many_sites_there_are(admin_browser: Client, on_hub: Peer) -> None:
    def queries() -> list[int]:
        counted = []
        for accept in ("text/plain", "text/html"):
            admin_browser.post(url_of(on_hub), headers={"Accept": accept})
            with CaptureQueriesContext(connection) as captured:
                assert admin_browser.post(url_of(on_hub), headers={"Accept": accept}).status_code == 200
            counted.append(len(captured))
        return counted

    file, page = queries()
    # Three of them write: the peer, what its file can be recognized by later, and the journal's line.
    assert file <= 10
    for number in range(5):
        site = make_site(on_hub.instance.organization, name=f"Branch {number}")
        make_site_peer(on_hub.instance, site, [f"10.1.{number}.0/24"])
    settle(on_hub.instance)
    more = queries()
    assert more[0] == file
    assert more[1] <= page + 1, "the names of the sites"


def test_networks_are_read_as_names_and_counts_and_the_list_is_folded_and_merged(
    admin_browser: Client, on_hub: Peer
) -> None:
    instance = on_hub.instance
    for number in range(2):
        site = make_site(instance.organization, name=f"Branch {number}")
        make_site_peer(instance, site, [f"10.1.{number}.0/24"])
    sentence, listed = routes_told(admin_browser, _on_hub(on_hub))
    assert "Only the sites Branch 0 and Branch 1 and the devices of this VPN go through the VPN" in sentence
    assert listed == ["10.1.0.0/23", "100.64.0.0/20", str(instance.network_v6)]
    for number in range(2, 14):
        site = make_site(instance.organization, name=f"Branch {number}")
        make_site_peer(instance, site, [f"10.1.{number}.0/24", f"10.2.{number}.0/24"])
    # One behind no site, and one inside a site's own network.
    Instance.objects.update(pushed_routes=["198.51.100.0/24", "10.1.1.0/28"])
    sentence, listed = routes_told(admin_browser, _on_hub(on_hub))
    assert "your company's 14 sites, 1 more network and the devices of this VPN" in sentence
    assert "10.1." not in sentence
    assert "10.1.0.0/21" in listed
    file = admin_browser.post(url_of(on_hub), {"download": "1"}).content.decode()
    assert "10.1.0.0/24, 10.1.1.0/24, 10.1.2.0/24" in file, "the file keeps its routes"


def routes_told(browser: Client, peer: Peer) -> tuple[str, list[str]]:
    """The sentence of a profile's page, and the networks that are folded away below it."""
    page = browser.post(url_of(peer)).content.decode()
    found = re.search(r'<div class="lead"><p>(.*?)</p><details class="networks">(.*?)</details>', page, re.DOTALL)
    assert found, "no list is folded"
    return unescape(found[1]), re.findall(r'mono">([^<]+)<', found[2])


def test_past_what_a_camera_reads_the_link_is_offered(admin_browser: Client, on_hub: Peer) -> None:
    for number in range(40):
        make_site_peer(on_hub.instance, make_site(on_hub.instance.organization), [f"10.{number}.77.0/24"])
    page = admin_browser.post(url_of(_on_hub(on_hub))).content.decode()
    assert 'class="qr"' not in page
    assert "too long for a QR code. Make a link instead" in page


def test_all_traffic_is_said(admin_browser: Client, on_hub: Peer) -> None:
    Peer.objects.update(route_all=True)
    assert "All traffic" in admin_browser.post(url_of(on_hub)).content.decode()


@pytest.mark.parametrize("way", ["download", "accept"])
def test_the_file_itself(admin_browser: Client, on_hub: Peer, way: str) -> None:
    headers = {"Accept": "text/plain"} if way == "accept" else {"Accept": "text/html,*/*;q=0.8"}
    answer = admin_browser.post(url_of(on_hub), {"download": "1"} if way == "download" else {}, headers=headers)
    # A browser keeps the name of what it does not know; of text it makes `….conf.txt` on Android.
    kind = "application/octet-stream" if way == "download" else "text/plain; charset=utf-8"
    assert answer["Content-Type"] == kind
    assert answer["Content-Disposition"] == f'attachment; filename="{render_profile(on_hub).filename}"'
    assert answer["Cache-Control"] == "no-store"
    assert f"PrivateKey = {on_hub.private_key}" in answer.content.decode()


def test_linux_needs_a_resolver_for_any_device_and_a_restart_for_a_newer_file(
    admin_browser: Client, on_hub: Peer
) -> None:
    """wg-quick calls resolvconf(8) for each DNS line, and those of split tunnels have one, too."""
    page = admin_browser.post(url_of(on_hub)).content.decode()
    assert "\nDNS = " in page
    assert "<code>openresolv</code>" in page
    name = wg_quick_filename(on_hub)
    assert f"install -m 600 {name} /etc/wireguard/" in page
    assert f"systemctl restart wg-quick@{name.removesuffix('.conf')}<" in page
    assert name != render_profile(on_hub).filename


def test_apps_show_the_tunnel_under_the_name_of_their_own_file(admin_browser: Client, on_hub: Peer) -> None:
    admin_browser.post(url_of(on_hub))
    page = admin_browser.post(url_of(on_hub)).content.decode()
    own = render_profile(on_hub).filename.removesuffix(".conf")
    assert page.count(f"Choose <b>{own}</b>") == 2  # Windows, macOS
    assert f'Remove the older tunnel from the app first (<span class="mono">{own}</span>' in page


def test_every_peer_has_a_file_of_its_own_name(
    admin_browser: Client, instance: Instance, member: Membership, admin: Membership
) -> None:
    """wg-quick and WireGuard for Windows refuse what a browser makes of a second `fra.conf`."""
    peers = [make_client_peer(instance, owner, f"device {number}") for owner in (member, admin) for number in range(20)]
    named = [_download(admin_browser, _on_hub(peer))["Content-Disposition"] for peer in peers]
    names = [re.fullmatch(r'attachment; filename="(.*)\.conf"', name) for name in named]
    interfaces = {found[1] for found in names if found}
    assert len(interfaces) == len(peers)
    beginning = instance.hostname[:8]
    for interface in interfaces:
        assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}", interface)
        assert interface.startswith(beginning)


def test_who_had_the_file_before_is_told_to_remove_the_old_tunnel(admin_browser: Client, on_hub: Peer) -> None:
    assert "Remove the older tunnel" not in admin_browser.post(url_of(on_hub)).content.decode()
    page = admin_browser.post(url_of(on_hub)).content.decode()
    assert "Remove the older tunnel" in page
    assert render_profile(on_hub).filename.removesuffix(".conf") in page


def _download(browser: Client, peer: Peer) -> HttpResponse:
    return browser.post(url_of(peer), {"download": "1"}, headers={"Accept": "text/html"})  # type: ignore[return-value]


def test_a_device_with_its_own_key_gets_no_private_key_and_is_told(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    own = keys.public_key(keys.generate_private_key())
    peer = _on_hub(create_client_peer(instance, member=member, public_key=own, by=BY))
    page = admin_browser.post(url_of(peer)).content.decode()
    assert "own private key" in page
    assert 'class="qr"' not in page
    assert "\nPrivateKey" not in admin_browser.post(url_of(peer), headers={"Accept": "text/plain"}).content.decode()


def test_a_site_gets_steps_for_its_router(admin_browser: Client, site_peer: Peer) -> None:
    page = admin_browser.post(url_of(_on_hub(site_peer))).content.decode()
    assert "wg-quick@" in page


def test_a_hub_that_is_not_ready_is_told_in_words(admin_browser: Client, client_peer: Peer) -> None:
    page = admin_browser.post(url_of(client_peer))
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert b"Try again" in page.content
    text = admin_browser.post(url_of(client_peer), headers={"Accept": "text/plain"})
    assert (text.status_code, text["Retry-After"]) == (503, "5")
    assert text["Content-Type"].startswith("text/plain")
    assert client_peer.private_key not in (page.content + text.content).decode()


def test_a_disabled_peers_profile_is_refused(admin_browser: Client, on_hub: Peer) -> None:
    Peer.objects.update(enabled=False)
    answer = admin_browser.post(url_of(on_hub))
    assert answer.status_code == 409
    assert b"Enable it first" in answer.content


def test_a_profile_of_a_hub_that_is_going_away_is_refused(admin_browser: Client, on_hub: Peer) -> None:
    delete_instance(on_hub.instance, by=BY)
    answer = admin_browser.post(url_of(on_hub))
    assert (answer.status_code, b"is being deleted" in answer.content) == (409, True)
    assert on_hub.private_key not in answer.content.decode()


def test_members_reveal_their_own(member_browser: Client, on_hub: Peer) -> None:
    assert member_browser.post(url_of(on_hub)).status_code == 200


def test_auditors_reveal_their_own_only(
    auditor_browser: Client, auditor: Membership, instance: Instance, on_hub: Peer
) -> None:
    assert auditor_browser.post(url_of(on_hub)).status_code == 403
    own = _on_hub(make_client_peer(instance, auditor))
    assert auditor_browser.post(url_of(own)).status_code == 200


def test_nobody_else_does(
    member_browser: Client, stranger_browser: Client, instance: Instance, admin: Membership
) -> None:
    peer = _on_hub(make_client_peer(instance, admin))
    assert member_browser.post(url_of(peer)).status_code == 404
    assert stranger_browser.post(url_of(peer)).status_code == 404
    assert Client().post(url_of(peer)).status_code == 302
    assert Peer.objects.get(pk=peer.pk).delivered_digest == ""
