"""What dies comes back: tunnel processes, links, whole hosts, and an agent that was killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.dns import resolver
from tests.lab.hub import ROOT, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.lifecycle import health
from vpn.agent.lifecycle.daemons import Daemon
from vpn.agent.lifecycle.daemons import daemons as all_daemons
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.openvpn.layout import Layout
from vpn.agent.system.command import Netns
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)


def tunnel_process(hub: Hub) -> int | None:
    """Return the id of the hub's wireguard-go, None when there is none."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if arguments[:2] == [b"wireguard-go", hub.interface.encode()]:
                return int(entry.name)
    return None


def kill_tunnel(hub: Hub) -> int:
    process = tunnel_process(hub)
    if process is None:
        pytest.skip("the kernel has WireGuard: there is no process to kill")
    os.kill(process, signal.SIGKILL)
    return process


def test_a_killed_tunnel_is_healed_with_its_sessions(lab: Lab, hub: Hub) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.add_many(50)
    site = hub.connect_site(berlin)
    hub.connect(alice)
    lab.wait_ping(alice, berlin.lan.v4)
    with Watch(hub.agent):
        endpoints = lab.state / hub.hub / "endpoints.json"
        wait_until(lambda: endpoints.exists() and site.public_key in endpoints.read_text(), 6, "a snapshot")
        assert endpoints.stat().st_mode & 0o777 == 0o600
        handshakes = hub.status().peers or {}
        ping = lab.start_ping(alice, berlin.lan.v4, 0.05)
        ping.wait_for_replies()
        kill_tunnel(hub)
        killed = time.time()
        wait_until(lambda: any(at > killed + 0.2 for at, _ in ping.replies()), 10, "traffic after the kill")
        assert ping.stop().longest_gap < 3
        report = hub.status()
        assert report.alive
        assert set(report.peers or {}) >= set(handshakes)
        # Peers are called back for a moment, not for ever.
        listed = ["wg", "show", hub.interface, "persistent-keepalive"]
        wait_until(lambda: "\t1\n" not in lab.run(lab.host, listed).stdout, 20, "the end of calling back")
    assert lab.ping(alice, berlin.lan.v4)
    assert hub.apply().changed == NOTHING


