"""Jobs with a real agent: whatever dies, whatever the server has, the hub ends up as the rows ask for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from portal.models import Membership
from tests.factories import BY, an_admin, make_client_peer, make_organization, make_region
from tests.lab.lab import Lab
from vpn.actions.instances.instance import create_instance, delete_instance, retry_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.actions.profiles.profile import deliver_profile, issue_link, redeem_link
from vpn.actions.profiles.refusals import HubNotReady
from vpn.actions.sites.site import create_site
from vpn.choices import InstanceState, OperationState, StepState
from vpn.drivers import local, registry
from vpn.jobs import apply, lease, observe, provision, reconcile
from vpn.jobs.servers import driver_for
from vpn.models import Instance, Server
from vpn.needs import Code, needs_of

pytestmark = [pytest.mark.flow, pytest.mark.network, pytest.mark.django_db(transaction=True)]


class KilledError(BaseException):
    """The worker's process died here. Not an Exception: no handler of the portal may catch it."""


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    """A host for the local driver."""
    with Lab() as laboratory:
        settings.HUB_HOST_NETNS = laboratory.host.netns
        settings.HUB_STATE_DIR = laboratory.state
        yield laboratory
        registry.close_all()


@pytest.fixture(autouse=True)
def _no_transaction_waits_for_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite it would hold the portal's write lock for as long as the agent takes."""
    ask = local.LocalDriver._call

    def guarded(driver: local.LocalDriver, request: dict[str, Any], *seconds: float, **named: float) -> dict[str, Any]:
        assert not connection.in_atomic_block, f"a transaction spans the agent's {request['command']}"
        return ask(driver, request, *seconds, **named)

    monkeypatch.setattr(local.LocalDriver, "_call", guarded)


@pytest.fixture
def admin() -> Membership:
    """The admin of an organization."""
    return an_admin(make_organization())


@pytest.fixture
def instance(lab: Lab, admin: Membership) -> Instance:
    """An instance that was just created; no job has run."""
    region = make_region()
    Server.objects.filter(region=region).update(address=lab.host.v4)
    return create_instance(admin.organization, name="Frankfurt", hostname="fra", region=region, by=BY)


def run_jobs(instance: Instance) -> Instance:
    """What the workers do with an instance."""
    provision.provision_instance(str(instance.pk))
    apply.apply_instance(str(instance.pk))
    instance.refresh_from_db()
    return instance


