"""Alias subnets of sites: one LAN at two sites of an instance."""

from __future__ import annotations

from typing import Any

import pytest

from portal.models import JournalEntry, Organization
from tests import factories
from tests.factories import BY
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.settings import update_instance
from vpn.actions.profiles.profile import deliver_profile
from vpn.actions.revisions.returning import return_to
from vpn.choices import ProfileState
from vpn.desired import compile_spec
from vpn.models import Instance, Peer, Revision, Site
from vpn.profiles.formats import files_of
from vpn.profiles.known import known_digests
from vpn.profiles.state import current_digest, profile_state

pytestmark = pytest.mark.both_databases

LAN, ALIAS = "192.168.88.0/24", "10.224.0.0/24"


def entry(lan: str = LAN, subnet: str = ALIAS) -> dict[str, str]:
    return {"lan": lan, "subnet": subnet}


@pytest.fixture
def berlin(organization: Organization, instance: Instance) -> Peer:
    """A site that has the LAN as it is."""
    return factories.make_site_peer(instance, factories.make_site(organization, name="Berlin", subnets=[LAN]), [LAN])


@pytest.fixture
def paris(organization: Organization) -> Site:
    """A site with the same LAN, connected nowhere."""
    return factories.make_site(organization, name="Paris", subnets=[LAN])


def connect(api: Caller, instance: Instance, site: Site, **more: Any) -> Any:
    return api.post(f"/instances/{instance.pk}/peers", {"type": "site", "site_id": str(site.pk), **more})


def test_an_alias_connects_a_second_site_with_the_same_lan(
    api: Caller, instance: Instance, berlin: Peer, paris: Site
) -> None:
    refused(connect(api, instance, paris), 409)
    site = told(api.put(f"/sites/{paris.pk}", {"alias": [entry()]}), 200)
    assert (site["subnets"], site["alias"]) == ([ALIAS], [entry()])
    # A whole read is accepted unchanged.
    assert told(api.put(f"/sites/{paris.pk}", site), 200) == site
    peer = told(connect(api, instance, paris), 201)
    assert (peer["subnets"], peer["alias"]) == ([ALIAS], [entry()])
    [listed] = [one for one in told(api.get(f"/instances/{instance.pk}/peers"), 200) if one["id"] == peer["id"]]
    assert listed["alias"] == [entry()]
    # The hub knows the alias alone.
    routes = [one["routes"] for one in compile_spec(instance.pk).document["peers"].values() if one["routes"]]
    assert sorted(routes) == [[ALIAS], [LAN]]


def test_the_other_sites_equal_lan_is_no_route_of_a_router_with_an_alias(
    api: Caller, instance: Instance, berlin: Peer, paris: Site
) -> None:
    # The route would take the router's own machines; wg-quick refuses it and takes the tunnel down.
    told(api.put(f"/sites/{paris.pk}", {"alias": [entry()]}), 200)
    told(connect(api, instance, paris), 201)
    factories.settle(instance)
    peer = Peer.objects.get(site=paris)
    assert LAN not in files_of(peer)["conf"].content
    assert ALIAS in files_of(Peer.objects.get(pk=berlin.pk))["conf"].content
    deliver_profile(peer, by=BY)
    assert profile_state(Peer.objects.get(pk=peer.pk)) == ProfileState.CURRENT
    [listed] = [one for one in told(api.get(f"/instances/{instance.pk}/peers"), 200) if one["id"] == str(peer.pk)]
    assert listed["profile_state"] == "current"
    # The same alias for another LAN: the subnets stay, the routes do not.
    known = known_digests(Instance.objects.select_related("server").get(pk=instance.pk))
    assert known.of_wireguard(Peer.objects.get(pk=peer.pk))
    told(api.put(f"/sites/{paris.pk}", {"alias": [entry(lan="192.168.89.0/24")]}), 200)
    peer = Peer.objects.get(pk=peer.pk)
    assert peer.subnets == [ALIAS]
    assert known.current(peer) == current_digest(peer)


def test_the_lan_of_an_alias_is_never_advertised_itself(api: Caller, instance: Instance, paris: Site) -> None:
    told(api.put(f"/sites/{paris.pk}", {"alias": [entry()]}), 200)
    peer = told(connect(api, instance, paris, subnets=[LAN, "10.9.0.0/24"]), 201)
    assert peer["subnets"] == [ALIAS, "10.9.0.0/24"]
    path = f"/instances/{instance.pk}/peers/{peer['id']}"
    assert told(api.put(path, {"subnets": [LAN]}), 200)["subnets"] == [ALIAS]


