"""Orders at the described providers: libcloud's real drivers send the user data, the tags and the settings."""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from uuid import UUID

import pytest
import responses

from tests.lab.ec2 import REGION, Ec2
from vpn import failures
from vpn.clouds import PROVIDERS
from vpn.drivers.cloud.base import CloudError, CloudLogin, Order, Tag, tag_in
from vpn.drivers.cloud.cloud import Cloud
from vpn.drivers.cloud.groups import has_groups, wanted_rules
from vpn.drivers.cloud.user_data import user_data

DATA: Final = "#cloud-config\n{}\n"
TAG: Final = Tag("0a1b2c3d", UUID("12345678-1234-1234-1234-123456789abc"))
ENCODED: Final = base64.b64encode(DATA.encode()).decode()
KINDS: Final = ("udp", "tcp")
NETWORKS: Final = {"v4": [{"type": "public", "ip_address": "192.0.2.7"}], "v6": []}


def order(image: str = "debian-12") -> Order:
    """An order of a size and an image that a provider may have."""
    return Order(TAG, 0, "small-1", image, DATA, ports=("tcp/22", "udp/20000"))


def login(provider: str) -> CloudLogin:
    """An account with a single token."""
    return CloudLogin(provider, "", "a-token", location="fra1")


def body_of(request: Any) -> dict[str, Any]:
    """The JSON of a request."""
    return dict(json.loads(request.body or "{}"))


def sent(url: str, answer: dict[str, Any], provider: str, image: str = "debian-12") -> dict[str, Any]:
    """Order at a provider that gives this answer, and return what it was sent."""
    with responses.RequestsMock() as api:
        api.post(url, json=answer, status=202 if provider != "linode" else 200)
        found = Cloud(login(provider)).order(order(image))
        assert (found.is_running, "0.0.0.0" in found.addresses) == (False, False)  # noqa: S104
        assert (found.node_id, found.tag) == ("7", TAG)
        return body_of(api.calls[0].request)


def test_digitalocean() -> None:
    droplet = {"id": 7, "name": TAG.name, "status": "new", "networks": NETWORKS, "size_slug": "small-1"}
    droplet["created_at"] = "2026-11-26T10:00:00Z"
    asked = sent("https://api.digitalocean.com/v2/droplets", {"droplet": droplet}, "digitalocean")
    assert (asked["user_data"], asked["region"], asked["size"], asked["image"]) == (
        DATA,
        "fra1",
        "small-1",
        "debian-12",
    )
    assert asked["tags"] == ["vpn-portal:0a1b2c3d", f"vpn-request:{TAG.request.hex}"]


def test_vultr() -> None:
    instance = {"id": "7", "label": TAG.name, "status": "pending", "main_ip": "0.0.0.0", "region": "fra1"}  # noqa: S104
    instance |= {"date_created": "2026-11-26T10:00:00+00:00", "power_status": "running", "internal_ip": "", "plan": "x"}
    others: tuple[str, ...] = (
        "os_id",
        "ram",
        "disk",
        "netmask_v4",
        "gateway_v4",
        "v6_network",
        "v6_network_size",
        "app_id",
        "image_id",
    )
    others += ("features", "tag", "os", "vcpu_count", "allowed_bandwidth", "server_status", "firewall_group_id")
    instance |= {**dict.fromkeys(others, ""), "v6_main_ip": ""}
    asked = sent("https://api.vultr.com/v2/instances", {"instance": instance}, "vultr", "2136")
    assert (asked["user_data"], asked["region"], asked["plan"], asked["os_id"]) == (ENCODED, "fra1", "small-1", "2136")
    assert asked["label"] == TAG.name


def test_linode() -> None:
    instance = {"id": 7, "label": TAG.name, "status": "provisioning", "ipv4": ["192.0.2.7"], "ipv6": "2001:db8::7/128"}
    instance |= {"type": "small-1", "region": "fra1", "tags": [], "created": "2026-11-26T10:00:00", "image": "x"}
    instance |= {"updated": "2026-11-26T10:00:00", "hypervisor": "kvm", "specs": {}, "alerts": {}, "backups": {}}
    instance |= {"watchdog_enabled": True, "group": ""}
    asked = sent("https://api.linode.com/v4/linode/instances", instance, "linode")
    assert (asked["metadata"]["user_data"], asked["region"], asked["type"]) == (ENCODED, "fra1", "small-1")
    assert asked["label"] == TAG.name


def service(kind: str, name: str, url: str) -> dict[str, Any]:
    """A service in Keystone's catalog."""
    endpoint = {"interface": "public", "region": "r1", "region_id": "r1", "url": url, "id": kind}
    return {"type": kind, "name": name, "id": kind, "endpoints": [endpoint]}


