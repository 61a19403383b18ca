"""A key that a browser makes: the portal takes its public half, and no private key leaves it afterwards."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.models import JournalEntry, Membership
from tests.factories import BY, make_client_peer, make_site_peer, observe_hubs, settle
from vpn import keys
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import InstanceState, KeyCustody, Protocol
from vpn.desired.peers import PLACEHOLDER_KEY
from vpn.models import Instance, Peer, ProfileLink, Site
from vpn.profiles.wireguard import OWN_KEY_PLACE

URL = "/peers/{}/key/"


def new_key() -> str:
    """The public key of a new pair."""
    return keys.public_key(keys.generate_private_key())


def take(browser: Client, peer: Peer, key: str, **more: str) -> tuple[int, str]:
    """Send a public key as the page does; the answer once the hub has the peer."""
    answer = browser.post(URL.format(peer.pk), {"public_key": key, **more})
    if answer.status_code != 503:
        return answer.status_code, answer.content.decode()
    assert answer["Retry-After"]
    settle(peer.instance)
    answer = browser.post(URL.format(peer.pk), {"public_key": key, **more})
    return answer.status_code, answer.content.decode()


def test_the_profile_has_a_place_for_the_key_and_no_private_key(member_browser: Client, client_peer: Peer) -> None:
    key = new_key()
    status, page = take(member_browser, client_peer, key)
    peer = Peer.objects.get()
    assert status == 200
    assert (peer.public_key, peer.key_custody, peer.private_key_sealed) == (key, KeyCustody.DEVICE, "")
    assert peer.delivered_digest
    assert f"{OWN_KEY_PLACE}\nAddress = " in page
    assert f"PresharedKey = {peer.preshared_key}" in page
    assert "PrivateKey = " not in page.replace("<code>PrivateKey = …</code>", "")
    assert "data-own-key-code" in page


def test_a_key_that_is_sent_again_changes_nothing_more(member_browser: Client, client_peer: Peer) -> None:
    key = new_key()
    take(member_browser, client_peer, key)
    before = Instance.objects.get().desired_generation
    assert take(member_browser, client_peer, key)[0] == 200
    assert Instance.objects.get().desired_generation == before
    assert JournalEntry.objects.filter(code="peer.keys_rotated").count() == 1


def test_it_is_renewed_by_another_pair_and_share_links_end(member_browser: Client, client_peer: Peer) -> None:
    settle(client_peer.instance)
    member_browser.post(f"/peers/{client_peer.pk}/link/")
    take(member_browser, client_peer, first := new_key())
    assert not ProfileLink.objects.exists()
    _, page = take(member_browser, client_peer, second := new_key(), older="1")
    assert Peer.objects.get().public_key == second != first
    assert "Was an earlier file imported on this device?" in page


def test_the_journal_says_whose_key_it_is(member_browser: Client, client_peer: Peer) -> None:
    take(member_browser, client_peer, key := new_key())
    lines = list(JournalEntry.objects.filter(object_id=str(client_peer.pk)).order_by("id"))
    assert [line.code for line in lines][-2:] == ["peer.keys_rotated", "peer.delivered"]
    assert all('"custody": "device"' in line.document for line in lines[-2:])
    assert all(key not in line.document for line in lines)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "PrivateKey = abc",
        keys.encode_key(bytes(32)),
        keys.encode_key((2**255 - 18).to_bytes(32, "little")),
        keys.encode_key((2**255 - 10).to_bytes(32, "little")),
        keys.encode_key(bytes(31) + b"\x80"),
    ],
)
def test_what_is_no_key_is_refused_and_never_repeated(member_browser: Client, client_peer: Peer, key: str) -> None:
    answer = member_browser.post(URL.format(client_peer.pk), {"public_key": key})
    assert answer.status_code == 422
    assert not key or key not in answer.content.decode()
    assert Peer.objects.get().public_key == client_peer.public_key


def test_a_key_in_another_spelling_is_refused(member_browser: Client, client_peer: Peer) -> None:
    """X25519 ignores the highest bit, so this names the same point: it must not pass for another key."""
    raw = bytearray(keys.decode_key(client_peer.public_key))
    raw[31] |= 128
    answer = member_browser.post(URL.format(client_peer.pk), {"public_key": keys.encode_key(bytes(raw))})
    assert answer.status_code == 422


def test_a_key_in_use_is_refused(member_browser: Client, client_peer: Peer, admin: Membership) -> None:
    other = make_client_peer(client_peer.instance, admin, "tablet")
    hub = client_peer.instance.public_key
    for used in (other.public_key, client_peer.public_key, hub, PLACEHOLDER_KEY):
        answer = member_browser.post(URL.format(client_peer.pk), {"public_key": used})
        assert (answer.status_code, answer["Content-Type"]) == (409, "text/plain; charset=utf-8")
    assert Peer.objects.get(pk=client_peer.pk).key_custody == KeyCustody.PORTAL


def test_a_disabled_peer_keeps_its_keys(member_browser: Client, client_peer: Peer) -> None:
    Peer.objects.update(enabled=False)
    assert take(member_browser, client_peer, new_key())[0] == 409
    assert Peer.objects.get().public_key == client_peer.public_key


def test_a_hub_that_could_not_be_created_is_not_waited_for(member_browser: Client, client_peer: Peer) -> None:
    Instance.objects.update(state=InstanceState.FAILED)
    answer = member_browser.post(URL.format(client_peer.pk), {"public_key": new_key()})
    assert answer.status_code == 503
    assert "Retry-After" not in answer


def test_routers_and_openvpn_have_no_such_page(
    admin_browser: Client, instance: Instance, site: Site, admin: Membership
) -> None:
    router = make_site_peer(instance, site, ["10.1.0.0/24"])
    tablet = create_client_peer(instance, member=admin, device="tablet", protocol=Protocol.OPENVPN, by=BY)
    for peer in (router, tablet):
        assert admin_browser.get(URL.format(peer.pk)).status_code == 404
        assert admin_browser.post(URL.format(peer.pk), {"public_key": new_key()}).status_code == 404
        assert "/key/" not in admin_browser.get(f"/peers/{peer.pk}/").content.decode()


def test_afterwards_there_is_no_link_and_no_file_with_a_private_key(member_browser: Client, client_peer: Peer) -> None:
    take(member_browser, client_peer, new_key())
    observe_hubs()
    page = member_browser.get(f"/peers/{client_peer.pk}/").content.decode()
    assert "Renew key" in page
    assert "nobody else has it" in page
    assert "Make a link" not in page
    assert "Renew key" in member_browser.get("/my/").content.decode()
    text = member_browser.post(f"/peers/{client_peer.pk}/profile/", headers={"Accept": "text/plain"}).content.decode()
    assert OWN_KEY_PLACE in text
    assert "PrivateKey =" not in text
    offer = member_browser.get(URL.format(client_peer.pk)).content.decode()
    assert "The profile that the device has now ends." in offer
    assert "Made by the portal" not in offer
