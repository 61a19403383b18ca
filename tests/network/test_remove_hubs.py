"""All hubs of a server are removed together, as `make down` does, and nothing of them stays."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.dns import resolver
from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.system import processes, users


def make(lab: Lab, agent: Agent, port: int) -> Hub:
    """Return a hub with all daemons."""
    hub = Hub(lab, agent, port=port)
    hub.server = {"addresses": [lab.host.v4], "networks": ["10.20.0.0/24"], "portal_port": None}
    hub.add()
    hub.add_openvpn()
    hub.resolver = resolver(hub)
    hub.apply()
    return hub


def test_nothing_of_removed_hubs_stays_and_no_watch_restores_them(lab: Lab) -> None:
    agent = Agent(lab)
    with Watch(agent):
        hubs = [make(lab, agent, 20000 + 4 * number) for number in range(3)]
        assert lab.hubs() == {hub.hub for hub in hubs}
        owners = {user for hub in hubs for user in users.known(lab.state, hub.hub)}
        assert not owners.isdisjoint(processes.users())
        # A link that is gone keeps nothing else from being removed.
        lab.run(lab.host, ["ip", "link", "delete", "dev", f"vh-{hubs[0].hub}"])
        removed = agent.ask(command="remove-hubs")["removed"]
        assert set(removed) == {hub.hub for hub in hubs}
        assert agent.ask(command="list")["hubs"] == []
        assert agent.ask(command="remove-hubs")["removed"] == []
        wait_until(lambda: lab.hubs() == set(), 10, "the end of links and daemons")
    assert owners.isdisjoint(processes.users()), "no process of a hub's users stays"
    for hub in hubs:
        assert not Path(f"/run/netns/hub-{hub.hub}").exists()
        assert not Path(f"/run/wireguard/wg-{hub.hub}.sock").exists()
        assert not (lab.state / hub.hub).exists()
    for name in ("links.json", "sources.json", "servers.json", "users.json"):
        assert json.loads((lab.state / name).read_text()) == {}, name
    hubs[0].epoch += 1
    assert hubs[0].apply().alive, "a newer epoch creates it again"
    hubs[0].destroy()
    agent.close()


def test_a_hub_with_an_unreadable_spec_does_not_keep_the_others(lab: Lab) -> None:
    agent = Agent(lab)
    hubs = [make(lab, agent, 20000 + 4 * number) for number in range(2)]
    spec = lab.state / hubs[0].hub / "spec.json"
    kept = spec.read_text()
    spec.write_text("{")
    assert agent.ask(command="remove-hubs")["removed"] == [hubs[1].hub]
    assert lab.hubs() == {hubs[0].hub}
    spec.write_text(kept)
    assert agent.ask(command="remove-hubs")["removed"] == [hubs[0].hub]
    wait_until(lambda: lab.hubs() == set(), 10, "the end of the other one")
    agent.close()
