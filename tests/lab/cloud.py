"""A cloud: EC2's API on loopback, whose nodes are servers of the laboratory that run their real user data.

with LabCloud(lab) as cloud:
    portal.manage("region", "add", …, "--endpoint", cloud.api.endpoint)
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self

import pytest

from tests.lab.ec2 import Ec2
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.server import LabServer

_LOOKS_EVERY: Final = 0.2
_SEED: Final = "/var/lib/cloud/seed/nocloud"
# cloud-init as on an image of a cloud, less what needs a machine: disks, mounts, locale, network.
_CONFIG: Final = {
    "datasource_list": ["NoCloud"],
    "network": {"config": "disabled"},
    "disable_root": True,
    "cloud_init_modules": ["users-groups", "ssh"],
    "cloud_config_modules": [],
    "cloud_final_modules": ["package-update-upgrade-install"],
}
_CONFIG_FILE: Final = "/etc/cloud/cloud.cfg.d/99_lab.cfg"


@dataclass
class LabCloud:
    """The cloud, a context manager. Servers boot in threads of their own."""

    lab: Lab
    api: Ec2 = field(default_factory=Ec2)
    servers: dict[str, LabServer] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    _nodes: dict[str, Node] = field(default_factory=dict)
    _booting: list[threading.Thread] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        self._stack.enter_context(self.api)
        patch.setattr("moto.ec2.models.elastic_network_interfaces.random_public_ip", self._address)
        looking = threading.Thread(target=self._look, name="cloud", daemon=True)
        looking.start()
        self._stack.callback(looking.join)
        self._stack.callback(self._ended.set)
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._stack.close()
        finally:
            self._end_servers()
            for thread in self._booting:
                thread.join()
            self._end_servers()  # Those that were about to boot.
        assert not self.errors, self.errors

    def _end_servers(self) -> None:
        for server in list(self.servers.values()):
            server.__exit__()

    def _address(self) -> str:
        """The address of a new machine on the laboratory's internet."""
        node = self.lab.add_client(f"node{len(self._nodes)}")
        self._nodes[node.v4] = node
        return node.v4

    def _look(self) -> None:
        """Boot what was ordered, and end what was removed."""
        known: set[str] = set()
        while not self._ended.wait(_LOOKS_EVERY):
            running = {machine.id: machine for machine in self.api.nodes()}
            for gone in known - running.keys():
                known.discard(gone)
                if gone in self.servers:
                    self.servers.pop(gone).__exit__()
            for new in running.keys() - known:
                known.add(new)
                thread = threading.Thread(target=self._boot, args=(running[new],), name=new, daemon=True)
                thread.start()
                self._booting.append(thread)

    def _boot(self, machine: Any) -> None:
        try:
            node = self._nodes[machine.public_ip]
            server = LabServer(self.lab, node.name, machine=node, ssh=False)
            server.__enter__()
            self.servers[machine.id] = server
            run_user_data(server, machine.id, self.api.user_data(machine))
        except Exception as error:  # noqa: BLE001 - of a thread; the end of the cloud tells it
            if machine.id in {one.id for one in self.api.nodes()}:
                self.errors.append(error)


def run_user_data(server: LabServer, name: str, user_data: str) -> None:
    """Run cloud-init on a server as it boots: accounts and host keys before its SSH server, packages after it."""
    server.run(["mkdir", "-p", _SEED])
    server.run(["tee", f"{_SEED}/user-data"], stdin=user_data)
    server.run(["tee", f"{_SEED}/meta-data"], stdin=json.dumps({"instance-id": name, "local-hostname": server.name}))
    server.run(["tee", _CONFIG_FILE], stdin=json.dumps(_CONFIG))
    server.run(["cloud-init", "init", "--local"], timeout=120)
    server.run(["cloud-init", "init"], timeout=120)
    server.start_ssh()
    server.run(["cloud-init", "modules", "--mode=final"], timeout=300, check=False)
