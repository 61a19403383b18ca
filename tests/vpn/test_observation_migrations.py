"""An upgrade keeps what hubs reported: the columns of wanted rows become observations, and come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import models

from tests.factories import BY, make_client_peer, make_instance, make_member, make_organization
from tests.vpn.migrating import migrate
from vpn.actions.instances.settings import update_instance
from vpn.models import InstanceObservation, Peer, PeerObservation, RuleObservation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

BEFORE = "0028_operation_asked_by"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HUB = {"observed_at": AT, "silent_resolvers": ["9.9.9.9"], "knocked_at": AT.replace(hour=11)}
# Larger than 32 bits, and an OpenVPN session that lacks what is pushed now.
PEER = {
    "last_handshake": AT,
    "connected_from": AT.replace(hour=9),
    "endpoint": "[2001:db8::7]:4242",
    "push_generation": 7,
    "received_bytes": 2**40,
    "sent_bytes": 3,
    "counter_received": 2**33,
    "counter_sent": 1,
}
RULE = {"hits": 2**34, "counter_hits": 5}


@pytest.fixture(autouse=True)
def _present_tables() -> Iterator[None]:
    yield
    migrate()


def columns(model: type[models.Model], pk: UUID, names: Mapping[str, object]) -> dict[str, object]:
    """What one row has in these columns."""
    found: dict[str, object] = model._default_manager.values(*names).get(pk=pk)
    return found


def test_an_upgrade_keeps_what_was_observed_and_a_return_gives_it_back() -> None:
    organization = make_organization()
    hub, unseen_hub = make_instance(organization), make_instance(organization)
    seen, unseen = (make_client_peer(hub, make_member(organization)) for _ in range(2))
    update_instance(hub, firewall=[{"port": "1"}, {"port": "2"}], by=BY)
    rule, unhit = hub.firewall_rules.all()

    old = migrate(BEFORE)
    old_hub, old_peer, old_rule = (old.get_model("vpn", name) for name in ("Instance", "Peer", "FirewallRule"))
    for model, pk, values in ((old_hub, hub.pk, HUB), (old_peer, seen.pk, PEER), (old_rule, rule.pk, RULE)):
        model.objects.filter(pk=pk).update(**values)
    old_hub.objects.filter(pk=unseen_hub.pk).update(observed_at=None)

    migrate()
    assert columns(InstanceObservation, hub.pk, HUB) == HUB
    assert columns(PeerObservation, seen.pk, PEER) == PEER
    assert columns(RuleObservation, rule.pk, RULE) == RULE
    assert set(RuleObservation.objects.values_list("pk", flat=True)) == {rule.pk}
    assert set(PeerObservation.objects.values_list("pk", flat=True)) == {seen.pk}, "one that was never seen has no row"
    assert InstanceObservation.objects.get(pk=unseen_hub.pk).observed_at is None
    # It belongs to the key that the peer had, so nothing of it is void.
    assert Peer.objects.get(pk=seen.pk).seen.endpoint == PEER["endpoint"]

    old = migrate(BEFORE)
    old_hub, old_peer, old_rule = (old.get_model("vpn", name) for name in ("Instance", "Peer", "FirewallRule"))
    assert columns(old_hub, hub.pk, HUB) == HUB
    assert columns(old_peer, seen.pk, PEER) == PEER
    assert columns(old_rule, rule.pk, RULE) == RULE
    assert columns(old_peer, unseen.pk, PEER)["received_bytes"] == 0
    assert columns(old_rule, unhit.pk, RULE) == {"hits": 0, "counter_hits": 0}
