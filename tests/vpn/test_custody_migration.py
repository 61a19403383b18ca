"""An upgrade keeps what existing peers have: no key becomes due, and files that were handed out are recognised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
    settle,
)
from tests.vpn.migrating import migrate
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import KeyCustody
from vpn.models import DeliveredProfile, Peer
from vpn.profiles.marks import mark_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

BEFORE = "0048_server_work"


@pytest.fixture(autouse=True)
def _present_tables() -> Iterator[None]:
    yield
    migrate()


def test_keys_stay_and_profiles_that_were_handed_out_are_known() -> None:
    organization = make_organization()
    hub, member = make_instance(organization), make_member(organization)
    made = [
        make_client_peer(hub, member, "phone"),
        create_client_peer(hub, member=member, device="laptop", protocol="openvpn", by=BY),
        make_site_peer(hub, make_site(organization)),
    ]
    make_client_peer(hub, member, "never fetched")
    settle(hub)
    for peer in made:
        deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)
    noted = {row.mark: row for row in DeliveredProfile.objects.all()}
    migrate(BEFORE)
    migrate()
    assert not Peer.objects.exclude(key_due_at=None, key_custody=KeyCustody.PORTAL).exists()
    assert not Peer.objects.filter(private_key_sealed="").exists()
    again = {row.mark: row for row in DeliveredProfile.objects.all()}
    assert again.keys() == {mark_of(peer) for peer in Peer.objects.exclude(delivered_at=None)} == noted.keys()
    for mark, row in again.items():
        assert (row.peer_id, row.member_id, row.label) == (
            noted[mark].peer_id,
            noted[mark].member_id,
            noted[mark].label,
        )
        assert row.digest in {noted[mark].digest, ""}
