"""Instances over the API."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network
from uuid import uuid4

import pytest
from django.test import override_settings
from django.utils import timezone

from portal.models import Membership, Organization
from tests import factories
from tests.vpn.api.caller import Caller, refused, told
from vpn.addressing.pools import unusable_hosts
from vpn.choices import InstanceState
from vpn.models import Instance, Peer, Region, Site, Traffic
from vpn.profiles.state import current_digest

NEW = {"name": "Frankfurt", "hostname": "fra1", "region": "local"}


def test_an_instance_is_created_and_provisioned_in_the_background(
    api: Caller, region: Region, rung: list[tuple[str, ...]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda ring, using=None: ring())
        body = told(api.post("/instances", NEW), 201)
    assert body["hostname"] == "fra1.vpn.example.net"
    assert (body["state"], body["status"], body["server_ready"]) == ("pending", ["provisioning"], False)
    assert ("provision", "vpn.jobs.provision.provision_instance", body["id"]) in rung


def test_an_instance_is_shown_as_the_contract_has_it(api: Caller, instance: Instance) -> None:
    body = told(api.get(f"/instances/{instance.pk}"), 200)
    assert " ".join(body) == (
        "id name hostname region state configured rsa_ready diffie_hellman_ready server_ready "
        "status desired_generation applied_generation pool mtu pushed_routes public_dns "
        "split_dns domains dns_custom firewall_policy firewall management_services management_sources "
        "members_add_devices addresses endpoints reachable needs public_name trial created_at"
    )
    assert body["endpoints"] == {
        "wireguard": f"203.0.113.1:{instance.port_base}",
        "openvpn_udp": None,
        "openvpn_tcp": None,
        "openvpn_compat": None,
    }
    assert (body["rsa_ready"], body["diffie_hellman_ready"], body["server_ready"]) == (False, False, True)
    assert body["pool"] == ["100.64.0.0/20", instance.pool_v6]
    assert body["addresses"][0] == "100.64.0.1/20"
    assert body["addresses"][1].endswith("::1/64")
    assert body["public_dns"] == ["9.9.9.9", "149.112.112.112"]
    assert (body["firewall_policy"], body["status"], body["created_at"][-1]) == ("allow", [], "Z")


def test_an_ipv6_endpoint_stands_in_brackets(api: Caller, instance: Instance) -> None:
    instance.region.servers.update(address="2001:db8::1")
    body = told(api.get(f"/instances/{instance.pk}"), 200)
    assert body["endpoints"]["wireguard"] == f"[2001:db8::1]:{instance.port_base}"


def test_there_is_no_endpoint_before_the_first_provisioning(api: Caller, organization: Organization) -> None:
    pending = factories.make_instance(organization, state=InstanceState.PENDING)
    assert told(api.get(f"/instances/{pending.pk}"), 200)["endpoints"]["wireguard"] is None


def test_every_fault_is_told_at_once(api: Caller, region: Region) -> None:
    body = refused(api.post("/instances", {"name": "x", "hostname": "-A", "region": "local", "pool_prefix": 8}), 422)
    assert set(body["errors"]) == {"name", "hostname", "pool_prefix"}


def test_missing_and_unknown_fields_are_named(api: Caller, region: Region) -> None:
    body = refused(api.post("/instances", {"nmae": "Frankfurt", "pool_prefix": "20"}), 422)
    assert set(body["errors"]) == {"name", "hostname", "region", "nmae", "pool_prefix"}


def test_an_unknown_region_is_refused(api: Caller, region: Region) -> None:
    assert "region" in refused(api.post("/instances", {**NEW, "region": "mars"}), 422)["errors"]


def test_a_reserved_hostname_is_refused(api: Caller, region: Region) -> None:
    assert "hostname" in refused(api.post("/instances", {**NEW, "hostname": "www"}), 422)["errors"]


def test_a_taken_hostname_is_a_conflict(api: Caller, region: Region, other_organization: Organization) -> None:
    factories.make_instance(other_organization, hostname="fra1")
    assert "hostname" in refused(api.post("/instances", NEW), 409, "hostname-taken")["errors"]


def test_settings_are_changed_and_absent_ones_stay(api: Caller, instance: Instance) -> None:
    body = told(api.put(f"/instances/{instance.pk}", {"pushed_routes": ["198.51.100.0/24"], "mtu": 1380}), 200)
    assert (body["pushed_routes"], body["mtu"], body["name"]) == (["198.51.100.0/24"], 1380, instance.name)
    assert (body["status"], body["server_ready"]) == (["applying", "settings-changed"], False)
    assert body["desired_generation"] == body["applied_generation"] + 1


def test_a_read_can_be_sent_back_as_it_is(api: Caller, instance: Instance) -> None:
    read = told(api.get(f"/instances/{instance.pk}"), 200)
    assert told(api.put(f"/instances/{instance.pk}", {**read, "name": "Renamed"}), 200)["name"] == "Renamed"


def test_values_as_they_are_anyway_are_no_fault(api: Caller, instance: Instance) -> None:
    same: dict[str, object] = {"split_dns": [], "domains": [], "dns_custom": []}
    told(api.put(f"/instances/{instance.pk}", same), 200)


def test_what_cannot_be_changed_is_refused_by_name(api: Caller, instance: Instance) -> None:
    body = refused(api.put(f"/instances/{instance.pk}", {"region": "elsewhere", "hostname": "new", "frob": 1}), 422)
    assert set(body["errors"]) == {"region", "hostname", "frob"}


def test_deleting_goes_on_in_the_background(api: Caller, instance: Instance) -> None:
    assert told(api.delete(f"/instances/{instance.pk}"), 202)["state"] == "deleting"
    assert told(api.delete(f"/instances/{instance.pk}"), 202)["state"] == "deleting"


def test_a_failed_instance_is_tried_again(api: Caller, organization: Organization) -> None:
    failed = factories.make_instance(organization, state=InstanceState.FAILED)
    assert told(api.post(f"/instances/{failed.pk}/retry"), 202)["state"] == "provisioning"
    refused(api.post(f"/instances/{failed.pk}/retry"), 409)


def test_operations_come_newest_first_with_their_steps(api: Caller, instance: Instance) -> None:
    api.delete(f"/instances/{instance.pk}")
    destroy, provision = told(api.get(f"/instances/{instance.pk}/operations"), 200)
    assert (destroy["kind"], destroy["state"], provision["kind"]) == ("destroy", "running", "provision")
    assert (destroy["eta"] is None, provision["eta"]) == (False, None)
    assert " ".join(destroy) == "id kind state started_at finished_at eta asked_by steps"
    assert [list(step) for step in destroy["steps"]] == [["name", "state", "started_at", "finished_at", "message"]]


def test_bandwidth_is_of_this_month_alone(api: Caller, instance: Instance) -> None:
    today = timezone.now().date()
    Traffic.objects.create(instance=instance, day=today, incoming_bytes=5, outgoing_bytes=7)
    before = today.replace(day=1) - timedelta(days=1)
    Traffic.objects.create(instance=instance, day=before, incoming_bytes=100, outgoing_bytes=100)
    body = told(api.get(f"/instances/{instance.pk}/bandwidth"), 200)
    assert body == {"incoming_bytes": 5, "outgoing_bytes": 7, "date": today.isoformat()}


def test_regions_are_listed(api: Caller, region: Region) -> None:
    expected = {"id": "local", "name": "This machine", "country": "DE", "latitude": None, "longitude": None}
    assert told(api.get("/servers/regions"), 200) == [{**expected, "driver": "local", "available": True}]


def test_a_list_tells_the_same_as_a_read(api: Caller, organization: Organization, client_peer: Peer) -> None:
    factories.make_instance(organization, name="Second")
    shown = told(api.get("/instances"), 200)
    assert [one["status"] for one in shown] == [["applying", "peer-created"], []]
    for one in shown:
        assert one == told(api.get(f"/instances/{one['id']}"), 200)


def test_a_list_has_the_bytes_of_each_read(api: Caller, organization: Organization, instance: Instance) -> None:
    """A list is written without the validation of a read."""
    lost = factories.make_instance(organization, name="Second", state=InstanceState.LOST)
    records = [
        {"name": "www", "type": "CNAME", "value": instance.hostname + ".vpn.example.net"},
        {"name": "nas", "type": "A", "value": "192.0.2.7"},
        {"name": "nas", "type": "AAAA", "value": "2001:db8::7"},
    ]
    rules = [{"name": "Web", "protocol": "tcp", "port": "443"}, {"action": "drop", "source": "10.9.0.0/16"}]
    told(api.put(f"/instances/{instance.pk}", {"dns_custom": records, "firewall": rules}), 200)
    material = dict.fromkeys(["server_certificate", "tls_crypt_key_sealed", "revocation_list"], "PEM")
    Instance.objects.filter(pk=instance.pk).update(pushed_routes=["10.8.0.0/16"], **material)
    reads = [api.get(f"/instances/{one.pk}") for one in (instance, lost)]
    first, second = [told(read, 200) for read in reads]
    assert (len(first["dns_custom"]), len(first["firewall"]), len(first["needs"])) == (3, 2, 1)
    assert first["endpoints"]["openvpn_udp"]
    assert second["needs"][0]["code"] == "lost"
    assert api.get("/instances").content == b"[" + b",".join(read.content for read in reads) + b"]"


def test_an_unknown_instance_is_not_there(api: Caller, db: None) -> None:
    refused(api.get(f"/instances/{uuid4()}"), 404)
    refused(api.get("/instances/not-an-id"), 404)


def test_another_organization_sees_nothing(stranger_api: Caller, instance: Instance, stranger: Membership) -> None:
    path = f"/instances/{instance.pk}"
    assert told(stranger_api.get("/instances"), 200) == []
    for response in (
        stranger_api.get(path),
        stranger_api.put(path, {"name": "Mine now"}),
        stranger_api.put(path, "no JSON at all"),
        stranger_api.delete(path),
        stranger_api.post(f"{path}/retry"),
        stranger_api.get(f"{path}/operations"),
        stranger_api.get(f"{path}/bandwidth"),
    ):
        refused(response, 404)


@pytest.mark.parametrize("pool", ["10.9.0.0/16", "172.31.255.0/24", "192.168.0.0/20", "100.127.240.0/22"])
def test_an_instance_is_created_with_its_own_pool(api: Caller, region: Region, pool: str) -> None:
    body = told(api.post("/instances", {**NEW, "pool": pool}), 201)
    assert body["pool"][0] == pool
    assert body["addresses"][0] == f"{IPv4Network(pool)[1]}/{pool.partition('/')[2]}"


@pytest.mark.parametrize(
    "pool", ["10.9.0.0/15", "10.9.0.0/25", "203.0.113.0/24", "fd00::/20", "10.9.0.1/16", "x", "0.0.0.0/0"]
)
def test_a_pool_that_cannot_be_is_refused(api: Caller, region: Region, pool: str) -> None:
    assert list(refused(api.post("/instances", {**NEW, "pool": pool}), 422)["errors"]) == ["pool"]


def test_a_pool_with_the_hubs_own_address_or_another_instances_pool_is_refused(api: Caller, instance: Instance) -> None:
    instance.region.servers.update(address="10.9.0.5")
    refusal = refused(api.post("/instances", {**NEW, "pool": "10.9.0.0/24"}), 409)
    assert "10.9.0.5, the hub's public address" in refusal["errors"]["pool"][0]
    assert list(refused(api.post("/instances", {**NEW, "pool": "100.64.8.0/24"}), 409)["errors"]) == ["pool"]
    told(api.post("/instances", {**NEW, "pool": "10.9.1.0/24"}), 201)


def test_a_pool_of_no_known_shape_is_refused_in_plain_words(api: Caller, instance: Instance) -> None:
    errors = refused(api.put(f"/instances/{instance.pk}", {"pool": None}), 422)["errors"]
    assert errors == {"pool": ["Enter a text.", "Enter a list."]}
    errors = refused(api.put(f"/instances/{instance.pk}", {"pool": ["10.9.0.0/16", 5]}), 422)["errors"]
    assert errors == {"pool": ["Enter a text.", "Number 2: Enter a text."]}


def test_a_pool_is_widened_and_every_address_stays(
    api: Caller, organization: Organization, member: Membership, region: Region
) -> None:
    created = told(api.post("/instances", {**NEW, "pool": "10.9.3.0/24"}), 201)
    instance = factories.settle(Instance.objects.get(pk=created["id"]))
    peers = [factories.make_client_peer(instance, member, f"device {number}") for number in range(3)]
    path = f"/instances/{instance.pk}"
    before = [told(api.get(f"{path}/peers/{peer.pk}"), 200)["addresses"] for peer in peers]
    for peer in peers:
        Peer.objects.filter(pk=peer.pk).update(delivered_digest=current_digest(peer), delivered_host="203.0.113.1")
    plan = told(api.put(f"{path}?plan=true", {"pool": "10.9.0.0/16"}), 200)
    assert sorted(plan["outdated"]) == sorted(str(peer.pk) for peer in peers)
    body = told(api.put(path, {"pool": "10.9.0.0/16"}), 200)
    assert (body["pool"], body["addresses"]) == (
        ["10.9.0.0/16", created["pool"][1]],
        ["10.9.3.1/16", created["addresses"][1]],
    )
    assert [told(api.get(f"{path}/peers/{peer.pk}"), 200)["addresses"] for peer in peers] == before
    assert {told(api.get(f"{path}/peers/{peer.pk}"), 200)["profile_state"] for peer in peers} == {"outdated"}
    # Behind the end of the pool host numbers go on at its begin; one number stands for both addresses.
    wide = Instance.objects.get(pk=instance.pk)
    hosts = [host for host in range(1, 65535) if host not in unusable_hosts(wide.network_v4, wide.origin)]
    addresses = [wide.host_addresses(host) for host in hosts]
    assert len({v4 for v4, _ in addresses}) == len(hosts) == 65532
    assert all(v4 in wide.network_v4.hosts() for v4, _ in addresses[:: len(addresses) // 7])
    assert not {wide.network_v4[0], wide.network_v4[-1]} & {v4 for v4, _ in addresses}
    assert (str(addresses[-1][0]), int(addresses[-1][1]) - int(wide.network_v6[0])) == ("10.9.2.254", hosts[-1])


def test_a_widened_pool_holds_the_present_one_and_nothing_that_is_routed(
    api: Caller, organization: Organization, site: Site, instance: Instance
) -> None:
    path = f"/instances/{instance.pk}"
    before = Instance.objects.get(pk=instance.pk).desired_generation
    told(api.put(path, told(api.get(path), 200)), 200)
    told(api.put(path, {"pool": "100.64.0.0/20"}), 200)
    assert Instance.objects.get(pk=instance.pk).desired_generation == before
    for pool in ("100.64.16.0/20", "100.64.0.0/21", "100.65.0.0/16", "100.64.0.0/12", ["100.64.0.0/16"]):
        assert list(refused(api.put(path, {"pool": pool}), 422)["errors"]) == ["pool"]
    factories.make_site_peer(instance, site, ["100.64.200.0/24"])
    refusal = refused(api.put(path, {"pool": "100.64.0.0/16"}), 409)
    assert "100.64.200.0/24 of the site" in refusal["errors"]["pool"][0]
    wanted = {"name": "Second", "hostname": "second", "region": "local", "pool": "100.64.16.0/20"}
    told(api.post("/instances", wanted), 201)
    assert "the pool of Second" in refused(api.put(path, {"pool": "100.64.0.0/18"}), 409)["errors"]["pool"][0]


def test_each_instance_can_be_widened_beside_the_others(api: Caller, instance: Instance) -> None:
    second = told(api.post("/instances", {"name": "Second", "hostname": "second", "region": "local"}), 201)
    assert second["pool"][0] == "100.65.0.0/20"
    for path, pool in ((f"/instances/{instance.pk}", "100.64.0.0/16"), (f"/instances/{second['id']}", "100.65.0.0/16")):
        assert told(api.put(path, {"pool": pool}), 200)["pool"][0] == pool


def test_pools_lie_close_together_where_no_room_is_left(api: Caller, instance: Instance) -> None:
    wanted = {"name": "Another", "region": "local"}
    with override_settings(POOL_BASE="100.64.0.0/16"):
        assert told(api.post("/instances", {**wanted, "hostname": "second"}), 201)["pool"][0] == "100.64.16.0/20"
    with override_settings(POOL_BASE="10.9.0.0/18"):
        assert told(api.post("/instances", {**wanted, "hostname": "third"}), 201)["pool"][0] == "10.9.0.0/20"
