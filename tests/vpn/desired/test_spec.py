"""The whole specification of a hub, as it is sent to a server."""

from __future__ import annotations

import json
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.actions.group import create_group
from portal.models import MembershipState, Organization
from tests.factories import BY, make_member, make_site
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer, update_peer
from vpn.addressing.networks import Network
from vpn.desired import PLACEHOLDER_ID, compile_change, compile_digest, compile_spec
from vpn.models import Instance
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.spec import parse_spec

pytestmark = pytest.mark.django_db


PROTOCOLS = ("wireguard", "openvpn")


def test_the_spec_is_one_that_the_agent_takes(instance: Instance) -> None:
    desired = compile_spec(instance.pk)
    parse_spec(desired.document)  # raises where the agent would refuse
    assert digest(desired.document) == desired.digest
    assert compile_digest(instance.pk) == (desired.generation, desired.digest)


@pytest.mark.parametrize(("platform", "expected"), [("routeros6", True), ("routeros7", None), ("openwrt", None)])
def test_routeros_6_alone_has_its_routes_in_its_own_configuration(
    instance: Instance, organization: Organization, platform: str, expected: bool | None
) -> None:
    site = make_site(organization, name="Rome")
    type(site).objects.filter(pk=site.pk).update(platform=platform)
    site.refresh_from_db()
    peer = create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol="openvpn", by=BY)
    document = compile_spec(instance.pk).document
    assert document["peers"][str(peer.pk)].get("static_routes") is expected
    assert parse_spec(document).document()["peers"] == document["peers"]


def test_the_hub_knows_when_a_peers_time_is_over_and_never_ends_it_before(instance: Instance) -> None:
    peer = instance.peers.filter(type="client")[0]
    moment = timezone.now().replace(microsecond=1) + timedelta(hours=1)
    update_peer(peer, expires_at=moment, by=BY)
    document = compile_spec(instance.pk).document
    assert document["peers"][str(peer.pk)]["expires_at"] == int(moment.timestamp()) + 1
    assert parse_spec(document).document()["peers"] == document["peers"]
    others = [spec for peer_id, spec in document["peers"].items() if peer_id != str(peer.pk)]
    assert not any("expires_at" in spec for spec in others)


def test_a_deactivated_member_is_left_out_though_nobody_said_so(instance: Instance) -> None:
    peer = instance.peers.filter(device="laptop").get()
    assert peer.member is not None
    type(peer.member).objects.filter(pk=peer.member.pk).update(state=MembershipState.DEACTIVATED)
    assert str(peer.pk) not in compile_spec(instance.pk).document["peers"]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("0.0.0.0/0", "0.0.0.0/1"),
        ("0.0.0.0/0", "1.0.0.0/8"),
        ("128.0.0.0/1", "224.0.0.0/3"),
        ("0.0.0.0/7", "100.0.0.0/7"),
        ("::/0", "8000::/1"),
        ("fc00::/7", "fd00::/31"),
    ],
)
def test_confirmed_broad_routes_are_ones_that_the_agent_takes(
    instance: Instance, organization: Organization, wide: str, narrow: str
) -> None:
    sites = [make_site(organization, name=name) for name in ("Exit", "Other")]
    for site, subnet in zip(sites, (wide, narrow), strict=True):
        create_site_peer(instance, site=site, subnets=[subnet], confirm_broad_routes=True, by=BY)
    parse_delta(compile_change(instance.pk).document)
    spec = parse_spec(compile_spec(instance.pk).document)
    assert {route for peer in spec.peers.values() for route in peer.routes} == {"10.1.0.0/24", wide, narrow}


def test_a_broad_route_speaks_for_no_address_of_the_pool(instance: Instance, organization: Organization) -> None:
    site = make_site(organization, name="Exit")
    peer = create_site_peer(instance, site=site, subnets=["0.0.0.0/0", "::/0"], confirm_broad_routes=True, by=BY)
    peers = compile_spec(instance.pk).document["peers"]
    claims: list[tuple[Network, str]] = [
        (ip_network(text), peer_id) for peer_id, one in peers.items() for text in one["allowed_ips"]
    ]

    def owner(text: str) -> str:
        """Whose packets from this address may be, as WireGuard looks it up."""
        address = ip_address(text)
        return max((network.prefixlen, peer_id) for network, peer_id in claims if address in network)[1]

    assert owner("198.51.100.7") == owner("2001:db8::7") == str(peer.pk)
    assert owner(str(instance.network_v4[77])) == owner(str(instance.network_v6[77])) == PLACEHOLDER_ID
    assert owner("10.1.0.9") == str(instance.peers.get(site__name="Berlin").pk)


def test_a_spec_carries_no_private_key_of_a_peer(instance: Instance) -> None:
    text = json.dumps(compile_spec(instance.pk).document)
    assert all(peer.private_key not in text for peer in instance.peers.all())
    assert instance.private_key not in repr(compile_spec(instance.pk))


def test_a_spec_without_rules_is_the_one_that_it_was(instance: Instance) -> None:
    document = compile_spec(instance.pk).document
    assert (document["rules"], document["forwarding"]) == ([], "allow")
    without = {key: value for key, value in document.items() if key != "rules"}
    assert digest(without) == digest(document)


def test_a_spec_takes_the_same_few_queries_for_any_number_of_peers(
    instance: Instance, organization: Organization
) -> None:
    member = make_member(organization)
    for number in range(20):
        create_client_peer(instance, member=member, device=f"device {number}", protocol=PROTOCOLS[number % 2], by=BY)
    groups = [create_group(organization, name=f"Group {number}", members=[member.pk], by=BY) for number in range(5)]
    update_instance(instance, firewall=[{"source": f"group:{group.pk}"} for group in groups], by=BY)
    with CaptureQueriesContext(connection) as queries:
        compile_spec(instance.pk)
    assert len(queries) < 8
