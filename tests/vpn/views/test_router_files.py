"""The profile page of a site: files and steps for its platform, beside the plain profile."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.models import Membership, Organization
from tests.factories import BY, settle
from vpn.actions.peers.peer import create_site_peer
from vpn.actions.profiles.profile import issue_link
from vpn.actions.sites.site import create_site
from vpn.choices import Platform, Protocol
from vpn.models import Instance, Peer, Site
from vpn.platforms.capabilities import capability
from vpn.profiles.plain_file import render_profile

# The file that a platform's router takes, by the end of its name; "" where there are only values to paste.
FILES: dict[str, str | tuple[str, ...]] = {
    Platform.ROUTEROS7: ".rsc",
    Platform.ROUTEROS6: ".rsc",
    Platform.OPENWRT: "uci",
    Platform.VYOS: "vyos",
    Platform.OPNSENSE: "",
    Platform.PFSENSE: "",
    Platform.LINUX: ".conf",
    Platform.UNIFI: ".conf",
    Platform.FRITZBOX: ".conf",
    Platform.GLINET: (".conf", ".ovpn"),
    Platform.TELTONIKA: "",
    Platform.ASUS: (".conf", ".ovpn"),
    Platform.SYNOLOGY: ".ovpn",
    Platform.OTHER: "",
}

CARRIED = [(one, over) for one in Platform.values for over in Protocol.values if capability(one, over).offered]


def connected(instance: Instance, admin: Membership, platform: str, protocol: str = "wireguard") -> Peer:
    """A site with such a router, on the hub."""
    site = create_site(admin.organization, name="Plant", platform=platform, subnets=["10.1.0.0/24"], by=BY)
    peer = create_site_peer(instance, site=site, subnets=["10.1.0.0/24"], protocol=protocol, by=BY)
    settle(instance)
    return peer


def offered(page: str) -> list[str]:
    """The names of the files that the page offers."""
    return re.findall(r'name="file" value="([^"]+)"', page)


@pytest.mark.parametrize(("platform", "protocol"), CARRIED)
def test_every_platform_gets_its_files_or_steps(
    admin_browser: Client, instance: Instance, admin: Membership, platform: str, protocol: str
) -> None:
    peer = connected(instance, admin, platform, protocol)
    url = f"/peers/{peer.pk}/profile/"
    answer = admin_browser.post(url)
    page = answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    names = offered(page)
    ends = FILES[platform]
    if (platform, protocol) != ("teltonika", "openvpn"):
        assert any(name.endswith(ends) for name in names) == bool(ends)
    assert ('class="step__text"' in page) == (platform != Platform.OTHER)
    for name in names:
        file = admin_browser.post(url, {"file": name}, headers={"Accept": "text/html"})
        assert file["Content-Disposition"] == f'attachment; filename="{name}"'
        assert file["Cache-Control"] == "no-store"
        assert file.content


def test_a_routeros_script_has_the_keys_and_one_that_removes_it(
    admin_browser: Client, instance: Instance, admin: Membership
) -> None:
    peer = connected(instance, admin, Platform.ROUTEROS7)
    url = f"/peers/{peer.pk}/profile/"
    install, remove = offered(admin_browser.post(url).content.decode())
    assert peer.private_key in admin_browser.post(url, {"file": install}).content.decode()
    assert remove.endswith("-remove.rsc")
    assert peer.private_key not in admin_browser.post(url, {"file": remove}).content.decode()


def test_the_steps_end_with_the_vendors_manual(admin_browser: Client, instance: Instance, admin: Membership) -> None:
    peer = connected(instance, admin, Platform.GLINET)
    page = admin_browser.post(f"/peers/{peer.pk}/profile/").content.decode()
    assert '<a href="https://docs.gl-inet.com/router/en/4/interface_guide/wireguard_client/"' in page


def test_the_page_says_what_the_router_does_otherwise(
    admin_browser: Client, instance: Instance, admin: Membership
) -> None:
    peer = connected(instance, admin, Platform.ROUTEROS6, "openvpn")
    assert "carries IPv4 only" in admin_browser.post(f"/peers/{peer.pk}/profile/").content.decode()


def test_a_program_still_gets_the_plain_profile(admin_browser: Client, instance: Instance, admin: Membership) -> None:
    peer = connected(instance, admin, Platform.ROUTEROS7)
    answer = admin_browser.post(f"/peers/{peer.pk}/profile/", headers={"Accept": "text/plain"})
    assert answer["Content-Disposition"] == f'attachment; filename="{render_profile(peer).filename}"'


def test_a_file_that_there_is_not_is_not_found(admin_browser: Client, instance: Instance, admin: Membership) -> None:
    peer = connected(instance, admin, Platform.ROUTEROS7)
    assert admin_browser.post(f"/peers/{peer.pk}/profile/", {"file": "../../keys"}).status_code == 404


def test_a_version_that_does_not_fit_leaves_the_plain_profile(
    admin_browser: Client, instance: Instance, admin: Membership
) -> None:
    peer = connected(instance, admin, Platform.ROUTEROS7)
    Site.objects.update(platform_version="6.49")
    page = admin_browser.post(f"/peers/{peer.pk}/profile/").content.decode()
    assert offered(page) == []
    assert "There are no files for MikroTik RouterOS 7 6.49" in page
    assert f"Download {render_profile(peer).filename}" in page


def test_a_share_link_carries_the_routers_files(instance: Instance, admin: Membership) -> None:
    peer = connected(instance, admin, Platform.ROUTEROS7)
    token, _ = issue_link(peer, by=BY)
    visitor = Client()
    name = next(name for name in offered(visitor.post(f"/p/{token}/").content.decode()) if name.endswith(".rsc"))
    assert peer.private_key in visitor.post(f"/p/{token}/", {"file": name}).content.decode()


def test_the_site_says_what_its_router_can_do(admin_browser: Client, organization: Organization, site: Site) -> None:
    Site.objects.update(platform=Platform.ROUTEROS6)
    page = admin_browser.get(f"/sites/{site.pk}/").content.decode()
    assert "RouterOS 6 has no WireGuard" in page
    assert "over TCP only" in page


def test_a_version_of_another_platform_is_refused(admin_browser: Client, site: Site) -> None:
    values = {"name": "Berlin", "platform": "routeros7", "platform_version": "6.49", "subnets": ""}
    page = admin_browser.post(f"/sites/{site.pk}/", values).content.decode()
    assert "This version belongs to MikroTik RouterOS 6" in page
