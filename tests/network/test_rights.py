"""What the hub's daemons may do, tried from inside: in each one's namespaces, with its user and its capabilities."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.dns import resolver
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.lifecycle.daemons import Daemon
from vpn.agent.lifecycle.daemons import daemons as daemons_there
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import WIREGUARD
from vpn.agent.memory.state import State
from vpn.agent.system import confine, processes
from vpn.agent.system.command import Netns
from vpn.agent.system.confine import Confinement
from vpn.agent.wireguard import uapi

KERNEL = {"wireguard"}  # no daemon where the kernel has it
DAEMONS = ("wireguard", "openvpn udp", "openvpn tcp", "openvpn compat", "openvpn routes", "dns")
# Bits of capabilities(7). Whoever has CAP_NET_ADMIN for the host's network is told apart from who has it for the hub's.
CAPABILITIES = {"wireguard": 1 << 12, "openvpn routes": 1 << 12, "dns": 1 << 10}
SECRET = "the sealing key"


@dataclass
class World:
    """Two hubs with all that a hub may have, their daemons by hub and name, and files that none of them may see."""

    lab: Lab
    hub: Hub
    other: Hub
    daemons: dict[str, dict[str, Daemon]]
    secrets: list[Path]

    def daemon(self, name: str) -> Daemon:
        """Return a daemon of the first hub."""
        if name in KERNEL and name not in self.daemons[self.hub.hub]:
            pytest.skip("the kernel has WireGuard: there is no daemon")
        return self.daemons[self.hub.hub][name]


def whole(lab: Lab, agent: Agent, port: int) -> Hub:
    """Return a hub that has every kind of daemon."""
    hub = Hub(lab, agent, port=port)
    hub.add()
    hub.add_openvpn()
    hub.add_openvpn(compat=True)
    hub.resolver = resolver(hub)
    hub.apply()
    return hub


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub, other = whole(lab, agent, 20100), whole(lab, agent, 20200)
        host = Host(Netns(lab.host.netns), State(lab.state))
        daemons = {each.hub: {one.name: one for one in daemons_there(host, each.hub)} for each in (hub, other)}
        keys = tmp_path_factory.mktemp("data") / "keys"
        keys.write_text(SECRET)
        # Even what everybody on the server may read is not there to be read.
        for path in (keys, *keys.parents[:3]):
            path.chmod(0o755)
        secrets = [
            keys,
            Path("/etc/shadow"),
            *(lab.state / each / "spec.json" for each in (hub.hub, other.hub)),
            lab.state / other.hub / "openvpn" / "private_key.pem",
            lab.state / other.hub / "dns" / "dnsmasq.conf",
            Path(f"/proc/{os.getpid()}/environ"),
        ]
        assert all(path.exists() for path in secrets)
        yield World(lab, hub, other, daemons, secrets)
        agent.close()


def inside(daemon: Daemon, *argv: str, root: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program as a daemon could: in all of its namespaces, with its user, group and capabilities."""
    status = status_of(daemon)
    user, group = status["Uid"].split()[0], status["Gid"].split()[0]
    kept = ",".join(["-all", *(f"+cap_{bit}" for bit in range(41) if int(status["CapEff"], 16) >> bit & 1)])
    sets = [f"--bounding-set={kept}", f"--inh-caps={kept}", f"--ambient-caps={kept}"]
    drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *sets, "--no-new-privs"]
    enter = ["nsenter", "--target", str(daemon.process.pid), "--all", *(["--root", "--wd"] if root else [])]
    return subprocess.run([*enter, *drop, *argv], capture_output=True, text=True, timeout=30, check=False)


def status_of(daemon: Daemon) -> dict[str, str]:
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_every_daemon_of_a_hub_is_looked_at(world: World) -> None:
    for daemons in world.daemons.values():
        assert set(daemons) | KERNEL == set(DAEMONS)


