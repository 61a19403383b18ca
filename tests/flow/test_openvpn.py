"""OpenVPN page to packet: both protocols on one hub, one device that changes between them, ended within seconds."""

from __future__ import annotations

import re

import pytest
import requests

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab import openvpn3, suites
from tests.lab.clients import OpenVPNClient
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant
from tests.visitor import Visitor

pytestmark = [pytest.mark.flow, pytest.mark.network]

REVOKED_WITHIN = 2.0
RECONNECTED_WITHIN = 60.0  # as the page says
# The story is one: each test goes on where the one before it ended.
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def admin(tenant: Tenant) -> Visitor:
    """The admin's browser."""
    return tenant.visitor()


@pytest.fixture(scope="module")
def token(tenant: Tenant) -> str:
    """The admin's API token."""
    return tenant.portal.manage("api_token", tenant.email)


@pytest.fixture(scope="module")
def berlin(lab: Lab) -> Site:
    """A branch over WireGuard."""
    return lab.add_site("berlin", lan_v4="10.1.0.0/24", lan_v6="fd10:1::/64")


@pytest.fixture(scope="module")
def paris(lab: Lab) -> Site:
    """A branch over OpenVPN."""
    return lab.add_site("paris", lan_v4="10.2.0.0/24", lan_v6="fd10:2::/64")


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """A device."""
    return lab.add_client("laptop")


def add_site(admin: Visitor, name: str, site: Site, protocol: str) -> str:
    """Connect a branch; returns its peer's id."""
    values = {
        "site_id": "",
        "site_name": name,
        "site_platform": "linux",
        "subnets": f"{site.lan_v4}\n{site.lan_v6}",
        "protocol": protocol,
    }
    return id_in(admin.submit(f"/instances/{story['instance']}/peers/new-site/", values), "peers")


def test_two_branches_of_both_protocols_reach_each_other(lab: Lab, admin: Visitor, berlin: Site, paris: Site) -> None:
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-openvpn", "region": "local"})
    story["instance"] = id_in(created, "instances")
    page = f"/instances/{story['instance']}/"
    wait_until(lambda: "Ready" in admin.get(page).text, 30, "the instance to be ready")
    over_wireguard = add_site(admin, "Berlin", berlin, "wireguard")
    over_openvpn = add_site(admin, "Paris", paris, "openvpn")
    lab.wg_quick_up(berlin.router, fetch_profile(admin, over_wireguard))
    lab.openvpn_up(paris.router, fetch_profile(admin, over_openvpn))
    lab.wait_ping(paris.lan, berlin.lan.v4, 20)
    lab.wait_ping(berlin.lan, paris.lan.v4)
    lab.wait_ping(paris.lan, berlin.lan.v6)
    lab.wait_ping(berlin.lan, paris.lan.v6)


def test_a_device_over_openvpn_reaches_both(lab: Lab, admin: Visitor, berlin: Site, paris: Site, laptop: Node) -> None:
    values = {"device": "laptop", "route_all": "false", "protocol": "openvpn"}
    story["laptop"] = add_client(admin, story["instance"], **values)
    lab.openvpn_up(laptop, fetch_profile(admin, story["laptop"]))
    lab.wait_ping(laptop, berlin.lan.v4, 20)
    lab.wait_ping(laptop, paris.lan.v6)
    page = f"/peers/{story['laptop']}/"
    wait_until(lambda: f"{laptop.v4}:" in admin.get(page).text, 15, "the page to name the device's address")
    assert "Connected" in admin.get(page).text


def test_a_connected_device_and_branch_reach_a_new_branch_untouched(
    lab: Lab, admin: Visitor, paris: Site, laptop: Node
) -> None:
    madrid = lab.add_site("madrid", lan_v4="10.3.0.0/24", lan_v6="fd10:3::/64")
    page = f"/peers/{story['laptop']}/"
    assert "nothing changed since" not in admin.get(page).text
    over_wireguard = add_site(admin, "Madrid", madrid, "wireguard")
    told = "Reconnects by itself within a minute to reach Madrid."
    wait_until(lambda: told in admin.get(page).text, 20, "the page to say that the device reconnects")
    lab.wg_quick_up(madrid.router, f"{fetch_profile(admin, over_wireguard)}PersistentKeepalive = 1\n")
    for node in (laptop, paris.lan):
        for address in (madrid.lan.v4, madrid.lan.v6):
            lab.wait_ping(node, address, RECONNECTED_WITHIN)
    # A page that is opened while the session begins anew says that the device is not connected.
    current = "Its session has the current networks and names."
    wait_until(lambda: current in admin.get(page).text, 20, "the page to say that it has everything")
    assert "Reconnects" not in admin.get(page).text
    activity, means = f"/instances/{story['instance']}/activity/", "connected and reconnect by themselves"
    wait_until(lambda: means in admin.get(activity).text, 20, "the activity to say who reconnects")


