"""Which profile is this? Told by digests: whose it is, current or outdated, since when and by which change."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import BY, make_client_peer, make_site, make_site_peer, settle
from vpn import keys
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import rotate_keys, take_own_key
from vpn.actions.peers.peer import create_client_peer, delete_peer, update_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import Protocol
from vpn.models import DeliveredProfile, Instance, Peer
from vpn.profiles.known import known_digests
from vpn.profiles.marks import configured_digest, digest_of, mark_of

URL = "/my/which/"


def fetch(peer: Peer) -> dict[str, str]:
    """Hand the profile out; what a browser would send of its file."""
    settle(peer.instance)
    peer = Peer.objects.get(pk=peer.pk)
    deliver_profile(peer, by=BY)
    fresh = Peer.objects.select_related("instance__server", "member__user", "site").get(pk=peer.pk)
    digest = configured_digest(fresh, known_digests(fresh.instance))
    return {"mark": mark_of(fresh), "digest": digest, "host": digest_of(fresh.delivered_host)}


def answer(browser: Client, sent: dict[str, str]) -> str:
    """The words of the answer."""
    page = browser.post(URL, sent)
    assert page.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.content.decode())).strip()


@pytest.mark.parametrize("protocol", Protocol.values)
def test_a_current_one_names_its_device(
    admin_browser: Client, member_browser: Client, instance: Instance, member: Membership, protocol: str
) -> None:
    peer = create_client_peer(instance, member=member, device="laptop", protocol=protocol, by=BY)
    sent = fetch(peer)
    for browser in (admin_browser, member_browser):
        words = answer(browser, sent)
        assert f"{peer.label}: current" in words
        assert "Last handed out" in words


def test_an_outdated_one_names_the_change(
    admin_browser: Client, member_browser: Client, instance: Instance, client_peer: Peer, admin: Membership
) -> None:
    sent = fetch(client_peer)
    update_instance(Instance.objects.get(), by=admin.principal, mtu=1400)
    words = answer(admin_browser, sent)
    assert f"{client_peer.label}: outdated" in words
    assert re.search(r"Outdated since .*: Settings of the instance changed \(.*\), by ", words)
    assert admin.user.email in words
    assert "Fetch it again" in words
    own = answer(member_browser, sent)
    assert "Settings of the instance changed" in own
    assert admin.user.email not in own


def test_a_new_site_is_named_as_the_change(admin_browser: Client, instance: Instance, client_peer: Peer) -> None:
    sent = fetch(client_peer)
    make_site_peer(instance, make_site(instance.organization, name="Hamburg"), ["10.9.0.0/16"])
    update_instance(Instance.objects.get(), by=BY, mtu=1400)
    assert "Peer added (Hamburg)" in answer(admin_browser, sent)


def test_a_file_that_was_fetched_before_a_newer_one_is_outdated_since_its_own_change(
    admin_browser: Client, instance: Instance, client_peer: Peer
) -> None:
    first = fetch(client_peer)
    make_site_peer(instance, make_site(instance.organization, name="Hamburg"), ["10.9.0.0/16"])
    second = fetch(client_peer)
    update_instance(Instance.objects.get(), by=BY, mtu=1400)
    assert "Peer added (Hamburg)" in answer(admin_browser, first)
    assert "Settings of the instance changed" in answer(admin_browser, second)


def test_a_hub_elsewhere_outdates_it(admin_browser: Client, client_peer: Peer) -> None:
    sent = fetch(client_peer)
    assert ": outdated" in answer(admin_browser, sent | {"host": digest_of("192.0.2.99")})


ENDS: dict[str, tuple[Callable[[Peer], object], str]] = {
    "renewed": (lambda peer: rotate_keys(peer, by=BY), "Keys of the peer renewed"),
    "own key": (
        lambda peer: take_own_key(peer, keys.public_key(keys.generate_private_key()), by=BY),
        "Keys of the peer renewed",
    ),
    "deleted": (lambda peer: delete_peer(peer, by=BY), "Peer deleted"),
}


@pytest.mark.parametrize("how", ENDS)
def test_one_that_ended_is_still_known(
    admin_browser: Client, member_browser: Client, stranger_browser: Client, client_peer: Peer, how: str
) -> None:
    end, words = ENDS[how]
    sent = fetch(client_peer)
    end(Peer.objects.get())
    for browser in (admin_browser, member_browser):
        said = answer(browser, sent)
        assert f"{client_peer.label}: ended" in said
        assert re.search(f"Ended since .*: {words}", said)
    assert "Not known here" in answer(stranger_browser, sent)


def test_another_protocol_leaves_the_former_one_working(admin_browser: Client, client_peer: Peer) -> None:
    sent = fetch(client_peer)
    update_peer(Peer.objects.get(), protocol=Protocol.OPENVPN, by=BY)
    said = answer(admin_browser, sent)
    assert ": outdated" in said
    assert "Peer changed" in said


def test_members_know_their_own_alone_and_others_nothing(
    member_browser: Client, auditor_browser: Client, stranger_browser: Client, instance: Instance, admin: Membership
) -> None:
    sent = fetch(make_client_peer(instance, admin, "tablet"))
    assert "tablet: current" in answer(auditor_browser, sent)
    assert "Not known here" in answer(member_browser, sent)
    assert "Not known here" in answer(stranger_browser, sent)


def test_what_is_no_digest_is_refused(member_browser: Client) -> None:
    for mark in ("", "PrivateKey", "0" * 63, "0" * 65, "G" * 64):
        assert member_browser.post(URL, {"mark": mark, "digest": "0" * 64, "host": "0" * 64}).status_code == 422


def test_each_profile_is_noted_once(client_peer: Peer) -> None:
    fetch(client_peer)
    first = DeliveredProfile.objects.get()
    fetch(client_peer)
    again = DeliveredProfile.objects.get()
    assert again.delivered_at > first.delivered_at
    assert again.label == client_peer.label


def test_a_key_that_was_added_again_belongs_to_the_newer_peer(
    admin_browser: Client, member_browser: Client, instance: Instance, member: Membership, admin: Membership
) -> None:
    """A program deletes a device and adds it anew, for somebody else, with its key and at its address."""
    key = keys.public_key(keys.generate_private_key())
    former = create_client_peer(instance, member=member, device="shared", public_key=key, by=BY)
    first = fetch(former)
    delete_peer(Peer.objects.get(pk=former.pk), by=BY)
    peer = create_client_peer(Instance.objects.get(), member=admin, device="other", public_key=key, by=BY)
    Peer.objects.filter(pk=peer.pk).update(host=former.host)
    sent = fetch(peer)
    assert sent == first
    assert f"{peer.label}: current" in answer(admin_browser, sent)
    assert peer.label not in answer(member_browser, sent)
