"""The whole story, page to packet: an admin makes a hub, a site and a device, and packets flow until they must not."""

from __future__ import annotations

import re

import pytest
import requests

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant
from tests.visitor import Visitor

pytestmark = [pytest.mark.flow, pytest.mark.network]

REVOKED_WITHIN = 2.0
# The story is one: each test goes on where the one before it ended.
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def admin(tenant: Tenant) -> Visitor:
    """The admin's browser."""
    return tenant.visitor()


@pytest.fixture(scope="module")
def berlin(lab: Lab) -> Site:
    """A branch with a web server in its LAN."""
    site = lab.add_site("berlin", lan_v4="10.1.0.0/24", lan_v6="fd10:1::/64")
    lab.serve_http(site.lan, site.lan.v4, body="the printer in Berlin")
    return site


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """Anna's laptop."""
    return lab.add_client("laptop")


@pytest.fixture(scope="module")
def phone(lab: Lab) -> Node:
    """Anna's phone, which sends everything through the hub."""
    return lab.add_client("phone")


def act(admin: Visitor, peer: str, what: str) -> requests.Response:
    """Go to the page that asks for confirmation, and confirm."""
    return admin.submit(f"/peers/{peer}/{what}/", action=f"/peers/{peer}/{what}/")


def test_an_instance_becomes_ready_while_its_admin_watches(admin: Visitor) -> None:
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-tunnel", "region": "local"})
    assert created.url.endswith("/progress/")
    story["instance"] = id_in(created, "instances")
    page = f"/instances/{story['instance']}/"
    wait_until(lambda: "Ready" in admin.get(page).text, 30, "the instance to be ready")
    assert "fra-tunnel.vpn.example.net" in admin.get(page).text


def test_a_site_is_connected_with_its_profile(lab: Lab, admin: Visitor, berlin: Site) -> None:
    path = f"/instances/{story['instance']}/peers/new-site/"
    values = {
        "site_id": "",
        "site_name": "Berlin",
        "site_platform": "linux",
        "subnets": f"{berlin.lan_v4}\n{berlin.lan_v6}",
    }
    story["berlin"] = id_in(admin.submit(path, values), "peers")
    lab.wg_quick_up(berlin.router, fetch_profile(admin, story["berlin"]))
    wait_until(lambda: lab.latest_handshake(berlin.router) > 0, 10, "the site's handshake")


