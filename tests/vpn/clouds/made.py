"""What tests of clouds have in common: settings, and the work of the jobs in place of SSH."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY
from tests.lab.ec2 import REGION, Ec2
from vpn.actions.instances.instance import create_instance
from vpn.actions.servers.preparation import conclude_preparation
from vpn.choices import InstanceState, NodeState, StepState
from vpn.jobs.nodes import look_at_node
from vpn.jobs.provision import destroy_instance, provision_instance
from vpn.keys import generate_ssh_key
from vpn.models import CloudNode, Instance, Preparation, Region

SECRET: Final = "cloud-secret-cloud-secret"
_MOST_LOOKS: Final = 12


def settings_for(ec2: Ec2, **other: Any) -> dict[str, Any]:
    """The settings of an account."""
    return {
        "provider": "ec2",
        "key": "AKIAEXAMPLE",
        "location": REGION,
        "size": "t3.small",
        "image": ec2.image,
        "network": "",
        "endpoint": ec2.endpoint,
        "project": "",
        "domain": "",
        "capacity": 20,
        "ssh_from": [],
        **other,
    }


def make_instance(organization: Organization, region: Region, hostname: str = "hub1") -> Instance:
    """An instance in the region, as its page creates it."""
    return create_instance(organization, name=f"Hub {hostname}", hostname=hostname, region=region, by=BY)


class Servers:
    """Plays the SSH server of every node, and the server's preparation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys = [generate_ssh_key()[1]]
        monkeypatch.setattr("vpn.jobs.nodes.made_host_key", lambda address: self.keys[-1])
        monkeypatch.setattr("vpn.jobs.nodes.use_host_key", lambda address: None)
        monkeypatch.setattr("vpn.jobs.provision.driver_for", lambda server: self)

    def check(self) -> None:
        """Answer."""

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Remove a hub."""


def work(*, prepared: bool = True) -> None:
    """Run the jobs of all nodes and instances until nothing changes any more."""
    before: list[object] = []
    for _ in range(_MOST_LOOKS):
        for node in CloudNode.objects.all():
            look_at_node(str(node.server_id))
        for running in Preparation.objects.filter(is_running=True) if prepared else ():
            conclude_preparation(running, by=BY)
        for pk in Instance.objects.filter(state__in=[InstanceState.PENDING, InstanceState.PROVISIONING]):
            provision_until_hub(pk)
        for instance in Instance.objects.filter(state=InstanceState.DELETING):
            destroy_instance(str(instance.pk))
        before.append(list(CloudNode.objects.order_by("pk").values_list("state", "node_id", "server__state")))
        if before[-3:] == [before[-1]] * 3:
            return  # Some looks only note an address, or see that something has ended.
    raise AssertionError(f"the jobs do not come to an end: {before[-1]}")


def provision_until_hub(instance: Instance) -> None:
    """Run an instance's steps; the hub itself is for tests with real servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vpn.jobs.provision._PROVISION_STEPS", _steps_before_hub())
        provision_instance(str(instance.pk))


def _steps_before_hub() -> dict[str, Any]:
    from vpn.choices import StepName
    from vpn.jobs.progress import StepWaits
    from vpn.jobs.provision import _PROVISION_STEPS

    def wait(pk: object, token: object) -> str:
        raise StepWaits

    return {**_PROVISION_STEPS, StepName.HUB: wait}


def steps_of(instance: Instance) -> dict[str, str]:
    """The states of the steps, in order."""
    operation = instance.operations.get(kind="provision")
    return dict(operation.steps.values_list("name", "state"))


def failure_of(instance: Instance) -> str:
    """What the failed step says."""
    from vpn.presenters.findings import step_message

    operation = instance.operations.get(kind="provision")
    return step_message(operation, operation.steps.get(state=StepState.FAILED))


def hurry(seconds: float = 120) -> None:
    """Let this time pass for all orders that were sent."""
    past = timezone.now() - timedelta(seconds=seconds)
    CloudNode.objects.exclude(called_at=None).update(called_at=past)
    CloudNode.objects.exclude(lease_expires_at=None).update(lease_expires_at=past)


def the_node() -> CloudNode:
    """The only node."""
    return CloudNode.objects.select_related("server__ssh").get()


__all__ = ["SECRET", "NodeState", "Servers", "failure_of", "hurry", "make_instance", "settings_for", "the_node", "work"]
