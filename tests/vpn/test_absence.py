"""Time in which nothing was heard of a hub does not count as time without use: nobody has to renew after an outage."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from portal.models import JournalEntry, Membership
from tests.factories import BY, make_client_peer, observe_hubs, settle
from tests.vpn.confirming_server import Server
from vpn.actions.peers.absence import leave_out_absence
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.peer import update_peer
from vpn.actions.peers.use import count_use
from vpn.jobs.apply import apply_instance, apply_urgently
from vpn.models import Instance, InstanceObservation, Peer

pytestmark = pytest.mark.both_databases
DAY = timedelta(days=1)


@pytest.fixture
def device(client_peer: Peer) -> Peer:
    """A device that ends after 30 days without use."""
    update_peer(client_peer, unused_days=30, by=BY)
    settle(client_peer.instance)
    return fresh(client_peer)


def fresh(peer: Peer) -> Peer:
    return Peer.objects.select_related("instance", "member__user").get(pk=peer.pk)


def counted(peer: Peer, days_ago: float) -> None:
    """As if the device had been used last so many days ago."""
    at = timezone.now() - days_ago * DAY
    Peer.objects.filter(pk=peer.pk).update(use_counted_at=at, unused_until=at + 31 * DAY)


def away(instance: Instance, days: float) -> None:
    """As if the hub answered now, after so many days without an answer."""
    now = timezone.now()
    observe_hubs(instance, observed_at=now, use_seen_at=now - days * DAY)


def about(at: datetime | None, days: float) -> bool:
    return at is not None and abs(at - timezone.now() - days * DAY) < timedelta(minutes=1)


def test_after_a_long_outage_nobody_has_to_renew(device: Peer, server: Server) -> None:
    counted(device, 41)
    expire_peers(by=BY)
    apply_urgently(str(device.instance_id))
    assert not fresh(device).is_admitted
    assert fresh(device).applied_digest == ""
    away(device.instance, 40)
    leave_out_absence(by=BY)
    back = fresh(device)
    assert back.is_admitted
    assert back.public_key == device.public_key
    assert about(back.unused_until, 30)
    apply_instance(str(device.instance_id))
    assert fresh(device).applied_digest
    line = JournalEntry.objects.get(code="instance.absence_left_out")
    assert line.details == {"hours": 960, "peers": 1}


def test_a_second_run_and_the_next_days_count(device: Peer) -> None:
    counted(device, 20)
    away(device.instance, 10)
    leave_out_absence(by=BY)
    generation = fresh(device).instance.desired_generation
    leave_out_absence(by=BY)
    count_use(5.0, by=BY)
    left = fresh(device)
    assert about(left.unused_until, 21)
    assert left.instance.desired_generation == generation
    seen = InstanceObservation.objects.get(pk=device.instance_id)
    assert seen.use_seen_at == seen.observed_at


def test_a_silent_device_of_a_hub_that_is_there_ends(device: Peer) -> None:
    counted(device, 31.1)
    away(device.instance, 0.01)
    leave_out_absence(by=BY)
    assert not fresh(device).is_admitted


def test_what_had_ended_before_stays_ended(device: Peer) -> None:
    counted(device, 45)
    away(device.instance, 10)
    leave_out_absence(by=BY)
    assert not fresh(device).is_admitted


def test_a_device_that_was_added_meanwhile_gets_no_more_than_its_days(
    device: Peer, instance: Instance, member: Membership
) -> None:
    other = update_peer(make_client_peer(instance, member, "phone"), unused_days=30, by=BY)
    counted(other, 2)
    counted(device, 12)
    away(instance, 10)
    leave_out_absence(by=BY)
    assert about(fresh(other).unused_until, 31)
    assert about(fresh(device).unused_until, 29)


def test_a_hub_that_still_does_not_answer_waits(device: Peer) -> None:
    now = timezone.now()
    counted(device, 20)
    observe_hubs(device.instance, observed_at=now - 3 * DAY, use_seen_at=now - 3 * DAY)
    leave_out_absence(by=BY)
    assert about(fresh(device).unused_until, 11)
    assert InstanceObservation.objects.get(pk=device.instance_id).use_seen_at == now - 3 * DAY


def test_the_first_look_moves_nothing(device: Peer) -> None:
    counted(device, 20)
    observe_hubs(device.instance, observed_at=timezone.now(), use_seen_at=None)
    leave_out_absence(by=BY)
    assert about(fresh(device).unused_until, 11)
    assert InstanceObservation.objects.get(pk=device.instance_id).use_seen_at is not None
