"""Hubs that instances left: they end, their servers forward, and nothing stays behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.exceptions import NotPossible
from portal.models import Membership
from tests.factories import BY, settle
from tests.vpn.moves.moving import Servers, go_on, go_on_until, look
from vpn.actions.instances.instance import delete_instance
from vpn.actions.instances.move import move_instance
from vpn.actions.instances.retirement import end_forwarding
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import OperationState
from vpn.jobs import move as job
from vpn.jobs import retirement
from vpn.jobs.provision import destroy_instance
from vpn.models import Instance, Region, RetiredHub
from vpn.presenters.needs import notices_of

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_a_silent_former_server_hands_over_once_it_answers(moving: Instance, servers: Servers) -> None:
    with servers["home"].silent():
        operation = go_on(moving)
        assert operation.state == OperationState.SUCCEEDED
        assert "Once This machine answers" in operation.steps.get(name="hand-over").message
        look()
        assert RetiredHub.objects.get().forwarding_since is None
        settle(moving)
        assert "The hub left This machine, which does not answer" in notices_of(moving)[0].message
    look()
    assert servers.answering(moving.hub) == ["away"]
    assert moving.hub in servers["home"].forwards


def test_an_instance_that_is_deleted_leaves_nothing(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_SLICE_SECONDS", 0.0)
    go_on_until(moving, lambda: moving.hub in servers["away"].hubs)
    delete_instance(moving, by=BY)
    destroy_instance(str(moving.pk))
    assert not Instance.objects.exists()
    look()
    assert servers.answering(moving.hub) == []
    assert not RetiredHub.objects.exists()


def test_deleting_ends_the_forwarding(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    delete_instance(moving, by=BY)
    destroy_instance(str(moving.pk))
    look()
    assert not servers["home"].forwards
    assert not RetiredHub.objects.exists()


def test_servers_left_before_forward_to_the_newest_one(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    servers.add("third", Region.objects.create(pk="par", name="Paris"), "203.0.113.4")
    move_instance(moving, Region.objects.get(pk="par"), by=BY)
    go_on(moving)
    look()
    assert {name: servers[name].forwards[moving.hub].to for name in ("home", "away")} == {
        "home": ("203.0.113.4",),
        "away": ("203.0.113.4",),
    }


def test_it_moves_back_once_the_forwarding_has_ended(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    home = servers.rows["home"].region
    with pytest.raises(NotPossible, match="still forwards"):
        move_instance(moving, home, by=BY)
    end_forwarding(moving, by=BY)
    move_instance(moving, home, by=BY)
    assert go_on(moving).state == OperationState.SUCCEEDED
    look()
    assert servers.answering(moving.hub) == ["home"]
    assert servers["away"].forwards[moving.hub].to == servers.rows["home"].addresses


def test_the_forwarding_ends_when_it_is_not_used(moving: Instance, servers: Servers, admin: Membership) -> None:
    go_on(moving)
    servers["home"].packets = 5
    look()
    assert RetiredHub.objects.get().packets == 5
    long_ago = timezone.now() - retirement.QUIET_FOR - timedelta(minutes=1)
    peer = create_client_peer(moving, member=admin, device="laptop", by=BY)
    moving.peers.filter(pk=peer.pk).update(delivered_host=servers.rows["home"].addresses[0])
    look(used_at=long_ago)
    assert RetiredHub.objects.get().is_forwarding, "a profile still points there"
    moving.peers.all().delete()
    look(used_at=long_ago)
    look()
    assert not RetiredHub.objects.exists()
    assert not servers["home"].forwards
    moving.refresh_from_db()
    assert moving.earlier_addresses == []


def test_a_late_hand_over_leaves_no_forwarding(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin ends the forwarding while a worker hands over: its ports may soon be another organization's."""
    go_on(moving)
    stale = RetiredHub.objects.select_related("server__region", "instance__server__region").get()
    end_forwarding(moving, by=BY)
    look()
    assert not RetiredHub.objects.exists()
    assert stale.instance is not None
    retirement.hand_over(stale, stale.instance)
    assert not servers["home"].forwards


def test_a_forwarding_that_was_ended_does_not_begin_again(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on(moving)
    machine = servers["home"]
    counted = machine.forwarded_packets

    def ended_meanwhile(hub: str) -> int:
        monkeypatch.setattr(machine, "forwarded_packets", counted)
        end_forwarding(moving, by=BY)
        look()
        return counted(hub)

    monkeypatch.setattr(machine, "forwarded_packets", ended_meanwhile)
    look()
    assert not RetiredHub.objects.exists()
    assert not machine.forwards
