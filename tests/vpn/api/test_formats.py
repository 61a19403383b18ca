"""The files that a peer can have: listed, and fetched by format and family."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from portal.models import Membership
from tests.factories import BY, settle
from tests.vpn.api.caller import Caller, refused, told
from tests.vpn.api.test_client import make_token, path_of
from vpn import keys
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.sites.site import create_site
from vpn.choices import KeyCustody, Platform, ProfileState, Protocol
from vpn.models import Instance, Peer, ProfileLink, Server
from vpn.platforms.capabilities import capability
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import profile_state

V4, V6 = "203.0.113.1", "2001:db8::1"
FIRST = {
    ("routeros7", "wireguard"): "rsc",
    ("routeros7", "openvpn"): "rsc",
    ("routeros6", "openvpn"): "rsc",
    ("openwrt", "wireguard"): "uci",
    ("vyos", "wireguard"): "vyos",
    ("vyos", "openvpn"): "vyos",
    ("linux", "wireguard"): "conf",
    ("linux", "openvpn"): "conf",
    ("opnsense", "wireguard"): "conf",
    ("opnsense", "openvpn"): "ovpn",
    ("pfsense", "wireguard"): "conf",
    ("fritzbox", "wireguard"): "conf",
    ("glinet", "openvpn"): "ovpn",
    ("teltonika", "wireguard"): "conf",
    ("synology", "openvpn"): "ovpn",
    ("other", "wireguard"): "conf",
    ("other", "openvpn"): "ovpn",
}
CARRIED = [(one, over) for one in Platform.values for over in Protocol.values if capability(one, over).offered]


def a_site(instance: Instance, admin: Membership, platform: str, protocol: str) -> Peer:
    site = create_site(admin.organization, name="Plant", platform=platform, subnets=["10.1.0.0/24"], by=BY)
    peer = create_site_peer(instance, site=site, subnets=["10.1.0.0/24"], protocol=protocol, by=BY)
    settle(instance)
    return peer


def at_both(instance: Instance) -> None:
    """As if the hub's server had both families."""
    Server.objects.update(address=V4, address_v6=V6)
    settle(instance)


