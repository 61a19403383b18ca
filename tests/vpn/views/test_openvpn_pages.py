"""What pages say of OpenVPN peers, and of an instance that carries both protocols."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Membership
from tests.factories import BY, observe_hubs, observe_peers, settle
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import Platform
from vpn.models import Instance, Peer, Site
from vpn.profiles.names import wg_quick_filename
from vpn.profiles.plain_file import render_profile


@pytest.fixture
def laptop(instance: Instance, member: Membership) -> Peer:
    """A member's device over OpenVPN, on the hub."""
    peer = create_client_peer(instance, member=member, device="laptop", protocol="openvpn", by=BY)
    settle(instance)
    return Peer.objects.get(pk=peer.pk)


def page_of(browser: Client, path: str) -> str:
    return browser.get(path).content.decode()


def test_the_profile_has_steps_for_every_system_and_no_code(admin_browser: Client, laptop: Peer) -> None:
    page = admin_browser.post(f"/peers/{laptop.pk}/profile/").content.decode()
    for words in ("OpenVPN Connect", "openvpn-client@", "BEGIN PRIVATE KEY", f"/peers/{laptop.pk}/link/"):
        assert words in page, words
    assert 'class="qr"' not in page
    assert "WireGuard" not in page


def test_linux_is_told_how_to_keep_a_split_tunnel_split(admin_browser: Client, laptop: Peer) -> None:
    """NetworkManager makes any VPN the default route, unless its connection says otherwise."""
    url, name = f"/peers/{laptop.pk}/profile/", render_profile(laptop).filename.removesuffix(".ovpn")
    modify = f"nmcli connection modify {name} ipv4.never-default yes ipv6.never-default yes"
    page = admin_browser.post(url).content.decode()
    assert f"nmcli connection import type openvpn file {name}.ovpn" in page
    assert modify in page
    assert f"systemctl restart openvpn-client@{name}" in page
    Peer.objects.update(route_all=True)
    assert modify not in admin_browser.post(url).content.decode()


def test_linux_is_told_to_end_the_tunnel_of_the_other_protocol(admin_browser: Client, laptop: Peer) -> None:
    url = f"/peers/{laptop.pk}/profile/"
    assert "disable --now" not in admin_browser.post(url).content.decode()
    Peer.objects.update(former_protocol="wireguard")
    former = wg_quick_filename(laptop).removesuffix(".conf")
    assert f"systemctl disable --now wg-quick@{former}<" in admin_browser.post(url).content.decode()


def test_a_program_gets_the_ovpn_file(admin_browser: Client, laptop: Peer) -> None:
    answer = admin_browser.post(f"/peers/{laptop.pk}/profile/", headers={"Accept": "text/plain"})
    assert answer["Content-Disposition"] == f'attachment; filename="{render_profile(laptop).filename}"'
    assert "<tls-crypt-v2>" in answer.content.decode()


def test_a_live_session_is_told_with_its_facts(admin_browser: Client, laptop: Peer) -> None:
    now = timezone.now()
    observe_hubs(observed_at=now)
    observe_peers(connected_from=now - timedelta(minutes=42), last_handshake=now, endpoint="198.51.100.7:1194")
    page = page_of(admin_browser, f"/peers/{laptop.pk}/")
    for words in ("Connected since", "42 min", "198.51.100.7:1194", "valid until", "Fingerprint"):
        assert words in page, words
    assert "Last handshake" not in page
    assert "Connected since" in page_of(admin_browser, f"/instances/{laptop.instance_id}/")


def test_who_never_connected_is_led_through_the_ports(admin_browser: Client, laptop: Peer) -> None:
    observe_hubs(observed_at=timezone.now())
    deliver_profile(laptop, by=BY)
    page = page_of(admin_browser, f"/peers/{laptop.pk}/")
    assert f"Let port {laptop.instance.openvpn_port} out" in page
    assert "UDP is tried first, then TCP" in page


def test_no_page_shows_a_key(admin_browser: Client, laptop: Peer) -> None:
    for path in ("", "edit/", "rotate/"):
        page = page_of(admin_browser, f"/peers/{laptop.pk}/{path}")
        assert "PRIVATE KEY" not in page
        assert "tls-crypt-v2" not in page


def test_the_protocol_is_changed_with_new_keys_and_the_same_address(admin_browser: Client, client_peer: Peer) -> None:
    url = f"/peers/{client_peer.pk}/edit/"
    assert "Another protocol means new keys" in page_of(admin_browser, url)
    values = {"device": "laptop", "route_all": "false", "expires_at": "", "protocol": "openvpn"}
    page = admin_browser.post(url, values, follow=True).content.decode()
    assert "fetch it and import it" in page
    changed = Peer.objects.get()
    assert (changed.protocol, changed.host) == ("openvpn", client_peer.host)
    assert changed.certificate


def test_saving_without_choosing_a_protocol_keeps_it(admin_browser: Client, laptop: Peer) -> None:
    admin_browser.post(f"/peers/{laptop.pk}/edit/", {"device": "desk", "route_all": "false"})
    changed = Peer.objects.get()
    assert (changed.device, changed.protocol, changed.certificate) == ("desk", "openvpn", laptop.certificate)


def test_a_router_that_cannot_is_not_offered_and_refused(admin_browser: Client, instance: Instance, site: Site) -> None:
    Site.objects.update(platform=Platform.ROUTEROS6)
    peer = create_site_peer(instance, site=Site.objects.get(), subnets=["10.1.0.0/24"], protocol="openvpn", by=BY)
    page = page_of(admin_browser, f"/peers/{peer.pk}/edit/")
    assert re.search(r'value="wireguard"[^>]* disabled', page)
    answer = admin_browser.post(f"/peers/{peer.pk}/edit/", {"subnets": "10.1.0.0/24", "protocol": "wireguard"})
    assert re.search(r'id="id_protocol_error">.*?RouterOS 6 has no WireGuard', answer.content.decode(), re.DOTALL)
    assert Peer.objects.get().protocol == "openvpn"


def test_the_settings_name_ports_and_why_the_compatibility_listener_runs(
    admin_browser: Client, instance: Instance, site: Site, laptop: Peer
) -> None:
    url = f"/instances/{instance.pk}/settings/"
    page = page_of(admin_browser, url)
    assert f"UDP and TCP port {instance.openvpn_port}" in page
    assert "no router here needs OpenVPN without tls-crypt-v2" in page
    Site.objects.update(platform=Platform.ROUTEROS6)
    router = create_site_peer(instance, site=Site.objects.get(), subnets=["10.1.0.0/24"], protocol="openvpn", by=BY)
    page = page_of(admin_browser, url)
    assert f"TCP port {instance.compat_port}, without tls-crypt-v2" in page
    assert f'href="/peers/{router.pk}/">Berlin</a>: its router has no setting for it' in page
    Peer.objects.filter(pk=router.pk).update(enabled=False)
    assert "no router here needs" in page_of(admin_browser, url)
