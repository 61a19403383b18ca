"""The list of peers answers the same bytes as a read of each of them, and these bytes stay as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.models import Membership, MembershipState, Organization
from tests import factories
from tests.factories import BY, make_client_peer, make_site, make_site_peer, observe_hubs, observe_peers, settle
from tests.revising import unrevised
from tests.vpn.api.caller import Caller
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.choices import KeyCustody
from vpn.models import Instance, Peer, Site
from vpn.profiles.state import current_digest

_GOLDEN = (
    '[{{"id":"{device.pk}","type":"client","user_id":"{device.member_id}",'
    '"site_id":null,"device":"Jörgs \\"laptop\\" \\\\ ☃","subnets":[],"alias":[],"route_all":true,'
    '"is_exit":false,"exit_site_id":null,"protocol":"wireguard",'
    '"addresses":["100.64.0.2/32","fd12:3456:789a::2/128"],"public_key":"{device.public_key}","enabled":true,'
    '"expires_at":"2199-12-31T23:59:59.250000Z","unused_days":null,"ends_at":"2199-12-31T23:59:59.250000Z",'
    '"connected":false,"connected_from":null,'
    '"last_handshake":"2026-01-31T18:00:00Z","endpoint":"[2001:db8::1]:51820","received_bytes":9007199254740993,'
    '"sent_bytes":2,"key_custody":"portal","profile_state":"undelivered",'
    '"outdated_reason":null,"created_at":"2026-01-02T03:04:05.000006Z"}},'
    '{{"id":"{router.pk}","type":"site","user_id":null,'
    '"site_id":"{router.site_id}","device":"","subnets":["10.1.0.0/24","fd10:1::/64"],"alias":[],'
    '"route_all":false,"is_exit":false,"exit_site_id":null,"protocol":"openvpn",'
    '"addresses":["100.64.0.3/32","fd12:3456:789a::3/128"],"public_key":null,'
    '"enabled":true,"expires_at":null,"unused_days":null,"ends_at":null,'
    '"connected":false,"connected_from":null,"last_handshake":null,"endpoint":null,'
    '"received_bytes":0,"sent_bytes":0,"key_custody":"portal","profile_state":"undelivered","outdated_reason":null,'
    '"created_at":"2026-01-02T03:04:06Z"}}]'
)


def listed(api: Caller, instance: Instance, query: str = "") -> bytes:
    """The content of the list."""
    answer = api.get(f"/instances/{instance.pk}/peers{query}")
    assert answer.status_code == 200
    return bytes(answer.content)


def read_one_by_one(api: Caller, instance: Instance) -> bytes:
    """The content of a read of each peer, oldest first, as a list."""
    rows = Peer.objects.filter(instance=instance).order_by("created_at", "id").values_list("pk", flat=True)
    return b"[" + b",".join(api.get(f"/instances/{instance.pk}/peers/{pk}").content for pk in rows) + b"]"


def test_the_bytes_of_the_list_stay(api: Caller, instance: Instance, organization: Organization) -> None:
    Instance.objects.filter(pk=instance.pk).update(pool_v6="fd12:3456:789a::/64")
    member, site = factories.make_member(organization), make_site(organization)
    device = create_client_peer(instance, member=member, device="laptop", route_all=True, by=BY)
    router = create_site_peer(instance, site=site, subnets=["10.1.0.0/24", "fd10:1::/64"], protocol="openvpn", by=BY)
    Peer.objects.filter(pk=device.pk).update(
        device='Jörgs "laptop" \\ ☃',
        expires_at=datetime(2199, 12, 31, 23, 59, 59, 250_000, UTC),
        created_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    )
    Peer.objects.filter(pk=router.pk).update(created_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))
    observe_peers(
        device,
        last_handshake=datetime(2026, 1, 31, 18, tzinfo=UTC),
        endpoint="[2001:db8::1]:51820",
        received_bytes=2**53 + 1,
        sent_bytes=2,
    )
    assert listed(api, instance).decode() == _GOLDEN.format(device=device, router=router)
    assert listed(api, instance) == read_one_by_one(api, instance)


@pytest.mark.parametrize("age", [1, 3600])
def test_the_list_says_of_each_peer_what_a_read_of_it_says(
    api: Caller, instance: Instance, organization: Organization, age: int
) -> None:
    """Both protocols, both types, and all that decides about the connection and the profile."""
    member = factories.make_member(organization, email="anna@example.org")
    gone = factories.make_member(organization, email="gone@example.org")
    blocked = factories.make_member(organization, email="blocked@example.org")
    devices = [make_client_peer(instance, member, f"laptop {number}") for number in range(7)]
    devices += [make_client_peer(instance, one) for one in (gone, blocked)]
    routers = [make_site_peer(instance, make_site(organization, name=f"Branch {number}")) for number in range(3)]
    over_openvpn = [
        create_client_peer(instance, member=member, device=f"phone {number}", protocol="openvpn", by=BY)
        for number in range(3)
    ]
    routers += [
        create_site_peer(instance, site=make_site(organization, name=name), subnets=[subnet], protocol="openvpn", by=BY)
        for name, subnet in (("Old", "10.251.0.0/24"), ("Older", "10.252.0.0/24"))
    ]
    settle(instance)
    for peer in Peer.objects.filter(instance=instance).select_related("site", "member__user", "instance__server"):
        Peer.objects.filter(pk=peer.pk).update(delivered_digest=current_digest(peer), delivered_host="203.0.113.1")
    now = timezone.now()
    observe_hubs(observed_at=now - timedelta(seconds=age) + timedelta(minutes=1))
    observe_peers(last_handshake=now + timedelta(minutes=1), endpoint="203.0.113.5:40000", received_bytes=7)
    observe_peers(over_openvpn[0], routers[-1], connected_from=now)
    changes: dict[Peer, dict[str, Any]] = {
        devices[0]: {"enabled": False},
        devices[1]: {"expires_at": now - timedelta(hours=1)},
        devices[2]: {"expires_at": now + timedelta(hours=1), "route_all": True},
        devices[3]: {"public_key": "A" * 43 + "="},
        devices[4]: {"delivered_digest": "", "key_custody": KeyCustody.DESTROYED},
        devices[5]: {"delivered_host": "203.0.113.77"},
        routers[0]: {"subnets": ["10.253.0.0/24"]},
        over_openvpn[1]: {"delivered_digest": "0" * 64},
    }
    for peer, columns in changes.items():
        with unrevised():
            Peer.objects.filter(pk=peer.pk).update(**columns)
    Membership.objects.filter(pk=gone.pk).update(state=MembershipState.DEACTIVATED)
    blocked.user.is_active = False
    blocked.user.save()
    Site.objects.filter(peers=routers[1]).update(platform="routeros7")
    found = listed(api, instance)
    assert found == read_one_by_one(api, instance)
    assert (b'"connected":true' in found) == (age == 1)
    for state in (b"undelivered", b"current", b"outdated"):
        assert b'"profile_state":"%s"' % state in found


def test_a_peer_that_was_never_seen_is_listed_as_it_is_read(api: Caller, instance: Instance, client_peer: Peer) -> None:
    observe_hubs(observed_at=timezone.now())
    assert listed(api, instance) == read_one_by_one(api, instance)
    assert listed(api, instance, "?type=site") == b"[]"