@pytest.mark.parametrize("name", DAEMONS)
def test_it_has_a_user_of_its_own_and_no_right_but_those_it_needs(world: World, name: str) -> None:
    daemon = world.daemon(name)
    status = status_of(daemon)
    needed = CAPABILITIES.get(name, 0)
    assert {each: int(status[f"Cap{each}"], 16) for each in ("Bnd", "Prm", "Eff")} == dict.fromkeys(
        ("Bnd", "Prm", "Eff"), needed
    )
    assert status["NoNewPrivs"] == "1"
    assert len(set(status["Uid"].split()) | {"0"}) == 2
    assert len(set(status["Gid"].split()) | {"0"}) == 2
    assert status["Groups"].split() in ([], [status["Gid"].split()[0]])
    assert daemon.faults == frozenset()


def test_no_two_of_them_are_one_user(world: World) -> None:
    users = [
        (hub, name.partition(" ")[0] if name != "openvpn routes" else name, status_of(daemon)["Uid"].split()[0])
        for hub, daemons in world.daemons.items()
        for name, daemon in daemons.items()
    ]
    # The listeners of one hub are one user, which reads one certificate.
    assert len({user for _, _, user in users}) == len({(hub, name) for hub, name, _ in users}) >= 6
    for user in {user for _, _, user in users}:
        known = subprocess.run(["getent", "passwd", user], capture_output=True, check=False)
        assert known.returncode == 2, "an account of the server's"


@pytest.mark.parametrize("root", [True, False], ids=["as it sees it", "from its namespace's root"])
@pytest.mark.parametrize("name", DAEMONS)
def test_it_cannot_read_what_is_not_its_own(world: World, name: str, root: bool) -> None:
    daemon = world.daemon(name)
    assert inside(daemon, "true", root=root).returncode == 0
    for path in world.secrets:
        done = inside(daemon, "cat", str(path), root=root)
        assert done.returncode != 0, path
        assert not done.stdout, path
    for directory in (
        world.lab.state / world.other.hub,
        Path("/root"),
        Path("/home"),
        Path("/etc/ssh"),
        Path("/proc/1"),
    ):
        assert inside(daemon, "ls", str(directory), root=root).returncode != 0, directory
    # Of its own hub it sees its own directory, and that alone.
    seen = set(inside(daemon, "ls", "-A", str(world.lab.state / world.hub.hub), root=root).stdout.split())
    assert seen == {name.partition(" ")[0]} - KERNEL


@pytest.mark.parametrize("name", DAEMONS)
def test_it_writes_into_its_own_directory_alone(world: World, name: str) -> None:
    daemon = world.daemon(name)
    directory = world.lab.state / world.hub.hub / "openvpn"
    writable = set(inside(daemon, "find", "/", "-writable", "!", "-type", "l").stdout.splitlines())
    devices = {"/dev/null", "/dev/urandom", "/dev/net/tun"}
    own = {path for path in writable if path.startswith((f"{directory}/run", f"{directory}/shown"))}
    if name.startswith("openvpn"):
        assert writable - own - devices == {f"{directory}/routes.asked"}
    else:
        assert writable - devices == set()
    assert bool(own) == (name in ("openvpn udp", "openvpn tcp", "openvpn compat"))


@pytest.mark.parametrize("name", DAEMONS)
def test_it_can_neither_mount_nor_become_somebody_else(world: World, name: str) -> None:
    daemon = world.daemon(name)
    attempts = [
        ["mount", "-t", "tmpfs", "tmpfs", "/usr"],
        ["mount", "-t", "proc", "proc", "/proc"],
        ["umount", "-l", "/usr"],
        ["unshare", "--user", "--map-root-user", "true"],
        ["unshare", "--mount", "true"],
        ["unshare", "--net", "true"],
        ["chroot", "/usr", "true"],
        ["setpriv", "--reuid=0", "true"],
        ["setpriv", "--reuid=1", "true"],
        ["mknod", "/dev/disk", "b", "254", "0"],
        ["chown", "0", "/dev/null"],
    ]
    for attempt in attempts:
        assert inside(daemon, *attempt).returncode != 0, attempt