def test_an_apply_heals_too(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect(alice)
    kill_tunnel(hub)
    wait_until(lambda: not hub.status().alive, 5, "the end of the process")
    device = hub.add()
    del hub.devices[device.peer_id]
    changed = hub.send(hub.delta(upsert=[device])).changed
    assert changed["wireguard"]
    assert hub.apply().changed == NOTHING
    lab.wait_ping(alice, hub.v4, 20)


def test_all_is_restored_after_a_reboot(lab: Lab, hub: Hub) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    other = Hub(lab, hub.agent, port=20001)
    other.apply()
    hub.connect_site(berlin)
    hub.connect(alice)
    # Deltas since the last whole spec belong to it, too.
    extra = hub.add(["10.88.0.0/24"])
    del hub.devices[extra.peer_id]
    hub.send(hub.delta(upsert=[extra]))
    with Watch(hub.agent):
        endpoints = lab.state / hub.hub / "endpoints.json"
        wait_until(lambda: endpoints.exists() and endpoints.read_text().count("203.0.113.") == 2, 6, "a snapshot")
    hub.agent.close()
    lab.reboot_host()
    assert lab.hubs() == set()
    with Watch(hub.agent):
        wait_until(lambda: lab.hubs() == {hub.hub, other.hub}, 10, "both hubs")
        lab.wait_ping(alice, berlin.lan.v4, 10)
    assert hub.apply().changed["routing"] is False
    assert other.apply().changed == NOTHING
    assert extra.public_key in lab.run(lab.host, ["wg", "show", hub.interface, "peers"]).stdout


def test_watch_restores_a_lost_namespace_and_a_lost_link(lab: Lab, hub: Hub) -> None:
    hub.apply()
    with Watch(hub.agent):
        subprocess.run(["ip", "netns", "delete", f"hub-{hub.hub}"], check=True)
        wait_until(lambda: Path(f"/run/netns/hub-{hub.hub}").exists(), 5, "the namespace")
        wait_until(lambda: hub.hub in lab.hubs() and hub.apply().changed == NOTHING, 5, "the hub")
        lab.run(lab.host, ["ip", "link", "delete", f"vh-{hub.hub}"])
        show = ["ip", "link", "show", f"vh-{hub.hub}"]
        wait_until(lambda: lab.run(lab.host, show, check=False).returncode == 0, 10, "the link")


def test_a_lost_namespace_is_restored_with_the_listeners_of_openvpn(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect_openvpn(alice, transport="tcp")
    with Watch(hub.agent):
        subprocess.run(["ip", "netns", "delete", f"hub-{hub.hub}"], check=True)
        wait_until(lambda: Path(f"/run/netns/hub-{hub.hub}").exists() and hub.status().alive, 60, "the hub")
        lab.wait_ping(alice, hub.v4, 60)
    assert hub.apply().changed == NOTHING


def test_watch_restores_the_rules_of_the_host(lab: Lab, hub: Hub) -> None:
    hub.apply()
    lab.run(lab.host, ["nft", "flush", "ruleset"])  # as `systemctl restart nftables` does
    with Watch(hub.agent):
        tables = ["nft", "list", "tables"]
        wait_until(lambda: "table inet vpnhub" in lab.run(lab.host, tables).stdout, 8, "the host's rules")
    assert hub.apply().changed == NOTHING


def test_an_idle_hub_is_looked_at_again_when_a_daemon_ends(lab: Lab, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_openvpn()
    hub.resolver = resolver(hub)
    hub.apply()
    host, looks = Host(Netns(lab.host.netns), State(lab.state)), []

    def daemons(*of: Any) -> Iterator[Daemon]:
        looks.append(of)
        return all_daemons(*of)

    monkeypatch.setattr(health, "daemons", daemons)
    liveness = health.Liveness(host)

    def is_trusted() -> bool:
        before = len(looks)
        return liveness.is_alive(hub.hub) and len(looks) == before

    names = {each.name for each in all_daemons(host, hub.hub)}
    assert names >= {"openvpn udp", "openvpn tcp", "openvpn routes", "dns"}
    for name in sorted(names):
        wait_until(is_trusted, 60, "a hub that is not looked at")
        assert not liveness.wait(0.0)
        (daemon,) = (each for each in all_daemons(host, hub.hub) if each.name == name)
        os.kill(daemon.process.pid, signal.SIGKILL)
        assert liveness.wait(60), name
        wait_until(lambda: not liveness.is_alive(hub.hub), 60, name)
        hub.apply()
    wait_until(is_trusted, 60, "a hub that is not looked at")
    subprocess.run(["ip", "netns", "delete", f"hub-{hub.hub}"], check=True)
    assert not liveness.is_alive(hub.hub)


def test_watch_ends_at_once_when_told_to(lab: Lab, hub: Hub) -> None:
    hub.apply()
    with Watch(hub.agent) as watch:
        link = ["ip", "link", "delete", f"vh-{hub.hub}"]
        lab.run(lab.host, link)
        show = ["ip", "link", "show", f"vh-{hub.hub}"]
        wait_until(lambda: lab.run(lab.host, show, check=False).returncode == 0, 10, "the first look")
        started = time.monotonic()
        watch.process.terminate()
        assert watch.process.wait(3) == 0
        assert time.monotonic() - started < 1.5


def test_watch_leaves_a_destroyed_hub_alone(lab: Lab, hub: Hub) -> None:
    other = Hub(lab, hub.agent, port=20001)
    other.apply()
    hub.apply()
    with Watch(hub.agent):
        hub.destroy()
        lab.run(lab.host, ["ip", "link", "delete", f"vh-{other.hub}"])
        wait_until(lambda: other.hub in lab.hubs() and f"vh-{other.hub}" in _links(lab), 10, "the other hub's link")
        assert lab.hubs() == {other.hub}


def _links(lab: Lab) -> str:
    return lab.run(lab.host, ["ip", "link"]).stdout


def descriptors(process: int) -> set[str]:
    """Return what a process has open."""
    return {os.readlink(entry) for entry in Path(f"/proc/{process}/fd").iterdir()}


def test_tunnels_outlive_the_agent(lab: Lab, hub: Hub) -> None:
    hub.apply()
    agent = hub.agent.process
    assert agent is not None
    process = tunnel_process(hub)
    if process is None:
        pytest.skip("the kernel has WireGuard: there is no process")
    inherited = descriptors(process) & descriptors(agent.pid) - {"/dev/null"}
    assert not inherited
    assert not any(str(lab.state) in name for name in descriptors(process))
    hub.agent.kill_group()
    assert hub.status().alive
    assert tunnel_process(hub) == process


@pytest.mark.parametrize("milliseconds", [130, 150, 170, 190, 210, 230, 260, 300, 350])
def test_an_agent_killed_in_the_middle_is_continued(world: tuple[Lab, Hub], milliseconds: int) -> None:
    lab, _ = world
    hub = Hub(lab, world[1].agent)
    hub.add_many(300)
    process = subprocess.Popen(
        hub.agent.argv("apply"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"spec": hub.document}))
    process.stdin.close()
    # The moment is the point here: wherever it falls, the next apply has to cope.
    time.sleep(milliseconds / 1000)
    process.kill()
    process.wait(5)
    hub.apply()
    assert hub.apply().changed == NOTHING
    assert hub.status().alive
    hub.destroy()
    assert lab.hubs() == set()


def test_what_sets_the_routes_of_openvpn_peers_is_healed(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect_openvpn(alice)
    layout = Layout(lab.state / hub.hub / "openvpn")
    killed = openvpn_routes.from_pid_file(layout)
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: not hub.status().alive, 60, "its end")
    with Watch(hub.agent):
        wait_until(lambda: openvpn_routes.from_pid_file(layout) not in (None, killed), 60, "another one")
        hub.connect_openvpn(bob)
        assert lab.ping(alice, hub.v4)
    assert hub.apply().changed == NOTHING
