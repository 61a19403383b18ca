"""Daemons whose package was upgraded, or that an older agent started: started anew, one after the other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.dns import resolver
from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.dns import config as resolver_config
from vpn.agent.lifecycle.daemons import Daemon
from vpn.agent.lifecycle.daemons import daemons as daemons_there
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.system import processes
from vpn.agent.system.command import Netns
from vpn.agent.wireguard import uapi
from vpn.wire.report import COMPONENTS

INSTALLED = ("wireguard-go", "openvpn", "dnsmasq")
ADMIN = "/usr/local/sbin"  # comes before the distribution's own
# The agent and its daemons find these programs in a directory of the test's, and nobody else on this machine does.
_WITH_PROGRAMS = f'mount --make-private / && mount --bind "$0" {ADMIN} && exec "$@"'


@pytest.fixture
def programs(lab: Lab) -> Path:
    """A directory with copies of the programs."""
    directory = lab.directory / "programs"
    directory.mkdir(mode=0o755)
    lab.directory.chmod(0o755)
    for name in INSTALLED:
        install(directory, name)
    return directory


def install(directory: Path, name: str) -> None:
    """Put a program in place as dpkg(1) does: beside the old one, then over it."""
    source = shutil.which(name, path="/usr/sbin:/usr/bin")
    assert source is not None
    new = directory / f"{name}.dpkg-new"
    shutil.copy(source, new)
    new.replace(directory / name)


@pytest.fixture
def upgraded(lab: Lab, agent: Agent, programs: Path) -> Hub:
    """A hub whose agent finds the copies."""
    argv = agent.argv
    prefix = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", _WITH_PROGRAMS, str(programs)]
    agent.argv = lambda command: [*prefix, *argv(command)]  # type: ignore[method-assign]
    hub = Hub(lab, agent)
    hub.resolver = resolver(hub)
    return hub


def daemons_of(hub: Hub) -> list[Daemon]:
    """Return the daemons of a hub that run."""
    return list(daemons_there(Host(Netns(hub.lab.host.netns), State(hub.lab.state)), hub.hub))


def pids_of(hub: Hub) -> dict[str, int]:
    """Return them by name."""
    return {daemon.name: daemon.process.pid for daemon in daemons_of(hub)}


class Noted(Watch):
    """A watch whose words are kept."""

    stderr = subprocess.PIPE

    def said(self) -> list[str]:
        """Return what it started anew, when it has ended."""
        assert self.process.stderr is not None
        return [line for line in self.process.stderr.read().decode().splitlines() if "restarted" in line]


def test_daemons_follow_their_packages_one_at_a_time_and_once(lab: Lab, upgraded: Hub, programs: Path) -> None:
    hub = upgraded
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect(alice)
    hub.connect_openvpn(bob, transport="udp")
    before = pids_of(hub)
    replaced = {name for name in before if name != "openvpn routes"}
    if "wireguard" not in before:
        pytest.skip("the kernel has WireGuard: there is no process")
    most_gone = 0
    with Noted(hub.agent) as watch:
        for name in INSTALLED:
            install(programs, name)

        def all_new() -> bool:
            nonlocal most_gone
            now = pids_of(hub)
            most_gone = max(most_gone, len(before.keys() - now.keys()))
            return len(now) == len(before) and not any(now[name] == before[name] for name in replaced)

        wait_until(all_new, 180, "new daemons")
        lab.wait_ping(alice, hub.v4, 90)
        lab.wait_ping(bob, hub.v4, 90)
        after = pids_of(hub)
        # One more upgrade: had any of the others started anew for ever, it would do so before this one's turn.
        install(programs, "dnsmasq")
        wait_until(
            lambda: pids_of(hub).get("dns") not in (None, after["dns"]), 90, "the resolver of the second upgrade"
        )
        assert {name for name, pid in pids_of(hub).items() if after[name] != pid} == {"dns"}
    assert sorted(watch.said()) == sorted(f"{hub.hub}: {name} restarted" for name in (*replaced, "dns"))
    assert most_gone <= 1
    assert hub.status().alive


def test_a_broken_package_ends_one_daemon_and_no_more(lab: Lab, upgraded: Hub, programs: Path) -> None:
    hub = upgraded
    hub.add_openvpn()
    hub.apply()
    before = pids_of(hub)
    with Noted(hub.agent):
        broken = programs / "openvpn.dpkg-new"
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o755)
        broken.replace(programs / "openvpn")
        wait_until(lambda: len(pids_of(hub)) < len(before), 90, "the end of the first listener")
        # It is tried again, by healing, for as long as it does not start; the other one goes on as it was.
        install(programs, "openvpn")
        wait_until(lambda: len(pids_of(hub)) == len(before), 120, "the listener, mended")
        after = pids_of(hub)
    assert len({name for name in before if before[name] != after[name]}) == 1


def start_as_an_older_agent_did(hub: Hub) -> None:
    """Have the hub's tunnel and resolver run as root's processes that see everything."""
    lab, inside = hub.lab, Netns(hub.node.netns)
    layout = resolver_config.Layout(lab.state / hub.hub / "dns")
    digest = layout.started.read_text().split()[1]
    end(hub, "dns")
    inside.run(["dnsmasq", "--user=root", "-C", str(layout.config)])
    layout.started.write_text(f"{processes.first('dnsmasq', layout.config)} {digest}\n")
    end(hub, "wireguard")
    uapi.pid_path(hub.interface).unlink()
    uapi.socket_path(hub.interface).unlink(missing_ok=True)
    assert Netns(lab.host.netns).start_daemon(["wireguard-go", hub.interface]).code == 0
    # Its socket accepts connections before it has read its interface, and it ends if that has moved by then.
    wait_until(lambda: uapi.peers(hub.interface) is not None, 60, "the tunnel")
    lab.run(lab.host, ["ip", "link", "set", "dev", hub.interface, "netns", hub.node.netns])


def end(hub: Hub, name: str) -> None:
    """End a daemon and wait until its sockets are gone, too."""
    (daemon,) = (daemon for daemon in daemons_of(hub) if daemon.name == name)
    processes.end(daemon.program, [daemon.process])


@pytest.mark.parametrize("by", ["an apply", "the watch"])
def test_daemons_that_an_older_agent_started_are_brought_over(lab: Lab, hub: Hub, by: str) -> None:
    hub.resolver = resolver(hub)
    device = hub.add()
    hub.apply()
    if "wireguard" not in pids_of(hub):
        pytest.skip("the kernel has WireGuard: there is no process")
    start_as_an_older_agent_did(hub)
    # wireguard-go starts a copy of itself and ends: for a moment both are there.
    wait_until(
        lambda: len([one for one in daemons_of(hub) if "rights" in one.faults]) == 2,
        60,
        "both as root",
        explain=lambda: str([(one.name, one.process, one.faults) for one in daemons_of(hub)]),
    )
    if by == "an apply":
        changed = hub.apply().changed
        assert changed["wireguard"]
        assert changed["dns"]
    else:
        with Watch(hub.agent):
            wait_until(lambda: len(pids_of(hub)) == 2 and not any(each.faults for each in daemons_of(hub)), 90, "both")
    assert not any(daemon.faults for daemon in daemons_of(hub))
    assert hub.status().alive
    # Its keys and its peers are as they were.
    assert hub.apply().changed == dict.fromkeys(COMPONENTS, False)
    assert lab.run(lab.host, ["wg", "show", hub.interface, "public-key"]).stdout.strip() == hub.public_key
    assert lab.run(lab.host, ["wg", "show", hub.interface, "peers"]).stdout.strip() == device.public_key