def test_openstack_has_a_security_group_for_exactly_the_ports_in_use() -> None:
    keystone, nova, neutron = (f"https://{name}.example.net" for name in ("keystone", "nova", "neutron"))
    catalog = [service("compute", "nova", f"{nova}/v2.1"), service("network", "neutron", neutron)]
    catalog += [service("image", "glance", "https://glance.example.net"), service("volumev2", "cinderv2", nova)]
    token = {"expires_at": "2126-01-01T00:00:00.000000Z", "catalog": catalog, "user": {"id": "u"}, "roles": []}
    group = {"id": "g", "name": TAG.name, "tenant_id": "t", "description": "", "security_group_rules": []}
    rule = {"id": "r", "security_group_id": "g", "port_range_min": 22, "port_range_max": 22, "protocol": "tcp"}
    server: dict[str, Any] = {
        "id": "7",
        "name": TAG.name,
        "status": "BUILD",
        "addresses": {},
        "metadata": TAG.labels,
        "image": {"id": "x"},
    }
    server |= {"hostId": "", "tenant_id": "t", "created": "2026-11-26T10:00:00Z", "updated": "2026-11-26T10:00:00Z"}
    server |= {"flavor": {"id": "small-1"}, "links": [{"rel": "self", "href": nova}], "key_name": None}
    account = CloudLogin("openstack", "me", "a-secret", location="r1", endpoint=keystone, network="n1", project="p")
    with responses.RequestsMock() as api:
        api.post(f"{keystone}/v3/auth/tokens", json={"token": token}, status=201, headers={"X-Subject-Token": "t"})
        api.get(f"{neutron}/v2.0/security-groups", json={"security_groups": []})
        api.post(f"{neutron}/v2.0/security-groups", json={"security_group": group}, status=201)
        api.post(f"{neutron}/v2.0/security-group-rules", json={"security_group_rule": rule}, status=201)
        api.post(f"{nova}/v2.1/servers", json={"server": {"id": "7", "links": []}}, status=202)
        api.get(f"{nova}/v2.1/servers/7", json={"server": server})
        assert Cloud(account).order(order()).node_id == "7"
        bodies = [body_of(call.request) for call in api.calls]
    opened = [body["security_group_rule"] for body in bodies if "security_group_rule" in body]
    assert [(one["protocol"], one["port_range_min"]) for one in opened] == [("tcp", 22), ("udp", 20000)]
    (asked,) = [body["server"] for body in bodies if "server" in body]
    assert (asked["user_data"], asked["metadata"]) == (ENCODED, TAG.labels)
    assert (asked["security_groups"], asked["networks"]) == ([{"name": TAG.name}], [{"uuid": "n1"}])


def test_a_provider_whose_servers_take_no_user_data_is_refused() -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False), pytest.raises(CloudError) as refused:
        Cloud(CloudLogin("upcloud", "me", "a-secret", location="fra1")).order(order())
    assert refused.value.finding == failures.CLOUD_NO_USER_DATA.of("upcloud")


def test_the_descriptions_say_where_the_portal_opens_ports() -> None:
    assert {name: one.opens_ports for name, one in PROVIDERS.items()} == {name: has_groups(name) for name in PROVIDERS}


def test_ssh_is_open_for_the_chosen_networks_alone() -> None:
    everyone = ("udp", 20000, 20000, "0.0.0.0/0")
    assert wanted_rules(["tcp/22", "udp/20000"], ["192.0.2.0/24"]) == {("tcp", 22, 22, "192.0.2.0/24"), everyone}
    assert wanted_rules(["tcp/22", "udp/20000"], []) == {("tcp", 22, 22, "0.0.0.0/0"), everyone}


def test_twenty_hubs_with_all_their_ports_fit_into_one_security_group(ec2: Ec2) -> None:
    """EC2 has at most 60 rules in a group."""
    cloud = Cloud(CloudLogin("ec2", "AKIAEXAMPLE", "a-secret", location=REGION, endpoint=ec2.endpoint))
    ports = [f"{protocol}/{port}" for base in range(20000, 20080, 4) for port in (base, base + 1) for protocol in KINDS]
    fewer = [port for port in ports if port not in {"tcp/20000", "udp/20004", "udp/20005"}]
    for opened in (ports, fewer, ports):
        cloud.open_ports(TAG, ["tcp/22", *opened], [])
        assert ec2.groups() == {TAG.name: {"tcp/22", *opened}}


def test_a_name_carries_the_tag() -> None:
    assert tag_in(TAG.name) == TAG
    assert len(TAG.name) <= 63, "the longest label of DNS, and of Linode"
    assert tag_in("vpn-0a1b2c3d-x") is None


def test_the_secret_and_the_user_data_are_not_shown() -> None:
    made = user_data(
        account="vpn-portal",
        authorized_key="restrict ssh-ed25519 AAAA",
        sudo="ALL=(root) NOPASSWD: x",
        host_key="THE PRIVATE ONE",
        public_host_key="ssh-ed25519 BBBB",
        packages=["openvpn"],
    )
    shown = repr(login("ec2")) + repr(Order(TAG, 0, "s", "i", made))
    assert "a-token" not in shown
    assert "PRIVATE" not in shown
    assert len(made.encode()) < 16_384, "EC2 takes no more"
