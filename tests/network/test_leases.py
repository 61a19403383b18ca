"""A hub with a lease is taken down by its server's watch when the lease ends, and comes back with a new one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.system import clock
from vpn.wire.errors import LEASE_OVER, AgentError
from vpn.wire.lease import Moment
from vpn.wire.observing import Observing

LONG = 600.0
WITHIN = 60.0


def look(hub: Hub, lease: Moment | None) -> dict[str, Any]:
    """One look of the portal, which renews the lease."""
    answer = hub.agent.ask(**Observing({hub.hub: ""}, 5.0, lease).document())
    report: dict[str, Any] = answer["observed"][hub.hub]["report"]
    return report


def daemons(lab: Lab, hub: Hub) -> str:
    """The programs of the machine that name the hub."""
    return "\n".join(line for line in lab.run(lab.host, ["ps", "-eo", "args"]).stdout.splitlines() if hub.hub in line)


def test_a_hub_goes_down_with_its_lease_and_comes_back_with_the_next(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect(alice)
    hub.connect_openvpn(bob)
    lab.wait_ping(alice, hub.v4)
    assert look(hub, clock.now().later(LONG))["alive"]
    with Watch(hub.agent):
        assert lab.ping(alice, hub.v4)
        # The portal is silent, and the lease ends: one that was granted before the last start is over.
        leases = lab.state / "leases.json"
        leases.write_text(leases.read_text().replace(clock.now().boot, "before"))
        wait_until(lambda: hub.hub not in lab.hubs(), WITHIN, "the hub to be down")
        wait_until(lambda: not daemons(lab, hub), WITHIN, "its daemons to end", lambda: daemons(lab, hub))
        assert not lab.ping(alice, hub.v4)
        with pytest.raises(AgentError) as refused:
            hub.apply()
        assert refused.value.code == LEASE_OVER
        assert not look(hub, Moment("before", LONG))["alive"], "a lease of the time before renews nothing"
        look(hub, clock.now().later(LONG))
        wait_until(lambda: look(hub, clock.now().later(LONG))["alive"], WITHIN, "the hub to be back")
        lab.wait_ping(alice, hub.v4, WITHIN)
        lab.wait_ping(bob, hub.v4, WITHIN)
    changed = hub.apply().changed
    assert not changed["openvpn"]
    assert not changed["routing"]


def test_after_a_reboot_it_waits_for_the_portal(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect(alice)
    other = Hub(lab, hub.agent, port=20001)
    other.apply()
    look(hub, Moment("before", LONG))
    hub.agent.close()
    lab.reboot_host()
    with Watch(hub.agent):
        wait_until(lambda: lab.hubs() == {other.hub}, WITHIN, "the hub without a lease")
        look(hub, clock.now().later(LONG))
        lab.wait_ping(alice, hub.v4, WITHIN)


def test_a_lease_that_is_ended_lets_the_hub_run_without_the_portal(lab: Lab, hub: Hub) -> None:
    hub.apply()
    with Watch(hub.agent):
        look(hub, Moment("before", LONG))
        wait_until(lambda: hub.hub not in lab.hubs(), WITHIN, "the hub to be down")
        look(hub, None)
        wait_until(lambda: look(hub, None)["alive"], WITHIN, "the hub to be back")


def test_a_destroyed_hub_leaves_no_lease(lab: Lab, hub: Hub) -> None:
    hub.apply()
    look(hub, clock.now().later(LONG))
    assert hub.hub in (lab.state / "leases.json").read_text()
    hub.destroy()
    assert hub.hub not in (lab.state / "leases.json").read_text()
