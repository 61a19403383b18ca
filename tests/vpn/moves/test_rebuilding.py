"""Rebuilding a hub, and draining a server."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from portal.exceptions import NotPossible
from portal.models import Organization
from tests.factories import BY, make_instance
from tests.vpn.moves.moving import Servers, go_on, look
from vpn.actions.instances.move import cancel_move, rebuild_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.servers.drain import drain_server
from vpn.actions.servers.server import forget_server
from vpn.choices import Driver, InstanceState, OperationState
from vpn.jobs import move as job
from vpn.jobs.knock import give_probe
from vpn.models import ChangeTrial, Instance, Region, RetiredHub
from vpn.models import Server as ServerRow

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_without_another_server_it_is_rebuilt_in_place(instance: Instance, servers: Servers) -> None:
    give_probe(instance)
    instance.save()
    rebuild_instance(instance, by=BY)
    before = instance.epoch
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["home"]
    assert servers["home"].tombstones[instance.hub] == before
    assert instance.epoch == before + 1
    assert instance.is_up_to_date
    assert not RetiredHub.objects.exists()


def test_a_killed_worker_leaves_one_in_place_that_ends(
    instance: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_probe(instance)
    instance.save()
    rebuild_instance(instance, by=BY)

    def killed(*_: object) -> None:
        raise SystemExit

    real = job._after_switch
    monkeypatch.setattr(job, "_after_switch", killed)
    with pytest.raises(SystemExit):
        go_on(instance)
    monkeypatch.setattr(job, "_after_switch", real)
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["home"]


def test_one_in_place_cannot_be_cancelled_once_the_hub_is_removed(
    admin_browser: Client, instance: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_probe(instance)
    instance.save()
    rebuild_instance(instance, by=BY)
    real = servers["home"].destroy

    def cancelled_meanwhile(hub: str, *, epoch: int, generation: int) -> None:
        real(hub, epoch=epoch, generation=generation)
        assert "Cancel and stay" not in admin_browser.get(f"/instances/{instance.pk}/progress/").content.decode()
        page = admin_browser.get(f"/instances/{instance.pk}/").content.decode()
        assert "Devices are disconnected for some seconds" in page
        with pytest.raises(NotPossible, match="cannot be cancelled"):
            cancel_move(instance, by=BY)

    monkeypatch.setattr(servers["home"], "destroy", cancelled_meanwhile)
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["home"]


def test_pages_offer_no_move_that_would_be_refused(admin_browser: Client, instance: Instance, servers: Servers) -> None:
    rebuild_instance(instance, by=BY)
    for page in ("move", "rebuild"):
        answer = admin_browser.get(f"/instances/{instance.pk}/{page}/", follow=True)
        assert answer.redirect_chain[-1][0].endswith("/progress/")
        assert "is being moved or rebuilt already" in answer.content.decode()
    progress = admin_browser.get(f"/instances/{instance.pk}/progress/").content.decode()
    assert "past runs" not in progress


def test_it_is_rebuilt_on_another_server_of_its_region(instance: Instance, servers: Servers) -> None:
    give_probe(instance)
    instance.save()
    servers.add("near", instance.region, "203.0.113.5")
    rebuild_instance(instance, by=BY)
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["near"]


def test_a_lost_instance_is_rebuilt_elsewhere(instance: Instance, servers: Servers) -> None:
    give_probe(instance)
    instance.state = InstanceState.LOST
    instance.save()
    servers.add("near", instance.region, "203.0.113.5")
    with servers["home"].silent():
        rebuild_instance(instance, by=BY)
        assert go_on(instance).state == OperationState.SUCCEEDED
    assert instance.state == InstanceState.READY
    look()
    assert servers.answering(instance.hub) == ["near"]


def test_an_operator_drains_a_server_whatever_is_on_trial(instance: Instance, servers: Servers) -> None:
    """With one change on trial after the other, a tenant could keep a server from being emptied."""
    give_probe(instance)
    instance.save()
    home = servers.rows["home"]
    ServerRow.objects.update(agent_features=["trial"])
    servers.add("near", instance.region, "203.0.113.5")
    update_instance(Instance.objects.get(), by=BY, confirm_within=3600, firewall_policy="deny")
    with pytest.raises(NotPossible, match="waiting for confirmation"):
        rebuild_instance(Instance.objects.get(), by=BY)
    assert drain_server(home, by=BY).moving == (instance,)
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["near"]
    assert ChangeTrial.objects.running().exists(), "it goes on there"


def test_draining_moves_all_hubs_or_says_which_stay(
    instance: Instance, servers: Servers, organization: Organization
) -> None:
    failed = make_instance(organization, name="Never there", state=InstanceState.FAILED)
    give_probe(instance)
    instance.save()
    home = servers.rows["home"]
    assert [why for _, why in drain_server(home, by=BY).staying.values()] == [
        "This machine has no other server that is ready and has room. Choose another region, or ask the operator.",
        "An instance that is failed cannot be moved or rebuilt. Wait until it is ready.",
    ]
    servers.add("near", instance.region, "203.0.113.5")
    drained = drain_server(home, by=BY)
    assert drained.moving == (instance,)
    assert list(drained.staying) == [failed.pk]
    home.refresh_from_db()
    assert home.cordoned
    go_on(instance)
    assert servers.answering(instance.hub) == ["near"]
    Region.objects.filter(pk=home.region_id).update(driver=Driver.SSH)
    with pytest.raises(NotPossible, match="carries 1 instance"):
        forget_server(home, by=BY)
    failed.delete()
    with pytest.raises(NotPossible, match="still forwards the ports of 1 hub"):
        forget_server(home, by=BY)


def test_the_command_waits_and_says_where_each_hub_runs(
    instance: Instance, servers: Servers, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_probe(instance)
    instance.save()
    servers.add("near", instance.region, "203.0.113.5")
    make_instance(organization, name="Never there", state=InstanceState.FAILED)
    monkeypatch.setattr("vpn.management.commands.server.time.sleep", lambda seconds: go_on(instance))
    said = StringIO()
    with pytest.raises(CommandError, match="Never there stays: An instance that is failed cannot be moved") as refused:
        call_command("server", "drain", "This machine", stdout=said)
    assert "This machine takes no new hubs until manage.py server uncordon." in str(refused.value)
    assert said.getvalue() == "Frankfurt runs on near\n"


def test_staff_drain_in_the_admin(staff_browser: Client, instance: Instance, servers: Servers) -> None:
    servers.add("near", instance.region, "203.0.113.5")
    home = servers.rows["home"]
    sent = {"action": "drain", "_selected_action": [str(home.pk)]}
    page = staff_browser.post("/admin/vpn/server/", sent, follow=True).content.decode()
    assert "takes no new hubs; 1 begin to move." in page
    assert instance.operations.filter(kind="rebuild").exists()
