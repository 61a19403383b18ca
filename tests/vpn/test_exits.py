"""A site that an admin confirmed as an exit, and devices that choose it as their way to the internet."""

from __future__ import annotations

import dataclasses
import json
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest
from django.test import Client

from portal.exceptions import Conflict, InvalidInput
from portal.models import ApiToken, JournalEntry, Membership, Organization
from tests.factories import BY, make_client_peer, make_site, make_site_peer, settle
from tests.routeros.router import Router
from tests.vpn.api.caller import Caller
from tests.vpn.profiles.router_samples import ROUTER
from tests.vpn.profiles.vyos_shell import paste
from vpn.actions.peers.peer import create_site_peer, delete_peer, update_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import Platform, ProfileState
from vpn.desired import compile_spec
from vpn.models import Instance, Peer, Site
from vpn.plan.rows import Row
from vpn.profiles.exits import Exit, with_exit
from vpn.profiles.known import known_digests
from vpn.profiles.router import RouterProfile
from vpn.profiles.site_files import router_profile
from vpn.profiles.state import current_digest, profile_state
from vpn.wire.peers import EVERYTHING
from vpn.wire.spec import parse_spec

pytestmark = pytest.mark.django_db
PANEL = {"HX-Request": "true", "HX-Target": "plan"}
WAY = Exit(IPv4Network("100.64.0.0/20"), IPv6Network("fd12:3456:789a::/64"))


def fresh(peer: Peer) -> Peer:
    """The peer as it is stored now."""
    return Peer.objects.select_related("instance__server", "site", "member__user", "exit_site").get(pk=peer.pk)


@pytest.fixture
def exit_peer(site_peer: Peer) -> Peer:
    """A site that is the exit of its instance."""
    update_peer(site_peer, is_exit=True, by=BY)
    return fresh(site_peer)


@pytest.fixture
def laptop(client_peer: Peer) -> Peer:
    """A device that sends all traffic."""
    update_peer(client_peer, route_all=True, by=BY)
    return fresh(client_peer)


def test_a_plan_of_those_without_exit_and_alias_is_read_by_earlier_releases(site_peer: Peer) -> None:
    document = Row.of(fresh(site_peer)).document()
    assert not {"is_exit", "exit_site", "site__alias"} & document.keys()
    assert Row.from_document(document) == Row.of(fresh(site_peer))


def test_a_new_exit_outdates_the_files_of_its_router_and_so_does_its_end(site_peer: Peer) -> None:
    states = []
    for is_exit in (True, False):
        settle(Instance.objects.get(pk=site_peer.instance_id))
        deliver_profile(fresh(site_peer), by=BY)
        states.append(profile_state(fresh(site_peer)))
        update_peer(fresh(site_peer), is_exit=is_exit, by=BY)
        states.append(profile_state(fresh(site_peer)))
        peer = fresh(site_peer)
        assert known_digests(peer.instance).current(peer) == current_digest(peer)
    assert states == [ProfileState.CURRENT, ProfileState.OUTDATED] * 2


def test_the_hub_is_told_the_exit_and_who_chose_it_alone(instance: Instance, exit_peer: Peer, laptop: Peer) -> None:
    update_peer(laptop, exit_site_id=exit_peer.site_id, by=BY)
    document = compile_spec(instance.pk).document
    parts = {key: peer["exit"] for key, peer in document["peers"].items() if "exit" in peer}
    assert parts == {str(exit_peer.pk): "site", str(laptop.pk): "client"}
    spec = parse_spec(document)
    assert spec.document()["peers"] == document["peers"]
    assert set(EVERYTHING) <= set(spec.peers[str(exit_peer.pk)].carried)  # type: ignore[union-attr]
    update_peer(laptop, exit_site_id=None, by=BY)
    assert "exit" not in compile_spec(instance.pk).document["peers"][str(laptop.pk)]


def test_a_split_tunnel_has_no_exit(instance: Instance, exit_peer: Peer, laptop: Peer) -> None:
    update_peer(laptop, exit_site_id=exit_peer.site_id, by=BY)
    update_peer(laptop, route_all=False, by=BY)
    assert fresh(laptop).exit_site_id is None
    with pytest.raises(InvalidInput, match="a split tunnel has no exit"):
        update_peer(laptop, exit_site_id=exit_peer.site_id, by=BY)


def test_a_device_can_choose_only_an_exit_of_its_instance(
    organization: Organization, site_peer: Peer, laptop: Peer
) -> None:
    other = make_site(organization, name="Paris")
    for site in (site_peer.site_id, other.pk):
        with pytest.raises(InvalidInput, match="an exit of this instance"):
            update_peer(laptop, exit_site_id=site, by=BY)


