"""A server with IPv6 alone, page to packet: proven over IPv6, said to lack IPv4, used by devices without IPv4."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.dns import serve_dns
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Site
from tests.lab.underlay import add_behind, host_without
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.visitor import Visitor

pytestmark = [pytest.mark.flow, pytest.mark.network]

story: dict[str, str] = {}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A laboratory of this story's own: its host has IPv6 alone."""
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture(scope="module")
def portal(lab: Lab) -> Iterator[RunningPortal]:
    """The portal on such a server; its address is found by itself."""
    with host_without(lab, 4), RunningPortal.of_story(lab.host.netns, "") as running:
        yield running


@pytest.fixture(scope="module")
def admin(portal: RunningPortal) -> Visitor:
    """The admin's browser."""
    return portal.visitor()


@pytest.fixture(scope="module")
def oslo(lab: Lab) -> Site:
    """A branch whose uplink is IPv6 alone, with both families behind it."""
    return lab.add_site("oslo", "10.7.0.0/24", "fd10:7::/64", router=add_behind(lab, "oslo-router", v4=False))


def test_the_hub_is_proven_over_ipv6(lab: Lab, admin: Visitor) -> None:
    created = admin.submit("/instances/new/", {"name": "Oslo hub", "hostname": "osl", "region": "local"})
    story["instance"] = id_in(created, "instances")
    wait_until(lambda: "Ready" in admin.get(f"/instances/{story['instance']}/").text, 30, "the instance to be ready")
    progress = admin.get(f"/instances/{story['instance']}/progress/").text
    assert re.search(rf"through {lab.host.v6} port \d+ were answered", progress)


def test_the_pages_say_what_it_lacks(lab: Lab, admin: Visitor) -> None:
    settings = f"/instances/{story['instance']}/settings/"
    wait_until(lambda: "there is no full tunnel for IPv4 here" in admin.get(settings).text, 20, "what the agent found")
    assert lab.host.v6 in admin.get(settings).text
    assert "no full tunnel for IPv4" in admin.get(f"/instances/{story['instance']}/peers/new-client/").text


@pytest.mark.parametrize("protocol", ["wireguard", "openvpn"])
def test_branch_and_devices_without_ipv4_reach_each_other(lab: Lab, admin: Visitor, oslo: Site, protocol: str) -> None:
    if "oslo" not in story:
        subnets = f"{oslo.lan_v4}\n{oslo.lan_v6}"
        values = {"site_id": "", "site_name": "Oslo", "site_platform": "linux", "subnets": subnets}
        path = f"/instances/{story['instance']}/peers/new-site/"
        story["oslo"] = id_in(admin.submit(path, {**values, "protocol": "openvpn"}), "peers")
        lab.openvpn_up(oslo.router, fetch_profile(admin, story["oslo"]))
    phone = add_behind(lab, f"phone-{protocol}", v4=False)
    values = {"device": protocol, "route_all": "true", "protocol": protocol}
    profile = fetch_profile(admin, add_client(admin, story["instance"], **values))
    if protocol == "wireguard":
        assert re.search(rf"^Endpoint = \[{lab.host.v6}\]:\d+$", profile, re.MULTILINE)
        lab.wg_quick_up(phone, profile)
    else:
        lab.openvpn_up(phone, profile)
    for address in (oslo.lan.v4, oslo.lan.v6, OUTSIDE_V6):
        lab.wait_ping(phone, address, 20)
    # Into the tunnel all the same, where the hub says so.
    refused = lab.run(phone, ["ping", "-n", "-c", "1", "-W", "3", OUTSIDE_V4], check=False)
    assert "nreachable" in refused.stdout


def test_names_of_the_world_are_answered(lab: Lab, admin: Visitor) -> None:
    server, known = "2620:fe::fe", "93.184.215.14"
    lab.add_address(lab.outside, f"{server}/128")
    lab.route(lab.internet, f"{server}/128", lab.outside)
    serve_dns(lab, lab.outside, {"www.example.com": known}, [server])
    assert server in admin.get(f"/instances/{story['instance']}/dns/").text
    phone = add_behind(lab, "reader", v4=False)
    values = {"device": "reader", "route_all": "true", "protocol": "wireguard"}
    lab.wg_quick_up(phone, fetch_profile(admin, add_client(admin, story["instance"], **values)))
    look_up = ["getent", "ahostsv4", "www.example.com"]
    wait_until(lambda: known in lab.run(phone, look_up, check=False).stdout, 20, "an answer through the hub")


def test_nothing_went_wrong_unnoticed(portal: RunningPortal) -> None:
    assert "Traceback" not in portal.logs()
