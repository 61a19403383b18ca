"""Peers over the API."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from portal.models import Membership, Organization
from tests import factories
from tests.factories import observe_hubs, observe_peers
from tests.vpn.api.caller import Caller, refused, told
from vpn import keys
from vpn.choices import InstanceState
from vpn.models import Instance, Peer, Site


def path_of(peer: Peer) -> str:
    """The path of the peer."""
    return f"/instances/{peer.instance_id}/peers/{peer.pk}"


def test_a_client_is_added(api: Caller, instance: Instance, member: Membership) -> None:
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": True, "device": "phone"}
    body = told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    assert " ".join(body) == (
        "id type user_id site_id device subnets alias route_all is_exit exit_site_id protocol addresses public_key "
        "enabled expires_at unused_days ends_at connected connected_from last_handshake endpoint received_bytes "
        "sent_bytes key_custody profile_state outdated_reason created_at"
    )
    assert {name: body[name] for name in wanted} == wanted
    assert body["addresses"][0] == "100.64.0.2/32"
    assert body["addresses"][1].endswith("::2/128")
    assert (body["protocol"], body["enabled"], body["connected"]) == ("wireguard", True, False)
    assert (body["key_custody"], body["profile_state"], body["endpoint"]) == ("portal", "undelivered", None)


def test_a_site_is_added(api: Caller, instance: Instance, site: Site) -> None:
    wanted = {"type": "site", "site_id": str(site.pk), "subnets": ["10.1.0.0/24"]}
    body = told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    assert {name: body[name] for name in wanted} == wanted
    assert body["user_id"] is None


def test_a_device_keeps_the_key_it_made(api: Caller, instance: Instance, member: Membership) -> None:
    public_key = keys.public_key(keys.generate_private_key())
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False, "public_key": public_key}
    body = told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    assert (body["key_custody"], body["public_key"]) == ("device", public_key)
    again = refused(api.post(f"/instances/{instance.pk}/peers", wanted), 409)
    assert list(again["errors"]) == ["public_key"]


def test_a_key_at_fault_is_not_echoed(api: Caller, instance: Instance, member: Membership) -> None:
    private_key = keys.generate_private_key()
    wanted = {"type": "client", "user_id": str(member.pk), "public_key": f"PrivateKey = {private_key}"}
    response = api.post(f"/instances/{instance.pk}/peers", wanted)
    assert list(refused(response, 422)["errors"]) == ["public_key"]
    assert private_key not in response.content.decode()
    response = api.post(f"/instances/{instance.pk}/peers", {**wanted, "user_id": private_key, "device": [private_key]})
    assert set(refused(response, 422)["errors"]) == {"user_id", "device"}
    assert private_key not in response.content.decode()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"type"}),
        ({"type": "toaster"}, {"type"}),
        ({"type": "client"}, {"user_id"}),
        ({"type": "site"}, {"site_id"}),
        ({"type": "client", "subnets": ["10.0.0.0/24"]}, {"user_id", "subnets"}),
        ({"type": "site", "device": "x", "route_all": True}, {"site_id", "device", "route_all"}),
        ({"type": "client", "user_id": "x", "expires_at": "2030-01-01", "route_all": "yes"}, None),
        ({"type": "client", "user_id": str(uuid4()), "protocol": "wireguard"}, {"user_id"}),
        ({"type": "site", "site_id": str(uuid4()), "subnets": ["10.0.0.0/24"]}, {"site_id"}),
        ({"type": "client", "user_id": str(uuid4()), "prtocol": "wireguard"}, {"prtocol"}),
    ],
)
def test_a_body_at_fault_names_each_field(
    api: Caller, instance: Instance, body: dict[str, object], fields: set[str] | None
) -> None:
    found = refused(api.post(f"/instances/{instance.pk}/peers", body), 422)["errors"]
    assert set(found) == (fields or {"user_id", "expires_at", "route_all"})


def test_a_peer_may_use_openvpn_and_change_to_it(
    api: Caller, instance: Instance, member: Membership, client_peer: Peer
) -> None:
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False, "protocol": "openvpn"}
    made = told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    assert made["protocol"] == "openvpn"
    assert made["public_key"] is None
    changed = told(api.put(path_of(client_peer), {"protocol": "openvpn"}), 200)
    assert changed["addresses"] == told(api.get(path_of(client_peer)), 200)["addresses"]
    assert changed["profile_state"] == "undelivered"
    assert list(refused(api.put(path_of(client_peer), {"protocol": "ipsec"}), 422)["errors"]) == ["protocol"]


def test_an_instance_tells_of_its_certificates_and_listeners(
    api: Caller, instance: Instance, member: Membership
) -> None:
    before = told(api.get(f"/instances/{instance.pk}"), 200)
    assert (before["rsa_ready"], before["diffie_hellman_ready"]) == (False, False)
    assert before["endpoints"]["openvpn_udp"] is None
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False, "protocol": "openvpn"}
    told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    after = told(api.get(f"/instances/{instance.pk}"), 200)
    assert (after["rsa_ready"], after["diffie_hellman_ready"]) == (True, True)
    port = instance.port_base + 1
    assert after["endpoints"]["openvpn_udp"] == after["endpoints"]["openvpn_tcp"] == f"203.0.113.1:{port}"
    assert after["endpoints"]["openvpn_compat"] is None
    site = told(api.post("/sites", {"name": "Old", "platform": "routeros6", "subnets": []}), 201)
    wanted = {"type": "site", "site_id": site["id"], "subnets": ["10.1.0.0/24"], "protocol": "openvpn"}
    told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)
    compat = told(api.get(f"/instances/{instance.pk}"), 200)["endpoints"]["openvpn_compat"]
    assert compat == told(api.get("/instances"), 200)[0]["endpoints"]["openvpn_compat"] == f"203.0.113.1:{port - 1}"


def test_a_routeros_6_site_is_refused_wireguard(api: Caller, instance: Instance) -> None:
    site = told(api.post("/sites", {"name": "Old", "platform": "routeros6", "subnets": []}), 201)
    wanted = {"type": "site", "site_id": site["id"], "subnets": ["10.1.0.0/24"]}
    assert list(refused(api.post(f"/instances/{instance.pk}/peers", wanted), 422)["errors"]) == ["protocol"]


@pytest.mark.parametrize(
    ("subnet", "status"),
    [("10.2.0.7/24", 422), ("127.0.0.0/8", 422), ("0.0.0.0/0", 422), ("10.1.0.0/25", 409), ("100.64.0.0/24", 409)],
)
def test_a_subnet_that_cannot_be_is_refused(
    api: Caller, organization: Organization, site_peer: Peer, subnet: str, status: int
) -> None:
    other = factories.make_site(organization)
    wanted = {"type": "site", "site_id": str(other.pk), "subnets": [subnet]}
    body = refused(api.post(f"/instances/{site_peer.instance_id}/peers", wanted), status)
    assert list(body["errors"]) == ["subnets"]


def test_a_broad_route_needs_its_confirmation(api: Caller, instance: Instance, site: Site) -> None:
    wanted = {"type": "site", "site_id": str(site.pk), "subnets": ["0.0.0.0/0"]}
    refused(api.post(f"/instances/{instance.pk}/peers", wanted), 422)
    told(api.post(f"/instances/{instance.pk}/peers", {**wanted, "confirm_broad_routes": True}), 201)


def test_the_more_specific_of_two_sites_wins_with_one_confirmation_and_a_plan_that_says_so(
    api: Caller, organization: Organization, instance: Instance, site: Site
) -> None:
    path = f"/instances/{instance.pk}/peers"
    headquarters, branch = factories.make_site(organization), factories.make_site(organization)
    told(api.post(path, {"type": "site", "site_id": str(headquarters.pk), "subnets": ["10.0.0.0/8"]}), 201)
    wanted = {"type": "site", "site_id": str(branch.pk), "subnets": ["10.7.0.0/16"]}
    assert refused(api.post(path, wanted), 409)["code"] == "subnet-nested"
    taken = {
        "network": "10.7.0.0/16",
        "by": f"site:{branch.pk}",
        "within": "10.0.0.0/8",
        "of": f"site:{headquarters.pk}",
        "begins": True,
    }
    asked = told(api.post(f"{path}?plan=true", {**wanted, "confirm_broad_routes": True}), 200)
    assert asked["taken"] == [taken]
    assert not branch.peers.exists()
    created = told(api.post(path, {**wanted, "confirm_broad_routes": True}), 201)
    # Confirmed networks stay confirmed; new ones need a confirmation.
    own = f"{path}/{created['id']}"
    told(api.put(own, {"subnets": ["10.7.0.0/16"], "enabled": True}), 200)
    refused(api.put(own, {"subnets": ["10.7.0.0/16", "10.8.0.0/16"]}), 409)
    plan = told(api.put(f"{own}?plan=true", {"subnets": ["192.168.7.0/24"]}), 200)
    assert plan["taken"] == [{**taken, "begins": False}]
    told(api.put(own, {"subnets": ["192.168.7.0/24"]}), 200)
    again = {"subnets": ["10.7.0.0/16"], "confirm_broad_routes": True}
    assert told(api.put(f"{own}?plan=true", again), 200)["taken"] == [taken]
    # Equal networks stay a conflict.
    equal = {"subnets": ["10.0.0.0/8"], "confirm_broad_routes": True}
    assert refused(api.put(own, equal), 409)["code"] == "subnet-overlap"


@pytest.mark.parametrize("state", [InstanceState.DELETING, InstanceState.LOST])
def test_no_peer_is_added_where_there_is_no_hub(
    api: Caller, organization: Organization, member: Membership, state: InstanceState
) -> None:
    gone = factories.make_instance(organization, state=state)
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False}
    refused(api.post(f"/instances/{gone.pk}/peers", wanted), 409)


def test_a_peer_can_be_added_before_the_hub_is_there(
    api: Caller, organization: Organization, member: Membership
) -> None:
    pending = factories.make_instance(organization, state=InstanceState.PENDING)
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False}
    told(api.post(f"/instances/{pending.pk}/peers", wanted), 201)


def test_a_peer_is_changed_and_absent_fields_stay(api: Caller, client_peer: Peer) -> None:
    later = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    body = told(api.put(path_of(client_peer), {"enabled": False, "expires_at": later.isoformat()}), 200)
    assert (body["enabled"], body["device"]) == (False, "laptop")
    assert body["expires_at"] == later.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = told(api.put(path_of(client_peer), {"expires_at": None, "device": "tablet", "route_all": True}), 200)
    assert (body["enabled"], body["expires_at"], body["device"], body["route_all"]) == (False, None, "tablet", True)


def test_a_read_can_be_sent_back_as_it_is(api: Caller, client_peer: Peer, site_peer: Peer) -> None:
    for peer in (client_peer, site_peer):
        read = told(api.get(path_of(peer)), 200)
        assert (
            told(api.put(path_of(peer), {**read, "received_bytes": 12345, "enabled": False}), 200)["id"] == read["id"]
        )


def test_what_cannot_be_changed_is_refused_by_name(api: Caller, client_peer: Peer, admin: Membership) -> None:
    wanted = {"user_id": str(admin.pk), "addresses": [], "public_key": "x", "frob": True}
    assert set(refused(api.put(path_of(client_peer), wanted), 422)["errors"]) == set(wanted)


def test_the_subnets_of_a_site_peer_are_changed(api: Caller, site_peer: Peer) -> None:
    body = told(api.put(path_of(site_peer), {"subnets": ["10.2.0.0/24", "fd00:1::/64"]}), 200)
    assert body["subnets"] == ["10.2.0.0/24", "fd00:1::/64"]


def test_a_deleted_peer_is_gone(api: Caller, client_peer: Peer) -> None:
    response = api.delete(path_of(client_peer))
    assert (response.status_code, response.content) == (204, b"")
    refused(api.get(path_of(client_peer)), 404)


def test_a_peer_is_found_under_its_own_instance_alone(
    api: Caller, organization: Organization, client_peer: Peer
) -> None:
    other = factories.make_instance(organization, name="Second")
    refused(api.get(f"/instances/{other.pk}/peers/{client_peer.pk}"), 404)


def test_peers_are_listed_by_type_and_words(api: Caller, client_peer: Peer, site_peer: Peer) -> None:
    path = f"/instances/{client_peer.instance_id}/peers"
    both = [str(client_peer.pk), str(site_peer.pk)]
    for query, expected in (
        ("", both),
        ("?type=client", both[:1]),
        ("?type=site", both[1:]),
        ("?q=berl", both[1:]),
        ("?q=LAPTOP", both[:1]),
        ("?q=100.64.0.3", both[1:]),
        ("?q=nobody", []),
    ):
        assert [peer["id"] for peer in told(api.get(path + query), 200)] == expected, query
    assert list(refused(api.get(f"{path}?type=toaster"), 422)["errors"]) == ["type"]
    assert list(refused(api.get(f"{path}?q=%00"), 422)["errors"]) == ["q"]


def test_a_connection_is_told_while_it_is_fresh(api: Caller, client_peer: Peer) -> None:
    now = timezone.now()
    observe_hubs(client_peer.instance, observed_at=now)
    seen = {"last_handshake": now, "connected_from": now, "endpoint": "[2001:db8::5]:51820"}
    observe_peers(client_peer, **seen, received_bytes=10, sent_bytes=20)
    body = told(api.get(path_of(client_peer)), 200)
    assert (body["connected"], body["endpoint"], body["received_bytes"]) == (True, "[2001:db8::5]:51820", 10)
    observe_hubs(client_peer.instance, observed_at=now - timedelta(seconds=11))
    body = told(api.get(path_of(client_peer)), 200)
    assert (body["connected"], body["connected_from"]) == (False, None)
    assert body["last_handshake"] is not None


def test_another_organization_sees_nothing(stranger_api: Caller, client_peer: Peer) -> None:
    path = path_of(client_peer)
    for response in (
        stranger_api.get(f"/instances/{client_peer.instance_id}/peers"),
        stranger_api.post(f"/instances/{client_peer.instance_id}/peers", {}),
        stranger_api.get(path),
        stranger_api.put(path, {"enabled": False}),
        stranger_api.delete(path),
        stranger_api.post(f"{path}/token"),
        stranger_api.delete(f"{path}/token"),
        stranger_api.post(f"{path}/rotate"),
    ):
        refused(response, 404)


def test_ids_of_another_organization_are_no_input(
    api: Caller, instance: Instance, stranger: Membership, other_organization: Organization
) -> None:
    site = factories.make_site(other_organization)
    path = f"/instances/{instance.pk}/peers"
    wanted = {"type": "client", "user_id": str(stranger.pk), "route_all": False}
    assert list(refused(api.post(path, wanted), 422)["errors"]) == ["user_id"]
    wanted = {"type": "site", "site_id": str(site.pk), "subnets": ["10.1.0.0/24"]}
    assert list(refused(api.post(path, wanted), 422)["errors"]) == ["site_id"]


def test_a_confirmation_is_not_one_of_other_broad_routes(api: Caller, site_peer: Peer) -> None:
    wide = {"subnets": ["128.0.0.0/2"], "confirm_broad_routes": True}
    told(api.put(path_of(site_peer), wide), 200)
    told(api.put(path_of(site_peer), {"subnets": ["128.0.0.0/2", "10.7.0.0/24"]}), 200)
    refused(api.put(path_of(site_peer), {"subnets": ["0.0.0.0/0"]}), 422)
    told(api.put(path_of(site_peer), {"subnets": ["0.0.0.0/0"], "confirm_broad_routes": True}), 200)


def test_a_device_is_renamed_without_the_space_around_it(api: Caller, client_peer: Peer) -> None:
    assert told(api.put(path_of(client_peer), {"device": "  tablet\n"}), 200)["device"] == "tablet"
    assert told(api.put(path_of(client_peer), {"device": " " * 300}), 200)["device"] == ""


def test_two_devices_of_one_person_cannot_have_the_same_name(
    api: Caller, client_peer: Peer, member: Membership
) -> None:
    new = {"type": "client", "user_id": str(member.pk), "device": client_peer.device.upper()}
    again = refused(api.post(f"/instances/{client_peer.instance_id}/peers", new), 409)
    assert (again["code"], list(again["errors"])) == ("device-name-taken", ["device"])
    phone = factories.make_client_peer(client_peer.instance, member, "phone")
    assert list(refused(api.put(path_of(phone), {"device": client_peer.device}), 409)["errors"]) == ["device"]
    # A page shows several spaces as one.
    factories.make_client_peer(client_peer.instance, member, "work tablet")
    assert list(refused(api.put(path_of(phone), {"device": "Work   tablet"}), 409)["errors"]) == ["device"]
    assert told(api.put(path_of(phone), {"device": "Phone"}), 200)["device"] == "Phone"
    # Devices that had the same name before keep it, and their other fields can be changed.
    Peer.objects.filter(pk=phone.pk).update(device=client_peer.device)
    same = {"device": client_peer.device, "route_all": True}
    assert told(api.put(path_of(phone), same), 200)["route_all"] is True


def test_a_read_of_an_expired_device_may_be_sent_back(api: Caller, client_peer: Peer) -> None:
    Peer.objects.filter(pk=client_peer.pk).update(expires_at=timezone.now() - timedelta(hours=1))
    read = told(api.get(path_of(client_peer)), 200)
    assert told(api.put(path_of(client_peer), {**read, "device": "old"}), 200)["device"] == "old"
    earlier = (timezone.now() - timedelta(hours=2)).isoformat()
    assert list(refused(api.put(path_of(client_peer), {"expires_at": earlier}), 422)["errors"]) == ["expires_at"]


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_beyond_the_calendar_is_refused(api: Caller, client_peer: Peer, moment: str) -> None:
    answer = refused(api.put(path_of(client_peer), {"expires_at": moment}), 422)
    assert list(answer["errors"]) == ["expires_at"]


def test_a_peer_cannot_hold_more_subnets_than_a_hub_can_bear(api: Caller, instance: Instance, site: Site) -> None:
    subnets = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(501)]
    wanted = {"type": "site", "site_id": str(site.pk), "subnets": subnets}
    assert list(refused(api.post(f"/instances/{instance.pk}/peers", wanted), 422)["errors"]) == ["subnets"]
    assert list(refused(api.put(f"/instances/{instance.pk}", {"pushed_routes": subnets}), 422)["errors"]) == [
        "pushed_routes"
    ]