def test_an_instance_has_one_exit_and_no_default_route_beside_it(
    instance: Instance, organization: Organization, exit_peer: Peer
) -> None:
    paris = make_site_peer(instance, make_site(organization, name="Paris"), ["10.2.0.0/24"])
    with pytest.raises(Conflict, match="an instance has one"):
        update_peer(paris, is_exit=True, by=BY)
    for change in ({"subnets": ["0.0.0.0/0"]}, {"subnets": ["10.2.0.0/24", "::/0"]}):
        with pytest.raises(Conflict, match="no other site can have the default route"):
            update_peer(paris, confirm_broad_routes=True, by=BY, **change)  # type: ignore[arg-type]
    rome = make_site(organization, name="Rome")
    with pytest.raises(Conflict, match="no other site can have the default route"):
        create_site_peer(instance, site=rome, subnets=["0.0.0.0/0"], confirm_broad_routes=True, by=BY)
    update_peer(exit_peer, is_exit=False, by=BY)
    update_peer(paris, subnets=["0.0.0.0/0"], confirm_broad_routes=True, by=BY)
    with pytest.raises(Conflict, match="an instance has one"):
        update_peer(exit_peer, is_exit=True, by=BY)


def test_an_exit_that_a_device_uses_stays_one(exit_peer: Peer, laptop: Peer) -> None:
    update_peer(laptop, exit_site_id=exit_peer.site_id, by=BY)
    with pytest.raises(Conflict, match="1 device leaves through"):
        update_peer(exit_peer, is_exit=False, by=BY)
    with pytest.raises(Conflict, match="1 device leaves through"):
        delete_peer(exit_peer, by=BY)
    update_peer(laptop, exit_site_id=None, by=BY)
    delete_peer(exit_peer, by=BY)


def test_an_exit_is_a_site_over_wireguard(exit_peer: Peer, client_peer: Peer) -> None:
    with pytest.raises(InvalidInput, match="over WireGuard alone"):
        update_peer(exit_peer, protocol="openvpn", by=BY)
    update_peer(exit_peer, protocol="openvpn", is_exit=False, by=BY)
    with pytest.raises(InvalidInput, match="over WireGuard alone"):
        update_peer(fresh(exit_peer), is_exit=True, by=BY)
    with pytest.raises(InvalidInput, match="A client is no exit"):
        update_peer(client_peer, is_exit=True, by=BY)
    with pytest.raises(InvalidInput, match="A site has none"):
        update_peer(fresh(exit_peer), exit_site_id=exit_peer.site_id, by=BY)


def test_pages_confirm_choose_and_show_it_with_its_plan(
    admin_browser: Client, site_peer: Peer, laptop: Peer, site: Site
) -> None:
    edit, chooses = f"/peers/{site_peer.pk}/edit/", f"/peers/{laptop.pk}/edit/"
    assert "exit_site_id" not in admin_browser.get(chooses).content.decode()
    values = {"subnets": "10.1.0.0/24", "protocol": "wireguard", "is_exit": "true"}
    panel = admin_browser.post(edit, {**values, "preview": "true"}, headers=PANEL).content.decode()
    assert f"{site.name} can be chosen as the exit" in panel
    assert admin_browser.post(edit, values).status_code == 302
    assert fresh(site_peer).is_exit
    assert (
        "chosen clients reach the internet through it" in admin_browser.get(f"/peers/{site_peer.pk}/").content.decode()
    )
    page = admin_browser.get(chooses).content.decode()
    assert f"Through {site.name}" in page
    chosen = {"route_all": "true", "protocol": "wireguard", "exit_site_id": str(site.pk), "device": laptop.device}
    panel = admin_browser.post(chooses, {**chosen, "preview": "true"}, headers=PANEL).content.decode()
    assert f"reaches the internet through {site.name}" in panel
    assert fresh(laptop).exit_site_id is None
    assert admin_browser.post(chooses, chosen).status_code == 302
    assert fresh(laptop).exit_site_id == site.pk
    assert f"to the internet through {site.name}" in admin_browser.get(f"/peers/{laptop.pk}/").content.decode()
    refused = admin_browser.post(edit, {"subnets": "10.1.0.0/24", "protocol": "wireguard"})
    assert "1 device leaves through" in refused.content.decode()
    line = JournalEntry.objects.filter(code="peer.changed").order_by("-id")[0]
    assert site.name in json.dumps(line.changes, default=str)


def test_the_api_has_it_with_its_plan(admin: Membership, instance: Instance, site_peer: Peer, laptop: Peer) -> None:
    api = Caller(ApiToken.issue(admin)[1])
    base = f"/instances/{instance.pk}/peers"
    assert json.loads(api.put(f"{base}/{site_peer.pk}", {"is_exit": True}).content)["is_exit"] is True
    change = {"exit_site_id": str(site_peer.site_id)}
    plan = json.loads(api.put(f"{base}/{laptop.pk}?plan=true", change).content)
    assert plan["exits"] == [{"who": f"user:{laptop.member_id}", "site": f"site:{site_peer.site_id}"}]
    assert json.loads(api.put(f"{base}/{laptop.pk}", change).content)["exit_site_id"] == str(site_peer.site_id)
    assert api.put(f"{base}/{site_peer.pk}", {"is_exit": False}).status_code == 409
    again = json.loads(api.put(f"{base}/{laptop.pk}", {"exit_site_id": None}).content)
    assert again["exit_site_id"] is None


