"""A removed peer leaves its hub within two seconds although the hub's whole spec is under way, and stays out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.wire.errors import BUSY, AgentError
from vpn.wire.report import COMPONENTS, HubReport

NOTHING = dict.fromkeys(COMPONENTS, False)
OUT_WITHIN = 2.0
# An agent that waits in a step of every comparison, while a file is there.
_HELD = """\
import sys, time
from pathlib import Path
from vpn.agent.__main__ import main
from vpn.agent.lifecycle import reconcile

held, reached = (Path(sys.argv[1], name) for name in ("held", "reached"))
step = getattr(reconcile, sys.argv[2])
ensure = step.ensure

def wait(*arguments):
    while held.exists():
        reached.touch()
        time.sleep(0.01)
    return ensure(*arguments)

step.ensure = wait
sys.exit(main(sys.argv[3:]))
"""


class SlowAgent(Agent):
    """An agent whose comparisons wait in a step as long as they are held there."""

    def __init__(self, lab: Lab, directory: Path, step: str) -> None:
        super().__init__(lab)
        self.held, self.reached = directory / "held", directory / "reached"
        self._program = ["-c", _HELD, str(directory), step]

    def argv(self, command: str) -> list[str]:
        python, _, _, *arguments = super().argv(command)
        return [python, *self._program, *arguments]


@dataclasses.dataclass
class Scene:
    """A hub with a device of each protocol, and one that stays; `quick` is another worker's session."""

    lab: Lab
    hub: Hub
    quick: Agent
    directory: Path
    devices: list[tuple[Node, Device | OpenVPNDevice]]
    stays: Node

    @contextmanager
    def busy(self, step: str = "firewall") -> Iterator[Future[HubReport]]:
        """Inside the block a whole spec of the hub is under way, which waits in a step."""
        slow = SlowAgent(self.lab, self.directory, step)
        self.hub.agent = slow
        self.hub.mtu -= 10
        slow.held.touch()
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(self.hub.apply_next)
            try:
                wait_until(slow.reached.exists, 60, "the whole spec to be under way")
                yield under_way
            finally:
                slow.held.unlink()
                under_way.exception(60)
                slow.close()
                self.hub.agent = self.quick

    def remove(self) -> None:
        """Remove both devices; they are out in time although the hub is busy."""
        pings = [self.lab.start_ping(node, self.hub.v4) for node, _ in self.devices]
        for ping in pings:
            ping.wait_for_replies(60)
        delta = self.hub.delta(remove=[device for _, device in self.devices])
        asked = time.time()
        with pytest.raises(AgentError) as refused:
            self.quick.report(command="apply-delta", delta=delta, ahead=True)
        assert refused.value.code == BUSY
        wait_until(lambda: time.time() > asked + OUT_WITHIN + 0.5, 30, "the time")
        last = [ping.replies()[-1][0] for ping in pings]
        for ping in pings:
            ping.process.kill()
        assert max(last) < asked + OUT_WITHIN
        self.lab.wait_ping(self.stays, self.hub.v4, 5)

    def are_out(self) -> None:
        """Nothing on the hub admits the devices, and its saved spec may have them."""
        peers = self.lab.run(self.lab.host, ["wg", "show", self.hub.interface, "peers"]).stdout
        for _, device in self.devices:
            if isinstance(device, Device):
                assert device.public_key not in peers
            assert not (self.lab.state / self.hub.hub / "openvpn" / "ccd" / device.peer_id).exists()
        assert not any(self.lab.ping(node, self.hub.v4) for node, _ in self.devices)

    def is_whole(self) -> None:
        """The version that removes the devices is applied, and no trace of them is left."""
        self.hub.apply()
        assert self.hub.apply().changed == NOTHING
        assert not (self.lab.state / self.hub.hub / "removals.json").exists()
        self.are_out()


@pytest.fixture
def scene(lab: Lab, hub: Hub, tmp_path: Path) -> Scene:
    nodes = [lab.add_client(name) for name in ("alice", "bob", "carol")]
    rule = {
        "id": "00000000-0000-4000-8000-000000000001",
        "action": "accept",
        "protocol": "any",
        "ports": None,
        "source": "any",
        "destination": "any",
    }
    hub.rules = (rule,)  # type: ignore[assignment]
    devices: list[Device | OpenVPNDevice] = [hub.connect(nodes[0]), hub.connect_openvpn(nodes[1])]
    hub.connect(nodes[2])
    return Scene(lab, hub, hub.agent, tmp_path, list(zip(nodes, devices, strict=False)), nodes[2])


def test_a_spec_under_way_does_not_bring_back_who_was_removed_and_a_later_version_does(scene: Scene) -> None:
    hub = scene.hub
    with scene.busy() as under_way:
        scene.remove()
        scene.are_out()
        assert not under_way.done()
    assert under_way.result().generation == hub.generation - 1
    scene.are_out()
    scene.is_whole()
    node, device = scene.devices[0]
    hub.send(hub.delta(upsert=[device]))
    scene.lab.wait_ping(node, hub.v4, 60)


def test_a_killed_agents_spec_that_is_applied_again_brings_nobody_back(scene: Scene) -> None:
    hub = scene.hub
    with scene.busy("routing") as under_way:
        document = hub.document
        scene.remove()
        assert isinstance(hub.agent, SlowAgent)
        hub.agent.kill_group()
        assert under_way.exception(60) is not None
    report = scene.quick.report(command="apply", spec=document)
    assert report.generation == hub.generation - 1
    scene.are_out()
    scene.is_whole()


def test_who_expires_leaves_although_the_hub_is_busy(scene: Scene) -> None:
    lab, hub = scene.lab, scene.hub
    moment = int(time.time()) + 20
    limited = [dataclasses.replace(device, expires_at=moment) for _, device in scene.devices]
    scene.quick.report(command="apply-delta", delta=hub.delta(upsert=limited))
    pings = [lab.start_ping(node, hub.v4) for node, _ in scene.devices]
    for ping in pings:
        ping.wait_for_replies(60)
    with Watch(scene.quick), scene.busy() as under_way:
        assert time.time() < moment, "the hub is busy before they expire"
        wait_until(lambda: time.time() > moment + OUT_WITHIN, 60, "the moment")
        last = [ping.replies()[-1][0] for ping in pings]
        assert not under_way.done()
    assert under_way.exception() is None
    assert max(last) < moment + OUT_WITHIN
    for ping in pings:
        ping.process.kill()
    scene.are_out()
