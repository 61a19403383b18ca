"""The lookup `among` finds the rows that `in` finds, with one parameter for all ids."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Organization
from tests.factories import make_client_peer, make_instance, make_member
from vpn.models import Peer

pytestmark = pytest.mark.both_databases


def test_it_finds_the_rows_of_these_ids_alone(organization: Organization) -> None:
    hubs = [make_instance(organization, name=f"Hub {number}") for number in range(3)]
    peers = [make_client_peer(hub, make_member(organization), "laptop") for hub in hubs]
    asked = {hubs[0].pk, hubs[2].pk, uuid4()}
    found = Peer.objects.filter(instance__among=asked)
    assert set(found) == {peers[0], peers[2]} == set(Peer.objects.filter(instance__in=asked))
    assert found.query.sql_with_params()[0].count("%s") == 1
    assert list(Peer.objects.exclude(instance__among=asked)) == [peers[1]]
    assert set(Peer.objects.filter(instance__among=(pk for pk in asked))) == set(found)


def test_no_id_asks_nothing(organization: Organization) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert not Peer.objects.filter(instance__among=[])
    assert not captured
