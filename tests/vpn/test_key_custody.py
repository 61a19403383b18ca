"""A private key that the portal made: shown for a while after the first reveal, then destroyed for good."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import JournalEntry, Membership, Organization
from portal.reseal import reseal_all
from tests.factories import BY, make_client_peer, make_site_peer, settle
from vpn.actions.peers.keys import renew_peer, rotate_keys, take_own_key
from vpn.actions.peers.peer import create_client_peer, update_peer
from vpn.actions.profiles.custody import destroy_due_keys
from vpn.actions.profiles.profile import deliver_profile, issue_link, redeem_link
from vpn.actions.profiles.refusals import KeyDestroyed, LinkNotFound
from vpn.choices import KeyCustody, Protocol
from vpn.jobs.custody import destroy_keys
from vpn.keys import generate_private_key, public_key
from vpn.models import Instance, Peer, ProfileLink, Site, Tick

HOUR = timedelta(hours=1)


@pytest.fixture(params=["phone", "openvpn", "router"])
def delivered(request: pytest.FixtureRequest, instance: Instance, member: Membership, site: Site) -> Peer:
    """A device over each protocol, and a router; its profile was fetched a moment ago."""
    makes = {
        "phone": lambda: make_client_peer(instance, member, "phone"),
        "openvpn": lambda: create_client_peer(instance, member=member, protocol=Protocol.OPENVPN, by=BY),
        "router": lambda: make_site_peer(instance, site, ["10.1.0.0/24"]),
    }
    peer = makes[request.param]()
    settle(instance)
    deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)
    return Peer.objects.get(pk=peer.pk)


def pass_time(peer: Peer) -> Peer:
    """As if the peer's window were over."""
    Peer.objects.filter(pk=peer.pk).update(key_due_at=timezone.now() - timedelta(seconds=1))
    return Peer.objects.get(pk=peer.pk)


def due_at() -> datetime:
    """When the only peer's key is destroyed."""
    found = Peer.objects.get().key_due_at
    assert found is not None
    return found


def destroy() -> None:
    assert destroy_due_keys(10, by=BY)


def test_the_window_opens_with_the_first_reveal_and_keeps_its_end(instance: Instance, member: Membership) -> None:
    peer = make_client_peer(instance, member)
    settle(instance)
    assert Peer.objects.get().key_due_at is None
    begun = timezone.now()
    delivery = deliver_profile(Peer.objects.get(), by=BY)
    end = due_at()
    assert end == delivery.key_due_at
    assert begun + HOUR <= end <= timezone.now() + HOUR
    assert deliver_profile(peer, by=BY).key_due_at == end
    assert due_at() == end


def test_a_look_at_pages_opens_nothing(member_browser: Client, client_peer: Peer) -> None:
    settle(client_peer.instance)
    token, _ = issue_link(client_peer, by=BY)
    for path in (f"/p/{token}/", f"/peers/{client_peer.pk}/", f"/peers/{client_peer.pk}/profile/", "/my/"):
        member_browser.get(path)
    assert Peer.objects.get().key_due_at is None
    redeem_link(token, by=BY)
    assert Peer.objects.get().key_due_at is not None


def test_after_it_the_key_is_gone_and_the_tunnel_stays(delivered: Peer) -> None:
    pass_time(delivered)
    generation = Instance.objects.get().desired_generation
    destroy()
    destroy()
    peer = Peer.objects.get()
    assert (peer.key_custody, peer.key_due_at) == (KeyCustody.DESTROYED, None)
    assert (peer.private_key_sealed, peer.tls_crypt_key_sealed) == ("", "")
    kept = ("public_key", "preshared_key_sealed", "certificate", "delivered_digest", "applied_digest")
    assert [getattr(peer, name) for name in kept] == [getattr(delivered, name) for name in kept]
    assert Instance.objects.get().desired_generation == generation
    lines = JournalEntry.objects.filter(code="peer.key_destroyed", object_id=str(peer.pk))
    assert [line.actor_kind for line in lines] == [BY.kind.value]
    with pytest.raises(KeyDestroyed):
        deliver_profile(peer, by=BY)
    with pytest.raises(KeyDestroyed):
        issue_link(peer, by=BY)


def test_the_end_is_exact_even_before_the_job_runs(delivered: Peer) -> None:
    token, _ = issue_link(delivered, by=BY)
    peer = pass_time(delivered)
    with pytest.raises(KeyDestroyed):
        deliver_profile(peer, by=BY)
    with pytest.raises(LinkNotFound):
        redeem_link(token, by=BY)
    destroy()
    assert not ProfileLink.objects.exists()


def test_what_is_not_due_stays(delivered: Peer) -> None:
    destroy()
    assert Peer.objects.get().private_key_sealed == delivered.private_key_sealed != ""