def test_all_peers_follow_when_an_alias_comes_and_goes(
    api: Caller, instance: Instance, organization: Organization, paris: Site
) -> None:
    other = factories.make_instance(organization, name="Other")
    site = f"/sites/{paris.pk}"
    told(api.put(site, {"subnets": [LAN, "10.9.0.0/24"]}), 200)
    told(connect(api, instance, paris), 201)
    told(connect(api, other, paris, subnets=[LAN]), 201)
    told(api.put(site, {"alias": [entry()]}), 200)
    assert [one.subnets for one in paris.peers.order_by("created_at")] == [[ALIAS, "10.9.0.0/24"], [ALIAS]]
    told(api.put(site, {"alias": [entry(subnet="10.225.0.0/24")]}), 200)
    assert [one.subnets for one in paris.peers.order_by("created_at")] == [
        ["10.225.0.0/24", "10.9.0.0/24"],
        ["10.225.0.0/24"],
    ]
    assert told(api.put(site, {"alias": []}), 200)["subnets"] == [LAN, "10.9.0.0/24"]
    assert [one.subnets for one in paris.peers.order_by("created_at")] == [[LAN, "10.9.0.0/24"], [LAN]]


@pytest.mark.parametrize(
    ("alias", "words"),
    [
        ([entry(subnet="10.224.0.0/25")], "the same size"),
        ([entry(subnet="224.0.0.0/24")], "cannot be used"),
        ([entry(lan="fd10::/64", subnet="fd11::/64")], "IPv4 alone"),
        ([entry(lan="10.0.0.0/7", subnet="12.0.0.0/7")], "too wide"),
        ([entry(), entry(subnet="10.225.0.0/24")], "overlap"),
        ([entry(lan="192.168.1.0/24"), entry(subnet="192.168.1.0/24")], "overlap"),
        ([entry(lan="192.168.0.0/16", subnet="10.224.0.0/16")], "overlap"),
        ([entry(lan="LAN")], "no network"),
    ],
)
def test_an_alias_that_cannot_be_translated_is_refused(
    api: Caller, paris: Site, alias: list[dict[str, str]], words: str
) -> None:
    [message] = refused(api.put(f"/sites/{paris.pk}", {"alias": alias}), 422)["errors"]["alias"]
    assert words in message
    assert Site.objects.get(pk=paris.pk).alias is None


@pytest.mark.parametrize(
    ("platform", "version", "is_fine"),
    [
        ("other", "", False),
        ("unifi", "", False),
        ("vyos", "1.4.0", False),
        ("openwrt", "21.02.3", False),
        ("openwrt", "23.05.5", True),
        ("routeros6", "6.49.17", True),
        ("routeros7", "", True),
        ("opnsense", "", True),
        ("pfsense", "", True),
    ],
)
def test_only_a_router_that_can_translate_gets_an_alias(
    api: Caller, organization: Organization, platform: str, version: str, is_fine: bool
) -> None:
    body = {"name": "Rome", "platform": platform, "platform_version": version, "subnets": [LAN], "alias": [entry()]}
    if is_fine:
        assert told(api.post("/sites", body), 201)["subnets"] == [ALIAS]
    else:
        assert "alias" in refused(api.post("/sites", body), 422)["errors"]
    # Nor can a site with one become such a router.
    site = factories.make_site(organization, name="Bonn", subnets=[LAN])
    told(api.put(f"/sites/{site.pk}", {"alias": [entry()]}), 200)
    answer = api.put(f"/sites/{site.pk}", {"platform": platform, "platform_version": version})
    assert answer.status_code == (200 if is_fine else 422)


def test_a_new_alias_outdates_the_file_of_the_router(api: Caller, instance: Instance, berlin: Peer) -> None:
    factories.settle(instance)
    deliver_profile(Peer.objects.get(pk=berlin.pk), by=BY)
    berlin = Peer.objects.get(pk=berlin.pk)
    assert profile_state(berlin) == ProfileState.CURRENT
    plan = told(api.put(f"/sites/{berlin.site_id}?plan=true", {"alias": [entry()]}), 200)
    assert plan["outdated"] == [str(berlin.pk)]
    told(api.put(f"/sites/{berlin.site_id}", {"alias": [entry()]}), 200)
    assert profile_state(Peer.objects.get(pk=berlin.pk)) == ProfileState.OUTDATED
    files = files_of(Peer.objects.get(pk=berlin.pk))
    assert f"{LAN} : {ALIAS}" in files["alias"].content


def test_the_journal_tells_of_an_alias(api: Caller, paris: Site) -> None:
    told(api.put(f"/sites/{paris.pk}", {"alias": [entry()]}), 200)
    found = JournalEntry.objects.order_by("-pk")[0]
    assert found.changes["alias"] == [None, [f"{LAN}={ALIAS}"]]


def test_returning_to_a_revision_brings_the_alias_back(
    api: Caller, instance: Instance, berlin: Peer, paris: Site
) -> None:
    told(api.put(f"/sites/{paris.pk}", {"alias": [entry()]}), 200)
    told(connect(api, instance, paris, subnets=[ALIAS, "10.9.0.0/24"]), 201)
    before = Revision.objects.filter(instance=instance).order_by("-number")[0]
    told(api.put(f"/sites/{paris.pk}", {"subnets": ["10.9.0.0/24"]}), 200)
    update_instance(Instance.objects.get(pk=instance.pk), by=BY, mtu=1400)
    return_to(Instance.objects.get(pk=instance.pk), before, by=BY)
    peer = Peer.objects.get(site=paris)
    assert peer.subnets == [ALIAS, "10.9.0.0/24"]
    assert [str(alias) for alias in peer.aliases] == [f"{LAN}={ALIAS}"]