@pytest.mark.parametrize("name", DAEMONS)
def test_it_cannot_signal_what_is_not_its_own(world: World, name: str) -> None:
    daemon = world.daemon(name)
    own = status_of(daemon)["Uid"].split()[0]
    others = [
        each
        for daemons in world.daemons.values()
        for each in daemons.values()
        if status_of(each)["Uid"].split()[0] != own
    ]
    assert len(others) >= 6
    for pid in (1, os.getpid(), *(each.process.pid for each in others)):
        done = inside(daemon, "sh", "-c", "kill -0 $0", str(pid))
        assert done.returncode != 0, pid
    assert inside(daemon, "sh", "-c", "kill -0 $0", str(daemon.process.pid)).returncode == 0


@pytest.mark.parametrize("name", ["openvpn udp", "openvpn tcp", "openvpn compat"])
def test_a_listener_cannot_change_a_network(world: World, name: str) -> None:
    daemon = world.daemon(name)
    assert inside(daemon, "ip", "link", "add", "rights0", "type", "dummy").returncode != 0
    assert inside(daemon, "ip", "address", "add", "192.0.2.1/32", "dev", "lo").returncode != 0
    assert inside(daemon, "ip", "tuntap", "add", "dev", "rights1", "mode", "tun").returncode != 0


def test_what_sets_routes_sets_those_of_peers_alone(world: World) -> None:
    """Whatever a listener that was taken over writes into the pipe."""
    lab, hub = world.lab, world.hub
    daemon = world.daemon("openvpn udp")
    peer = next(device for device in hub.devices.values() if getattr(device, "compat", None) is False)
    pipe = lab.state / hub.hub / "openvpn" / "routes.asked"
    before = lab.run(hub.node, ["ip", "-4", "route"]).stdout
    lines = [
        "replace lo ../../dns",
        f"replace up-{hub.hub} {peer.peer_id}",
        f"flush ou-{hub.hub} {peer.peer_id}",
        f"replace ou-{hub.hub} ../ccd/{peer.peer_id}",
        f"replace ou-{hub.hub} {peer.peer_id};id",
        "route add default dev lo",
        "$(id)",
        f"replace oc-{hub.hub} {peer.peer_id}",
        f"replace ou-{hub.hub} {peer.peer_id}",
    ]
    done = inside(daemon, "sh", "-c", 'echo "$0" 1<>"$1"', "\n".join(lines), str(pipe))
    assert done.returncode == 0, done.stderr
    route = f"{peer.v4} dev ou-{hub.hub} proto 201"
    wait_until(lambda: route in lab.run(hub.node, ["ip", "-4", "route"]).stdout, 60, "the last one's route")
    after = lab.run(hub.node, ["ip", "-4", "route"]).stdout
    assert {line for line in after.splitlines() if route not in line} == set(before.splitlines())
    assert (
        inside(daemon, "sh", "-c", 'echo "$0" 1<>"$1"', f"delete ou-{hub.hub} {peer.peer_id}", str(pipe)).returncode
        == 0
    )


def test_what_a_daemon_left_behind_ends_with_its_hub() -> None:
    """Whatever it calls itself, and also where the interface's socket is gone by which its process is found."""
    with Lab() as lab:
        hub = Hub(lab, Agent(lab), port=20300)
        hub.add()
        hub.apply()
        host = Host(Netns(lab.host.netns), State(lab.state))
        user = host.names(hub.hub).user(WIREGUARD)
        left = subprocess.Popen(["sleep", "600"], user=user, group=user, extra_groups=[])
        try:
            uapi.socket_path(host.names(hub.hub).wireguard).unlink(missing_ok=True)
            hub.destroy()
            assert left.wait(30) == -signal.SIGKILL
            assert user not in processes.users()
            assert hub.hub not in (lab.state / "users.json").read_text()
        finally:
            left.kill()
            left.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_daemon_sees_a_directory_whatever_its_name(tmp_path: Path) -> None:
    directory = tmp_path / "with a space, a \\ and a * in it"
    directory.mkdir()
    (directory / "file").write_text("seen")
    confine.require()
    script = 'cat "$1/file" && ! touch "$1/other" 2>/dev/null && ls "${1%/*}"'
    argv = Confinement(0, 0, readable=(directory,)).argv(["sh", "-c", script, "sh", str(directory)])
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"seen{directory.name}\n"
