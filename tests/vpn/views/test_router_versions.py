"""What a site's page hands out for the version that its router shows."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import BY, settle
from tests.routeros.router import Router
from tests.vpn.profiles.vyos_schema import SCHEMAS, refusal
from vpn.actions.peers.peer import create_site_peer
from vpn.actions.sites.site import create_site
from vpn.choices import Platform
from vpn.models import Instance, Peer, Site


def connected(instance: Instance, admin: Membership, platform: str, version: str, protocol: str) -> Peer:
    """A site with such a router, on the hub, which has a route to another site."""
    for name, router, shown in (("Plant", platform, version), ("Office", Platform.LINUX, "")):
        subnets = ["10.1.0.0/24"] if name == "Plant" else ["10.2.0.0/24", "fd10:2::/64"]
        site = create_site(
            admin.organization, name=name, platform=router, platform_version=shown, subnets=subnets, by=BY
        )
        create_site_peer(
            instance, site=site, subnets=subnets, protocol=protocol if name == "Plant" else "wireguard", by=BY
        )
    settle(instance)
    return Peer.objects.get(site__name="Plant")


def fetched(browser: Client, peer: Peer, ending: str) -> str:
    """The router's file as the peer's page hands it out."""
    name = f"vpn-{peer.pk.hex[:8]}{ending}"
    return browser.post(f"/peers/{peer.pk}/profile/", {"file": name}).content.decode()


# OpenVPN is offered for VyOS 1.4 and newer.
VYOS = [
    (f"VyOS {version}" if named else "", version, protocol)
    for version, named in [*((version, True) for version in SCHEMAS), ("1.4.0", False)]
    for protocol in (("wireguard",) if version == "1.3.8" else ("wireguard", "openvpn"))
]


@pytest.mark.parametrize(("shown", "version", "protocol"), VYOS)
def test_vyos_takes_every_command_that_it_gets(
    admin_browser: Client, instance: Instance, admin: Membership, shown: str, version: str, protocol: str
) -> None:
    peer = connected(instance, admin, Platform.VYOS, shown, protocol)
    script = fetched(admin_browser, peer, ".vyos")
    commands = [line for line in script.splitlines() if line.startswith(("set ", "delete "))]
    assert len(commands) > 10
    assert [refused for line in commands if (refused := refusal(version, line))] == []


@pytest.mark.parametrize(
    ("platform", "protocol"), [("routeros7", "wireguard"), ("routeros7", "openvpn"), ("routeros6", "openvpn")]
)
def test_a_routeros_script_lets_the_tunnel_through_before_a_jump(
    admin_browser: Client, instance: Instance, admin: Membership, platform: str, protocol: str
) -> None:
    shown = {"routeros7": "RouterOS 7.16.1 (stable)", "routeros6": "6.49.17 (long-term)"}[platform]
    peer = connected(instance, admin, platform, shown, protocol)
    script = fetched(admin_browser, peer, ".rsc")
    router = Router((7, 16, 1) if platform == "routeros7" else (6, 49, 17))
    router.run("/ip firewall filter add chain=forward action=jump jump-target=guard\n")
    router.run(script)
    forward = [row["action"] for row in router.rows("/ip firewall filter") if row["chain"] == "forward"]
    assert forward == ["accept", "accept", "jump"]


@pytest.mark.parametrize("shown", ["OpenWrt 23.05.5 r24106-10cc5e456a", "OpenWrt SNAPSHOT, r28000-1234567", ""])
def test_openwrt_names_the_service_apart_from_the_interface(
    admin_browser: Client, instance: Instance, admin: Membership, shown: str
) -> None:
    peer = connected(instance, admin, Platform.OPENWRT, shown, "openvpn")
    batch = fetched(admin_browser, peer, ".uci")
    named = dict(re.findall(r"^set (network|openvpn)\.(\w+)='(?:interface|openvpn)'$", batch, re.MULTILINE))
    assert named["network"] != named.get("openvpn")


def test_the_page_of_opnsense_follows_the_version(admin_browser: Client, instance: Instance, admin: Membership) -> None:
    peer = connected(instance, admin, Platform.OPNSENSE, "OPNsense 23.7.12-amd64", "openvpn")
    url = f"/peers/{peer.pk}/profile/"
    assert "<dt>Verify Remote Certificate</dt>" not in admin_browser.post(url).content.decode()
    Site.objects.filter(name="Plant").update(platform_version="OPNsense 25.7-amd64")
    page = admin_browser.post(url).content.decode()
    assert "<dt>Verify Remote Certificate</dt>" in page
    assert "advanced mode" in page
