"""An instance on its server, another region with a server, and a move between both."""

from __future__ import annotations

import pytest

from tests.factories import BY
from tests.vpn.moves.machines import Machine
from tests.vpn.moves.moving import Servers
from vpn.actions.instances.move import move_instance
from vpn.choices import Driver
from vpn.jobs.knock import give_probe
from vpn.models import Instance, Region


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> Servers:
    """The instance's server `home`, and another one in another region: `away`."""
    made = Servers()
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda address: made.machines[address.id])
    home = instance.server
    assert home is not None
    made.rows["home"], made.machines[home.pk] = home, Machine("home")
    region = Region.objects.create(pk="ams", name="Amsterdam", driver=Driver.LOCAL)
    made.add("away", region, "203.0.113.2")
    made["home"].hubs[instance.hub] = {"epoch": instance.epoch, "generation": instance.desired_generation}
    return made


@pytest.fixture
def moving(instance: Instance, servers: Servers) -> Instance:
    """An instance that begins to move to Amsterdam."""
    give_probe(instance)
    instance.save()
    return move_instance(instance, Region.objects.get(pk="ams"), by=BY)
