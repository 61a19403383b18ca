"""An upgrade gives certificates of earlier releases their due dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import BY, make_instance, make_member, make_organization
from tests.vpn.migrating import migrate
from vpn.actions.peers.peer import create_client_peer
from vpn.models import Instance, Peer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

BEFORE = "0031_rule_observation"


@pytest.fixture(autouse=True)
def _present_tables() -> Iterator[None]:
    yield
    migrate()


def test_certificates_of_earlier_releases_become_due_when_they_would_now() -> None:
    organization = make_organization()
    hub, member = make_instance(organization), make_member(organization)
    over_openvpn = create_client_peer(hub, member=member, device="laptop", protocol="openvpn", by=BY)
    over_wireguard = create_client_peer(hub, member=member, device="phone", by=BY)
    migrate(BEFORE)
    migrate()
    due: Any = Peer.objects.values_list("certificate_due_at", flat=True)
    assert abs(due.get(pk=over_openvpn.pk) - over_openvpn.certificate_due_at) < timedelta(hours=1)
    assert due.get(pk=over_wireguard.pk) is None
    assert Instance.objects.values_list("certificates_due_at", flat=True).get(pk=hub.pk) is not None
