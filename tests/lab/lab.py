"""A laboratory of network namespaces: a host for hubs, an internet around it, clients, sites, and a server far away.

    with Lab() as lab:
        alice = lab.add_client("alice")
        berlin = lab.add_site("berlin", lan_v4="10.1.0.0/24")
        lab.wg_quick_up(alice, profile_text)
        assert lab.wait_ping(alice, berlin.lan.v4)

Everything is real, and nothing touches the machine's own network: the host is a namespace too (`lab.host.netns`, to be
given to the agent as `--host-netns` or `HUB_HOST_NETNS`). Documentation ranges (RFC 5737, RFC 3849) play the internet:

    lab.internet   a router with one segment, 203.0.113.0/24 and 2001:db8:113::/64
    lab.host       203.0.113.1, 2001:db8:113::1: where hubs run
    clients        203.0.113.11 ..., 2001:db8:113::11 ...
    site routers   203.0.113.101 ..., each with a LAN host behind it (10.x and a ULA, or what is asked for)
    lab.outside    198.51.100.10, 2001:db8:51::10: a server beyond the hub

Leaving the `with` block removes all of it, hubs included, whatever happened inside. Needs root.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.lab.clients import TunnelClients
from tests.lab.nodes import GATEWAY_V4, GATEWAY_V6, OUTSIDE_V4, OUTSIDE_V6, SEGMENT_V4, SEGMENT_V6, Node, Site
from tests.lab.processes import end_processes
from tests.lab.traffic import Traffic
from vpn.agent.system import cgroup

NETNS_ETC: Final = Path("/etc/netns")


@dataclass
class Lab(Traffic, TunnelClients):
    """The laboratory, a context manager."""

    prefix: str = field(default_factory=lambda: f"lab{os.getpid():x}{secrets.token_hex(2)}")
    _nodes: dict[str, Node] = field(default_factory=dict)

    # Building.

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        # For an agent's state directory. Whoever has the agent keep it elsewhere sets it: hubs found there are removed.
        self.state = self.directory / "hub"
        try:
            self.internet = self._add_namespace("internet", GATEWAY_V4, GATEWAY_V6)
            self._ip(
                self.internet,
                # A fixed link address: else a bridge takes the lowest of its ports', which changes when a client comes.
                # Nodes that know the gateway by the former one lose their packets for up to fifteen seconds.
                "link add br0 address 02:00:00:00:00:fe type bridge mcast_snooping 0",
                f"address add {GATEWAY_V4}/{SEGMENT_V4.prefixlen} dev br0",
                f"address add {GATEWAY_V6}/{SEGMENT_V6.prefixlen} dev br0 nodad",
                "link set br0 up",
            )
            self.run(self.internet, ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
            self.host = self._add_host()
            self.outside = self._add_outside()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_client(self, name: str) -> Node:
        """Add a device on the internet."""
        return self._add_on_segment(name, 10 + next(self._numbers))

    def add_site(
        self, name: str, lan_v4: str | None = None, lan_v6: str | None = None, *, router: Node | None = None
    ) -> Site:
        """Add a branch: a router on the internet (a new one, unless it is given) and a host in the LAN behind it.

        The router has the first address of each LAN network, the host the tenth.
        """
        number = next(self._numbers)
        v4 = ipaddress.IPv4Network(lan_v4 or f"10.{number}.0.0/24")
        v6 = ipaddress.IPv6Network(lan_v6 or f"fd10:{number}::/64")
        router = router or self._add_on_segment(f"{name}-router", 100 + number)
        lan = self._add_namespace(f"{name}-lan", str(v4[10]), str(v6[10]))
        self._ip(
            router,
            f"link add lan0 type veth peer name eth0 netns {lan.netns}",
            f"address add {v4[1]}/{v4.prefixlen} dev lan0",
            f"address add {v6[1]}/{v6.prefixlen} dev lan0 nodad",
            "link set lan0 up",
        )
        self.run(router, ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
        self._set_up(lan, v4.prefixlen, v6.prefixlen, str(v4[1]), str(v6[1]))
        return Site(router, lan, str(v4), str(v6))

    def add_behind(self, router: Node, name: str) -> Node:
        """Add one more host behind a site's router, on a link of its own (10.250.x.2, fdfa:x::2)."""
        number = next(self._numbers)
        node = self._add_namespace(name, f"10.250.{number}.2", f"fdfa:{number}::2")
        self._ip(
            router,
            f"link add lan{number} type veth peer name eth0 netns {node.netns}",
            f"address add 10.250.{number}.1/24 dev lan{number}",
            f"address add fdfa:{number}::1/64 dev lan{number} nodad",
            f"link set lan{number} up",
        )
        self._set_up(node, 24, 64, f"10.250.{number}.1", f"fdfa:{number}::1")
        return node

    def add_address(self, node: Node, address: str, device: str = "lo") -> None:
        """Give a node one more address (with its prefix), on its loopback interface unless told otherwise."""
        self._ip(node, f"address add {address} dev {device}" + (" nodad" if ":" in address else ""))

    def route(self, node: Node, network: str, gateway: Node) -> None:
        """Send what `node` has for `network` to `gateway`, which must be a neighbour."""
        self._ip(node, f"route replace {network} via {gateway.v6 if ':' in network else gateway.v4}")

    @contextlib.contextmanager
    def visited(self) -> Iterator[Self]:
        """Remove what is added or started inside the block at its end; host, internet and outside stay."""
        standing, running = dict(self._nodes), list(self._processes)
        self._numbers = itertools.count(1)
        try:
            yield self
        finally:
            self._end([process for process in self._processes if process not in running])
            self._processes, self._openvpns = running, {}
            for node in [node for node in self._nodes.values() if node.name not in standing]:
                # A deleted namespace goes a little later, and its end of the cable with it: pull that out at once.
                self.run(node, ["ip", "link", "delete", "eth0"], check=False)
                self._remove_namespace(node)
                shutil.rmtree(self.directory / node.name, ignore_errors=True)
            for node in standing.values():
                self.run(node, ["ip", "neigh", "flush", "all"], check=False)

    def reboot_host(self) -> None:
        """End all processes on the host and remove its namespaces, hubs included, and start it again, empty."""
        self._remove_hubs()
        # A deleted namespace goes a little later, and its end of the cable with it: pull that out at once.
        self.run(self.internet, ["ip", "link", "delete", "p1"])
        self._remove_namespace(self.host)
        self.host = self._add_host()

    # Ending.

    def close(self) -> None:
        """Remove everything; done twice is fine."""
        hubs: set[str] = set()
        with contextlib.suppress(Exception):
            hubs = self._remove_hubs()
        for node in list(self._nodes.values()):
            with contextlib.suppress(Exception):
                self._remove_namespace(node)
        for hub in hubs:
            cgroup.remove(hub)
        self._end(self._processes)
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def _end(processes: Iterable[subprocess.Popen[str]]) -> None:
        for process in processes:
            with contextlib.suppress(Exception):
                process.kill()
                process.wait(5)
            if process.stdout is not None:
                process.stdout.close()

    def _add_host(self) -> Node:
        return self._add_on_segment("host", 1)

    def _add_outside(self) -> Node:
        node = self._add_namespace("outside", OUTSIDE_V4, OUTSIDE_V6)
        self._ip(
            self.internet,
            f"link add out0 type veth peer name eth0 netns {node.netns}",
            "address add 198.51.100.1/24 dev out0",
            "address add 2001:db8:51::1/64 dev out0 nodad",
            "link set out0 up",
        )
        self._set_up(node, 24, 64, "198.51.100.1", "2001:db8:51::1")
        return node

    def _add_on_segment(self, name: str, number: int) -> Node:
        node = self._add_namespace(name, str(SEGMENT_V4[number]), f"2001:db8:113::{number}")
        port = f"p{number}"
        self._ip(
            self.internet,
            f"link add {port} type veth peer name eth0 netns {node.netns}",
            f"link set {port} master br0",
            f"link set {port} up",
        )
        self._set_up(node, SEGMENT_V4.prefixlen, SEGMENT_V6.prefixlen, GATEWAY_V4, GATEWAY_V6)
        return node

    def _set_up(self, node: Node, v4_length: int, v6_length: int, v4_gateway: str, v6_gateway: str) -> None:
        self._ip(
            node,
            f"address add {node.v4}/{v4_length} dev eth0",
            f"address add {node.v6}/{v6_length} dev eth0 nodad",
            "link set eth0 up",
            f"route add default via {v4_gateway}",
            f"route add ::/0 via {v6_gateway}",
        )

    def _add_namespace(self, name: str, v4: str, v6: str) -> Node:
        node = Node(name, f"{self.prefix}-{name}", v4, v6)
        for kept_apart in ("wireguard", "resolvconf"):
            (self.directory / name / kept_apart).mkdir(parents=True, exist_ok=True)
        etc = NETNS_ETC / node.netns
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "resolv.conf").write_text(f"nameserver {OUTSIDE_V4}\n")
        subprocess.run(["ip", "netns", "add", node.netns], check=True)
        self._nodes[name] = node
        self._ip(node, "link set lo up")
        # Duplicate addresses are not expected here, and looking for them takes seconds.
        self.run(node, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0"])
        return node

    def _remove_namespace(self, node: Node) -> None:
        # All that runs in the laboratory's own namespaces was started for it.
        end_processes([node.netns])
        subprocess.run(["ip", "netns", "delete", node.netns], capture_output=True, check=False)
        shutil.rmtree(NETNS_ETC / node.netns, ignore_errors=True)
        self._nodes.pop(node.name, None)

    def hubs(self) -> set[str]:
        """Return the hubs that have a link to the host, or a tunnel process on it."""
        links = self.run(self.host, ["ip", "-o", "link"], check=False).stdout
        found = set(re.findall(r"\bvh-([a-z0-9]{10})\b", links))
        for pid in self.run(self.host, ["ip", "netns", "pids", self.host.netns], check=False).stdout.split():
            with contextlib.suppress(OSError):
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                found |= set(re.findall(r"wireguard-go\0wg-([a-z0-9]{10})\0", arguments))
                found |= set(re.findall(r"openvpn\0--config\0\S*/([a-z0-9]{10})/openvpn/\w+\.conf\0", arguments))
        return found

    def _remove_hubs(self) -> set[str]:
        """Remove the hubs and return which there were; their daemons on the host go with it."""
        # Also those that came no further than their namespace.
        saved = {path.name for path in self.state.glob("*") if re.fullmatch(r"[a-z][a-z0-9]{9}", path.name)}
        found = self.hubs() | saved
        # Before their interfaces go: openvpn takes a whole core once its interface is gone.
        end_processes([self.host.netns, *(f"hub-{hub}" for hub in found)])
        # The links to the host go with the namespaces.
        lines = "".join(f"netns delete hub-{hub}\n" for hub in found)
        subprocess.run(["ip", "-force", "-batch", "-"], input=lines, text=True, capture_output=True, check=False)
        for hub in found:
            for suffix in ("sock", "pid"):
                Path(f"/run/wireguard/wg-{hub}.{suffix}").unlink(missing_ok=True)
        return found

    def _ip(self, node: Node, *lines: str) -> None:
        self.run(node, ["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