def worker_is_succeeded(instance: Instance) -> None:
    """Let the claim of a worker that died run out."""
    Instance.objects.filter(pk=instance.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def dies(after: Callable[..., Any]) -> Callable[..., Any]:
    """A function after which the process dies."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        after(*arguments, **named)
        raise KilledError

    return wrapped


def test_a_new_instance_becomes_ready_and_settles(instance: Instance) -> None:
    assert run_jobs(instance).state == InstanceState.READY
    assert instance.server_ready
    assert instance.probe_private_key_sealed, "the probe stays, to knock by the clock"


@pytest.mark.parametrize(
    "seam",
    [
        "vpn.jobs.provision.begin_step",
        "vpn.jobs.provision.send",
        "vpn.jobs.provision.record_applied",
        "vpn.jobs.provision.finish_step",
        "vpn.jobs.provision._become_ready",
    ],
)
def test_a_worker_killed_while_provisioning_is_succeeded_by_another(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, seam: str
) -> None:
    name = seam.rpartition(".")[2]
    with monkeypatch.context() as patched:
        patched.setattr(seam, dies(getattr(provision, name)))
        patched.setattr("vpn.jobs.provision.lease.release", lambda *arguments: None)
        with pytest.raises(KilledError):
            provision.provision_instance(str(instance.pk))
    run_jobs(instance)
    if seam != "vpn.jobs.provision._become_ready":
        assert instance.state != InstanceState.READY, "the dead worker's claim still holds"
    worker_is_succeeded(instance)
    assert run_jobs(instance).server_ready


@pytest.mark.parametrize("seam", ["send", "_conclude", "_operation", "compile_change"])
def test_a_worker_killed_while_applying_is_succeeded_by_another(
    instance: Instance, admin: Membership, monkeypatch: pytest.MonkeyPatch, seam: str
) -> None:
    run_jobs(instance)
    peer = create_client_peer(instance, member=admin, device="laptop", by=BY)
    with monkeypatch.context() as patched:
        patched.setattr(f"vpn.jobs.apply.{seam}", dies(getattr(apply, seam)))
        patched.setattr("vpn.jobs.apply.lease.release", lambda *arguments: None)
        with pytest.raises(KilledError):
            apply.apply_instance(str(instance.pk))
    worker_is_succeeded(instance)
    delete_peer(peer, by=BY)
    create_client_peer(instance, member=admin, device="phone", by=BY)
    assert run_jobs(instance).server_ready
    assert not instance.operations.filter(state=OperationState.RUNNING).exists()
    report = driver_for(instance.server).status(instance.hub, peers=False)
    assert report.digest == instance.applied_digest


@pytest.mark.parametrize(
    ("seam", "whole"), [("send_ahead", False), ("_conclude", False), ("send_ahead", True), ("_note_part", True)]
)
def test_a_worker_killed_while_revoking_is_succeeded_by_another(
    instance: Instance, admin: Membership, monkeypatch: pytest.MonkeyPatch, seam: str, *, whole: bool
) -> None:
    """Also where other settings need the whole specification, which comes after those who are shut out have left."""
    run_jobs(instance)
    # With its last peer the hub loses its resolver, which takes the whole specification.
    create_client_peer(instance, member=admin, device="phone", by=BY)
    peer = create_client_peer(instance, member=admin, device="laptop", by=BY)
    run_jobs(instance)
    if whole:
        update_instance(instance, mtu=1300, by=BY)
    delete_peer(peer, by=BY)
    with monkeypatch.context() as patched:
        patched.setattr(f"vpn.jobs.apply.{seam}", dies(getattr(apply, seam)))
        patched.setattr("vpn.jobs.apply.lease.release", lambda *arguments: None)
        with pytest.raises(KilledError):
            apply.apply_urgently(str(instance.pk))
    assert peer.public_key not in (driver_for(instance.server).status(instance.hub, peers=True).peers or {}), (
        "it is out already"
    )
    worker_is_succeeded(instance)
    assert run_jobs(instance).server_ready
    assert not instance.operations.filter(state=OperationState.RUNNING).exists()
    assert not instance.tombstones.exists()
    report = driver_for(instance.server).status(instance.hub, peers=True)
    assert report.digest == instance.applied_digest
    assert peer.public_key not in (report.peers or {})


def test_a_claimed_instance_is_left_to_its_worker(instance: Instance) -> None:
    assert lease.claim(instance.pk)
    assert run_jobs(instance).state == InstanceState.PENDING


def test_a_failed_step_says_why_and_a_retry_goes_on_from_it(instance: Instance, lab: Lab) -> None:
    Server.objects.update(address=None)
    assert run_jobs(instance).state == InstanceState.FAILED
    step = instance.operations.get().steps.get(state=StepState.FAILED)
    assert "HUB_ADDRESS" in step.message
    Server.objects.update(address=lab.host.v4)
    retry_instance(instance, by=BY)
    assert run_jobs(instance).server_ready


def test_a_hub_that_does_not_answer_on_its_own_server_is_not_ready(instance: Instance, lab: Lab) -> None:
    drop = f"udp dport {instance.wireguard_port} drop"
    rules = f"table inet deaf {{ chain input {{ type filter hook input priority filter; {drop}; }}; }}"
    lab.run(lab.host, ["nft", "-f", "-"], stdin=rules)
    assert run_jobs(instance).state == InstanceState.FAILED
    step = instance.operations.get().steps.get(state=StepState.FAILED)
    assert lab.host.v4 in step.message


def test_a_hub_whose_address_leads_elsewhere_is_ready_and_not_proven(instance: Instance, admin: Membership) -> None:
    Server.objects.update(address="203.0.113.222")
    assert run_jobs(instance).state == InstanceState.READY
    assert [need.code for need in needs_of(instance)] == [Code.HUB_UNPROVEN]
    peer = make_client_peer(instance, admin)
    apply.apply_instance(str(instance.pk))
    token, _ = issue_link(peer, by=BY)
    assert f"203.0.113.222:{instance.wireguard_port}" in redeem_link(token, by=BY).content


def test_a_hub_taken_away_behind_the_portals_back_is_brought_back(instance: Instance, admin: Membership) -> None:
    run_jobs(instance)
    driver_for(instance.server).destroy(instance.hub, epoch=instance.epoch, generation=instance.desired_generation)
    observe.observe_hubs([instance], 10)
    instance.refresh_from_db()
    assert not instance.server_ready
    assert run_jobs(instance).server_ready
    assert driver_for(instance.server).status(instance.hub, peers=False).alive


def test_a_database_restored_from_a_backup_wins_over_its_server(instance: Instance, admin: Membership) -> None:
    run_jobs(instance)
    backup = Instance.objects.filter(pk=instance.pk).values().get()
    for device in ("one", "two", "three"):
        create_client_peer(instance, member=admin, device=device, by=BY)
        run_jobs(instance)
    instance.peers.all().delete()
    Instance.objects.filter(pk=instance.pk).update(**backup)
    create_client_peer(instance, member=admin, device="after the restore", by=BY)
    assert run_jobs(instance).server_ready
    assert instance.epoch > backup["epoch"]
    assert driver_for(instance.server).status(instance.hub, peers=False).digest == instance.applied_digest


def kill_session(lab: Lab) -> None:
    """Kill the agent that answers this laboratory's portal."""
    ours = [sys.executable, "-m", "vpn.agent", "--state", str(lab.state), "--host-netns", lab.host.netns, "session"]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes().split(b"\0")[:-1] == [os.fsencode(word) for word in ours]:
                os.kill(int(entry.parent.name), signal.SIGKILL)
                return
    pytest.fail("no session runs")


def test_a_session_that_died_is_opened_anew(lab: Lab, instance: Instance, admin: Membership) -> None:
    run_jobs(instance)
    kill_session(lab)
    create_client_peer(instance, member=admin, device="laptop", by=BY)
    assert run_jobs(instance).server_ready


def test_a_change_that_nobody_rang_for_is_rung_for_again(
    instance: Instance, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_jobs(instance)
    create_client_peer(instance, member=admin, device="laptop", by=BY)
    rung: list[Any] = []
    monkeypatch.setattr("vpn.doorbell._enqueue", lambda queue, *what, **options: rung.append(what))
    reconcile.reconcile_all()
    assert ("vpn.jobs.apply.apply_instance", str(instance.pk)) in rung


def test_a_change_without_a_new_generation_is_found(
    instance: Instance, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_jobs(instance)
    Instance.objects.filter(pk=instance.pk).update(mtu=1300)
    rung: list[Any] = []
    monkeypatch.setattr("vpn.doorbell._enqueue", lambda queue, *what, **options: rung.append(what))
    reconcile.reconcile_all()
    assert ("vpn.jobs.apply.apply_instance", str(instance.pk)) in rung
    assert run_jobs(instance).server_ready


def test_an_expired_peer_leaves_the_hub(instance: Instance, admin: Membership) -> None:
    run_jobs(instance)
    peer = create_client_peer(instance, member=admin, device="visitor", by=BY)
    run_jobs(instance)
    assert deliver_profile(peer, by=BY).content
    type(peer).objects.filter(pk=peer.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    reconcile.reconcile_all()
    run_jobs(instance)
    peer.refresh_from_db()
    assert peer.applied_digest == ""


def test_no_profile_is_handed_out_before_the_hub_has_the_peer(instance: Instance, admin: Membership) -> None:
    peer = create_client_peer(instance, member=admin, device="early", by=BY)
    with pytest.raises(HubNotReady):
        deliver_profile(peer, by=BY)
    run_jobs(instance)
    assert deliver_profile(peer, by=BY).content


def test_a_taken_port_is_said_and_the_hub_goes_on_once_it_is_free(instance: Instance, lab: Lab) -> None:
    bind = f"s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', {instance.wireguard_port}))"
    program = f"import socket, time; {bind}; print('bound', flush=True); time.sleep(60)"
    listener = lab.start(lab.host, ["python3", "-c", program], subprocess.PIPE)
    assert listener.stdout is not None
    assert listener.stdout.readline() == "bound\n"
    assert run_jobs(instance).state == InstanceState.FAILED
    step = instance.operations.get().steps.get(state=StepState.FAILED)
    assert str(instance.wireguard_port) in step.message
    listener.kill()
    listener.wait()
    retry_instance(instance, by=BY)
    assert run_jobs(instance).server_ready


def test_deleting_while_provisioning_ends_with_nothing(
    instance: Instance, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = apply.send

    def deleted_meanwhile(*arguments: Any) -> Any:
        delete_instance(instance, by=BY)
        return send(*arguments)

    rung: list[Any] = []
    monkeypatch.setattr("vpn.doorbell._enqueue", lambda queue, *what, **options: rung.append(what))
    monkeypatch.setattr("vpn.jobs.provision.send", deleted_meanwhile)
    provision.provision_instance(str(instance.pk))
    assert rung[-1] == ("vpn.jobs.provision.destroy_instance", str(instance.pk))
    provision.destroy_instance(str(instance.pk))
    assert not Instance.objects.exists()
    assert not lab.hubs()


def test_deleting_while_settings_change_leaves_nothing(instance: Instance, lab: Lab) -> None:
    run_jobs(instance)
    update_instance(instance, mtu=1380, by=BY)
    delete_instance(instance, by=BY)
    apply.apply_instance(str(instance.pk))
    provision.destroy_instance(str(instance.pk))
    assert not Instance.objects.exists()
    assert not lab.hubs()


def test_broad_routes_reach_the_hub_and_leave_it(instance: Instance, lab: Lab, admin: Membership) -> None:
    run_jobs(instance)
    wide = ["0.0.0.0/0", "::/0", "224.0.0.0/3"]
    site = create_site(admin.organization, name="Exit", platform="linux", by=BY)
    peer = create_site_peer(instance, site=site, subnets=wide, confirm_broad_routes=True, by=BY)
    other = create_site(admin.organization, name="Other", platform="linux", by=BY)
    create_site_peer(instance, site=other, subnets=["128.0.0.0/1", "1.0.0.0/8"], confirm_broad_routes=True, by=BY)
    assert run_jobs(instance).server_ready
    update_peer(peer, subnets=["10.1.0.0/24"], by=BY)
    assert run_jobs(instance).server_ready
    observe.observe_hubs([instance], 10)
    instance.refresh_from_db()
    assert instance.server_ready, "what the hub runs is what was asked for"
