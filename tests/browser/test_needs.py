"""What needs someone, as pages show it: nothing hidden, nothing too wide, and gone by itself once it is mended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_site,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
)
from vpn.actions.instances.server_address import move_server
from vpn.actions.profiles.profile import deliver_profile
from vpn.models import ListenerProof, Peer, Server

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_pages_say_what_needs_someone_and_stop_when_it_is_mended(
    visit: Callable[..., Page], admin: Membership, member: Membership
) -> None:
    instance = make_instance(admin.organization, name="Frankfurt")
    make_instance(admin.organization, name="Oslo")
    phone = make_client_peer(instance, member, "phone")
    berlin = make_site_peer(instance, make_site(admin.organization, name="Berlin office"))
    settle(instance)
    deliver_profile(phone, by=BY)
    observe_peers(berlin, last_handshake=timezone.now() - timedelta(hours=2))
    server = Server.objects.get()
    move_server(server.pk, "198.51.100.7", None, by=BY)
    settle(instance)
    now = timezone.now()
    # No worker observes these hubs, and a browser may take longer than the time after which an observation is late.
    seen = {"observed_at": now + timedelta(hours=1)}
    observe_hubs(**seen)
    for listener in ("wireguard", "openvpn_udp", "openvpn_tcp"):
        ListenerProof.objects.create(
            instance=instance, listener=listener, state="unreachable", cause="firewall", failing_since=now
        )
    observe_hubs(instance, silent_resolvers=instance.public_dns)
    page = visit(admin.user)
    camera = Camera(page)
    page.goto("/")
    expect(page.get_by_text("1 of 2 needs attention")).to_be_visible()
    camera.look("needs-overview")
    page.goto(f"/instances/{instance.pk}/")
    for title in (
        "Devices cannot reach the hub",
        "No public name resolves",
        "Berlin office is not connected any more",
        "address changed",
    ):
        expect(page.get_by_text(title)).to_be_visible()
    expect(page.get_by_role("link", name="Mail these people").first).to_be_visible()
    camera.look("needs-instance")
    ListenerProof.objects.update(state="unproven", cause="nat")
    Peer.objects.filter(pk=berlin.pk).update(enabled=False)
    expect(page.get_by_text("Devices cannot reach the hub")).to_have_count(0, timeout=15_000)
    expect(page.get_by_role("link", name="Prove it with a device")).to_be_visible()
    camera.look("needs-instance-unproven")
    ListenerProof.objects.update(state="proven", cause="")
    Peer.objects.filter(pk=phone.pk).delete()
    observe_hubs(silent_resolvers=[], **seen)
    expect(page.locator("#state")).to_have_text("Ready", timeout=15_000)
    expect(page.locator("#needs")).to_be_hidden()
    camera.look("needs-none")
    assert camera.complaints == []