def test_nothing_brings_it_back(delivered: Peer) -> None:
    """A change that read the peer before, and sealing everything again, both leave it destroyed."""
    pass_time(delivered)
    destroy()
    update_peer(delivered, enabled=False, by=BY)
    reseal_all()
    peer = Peer.objects.get()
    assert (peer.private_key_sealed, peer.key_custody) == ("", KeyCustody.DESTROYED)


def test_renewing_gives_a_profile_and_a_new_window(delivered: Peer, instance: Instance) -> None:
    pass_time(delivered)
    destroy()
    rotate_keys(Peer.objects.get(), by=BY)
    peer = Peer.objects.get()
    assert (peer.key_custody, peer.key_due_at) == (KeyCustody.PORTAL, None)
    settle(instance)
    deliver_profile(Peer.objects.get(), by=BY)
    assert due_at() > timezone.now()


def test_keys_that_are_renewed_within_the_window_are_not_destroyed_by_the_former_one(delivered: Peer) -> None:
    rotate_keys(pass_time(delivered), by=BY)
    destroy()
    assert Peer.objects.get().private_key_sealed


def test_a_renewed_certificate_has_a_key_to_be_fetched(instance: Instance, member: Membership) -> None:
    peer = create_client_peer(instance, member=member, protocol=Protocol.OPENVPN, by=BY)
    settle(instance)
    deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)
    pass_time(peer)
    destroy()
    renew_peer(Peer.objects.get(), by=BY)
    settle(instance)
    assert "PRIVATE KEY" in deliver_profile(Peer.objects.get(), by=BY).content


def test_a_key_of_the_devices_own_has_no_window(instance: Instance, member: Membership) -> None:
    peer = make_client_peer(instance, member)
    take_own_key(peer, public_key(generate_private_key()), by=BY)
    settle(instance)
    assert deliver_profile(Peer.objects.get(), by=BY).key_due_at is None
    assert Peer.objects.get().key_due_at is None


def test_an_organization_sets_its_own_window(
    admin_browser: Client, organization: Organization, instance: Instance, admin: Membership
) -> None:
    answer = admin_browser.post("/settings/", {"name": organization.name, "custody_minutes": "90"})
    assert answer.status_code == 302
    line = JournalEntry.objects.get(code="organization.key_window_changed")
    assert line.changes == {"custody_minutes": [None, 90]}
    peer = make_client_peer(instance, admin)
    settle(instance)
    deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)
    assert timedelta(minutes=89) < due_at() - timezone.now() <= timedelta(minutes=90)


@pytest.mark.parametrize("minutes", ["0", "14", "10081", "-1", "x"])
def test_a_window_that_is_too_short_or_too_long_is_refused(
    admin_browser: Client, organization: Organization, minutes: str
) -> None:
    answer = admin_browser.post("/settings/", {"name": organization.name, "custody_minutes": minutes})
    assert answer.status_code == 200
    organization.refresh_from_db()
    assert organization.custody_minutes is None


def test_many_are_destroyed_in_batches(instance: Instance, member: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.actions.profiles.custody._BATCH", 2)
    for number in range(5):
        pass_time(make_client_peer(instance, member, f"device {number}"))
    assert not destroy_due_keys(0, by=BY)
    assert Peer.objects.filter(key_custody=KeyCustody.DESTROYED).count() == 0
    destroy_keys()
    assert Peer.objects.filter(key_custody=KeyCustody.DESTROYED, private_key_sealed="").count() == 5
    assert Tick.objects.filter(name="custody").exists()


def test_the_same_key_sent_twice_at_once_is_taken_once(client_peer: Peer) -> None:
    """Both requests have read the peer before either wrote it."""
    key = public_key(generate_private_key())
    first, second = (Peer.objects.select_related("instance").get(pk=client_peer.pk) for _ in range(2))
    taken = take_own_key(first, key, by=BY)
    again = take_own_key(second, key, by=BY)
    assert again.public_key == taken.public_key == key
    assert again.changed_generation == taken.changed_generation


def test_pages_say_when_it_ends_and_what_helps_afterwards(member_browser: Client, client_peer: Peer) -> None:
    settle(client_peer.instance)
    url = f"/peers/{client_peer.pk}/"
    assert "The private key is destroyed at" in member_browser.post(f"{url}profile/").content.decode()
    assert "so fetch the profile before" in member_browser.get(url).content.decode()
    pass_time(client_peer)
    for path in (url, "/my/"):
        page = member_browser.get(path).content.decode()
        assert "Show profile" not in page
        assert "Make a link" not in page
        assert "Renew key" in page
    assert "Destroyed after delivery" in member_browser.get(url).content.decode()
    refused = member_browser.post(f"{url}profile/")
    assert refused.status_code == 409
    assert "Renew keys" in refused.content.decode()
    assert f"{url}rotate/" in member_browser.get(f"{url}key/").content.decode()
    assert member_browser.post(f"{url}rotate/").status_code == 302
    settle(client_peer.instance)
    assert "Show profile" in member_browser.get(url).content.decode()
