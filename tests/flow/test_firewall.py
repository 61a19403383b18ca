"""The firewall page to packet: who is in a group decides what they reach, within seconds."""

from __future__ import annotations

import re

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant
from tests.visitor import Visitor, forms_in

pytestmark = [pytest.mark.flow, pytest.mark.network]

WITHIN = 2.0
# The story is one: each test goes on where the one before it ended.
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def admin(tenant: Tenant) -> Visitor:
    """The admin's browser."""
    return tenant.visitor()


@pytest.fixture(scope="module")
def berlin(lab: Lab) -> Site:
    """A branch."""
    return lab.add_site("berlin", lan_v4="10.1.0.0/24", lan_v6="fd10:1::/64")


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """The admin's device."""
    return lab.add_client("laptop")


def reaches(lab: Lab, laptop: Node, berlin: Site) -> bool:
    """Does a ping come back, over either family?"""
    return lab.ping(laptop, berlin.lan.v4, timeout=0.3) and lab.ping(laptop, berlin.lan.v6, timeout=0.3)


def is_shut_out(lab: Lab, laptop: Node, berlin: Site) -> bool:
    """Does no ping come back?"""
    return not (lab.ping(laptop, berlin.lan.v4, timeout=0.2) or lab.ping(laptop, berlin.lan.v6, timeout=0.2))


def hits(admin: Visitor) -> int:
    """What the page shows for the rule."""
    page = admin.get(story["firewall"]).text
    found = re.search(r'data-label="Hits"[^>]*>\s*([0-9,]+)', page)
    assert found, page
    return int(found[1].replace(",", ""))


def test_without_rules_everybody_reaches_everybody(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-groups", "region": "local"})
    instance = id_in(created, "instances")
    page = f"/instances/{instance}/"
    story["firewall"] = f"{page}firewall/"
    wait_until(lambda: "Ready" in admin.get(page).text, 30, "the instance to be ready")
    values = {"site_id": "", "site_name": "Berlin", "site_platform": "linux"}
    values["subnets"] = f"{berlin.lan_v4}\n{berlin.lan_v6}"
    site_peer = id_in(admin.submit(f"{page}peers/new-site/", values), "peers")
    lab.wg_quick_up(berlin.router, fetch_profile(admin, site_peer))
    device = add_client(admin, instance, device="laptop", route_all="false", protocol="wireguard")
    lab.wg_quick_up(laptop, fetch_profile(admin, device))
    lab.wait_ping(laptop, berlin.lan.v4)
    lab.wait_ping(laptop, berlin.lan.v6)


def test_a_denying_policy_shuts_out_who_is_in_no_group(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    admin.submit("/people/groups/new/", {"name": "Sales"})
    found = re.search(r"/people/groups/[0-9a-f-]{36}/", admin.get("/people/groups/").text)
    assert found
    story["group"] = found[0]
    rule = {"name": "sales", "action": "accept", "protocol": "any", "source": "Sales", "destination": "Berlin"}
    values = {"firewall_policy": "deny", **{f"firewall-0-{name}": value for name, value in rule.items()}}
    assert "Saved." in admin.submit(story["firewall"], values).text
    wait_until(lambda: is_shut_out(lab, laptop, berlin), WITHIN, "the laptop to be shut out")
    assert hits(admin) == 0


def test_a_member_of_the_group_reaches_the_site(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    page = admin.get(story["group"]).text
    assert forms_in(page)[0].fields.get("members") is None
    member = re.search(r'name="members" value="([0-9a-f-]{36})"', page)
    assert member
    assert "Saved." in admin.submit(story["group"], {"members": member[1]}).text
    wait_until(lambda: reaches(lab, laptop, berlin), WITHIN, "the laptop to reach the site")


def test_hits_appear_on_the_page(admin: Visitor) -> None:
    wait_until(lambda: hits(admin) > 0, 15, "hits on the page")


def test_who_leaves_the_group_is_shut_out(lab: Lab, admin: Visitor, berlin: Site, laptop: Node) -> None:
    before = hits(admin)
    assert "Saved." in admin.submit(story["group"], {"members": []}).text
    wait_until(lambda: is_shut_out(lab, laptop, berlin), WITHIN, "the laptop to be shut out")
    assert hits(admin) >= before


def test_an_allowing_policy_without_rules_opens_everything_again(
    lab: Lab, admin: Visitor, berlin: Site, laptop: Node
) -> None:
    values = dict.fromkeys(("firewall-0-name", "firewall-0-source", "firewall-0-destination"), "")
    assert "Saved." in admin.submit(story["firewall"], {"firewall_policy": "allow", **values}).text
    wait_until(lambda: reaches(lab, laptop, berlin), WITHIN, "the laptop to reach the site")
    assert not forms_in(admin.get(story["firewall"]).text)[0].fields.get("firewall-0-name")


def test_nothing_went_wrong_on_the_way(tenant: Tenant) -> None:
    assert "Traceback" not in tenant.logs()
