"""What a hub is told of names, and which delivered profiles a change of them concerns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Organization
from tests.factories import BY, make_client_peer, make_instance, make_member, make_site, make_site_peer, settle
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, update_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import ProfileState
from vpn.desired import compile_spec
from vpn.models import Instance, Peer
from vpn.presenters.profiles.routes import routes_sentence
from vpn.profiles import qr
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import profile_states
from vpn.profiles.tunnel_routes import site_subnets
from vpn.wire.spec import parse_spec

HUB = "fra.vpn.example.net"
NAS = {"name": "nas", "type": "A", "value": "10.1.0.9"}
CORP = {"split_dns": ["10.1.0.53"], "domains": ["corp.example", "corp.local"]}


def said_routes(peer: Peer) -> str:
    """What a page says of the routes through the peer's tunnel."""
    return routes_sentence(peer, site_subnets(peer.instance))


@pytest.fixture
def instance(organization: Organization) -> Instance:
    """A hub with a client of each kind and a site."""
    made = make_instance(organization, hostname="fra")
    anna = make_member(organization, name="Anna")
    make_client_peer(made, anna, "split")
    create_client_peer(made, member=anna, device="full", route_all=True, by=BY)
    create_client_peer(made, member=anna, device="old", protocol="openvpn", by=BY)
    make_site_peer(made, make_site(organization, name="Berlin"))
    return settle(made)


def peers(instance: Instance) -> dict[str, Peer]:
    """The peers by their labels."""
    found = Peer.objects.select_related("instance__server", "member__user", "site").filter(instance=instance)
    return {peer.dns_label: peer for peer in found}


def test_the_resolver_is_told_whom_to_ask_and_what_to_answer(instance: Instance) -> None:
    assert instance.server is not None
    instance.server.address_v6 = "2001:db8::1"
    instance.server.save()
    update_instance(instance, public_dns=["9.9.9.9"], dns_custom=[NAS], by=BY, **CORP)
    document = compile_spec(instance.pk).document
    parse_spec(document)
    assert document["resolver"] == {
        "domain": HUB,
        "public_addresses": ["203.0.113.1", "2001:db8::1"],
        "upstreams": ["9.9.9.9"],
        "domains": ["corp.example", "corp.local"],
        "domain_servers": ["10.1.0.53"],
        "records": [{**NAS, "name": f"nas.{HUB}"}],
    }
    assert document["dns"] == [address.partition("/")[0] for address in document["addresses"]]
    assert document["search_domains"] == [HUB, "corp.example", "corp.local"]
    assert {name for peer in document["peers"].values() for name in peer.get("names", [])} == {
        "split.anna",
        "full.anna",
        "old.anna",
        "berlin",
    }


def test_nobody_searches_in_a_domain_of_reverse_lookups(instance: Instance) -> None:
    update_instance(instance, split_dns=["10.1.0.53"], domains=["corp.example", "1.10.in-addr.arpa"], by=BY)
    document = compile_spec(instance.pk).document
    assert document["resolver"]["domains"] == ["corp.example", "1.10.in-addr.arpa"]
    assert document["search_domains"] == [HUB, "corp.example"]
    assert f"{HUB}, corp.example\n" in render_profile(peers(instance)["split"]).content


def test_the_number_of_queries_does_not_grow_with_peers_or_records(
    instance: Instance, organization: Organization
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as counted:
            compile_spec(instance.pk)
        return len(counted)

    before = queries()
    for number in range(3):
        make_client_peer(instance, make_member(organization), f"device {number}")
    update_instance(instance, dns_custom=[{**NAS, "name": f"nas{number}"} for number in range(20)], by=BY)
    assert queries() == before


def test_wireguard_clients_ask_the_hub_and_search_in_its_domain(instance: Instance) -> None:
    update_instance(instance, by=BY, **CORP)
    made = peers(instance)
    line = f"DNS = {instance.network_v4[1]}, {instance.network_v6[1]}, {HUB}, corp.example, corp.local\n"
    for label in ("split", "full"):
        text = render_profile(made[label]).content
        assert line in text
        qr.image(text)  # raises where it does not fit
    # By the directives: the three letters stand in one certificate of fifty by chance.
    assert "\nDNS" not in render_profile(made["berlin"]).content
    assert "dhcp-option" not in render_profile(made["old"]).content, "OpenVPN is told at each connection"
    assert f" {instance.pool_v4}," in render_profile(made["split"]).content, "so the hub is reached"


@pytest.mark.parametrize(
    ("change", "outdated"),
    [
        (lambda instance: update_instance(instance, public_dns=["1.1.1.1"], by=BY), set()),
        (lambda instance: update_instance(instance, dns_custom=[NAS], by=BY), set()),
        (lambda instance: update_instance(instance, by=BY, **CORP), {"split", "full"}),
        (lambda instance: update_peer(peers(instance)["split"], device="renamed", by=BY), set()),
    ],
    ids=["upstreams", "records", "domains", "names"],
)
def test_a_change_outdates_the_profiles_that_carry_it(
    instance: Instance, change: Callable[[Instance], object], outdated: set[str]
) -> None:
    for peer in peers(instance).values():
        deliver_profile(peer, by=BY)
    change(instance)
    fresh = Instance.objects.select_related("server").get(pk=instance.pk)
    made = peers(instance)
    states = profile_states(fresh, made.values())
    assert {label for label, peer in made.items() if states[peer.pk] == ProfileState.OUTDATED} == outdated


def test_the_sentence_says_what_happens_with_names(instance: Instance) -> None:
    update_instance(instance, by=BY, **CORP)
    made = peers(instance)
    assert "DNS queries go to the hub" in said_routes(made["split"])
    assert "DNS queries go to the hub" in said_routes(made["full"])
    assert "names" not in said_routes(made["berlin"]), "a router keeps its resolver"
