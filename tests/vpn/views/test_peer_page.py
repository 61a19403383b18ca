"""The peer page: is it connected, and if not, what now?"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Membership, MembershipState, Organization
from tests.factories import (
    BY,
    make_client_peer,
    make_site,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
    work_out_plans,
)
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import InstanceState, Listener, ProofCause, Protocol, Reachability
from vpn.models import Instance, ListenerProof, Peer
from vpn.profiles.plain_file import render_profile


def page_of(browser: Client, peer: Peer) -> str:
    return browser.get(f"/peers/{peer.pk}/").content.decode()


def word_on(page: str) -> str:
    """The word that the page says first."""
    found = re.search(r'class="condition__word[^>]*>([^<]+)<', page)
    assert found
    return found[1]


def on_hub(peer: Peer, **columns: Any) -> None:
    """As if the hub had the peer and had just been observed."""
    settle(peer.instance)
    observe_hubs(peer.instance, observed_at=timezone.now())
    Peer.objects.filter(pk=peer.pk).update(applied_digest="x")
    if columns:
        observe_peers(peer, **columns)


def deliver(peer: Peer) -> None:
    on_hub(peer)
    deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)


def test_a_peer_that_the_hub_does_not_have_yet_is_on_its_way(admin_browser: Client, client_peer: Peer) -> None:
    assert word_on(page_of(admin_browser, client_peer)) == "Going to the hub"


def test_a_change_that_failed_is_told(admin_browser: Client, client_peer: Peer) -> None:
    Instance.objects.update(failure="The disk of the server is full.")
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Hub not up to date"
    assert "The disk of the server is full." in page


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (InstanceState.PENDING, "Waiting for the hub"),
        (InstanceState.PROVISIONING, "Waiting for the hub"),
        (InstanceState.FAILED, "Hub not ready"),
        (InstanceState.DELETING, "Hub being deleted"),
        (InstanceState.LOST, "Hub lost"),
    ],
)
def test_a_hub_that_is_not_there_is_said_first(admin_browser: Client, client_peer: Peer, state: str, word: str) -> None:
    Instance.objects.update(state=state)
    assert word_on(page_of(admin_browser, client_peer)) == word


def test_who_never_fetched_the_profile_is_led_to_it(admin_browser: Client, client_peer: Peer) -> None:
    on_hub(client_peer)
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Profile not fetched yet"
    assert "Show the profile, scan it or download it" in page


def test_who_fetched_it_but_never_connected_gets_steps(admin_browser: Client, client_peer: Peer) -> None:
    deliver(client_peer)
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Never connected"
    assert f"Let UDP port {client_peer.instance.wireguard_port} out" in page


def listeners(instance: Instance, state: str, cause: str = "") -> None:
    """As if the portal had knocked on all of a hub's listeners."""
    for listener in Listener:
        ListenerProof.objects.update_or_create(
            instance=instance, listener=listener, defaults={"state": state, "cause": cause}
        )


def test_a_hub_that_does_not_answer_is_no_fault_of_the_device(
    admin_browser: Client, member_browser: Client, client_peer: Peer
) -> None:
    deliver(client_peer)
    listeners(client_peer.instance, Reachability.UNREACHABLE, ProofCause.FIREWALL)
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Hub not reachable"
    assert "Open UDP" in page
    assert "Guest networks" not in page
    page = page_of(member_browser, client_peer)
    assert word_on(page) == "Hub not reachable"
    assert "An admin can see why" in page
    assert "Guest networks" not in page


def test_a_hub_that_is_not_proven_is_named_before_the_devices_network(admin_browser: Client, client_peer: Peer) -> None:
    deliver(client_peer)
    listeners(client_peer.instance, Reachability.UNPROVEN, ProofCause.NAT)
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Never connected"
    hub, own = page.index("The cause may be the hub"), page.index("Guest networks")
    assert hub < own
    listeners(client_peer.instance, Reachability.PROVEN)
    assert "the hub&#x27;s side" not in page_of(admin_browser, client_peer)


