"""A profile's file is digested in the browser as the portal digests it, and is never sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote_plus

import pytest
from playwright.sync_api import FilePayload, Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.profiles.profile import Wanted, deliver_profile
from vpn.actions.sites.site import create_site
from vpn.choices import Protocol
from vpn.models import Instance, Peer, Server

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


def files_of_many(admin: Membership, instance: Instance) -> list[tuple[str, FilePayload]]:
    """The label and the file of each kind of profile that the portal hands out."""
    add = partial(create_client_peer, instance, member=admin, by=BY)
    made = [
        (make_client_peer(instance, admin, "phone"), ""),
        (make_client_peer(instance, admin, "linux"), "wg-quick"),
        (add(device="all", route_all=True), ""),
        (add(device="tcp", protocol=Protocol.OPENVPN), ""),
        (add(device="tcp all", protocol=Protocol.OPENVPN, route_all=True), ""),
        (make_site_peer(instance, make_site(admin.organization), ["10.1.0.0/16", "fd10:1::/64"]), ""),
        (_old_router(admin, instance), "ovpn"),
    ]
    settle(instance)
    found = []
    for peer, wanted in made:
        fresh = Peer.objects.get(pk=peer.pk)
        delivery = deliver_profile(fresh, Wanted(wanted), by=BY)
        file = FilePayload(name=delivery.filename, mimeType="text/plain", buffer=delivery.content.encode())
        found.append((fresh.label, file))
    return found


def _old_router(admin: Membership, instance: Instance) -> Peer:
    site = create_site(admin.organization, name="Old plant", platform="routeros6", subnets=[], by=BY)
    return create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol=Protocol.OPENVPN, by=BY)


def test_files_are_recognised_and_never_sent(visit: Visit, transactional_db: None, admin: Membership) -> None:
    instance = make_instance(admin.organization, name="Frankfurt hub")
    Server.objects.update(address="203.0.113.1", address_v6="2001:db8::1")
    files = files_of_many(admin, instance)
    page = visit(admin.user)
    camera, sent = Camera(page), list[str]()
    page.on("request", lambda request: sent.append(unquote_plus(request.post_data or "")))
    page.goto("/my/")
    page.get_by_role("link", name="Which profile is this file?").click()
    camera.look("which")
    for label, file in files:
        page.locator("#file").set_input_files(file)
        expect(page.get_by_role("heading", name=f"{label}: current")).to_be_visible()
    camera.look("which-current")
    update_instance(Instance.objects.get(), by=admin.principal, mtu=1400)
    label, file = files[0]
    page.locator("#file").set_input_files([])
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("heading", name=f"{label}: outdated")).to_be_visible()
    expect(page.get_by_text(re.compile("Settings of the instance changed"))).to_be_visible()
    camera.look("which-outdated")
    page.locator("#file").set_input_files(FilePayload(name="x.conf", mimeType="text/plain", buffer=b"hello"))
    expect(page.get_by_text("neither a WireGuard nor an OpenVPN profile")).to_be_visible()
    asked = [body for body in sent if "mark=" in body]
    assert len(asked) == len(files) + 1
    form = r"mark=[0-9a-f]{64}&digest=[0-9a-f]{64}&host=[0-9a-f]{64}&csrfmiddlewaretoken=\w+"
    assert all(re.fullmatch(form, body) for body in asked)
    assert camera.complaints == []
