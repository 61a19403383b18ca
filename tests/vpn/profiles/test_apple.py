"""The configuration profile of Apple's systems, as the WireGuard app documents it."""

from __future__ import annotations

import plistlib
import re
from typing import Any

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import BY, make_site_peer, settle
from tests.vpn.api.caller import Caller, told
from tests.vpn.api.test_client import make_token, path_of
from vpn import keys
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import Protocol
from vpn.models import Instance, Peer, Site
from vpn.profiles.plain_file import render_profile
from vpn.profiles.wireguard import OWN_KEY_PLACE

pytestmark = pytest.mark.django_db
SYSTEMS = [("apple-ios", "com.wireguard.ios"), ("apple-macos", "com.wireguard.macos")]


@pytest.fixture
def on_hub(client_peer: Peer) -> Peer:
    """The member's device, as if the hub had it."""
    settle(client_peer.instance)
    return Peer.objects.get(pk=client_peer.pk)


def fetched(browser: Client, peer: Peer, kind: str) -> dict[str, Any]:
    """The file that the page's button downloads, read."""
    answer = browser.post(f"/peers/{peer.pk}/profile/", {"file": kind})
    assert answer["Content-Type"] == "application/x-apple-aspen-config"
    assert answer["Content-Disposition"].endswith('.mobileconfig"')
    read: dict[str, Any] = plistlib.loads(answer.content)
    return read


@pytest.mark.parametrize(("kind", "app"), SYSTEMS)
def test_it_has_what_the_app_documents(member_browser: Client, on_hub: Peer, kind: str, app: str) -> None:
    profile = fetched(member_browser, on_hub, kind)
    plain = render_profile(on_hub)
    endpoint = re.search("^Endpoint = (.*)$", plain.content, re.MULTILINE)
    assert endpoint
    assert (profile["PayloadType"], profile["PayloadVersion"]) == ("Configuration", 1)
    assert profile["PayloadOrganization"] == on_hub.instance.organization.name
    [tunnel] = profile["PayloadContent"]
    assert (tunnel["PayloadType"], tunnel["VPNType"], tunnel["VPNSubType"]) == ("com.apple.vpn.managed", "VPN", app)
    assert tunnel["UserDefinedName"] == plain.filename.removesuffix(".conf")
    assert tunnel["VendorConfig"] == {"WgQuickConfig": plain.content}
    assert tunnel["VPN"] == {
        "RemoteAddress": endpoint[1],
        "AuthenticationMethod": "Password",
        "OnDemandEnabled": 1,
        "OnDemandRules": [{"Action": "Connect"}],
    }
    assert profile["PayloadUUID"] != tunnel["PayloadUUID"]


@pytest.mark.parametrize("line", ["Table", "PostUp", "PreUp", "PostDown", "PreDown", "SaveConfig", "FwMark"])
def test_it_has_no_line_that_the_app_does_not_know(member_browser: Client, on_hub: Peer, line: str) -> None:
    [tunnel] = fetched(member_browser, on_hub, "apple-ios")["PayloadContent"]
    assert line not in tunnel["VendorConfig"]["WgQuickConfig"]


def test_a_newer_one_takes_the_place_of_the_older(member_browser: Client, on_hub: Peer) -> None:
    older, newer = (fetched(member_browser, on_hub, "apple-ios") for _ in range(2))
    assert older["PayloadIdentifier"] == newer["PayloadIdentifier"]
    assert older["PayloadUUID"] != newer["PayloadUUID"]


def test_every_name_is_escaped(instance: Instance, member: Membership, member_browser: Client) -> None:
    Instance.objects.filter(pk=instance.pk).update(name="R&D <hub> Köln\x0b")
    peer = create_client_peer(instance, member=member, device='a "b" & </string>', by=BY)
    settle(instance)
    profile = fetched(member_browser, peer, "apple-macos")
    assert profile["PayloadDisplayName"] == 'R&D <hub> Köln: a "b" & </string>'


def test_programs_get_it_by_its_format(admin: Membership, on_hub: Peer) -> None:
    api = Caller.of(admin)
    listed = {each["format"]: each for each in told(api.get(f"{path_of(on_hub)}/formats"), 200)}
    for kind, app in SYSTEMS:
        assert listed[kind]["content_type"] == "application/x-apple-aspen-config"
        text = Caller(make_token(api, on_hub)).get(f"/client?format={kind}").content
        assert plistlib.loads(text)["PayloadContent"][0]["VPNSubType"] == app


def test_a_browser_completes_it_with_its_own_key(member_browser: Client, client_peer: Peer) -> None:
    form = {"public_key": keys.public_key(keys.generate_private_key())}
    url = f"/peers/{client_peer.pk}/key/"
    assert member_browser.post(url, form).status_code == 503
    settle(client_peer.instance)
    page = member_browser.post(url, form).content.decode()
    assert re.findall(r'data-filename="[\w-]+-(ios|mac)\.mobileconfig"', page) == ["ios", "mac"]
    assert page.count(f"[Interface]\n{OWN_KEY_PLACE}") == 4  # with the plain file, and that of wg-quick
    later = member_browser.post(f"/peers/{client_peer.pk}/profile/").content.decode()
    assert ".mobileconfig" not in later
    assert "needs the private key in it" in later
    assert member_browser.post(f"/peers/{client_peer.pk}/profile/", {"file": "apple-ios"}).status_code == 404


def test_routers_and_openvpn_have_none(
    admin_browser: Client, instance: Instance, member: Membership, site: Site
) -> None:
    router = make_site_peer(instance, site)
    over_openvpn = create_client_peer(instance, member=member, device="x", protocol=Protocol.OPENVPN, by=BY)
    settle(instance)
    for peer in (router, over_openvpn):
        assert b".mobileconfig" not in admin_browser.post(f"/peers/{peer.pk}/profile/").content
        assert admin_browser.post(f"/peers/{peer.pk}/profile/", {"file": "apple-ios"}).status_code == 404


def test_each_is_offered_to_its_system(member_browser: Client, on_hub: Peer) -> None:
    page = member_browser.post(f"/peers/{on_hub.pk}/profile/").content.decode()
    parts = re.findall(r'data-system="(ios|macos)">(?:(?!data-system).)*?-(ios|mac)\.mobileconfig', page, re.DOTALL)
    assert parts == [("ios", "ios"), ("macos", "mac")]