@pytest.mark.parametrize(("platform", "protocol"), CARRIED)
def test_every_file_that_is_listed_can_be_fetched(
    api: Caller, instance: Instance, admin: Membership, platform: str, protocol: str
) -> None:
    peer = a_site(instance, admin, platform, protocol)
    listed = told(api.get(f"{path_of(peer)}/formats"), 200)
    formats = [each["format"] for each in listed]
    assert len(set(formats)) == len(formats)
    assert {"wireguard": "conf", "openvpn": "ovpn"}[protocol] in formats
    assert "json" in formats
    assert ("networkd" in formats) == ((platform, protocol) == ("linux", "wireguard"))
    assert formats[0] == FIRST.get((platform, protocol), formats[0])
    for each in listed:
        assert list(each) == ["format", "filename", "content_type"]
        response = Caller(make_token(api, peer)).get(f"/client?format={each['format']}")
        assert (response.status_code, response["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert response["Content-Disposition"] == f'attachment; filename="{each["filename"]}"'
        assert response.content
    default = Caller(make_token(api, peer)).get("/client", Accept="application/json")
    assert told(default, 200)["filename"] == listed[0]["filename"]


def test_a_routers_script_comes_by_its_format(api: Caller, instance: Instance, admin: Membership) -> None:
    peer = a_site(instance, admin, "routeros7", "wireguard")
    script = Caller(make_token(api, peer)).get("/client?format=rsc").content.decode()
    assert "/interface/wireguard" in script or "/interface wireguard" in script
    assert peer.private_key in script
    plain = Caller(make_token(api, peer)).get("/client?format=conf").content.decode()
    assert f"PrivateKey = {peer.private_key}\n" in plain


def test_networkds_files_come_by_their_formats(api: Caller, instance: Instance, admin: Membership) -> None:
    peer = a_site(instance, admin, "linux", "wireguard")
    for wanted, words in (("netdev", "[WireGuardPeer]"), ("network", "[Route]"), ("sysctl", "ip_forward")):
        assert words in Caller(make_token(api, peer)).get(f"/client?format={wanted}").content.decode()


def test_networkds_script_writes_and_removes_the_same_files(
    api: Caller, instance: Instance, admin: Membership, tmp_path: Path
) -> None:
    peer = a_site(instance, admin, "linux", "wireguard")

    def fetched(wanted: str) -> str:
        return str(Caller(make_token(api, peer)).get(f"/client?format={wanted}").content.decode())

    def run(script: str) -> dict[str, Path]:
        folder = {"DESTDIR": str(tmp_path), "PATH": os.environ["PATH"]}
        subprocess.run(["/bin/sh"], input=script, text=True, check=True, env=folder, timeout=60)
        return {path.suffix: path for path in tmp_path.rglob("*") if path.is_file()}

    for _ in range(2):
        found = run(fetched("networkd"))
        assert sorted(found) == [".conf", ".netdev", ".network"]
    for suffix, wanted in ((".netdev", "netdev"), (".network", "network"), (".conf", "sysctl")):
        assert found[suffix].read_text() == fetched(wanted)
    assert stat.S_IMODE(found[".netdev"].stat().st_mode) == 0o640
    assert stat.S_IMODE(found[".network"].stat().st_mode) == 0o644
    assert run(fetched("networkd-remove")) == {}


def test_networkds_script_is_accepted_by_the_shell_as_a_whole(
    api: Caller, instance: Instance, admin: Membership
) -> None:
    peer = a_site(instance, admin, "linux", "wireguard")
    for wanted in ("networkd", "networkd-remove"):
        script = Caller(make_token(api, peer)).get(f"/client?format={wanted}").content.decode()
        subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=True, timeout=60)


def test_the_values_of_wireguard_are_those_of_the_plain_profile(api: Caller, client_peer: Peer) -> None:
    settle(client_peer.instance)
    response = Caller(make_token(api, client_peer)).get("/client?format=json", Accept="application/json")
    body = told(response, 200)
    assert body["content_type"] == "application/json"
    values, plain = json.loads(body["content"]), render_profile(client_peer).content
    assert (values["protocol"], values["private_key"]) == ("wireguard", client_peer.private_key)
    assert f"Address = {', '.join(values['addresses'])}\n" in plain
    assert f"DNS = {', '.join(values['dns'] + values['search_domains'])}\n" in plain
    assert f"AllowedIPs = {', '.join(values['hub']['allowed_ips'])}\n" in plain
    assert f"Endpoint = {values['hub']['host']}:{values['hub']['port']}\n" in plain
    assert f"PresharedKey = {values['hub']['preshared_key']}\n" in plain


@pytest.mark.parametrize(("platform", "transports"), [("linux", ["udp", "tcp"]), ("routeros6", ["tcp"])])
def test_the_values_of_openvpn_are_those_of_the_plain_profile(
    api: Caller, instance: Instance, admin: Membership, platform: str, transports: list[str]
) -> None:
    peer = a_site(instance, admin, platform, "openvpn")
    values = json.loads(Caller(make_token(api, peer)).get("/client?format=json").content)
    plain = render_profile(peer).content
    assert [each["transport"] for each in values["hub"]["remotes"]] == transports
    for each in values["hub"]["remotes"]:
        assert f"remote {each['host']} {each['port']} {each['transport']}\n" in plain
    for secret in (values["private_key"], values["certificate"], values["hub"]["authority"]):
        assert secret.strip() in plain
    assert (values["tls_crypt_v2"] is None) == (platform == "routeros6")


def test_a_device_with_a_key_of_its_own_has_null_in_its_values(
    api: Caller, instance: Instance, member: Membership
) -> None:
    own = keys.public_key(keys.generate_private_key())
    peer = create_client_peer(instance, member=member, public_key=own, by=BY)
    settle(instance)
    values = json.loads(Caller(make_token(api, peer)).get("/client?format=json").content)
    assert (values["private_key"], values["public_key"]) == (None, own)


@pytest.mark.parametrize("wanted", ["rsc", "RSC", "..", "conf,rsc", "own", "%00"])
def test_a_format_that_there_is_not_is_named_and_leaves_the_token(api: Caller, client_peer: Peer, wanted: str) -> None:
    settle(client_peer.instance)
    token = make_token(api, client_peer)
    body = refused(Caller(token).get(f"/client?format={wanted}"), 422)
    assert list(body["errors"]) == ["format"]
    assert "conf" in body["errors"]["format"][0]
    assert Caller(token).get("/client?format=conf").status_code == 200


def test_a_device_over_openvpn_has_one_file_and_its_values(api: Caller, instance: Instance, member: Membership) -> None:
    peer = create_client_peer(instance, member=member, protocol=Protocol.OPENVPN, by=BY)
    settle(instance)
    assert [each["format"] for each in told(api.get(f"{path_of(peer)}/formats"), 200)] == ["ovpn", "json"]


def test_a_key_that_was_destroyed_is_in_no_file(api: Caller, client_peer: Peer) -> None:
    Peer.objects.update(key_custody=KeyCustody.DESTROYED, private_key_sealed="")
    assert told(api.get(f"{path_of(client_peer)}/formats"), 200) == []


@pytest.mark.parametrize(("family", "endpoint"), [("", V4), ("4", V4), ("6", f"[{V6}]")])
def test_a_family_chooses_the_endpoint_and_outdates_nothing(
    api: Caller, client_peer: Peer, family: str, endpoint: str
) -> None:
    at_both(client_peer.instance)
    query = f"?family={family}" if family else ""
    text = Caller(make_token(api, client_peer)).get(f"/client{query}").content.decode()
    assert f"Endpoint = {endpoint}:{client_peer.instance.wireguard_port}\n" in text
    fresh = Peer.objects.select_related("instance__server", "member__user").get(pk=client_peer.pk)
    assert profile_state(fresh) == ProfileState.CURRENT


@pytest.mark.parametrize("protocol", Protocol.values)
def test_a_routers_file_follows_the_family_as_well(
    api: Caller, instance: Instance, admin: Membership, protocol: str
) -> None:
    peer = a_site(instance, admin, "linux", protocol)
    at_both(instance)
    text = Caller(make_token(api, peer)).get("/client?format=conf&family=6").content.decode()
    first = text.index(V6)
    assert first < text.index(V4) if protocol == "openvpn" else V4 not in text


def test_a_family_that_the_hub_lacks_is_named_and_leaves_the_token(api: Caller, client_peer: Peer) -> None:
    settle(client_peer.instance)
    token = make_token(api, client_peer)
    for family in ("6", "5", "v6"):
        assert list(refused(Caller(token).get(f"/client?family={family}"), 422)["errors"]) == ["family"]
    assert ProfileLink.objects.filter(peer=client_peer).exists()
    assert Caller(token).get("/client?family=4").status_code == 200


def test_a_device_has_a_file_for_wg_quick_whose_routes_have_a_metric(api: Caller, client_peer: Peer) -> None:
    settle(client_peer.instance)
    listed = told(api.get(f"{path_of(client_peer)}/formats"), 200)
    assert [each["format"] for each in listed] == ["conf", "wg-quick", "apple-ios", "apple-macos", "json"]
    listed = listed[:2]
    names = {each["filename"] for each in listed}
    assert len(names) == 2, "a browser would rename the second download"
    assert all(re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}\.conf", name) for name in names)
    plain, linux = (
        Caller(make_token(api, client_peer)).get(f"/client?format={each['format']}").content.decode() for each in listed
    )
    # Apps refuse such lines.
    assert "Table" not in plain
    assert "PostUp" not in plain
    pool = client_peer.instance.pool_v4
    assert re.search(
        rf"^Table = off\nPostUp = ip -4 route add {pool} dev %i metric [1-5][0-9]{{4}}$", linux, re.MULTILINE
    )
    Peer.objects.filter(pk=client_peer.pk).update(route_all=True)
    assert [each["format"] for each in told(api.get(f"{path_of(client_peer)}/formats"), 200)] == [
        "conf",
        "apple-ios",
        "apple-macos",
        "json",
    ]


def test_a_linux_sites_plain_profile_has_the_metric_too(api: Caller, instance: Instance, admin: Membership) -> None:
    peer = a_site(instance, admin, "linux", "wireguard")
    plain = render_profile(Peer.objects.select_related("instance__server", "site").get(pk=peer.pk)).content
    assert plain.count("PostUp = ip ") == 2
    routeros = create_site(admin.organization, name="Old", platform="routeros7", subnets=[], by=BY)
    other = create_site_peer(instance, site=routeros, subnets=["10.2.0.0/24"], by=BY)
    assert "PostUp" not in render_profile(other).content


def test_before_the_hub_has_an_address_the_caller_is_told_when_to_ask_again(
    api: Caller, instance: Instance, client_peer: Peer
) -> None:
    Server.objects.update(address=None, address_v6=None)
    answer = api.get(f"{path_of(client_peer)}/formats")
    refused(answer, 503, "hub-not-ready")
    assert answer["Retry-After"] == "2"
