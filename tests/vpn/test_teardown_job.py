"""Taking a hub down, whatever the server has of it."""

from __future__ import annotations

import pytest

from tests.factories import BY
from vpn.actions.instances.instance import delete_instance
from vpn.drivers.base import AgentError, errors
from vpn.jobs.provision import destroy_instance
from vpn.models import Instance
from vpn.wire.report import HubReport


class NewerServer:
    """Plays a server that has followed a database which was lost since."""

    epoch, generation = 3, 700

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """What it runs."""
        return HubReport(hub, self.epoch, self.generation, "", alive=True, observed_at=0.0)

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Refuse what is older, as the agent does."""
        if (epoch, generation) < (self.epoch, self.generation):
            raise AgentError(errors.STALE, "The hub has a newer configuration.")


def test_a_database_from_a_backup_can_take_its_hubs_down(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.jobs.provision.driver_for", lambda name: NewerServer())
    monkeypatch.setattr("vpn.jobs.apply.driver_for", lambda name: NewerServer())
    delete_instance(instance, by=BY)
    destroy_instance(str(instance.pk))
    assert not Instance.objects.exists()


def test_an_instance_that_never_had_a_server_goes_without_one(instance: Instance) -> None:
    Instance.objects.update(server=None)
    delete_instance(instance, by=BY)
    destroy_instance(str(instance.pk))
    assert not Instance.objects.exists()