def test_a_hub_that_does_not_follow_is_not_said_to_within_seconds(
    admin_browser: Client, member_browser: Client, client_peer: Peer
) -> None:
    assert word_on(page_of(admin_browser, client_peer)) == "Going to the hub"
    Instance.objects.update(lagging_since=timezone.now() - timedelta(minutes=5))
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Hub not up to date"
    assert "within a few seconds" not in page
    page = page_of(member_browser, client_peer)
    assert "Changes do not reach the hub. An admin can see why." in page


def test_a_hub_that_is_silent_for_a_minute_needs_someone(admin_browser: Client, client_peer: Peer) -> None:
    deliver(client_peer)
    observe_hubs(observed_at=timezone.now() - timedelta(minutes=5))
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Not known"
    assert "who is connected is not known" in page


def test_a_connected_device_whose_names_do_not_resolve_is_told(
    admin_browser: Client, member_browser: Client, client_peer: Peer
) -> None:
    deliver(client_peer)
    on_hub(client_peer, last_handshake=timezone.now(), connected_from=timezone.now())
    assert "resolve" not in page_of(admin_browser, client_peer).partition("peer_status")[2].partition("Connection")[0]
    instance = client_peer.instance
    observe_hubs(silent_resolvers=instance.public_dns)
    assert "gets no answer" in page_of(admin_browser, client_peer)
    assert "No public name resolves. An admin can see why." in page_of(member_browser, client_peer)
    assert "No public name resolves. An admin can see why." in member_browser.get("/my/").content.decode()