def test_a_laptop_reaches_the_lan_of_the_site(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    story["laptop"] = add_client(admin, story["instance"], device="laptop", route_all="false")
    lab.wg_quick_up(laptop, fetch_profile(admin, story["laptop"]))
    lab.wait_ping(laptop, berlin.lan.v4)
    lab.wait_ping(laptop, berlin.lan.v6)
    assert lab.http_get(laptop, f"http://{berlin.lan.v4}/") == "the printer in Berlin"
    page = f"/peers/{story['laptop']}/"
    wait_until(lambda: f"{laptop.v4}:" in admin.get(page).text, 15, "the page to name the device's address")
    assert "Connected" in admin.get(page).text


def test_a_phone_sends_everything_through_the_hub(lab: Lab, admin: Visitor, phone: Node) -> None:
    story["phone"] = add_client(admin, story["instance"], device="phone", route_all="true")
    profile = fetch_profile(admin, story["phone"])
    assert "0.0.0.0/0, ::/0" in profile
    assert re.search(r"^DNS = 100\.[0-9.]+, fd[0-9a-f:]+, [a-z0-9-]+\.vpn\.example\.net$", profile, re.MULTILINE)
    lab.wg_quick_up(phone, profile)
    for source, target in ((lab.host.v4, lab.outside.v4), (lab.host.v6, lab.outside.v6)):
        lab.wait_ping(phone, target)
        family = "ip6" if ":" in source else "ip"
        with lab.count(lab.outside, f"{family} saddr {source}") as from_hub:
            assert lab.ping(phone, target, count=3)
            assert from_hub.packets > 0, "the packets leave from the hub's address"


def test_a_subnet_that_the_site_loses_is_routed_no_more_until_it_has_it_again(
    lab: Lab, admin: Visitor, berlin: Site, phone: Node
) -> None:
    site = re.search(r'href="(/sites/[0-9a-f-]+/)"', admin.get(f"/peers/{story['berlin']}/").text)
    assert site
    lab.wait_ping(phone, berlin.lan.v4)
    admin.submit(site[1], {"subnets": str(berlin.lan_v6)})
    wait_until(lambda: not lab.ping(phone, berlin.lan.v4), 15, "the subnet to be taken from the hub")
    lab.wait_ping(phone, berlin.lan.v6)
    admin.submit(site[1], {"subnets": f"{berlin.lan_v4} {berlin.lan_v6}"})
    lab.wait_ping(phone, berlin.lan.v4)


def test_peers_added_meanwhile_cost_no_packet(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    pinging = lab.start_ping(laptop, berlin.lan.v4, interval=0.02)
    pinging.wait_for_replies(5)
    story["tablet"] = add_client(admin, story["instance"], device="tablet", route_all="false")
    add_client(admin, story["instance"], device="watch", route_all="true")
    fetch_profile(admin, story["tablet"])
    pinging.wait_for_replies(5)
    result = pinging.stop()
    assert result.lost == 0


def test_a_disabled_peer_is_out_within_two_seconds_and_comes_back(
    lab: Lab, admin: Visitor, berlin: Site, phone: Node
) -> None:
    act(admin, story["phone"], "disable")
    wait_until(lambda: not lab.ping(phone, berlin.lan.v4, timeout=0.2), REVOKED_WITHIN, "the phone to be out")
    act(admin, story["phone"], "enable")
    lab.wg_quick_down(phone)
    lab.wg_quick_up(phone, fetch_profile(admin, story["phone"]))
    lab.wait_ping(phone, berlin.lan.v4)


def test_rotated_keys_end_the_old_profile(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    act(admin, story["laptop"], "rotate")
    wait_until(lambda: not lab.ping(laptop, berlin.lan.v4, timeout=0.2), REVOKED_WITHIN, "the old keys to end")
    lab.wg_quick_down(laptop)
    lab.wg_quick_up(laptop, fetch_profile(admin, story["laptop"]))
    lab.wait_ping(laptop, berlin.lan.v4)


def test_the_connection_journal_says_from_where_and_why_it_ended(admin: Visitor, laptop: Node) -> None:
    first = re.findall(r"<tr>.*?</tr>", admin.get(f"/connections/?peer={story['laptop']}").text, re.DOTALL)[-1]
    assert "Keys renewed" in first
    assert f"{laptop.v4}:" in first


def test_a_changed_route_outdates_a_delivered_profile_until_it_is_fetched_again(admin: Visitor) -> None:
    page = f"/peers/{story['laptop']}/"
    assert "Outdated" not in admin.get(page).text
    admin.submit(f"/instances/{story['instance']}/routing/", {"pushed_routes": "198.51.100.0/24"})
    assert "Outdated" in admin.get(page).text
    assert "198.51.100.0/24" in fetch_profile(admin, story["laptop"])
    assert "Outdated" not in admin.get(page).text


def test_bad_input_is_answered_beside_the_field_and_nothing_is_lost(admin: Visitor) -> None:
    answer = admin.submit("/instances/new/", {"name": "Second hub", "hostname": "www", "region": "local"})
    assert "reserved" in answer.text
    assert "Second hub" in answer.text, "what was typed is still there"
    path = f"/instances/{story['instance']}/peers/new-site/"
    values = {"site_id": "", "site_name": "Paris", "site_platform": "linux"}
    answer = admin.submit(path, {**values, "subnets": "10.2.0.5/24"})
    assert "the network is 10.2.0.0/24" in answer.text
    answer = admin.submit(path, {**values, "subnets": "10.1.0.128/25"})
    assert "Berlin" in answer.text, "the refusal names the other side"
    answer = admin.submit(
        path, {"site_id": "", "site_name": "Old", "site_platform": "routeros6", "subnets": "10.6.0.0/24"}
    )
    assert "RouterOS 6 has no WireGuard" in answer.text


def test_a_deleted_peer_is_out_within_two_seconds(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    act(admin, story["laptop"], "delete")
    wait_until(lambda: not lab.ping(laptop, berlin.lan.v4, timeout=0.2), REVOKED_WITHIN, "the laptop to be out")
    admin.get(f"/peers/{story['laptop']}/", expect=404)


def test_a_deleted_instance_leaves_nothing_on_the_host(lab: Lab, admin: Visitor) -> None:
    assert lab.hubs()
    path = f"/instances/{story['instance']}/delete/"
    admin.submit(path, action=path)
    wait_until(
        lambda: admin.http.get(f"{admin.base}/instances/{story['instance']}/").status_code == 404,
        20,
        "the instance to be gone",
    )
    assert not lab.hubs()
    links = lab.run(lab.host, ["ip", "-o", "link"]).stdout
    assert "vh-" not in links
    assert "wg-" not in links


def test_no_secret_is_in_the_logs(tenant: Tenant) -> None:
    logs = tenant.logs()
    assert logs
    assert not re.search(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", logs), "a key is in the logs"
    assert "Traceback" not in logs