@pytest.mark.parametrize("version", ["2.5", "2.6", "3"])
def test_every_openvpn_takes_the_very_text_that_is_delivered(
    lab: Lab, token: str, admin: Visitor, berlin: Site, version: str
) -> None:
    """By GET /client and by the page's download alike, which are one text."""
    if version == "3":
        openvpn3.root()
    client = OpenVPNClient(suites.root_of("bullseye", "/usr/sbin/openvpn")) if version == "2.5" else OpenVPNClient()
    values = {"device": f"openvpn {version}", "route_all": "false", "protocol": "openvpn"}
    peer = add_client(admin, story["instance"], **values)
    api = f"{admin.base}/api/v1/vpn"
    own = {"Authorization": f"Bearer {token}"}
    made = requests.post(f"{api}/instances/{story['instance']}/peers/{peer}/token", headers=own, timeout=10).json()
    fetched = requests.get(f"{api}/client", headers={"Authorization": f"Bearer {made['token']}"}, timeout=20)
    assert (fetched.status_code, fetched.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert fetched.text == fetch_profile(admin, peer)
    node = lab.add_client(f"openvpn{version.replace('.', '')}")
    if version == "3":
        openvpn3.up(lab, node, fetched.text)
    else:
        lab.openvpn_up(node, fetched.text, client=client)
    lab.wait_ping(node, berlin.lan.v4, 20)


def test_a_device_that_changes_its_protocol_keeps_its_address(
    lab: Lab, admin: Visitor, berlin: Site, laptop: Node
) -> None:
    page = f"/peers/{story['laptop']}/"
    address = re.search(r"100\.\d+\.\d+\.\d+", admin.get(page).text)
    assert address
    admin.submit(f"{page}edit/", {"protocol": "wireguard"})
    profile = fetch_profile(admin, story["laptop"])
    assert f"Address = {address[0]}/32" in profile
    assert lab.ping(laptop, berlin.lan.v4), "what it has works until the new one is used"
    assert "its OpenVPN profile works until" in admin.get(page).text
    reinstalled = lab.add_client("reinstalled")
    lab.wg_quick_up(reinstalled, profile)
    lab.wait_ping(reinstalled, berlin.lan.v4)
    wait_until(lambda: not lab.ping(laptop, berlin.lan.v4, timeout=0.2), REVOKED_WITHIN, "the old session to end")
    lab.openvpn_down(laptop)
    wait_until(lambda: "profile works until" not in admin.get(page).text, 15, "the portal to see the new one")
    assert lab.ping(reinstalled, berlin.lan.v4)
    admin.submit(f"{page}edit/", {"protocol": "openvpn"})
    lab.openvpn_up(laptop, fetch_profile(admin, story["laptop"]))
    lab.wait_ping(laptop, berlin.lan.v4, 20)
    wait_until(lambda: not lab.ping(reinstalled, berlin.lan.v4, timeout=0.2), REVOKED_WITHIN, "the old one to end")


def test_a_deleted_device_is_out_within_two_seconds_and_stays_out(
    lab: Lab, admin: Visitor, berlin: Site, laptop: Node
) -> None:
    path = f"/peers/{story['laptop']}/delete/"
    admin.submit(path, action=path)
    wait_until(lambda: not lab.ping(laptop, berlin.lan.v4, timeout=0.2), REVOKED_WITHIN, "the laptop to be out")


def test_a_deleted_instance_leaves_nothing_on_the_host(lab: Lab, admin: Visitor) -> None:
    path = f"/instances/{story['instance']}/delete/"
    admin.submit(path, action=path)
    gone = f"{admin.base}/instances/{story['instance']}/"
    wait_until(lambda: admin.http.get(gone).status_code == 404, 20, "the instance to be gone")
    assert not lab.hubs()


def test_nothing_secret_is_in_the_logs(tenant: Tenant) -> None:
    logs = tenant.logs()
    assert "PRIVATE KEY" not in logs
    assert "Traceback" not in logs
