"""Names, page to query: a device asks the hub for a colleague's device, a record, a domain of a branch, the world."""

from __future__ import annotations

import re

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.dns import DnsServer, serve_dns
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, Node, Site
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant
from tests.visitor import Visitor

pytestmark = [pytest.mark.flow, pytest.mark.network]

HUB = "fra-names.vpn.example.net"
INTRANET = "10.1.0.80"
WORLD_WIDE = "93.184.215.14"
# The story is one: each test goes on where the one before it ended.
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def admin(tenant: Tenant) -> Visitor:
    """The admin's browser."""
    return tenant.visitor()


@pytest.fixture(scope="module")
def berlin(lab: Lab) -> Site:
    """A branch with a DNS server of its own."""
    return lab.add_site("berlin", lan_v4="10.1.0.0/24", lan_v6="fd10:1::/64")


@pytest.fixture(scope="module")
def corporate(lab: Lab, berlin: Site) -> DnsServer:
    """What knows corp.example, and is asked for nothing else."""
    return serve_dns(lab, berlin.lan, {"intranet.corp.example": INTRANET})


@pytest.fixture(scope="module")
def internet(lab: Lab) -> DnsServer:
    """What the hub asks for everything else."""
    return serve_dns(lab, lab.outside, {"www.example.com": WORLD_WIDE, "rebound.example.com": INTRANET})


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """A device with a split tunnel."""
    return lab.add_client("laptop")


def found(lab: Lab, node: Node, name: str, family: int = 4) -> set[str]:
    """What the node's own resolver finds, as any program would."""
    lines = lab.run(node, ["getent", f"ahostsv{family}", name], check=False).stdout.splitlines()
    return {line.split()[0] for line in lines}


def addresses_in(profile: str) -> list[str]:
    """A profile's tunnel addresses."""
    listed = re.search(r"^Address = (.*)$", profile, re.MULTILINE)
    assert listed
    return [address.partition("/")[0] for address in listed[1].split(", ")]


def dns_page(admin: Visitor) -> str:
    return f"/instances/{story['instance']}/dns/"


def test_a_hub_with_a_branch_and_two_peoples_devices(
    lab: Lab, admin: Visitor, berlin: Site, laptop: Node, corporate: DnsServer, internet: DnsServer
) -> None:
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-names", "region": "local"})
    story["instance"] = id_in(created, "instances")
    page = f"/instances/{story['instance']}/"
    wait_until(lambda: "Ready" in admin.get(page).text, 30, "the hub to be ready")
    site = {
        "site_id": "",
        "site_name": "Berlin",
        "site_platform": "linux",
        "subnets": f"{berlin.lan_v4}\n{berlin.lan_v6}",
    }
    peer = id_in(admin.submit(f"{page}peers/new-site/", site), "peers")
    lab.wg_quick_up(berlin.router, fetch_profile(admin, peer))
    admin.submit("/people/new/", {"email": "bert@example.org", "name": "Bert Böhm", "role": "member"})
    form = admin.get(f"{page}peers/new-client/").text
    bert = re.search(r'<option value="([0-9a-f-]{36})"[^>]*>\s*Bert Böhm', form)
    assert bert
    added = admin.submit(f"{page}peers/new-client/", {"user_id": bert[1], "device": "Bert's PC", "route_all": "false"})
    story["pc"], _ = addresses_in(fetch_profile(admin, id_in(added, "peers")))
    profile = fetch_profile(admin, add_client(admin, story["instance"], device="laptop", route_all="false"))
    assert HUB in profile
    lab.wg_quick_up(laptop, profile)
    lab.wait_ping(laptop, berlin.lan.v4)


def test_colleagues_and_branches_are_found_by_their_names(lab: Lab, laptop: Node, berlin: Site) -> None:
    wait_until(lambda: found(lab, laptop, f"berts-pc.bert-bohm.{HUB}"), 5, "the name of a colleague's device")
    assert found(lab, laptop, f"berts-pc.bert-bohm.{HUB}") == {story["pc"]}
    assert found(lab, laptop, "berts-pc.bert-bohm") == {story["pc"]}, "the hub's domain is searched"
    assert len(found(lab, laptop, "berlin")) == 1
    assert found(lab, laptop, HUB) == {lab.host.v4}
    assert HUB in lab.run(laptop, ["getent", "hosts", story["pc"]]).stdout


def test_an_admin_adds_a_record_and_a_domain_by_the_page(
    lab: Lab, admin: Visitor, laptop: Node, berlin: Site, corporate: DnsServer, internet: DnsServer
) -> None:
    values = {
        "public_dns": OUTSIDE_V4,
        "split_dns": berlin.lan.v4,
        "domains": "corp.example",
        "dns_custom-0-name": "nas",
        "dns_custom-0-type": "A",
        "dns_custom-0-value": "10.1.0.9",
        "dns_custom-1-name": "wiki.intra.example",
        "dns_custom-1-type": "CNAME",
        "dns_custom-1-value": "berts-pc.bert-bohm",
    }
    assert "Saved." in admin.submit(dns_page(admin), values).text
    wait_until(lambda: found(lab, laptop, f"nas.{HUB}") == {"10.1.0.9"}, 10, "the record")
    assert found(lab, laptop, "nas") == {"10.1.0.9"}
    assert found(lab, laptop, "wiki.intra.example") == {story["pc"]}
    assert found(lab, laptop, "intranet.corp.example") == {INTRANET}
    assert found(lab, laptop, "www.example.com") == {WORLD_WIDE}
    assert found(lab, laptop, "rebound.example.com") == set(), "nobody else leads into the tunnels"
    assert not internet.asked_about("corp.example")
    assert not internet.asked_about(HUB)
    assert not corporate.asked_about("example.com")


def test_a_refused_record_changes_nothing(lab: Lab, admin: Visitor, laptop: Node) -> None:
    refused = admin.submit(dns_page(admin), {"dns_custom-2-name": "berlin", "dns_custom-2-value": "10.1.0.8"}).text
    assert "own name of a peer" in refused
    assert found(lab, laptop, "nas") == {"10.1.0.9"}


def test_a_device_added_later_is_found_within_a_second(lab: Lab, admin: Visitor, laptop: Node) -> None:
    assert found(lab, laptop, f"phone.admin.{HUB}") == set()
    # The profile is handed out as soon as the hub has the peer.
    phone, _ = addresses_in(fetch_profile(admin, add_client(admin, story["instance"], device="phone")))
    wait_until(lambda: found(lab, laptop, f"phone.admin.{HUB}") == {phone}, 1, "the new device's name")


def test_names_follow_a_rename_and_aliases_follow_names(lab: Lab, admin: Visitor, laptop: Node) -> None:
    people = admin.get("/people/").text
    bert = re.search(r'href="(/people/[0-9a-f-]{36}/)"[^>]*>\s*Bert', people)
    assert bert
    admin.submit(bert[1], {"name": "Bert Meier"})
    wait_until(lambda: found(lab, laptop, "berts-pc.bert-meier") == {story["pc"]}, 10, "the new name")
    assert found(lab, laptop, "berts-pc.bert-bohm") == set()
    wait_until(lambda: found(lab, laptop, "wiki.intra.example") == {story["pc"]}, 10, "the alias to follow")