def test_openvpn_is_reachable_while_one_of_its_listeners_is(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    peer = create_client_peer(instance, member=member, device="phone", protocol=Protocol.OPENVPN, by=BY)
    deliver(peer)
    listeners(instance, Reachability.UNREACHABLE, ProofCause.FIREWALL)
    assert word_on(page_of(admin_browser, peer)) == "Hub not reachable"
    ListenerProof.objects.filter(listener=Listener.OPENVPN_TCP).update(state=Reachability.PROVEN)
    assert word_on(page_of(admin_browser, peer)) == "Never connected"


@pytest.mark.parametrize("protocol", Protocol.values)
def test_the_advice_names_what_the_profile_carries(
    admin_browser: Client, instance: Instance, member: Membership, protocol: str
) -> None:
    peer = create_client_peer(instance, member=member, device="phone", protocol=protocol, by=BY)
    deliver(peer)
    steps = page_of(admin_browser, peer).partition("condition__steps")[2].partition("</ol>")[0]
    assert instance.full_hostname not in steps
    assert '<span class="mono">203.0.113.1</span>, port' in steps
    content = render_profile(Peer.objects.get(pk=peer.pk)).content
    assert "203.0.113.1" in content
    assert instance.full_hostname not in re.sub(r"^(#|DNS).*$", "", content, flags=re.MULTILINE)


def test_a_session_that_lacks_a_new_site_says_what_it_will_reach(
    admin_browser: Client, instance: Instance, member: Membership, organization: Organization
) -> None:
    peer = create_client_peer(instance, member=member, device="phone", protocol=Protocol.OPENVPN, by=BY)
    deliver(peer)
    on_hub(peer, connected_from=timezone.now(), last_handshake=timezone.now())
    page = page_of(admin_browser, peer)
    assert "Reconnects by itself" not in page
    assert "nothing changed since" not in page
    make_site_peer(instance, make_site(organization, name="Bonn"))
    settle(work_out_plans(instance))
    page = page_of(admin_browser, peer)
    assert word_on(page) == "Connected"
    assert "Reconnects by itself within a minute to reach Bonn." in page
    assert "Current" not in page.partition("<dt>Profile</dt>")[2].partition("</dd>")[0]


def test_a_recent_handshake_is_connected_with_its_facts(admin_browser: Client, client_peer: Peer) -> None:
    now = timezone.now()
    deliver(client_peer)
    on_hub(
        client_peer,
        last_handshake=now,
        connected_from=now - timedelta(minutes=42),
        endpoint="198.51.100.7:5353",
        received_bytes=3 * 1024**2,
        sent_bytes=2048,
    )
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Connected"
    for fact in ("42 min", "198.51.100.7:5353", "3.0 MiB", "2.0 KiB", client_peer.public_key, "100.64.0.2"):
        assert fact in page, fact


def test_an_old_handshake_is_not_connected(admin_browser: Client, client_peer: Peer) -> None:
    deliver(client_peer)
    on_hub(client_peer, last_handshake=timezone.now() - timedelta(hours=1))
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Not connected"
    assert "last seen" in page


def test_a_hub_that_was_not_heard_of_is_not_called_offline(admin_browser: Client, client_peer: Peer) -> None:
    deliver(client_peer)
    on_hub(client_peer, last_handshake=timezone.now())
    observe_hubs(observed_at=timezone.now() - timedelta(minutes=1))
    assert word_on(page_of(admin_browser, client_peer)) == "Not known"


def test_an_outdated_profile_is_told(admin_browser: Client, client_peer: Peer) -> None:
    deliver(client_peer)
    assert "nothing changed since" in page_of(admin_browser, client_peer)
    Instance.objects.update(mtu=1380)
    page = page_of(admin_browser, client_peer)
    assert word_on(page) == "Not connected"
    assert "Outdated" in page


def test_who_is_shut_out_is_told_why_and_offered_no_profile(
    admin_browser: Client, client_peer: Peer, member: Membership
) -> None:
    Peer.objects.update(enabled=False)
    disabled = page_of(admin_browser, client_peer)
    assert word_on(disabled) == "Disabled"
    assert "Show profile" not in disabled
    Peer.objects.update(enabled=True, expires_at=timezone.now() - timedelta(hours=1))
    assert word_on(page_of(admin_browser, client_peer)) == "Expired"
    Peer.objects.update(expires_at=None)
    Membership.objects.filter(pk=member.pk).update(state=MembershipState.DEACTIVATED)
    assert word_on(page_of(admin_browser, client_peer)) == "Member deactivated"


def test_the_polled_part_is_a_part_of_the_page(admin_browser: Client, client_peer: Peer) -> None:
    headers = {"HX-Request": "true", "HX-Target": "peer_status"}
    part = admin_browser.get(f"/peers/{client_peer.pk}/", headers=headers).content.decode()
    assert word_on(part) == "Going to the hub"
    assert "<html" not in part
    assert "HX-Target" in admin_browser.get(f"/peers/{client_peer.pk}/")["Vary"]


def test_members_see_their_own_peer_without_what_they_cannot_do(member_browser: Client, client_peer: Peer) -> None:
    page = page_of(member_browser, client_peer)
    assert "Show profile" in page
    for word in ("Renew keys", "Delete peer", "/edit/", f"/instances/{client_peer.instance_id}/", "/people/"):
        assert word not in page, word


def test_another_members_peer_is_not_there(member_browser: Client, instance: Instance, admin: Membership) -> None:
    peer = make_client_peer(instance, admin)
    assert member_browser.get(f"/peers/{peer.pk}/").status_code == 404


def test_auditors_read_but_get_no_buttons(auditor_browser: Client, client_peer: Peer, site_peer: Peer) -> None:
    for peer in (client_peer, site_peer):
        page = page_of(auditor_browser, peer)
        assert "<form" not in page.partition("<main")[2]
        assert "/edit/" not in page


def test_another_organizations_admin_finds_nothing(stranger_browser: Client, client_peer: Peer) -> None:
    assert stranger_browser.get(f"/peers/{client_peer.pk}/").status_code == 404


def test_no_page_shows_a_sealed_value_or_a_key(admin_browser: Client, client_peer: Peer) -> None:
    page = page_of(admin_browser, client_peer)
    for secret in (client_peer.private_key, client_peer.preshared_key, client_peer.private_key_sealed):
        assert secret not in page