def test_an_exits_router_gets_its_files_and_after_its_end_the_one_that_takes_them_back(
    instance: Instance, site_peer: Peer
) -> None:
    def exit_files() -> set[str]:
        found = router_profile(fresh(site_peer))
        return {file.format for file in found.files if "exit" in file.format} if found else set()

    settle(instance)
    Site.objects.filter(peers=site_peer).update(platform=Platform.ROUTEROS7)
    assert exit_files() == set()
    update_peer(site_peer, is_exit=True, by=BY)
    assert exit_files() == {"rsc-exit", "rsc-exit-remove"}
    update_peer(site_peer, is_exit=False, by=BY)
    assert exit_files() == {"rsc-exit-remove"}


def made(platform: Platform, way: Exit = WAY, version: str = "") -> dict[str, str]:
    router = dataclasses.replace(ROUTER, version=version)
    found = with_exit(platform, RouterProfile((), ()), router, way)
    assert found.steps
    return {file.format: file.content for file in found.files}


def test_routeros_translates_what_leaves_and_takes_it_back() -> None:
    router = Router((7, 16, 2))
    router.run('/ip firewall nat add chain=srcnat action=masquerade comment="theirs"\n')
    before = router.configuration()
    files = made(Platform.ROUTEROS7, version="7.16.2")
    for _ in range(2):
        router.run(files["rsc-exit"])
        rules = [
            (row["action"], row.get("src-address"), row.get("dst-address")) for row in router.rows("/ip firewall nat")
        ]
        assert rules == [
            ("accept", "100.64.0.0/20", "10.1.0.0/24"),
            ("masquerade", "100.64.0.0/20", None),
            ("masquerade", None, None),
        ]
        assert [row["action"] for row in router.rows("/ipv6 firewall nat")] == ["accept", "masquerade"]
    router.run(files["rsc-exit-remove"])
    assert router.configuration() == before


@pytest.mark.parametrize(("version", "option"), [("1.3.8", ()), ("1.4.0", ("name",)), ("", ("name",))])
def test_vyos_translates_on_the_interface_of_its_default_route(
    tmp_path: Path, version: str, option: tuple[str, ...]
) -> None:
    files = made(Platform.VYOS, version=version)
    wan = 'ip() { echo "default via 192.0.2.1 dev eth0 proto static"; }\n'
    theirs: set[tuple[str, ...]] = {("nat", "source", "rule", "5", "source", "address", "10.1.0.0/24")}
    tree = paste(wan + files["vyos-exit"], tmp_path, theirs)
    ours = {path[4:] for path in tree - theirs if path[0] == "nat"}
    assert ours == {
        ("outbound-interface", *option, "eth0"),
        ("source", "address", "100.64.0.0/20"),
        ("translation", "address", "masquerade"),
    }
    assert ("source", "prefix", "fd12:3456:789a::/64") in {path[4:] for path in tree if path[0] == "nat66"}
    assert paste(wan + files["vyos-exit"], tmp_path, tree) == tree
    assert paste(files["vyos-exit-remove"], tmp_path, tree) == theirs


def test_openwrt_forwards_and_translates_in_sections_of_its_own() -> None:
    files = made(Platform.OPENWRT)
    made_names = set(re.findall(r"^set firewall\.(\w+)='", files["uci-exit"], re.MULTILINE))
    gone = set(re.findall(r"^delete firewall\.(\w+)$", files["uci-exit-remove"], re.MULTILINE))
    assert made_names == gone
    assert "set firewall.vpn_1f2e3d4c_exit.dest='wan'" in files["uci-exit"]
    assert "set firewall.vpn_1f2e3d4c_exit6.src_ip='fd12:3456:789a::/64'" in files["uci-exit"]


@pytest.mark.parametrize("platform", [Platform.OPNSENSE, Platform.PFSENSE, Platform.LINUX])
def test_platforms_without_a_file_to_remove_have_a_step_for_the_end(platform: Platform) -> None:
    ended = dataclasses.replace(WAY, ended=True)
    found = with_exit(platform, RouterProfile((), ()), ROUTER, ended)
    assert (found.files, len(found.steps)) == ((), 1)
    assert "no exit any more" in str(found.steps[0].text)


def test_another_router_has_no_files_at_all() -> None:
    plain = RouterProfile((), ())
    assert with_exit(Platform.OTHER, plain, ROUTER, WAY) is plain


def test_devices_of_others_are_not_listed_and_make_no_exit(instance: Instance, member: Membership) -> None:
    make_client_peer(instance, member, "tablet")
    assert not any("exit" in peer for peer in compile_spec(instance.pk).document["peers"].values())
