"""OpenVPN's listeners: each is one process with one tunnel interface.

The agent creates the interface for the listener's user. Once the listener has opened it, the agent moves it into the
hub.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from vpn.agent.memory.names import LISTENERS, OPENVPN, UDP, Names
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn import process as openvpn_process
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import NoAnswer
from vpn.agent.system import cgroup
from vpn.wire import codes
from vpn.wire.errors import PORT_TAKEN, AgentError
from vpn.wire.spec import HubSpec

_READY_PATIENCE: Final = 5.0  # seconds
_PORT_PATIENCE: Final = 0.5  # seconds
_PID: Final = re.compile(r"pid=([0-9]+)")
_Interfaces = dict[str, dict[str, Any]]


def ensure(names: Names, spec: HubSpec, layout: Layout, is_new: bool = False) -> bool:
    """Make the running listeners match `spec` and the written files; return True if anything changed.

    `is_new`: the hub's namespace has no interfaces yet.
    """
    interfaces = {} if is_new else _interfaces(names)
    wanted = openvpn_config.ports(spec.openvpn)
    stale = [each for each in wanted if not _is_current(names, layout, each, interfaces)]
    changed = _remove(names, layout, [each for each in LISTENERS if each not in wanted])
    changed |= openvpn_routes.ensure(names, layout, is_new)
    for listener in wanted.keys() - set(stale):
        changed |= _ensure_interface(names, spec, names.openvpn(listener), interfaces)
    restart(names, spec, layout, stale, is_new)
    if not stale:
        _limit_memory(names, spec, layout)
    return changed or bool(stale)


def check(names: Names, spec: HubSpec, layout: Layout, texts: Mapping[str, str]) -> None:
    """Raise AgentError if a listener must restart with `texts` but could not. Nothing is stopped yet."""
    for listener, port in openvpn_config.ports(spec.openvpn).items():
        process = openvpn_process.from_pid_file(layout, listener)
        if process is not None and openvpn_process.digest(process) == openvpn_config.digest_of(texts, listener):
            continue
        openvpn_process.require()
        if _is_taken(names, layout, port, _kind(listener)):
            raise _taken(port, _kind(listener))


def restart(names: Names, spec: HubSpec, layout: Layout, listeners: Collection[str], is_new: bool = False) -> None:
    """Stop and start listeners. All are tried before an AgentError is raised."""
    if not listeners:
        return
    # Stop all before starting any: two listeners may have exchanged ports.
    openvpn_process.stop(layout, listeners)
    refusals = []
    for listener in listeners:
        try:
            _start(names, spec, layout, listener, is_new)
        except AgentError as refusal:
            refusals.append(refusal)
    _limit_memory(names, spec, layout)
    if refusals:
        raise refusals[0]


def _limit_memory(names: Names, spec: HubSpec, layout: Layout) -> None:
    """Limit the listeners' memory together with a cgroup, if the host has one; each also has its own limit."""
    running = [openvpn_process.from_pid_file(layout, listener) for listener in openvpn_config.ports(spec.openvpn)]
    pids = [process.pid for process in running if process is not None]
    cgroup.limit(names.hub, pids, len(running) * openvpn_config.most_memory(spec))


def _start(names: Names, spec: HubSpec, layout: Layout, listener: str, is_new: bool) -> None:
    _check_port(names, openvpn_config.ports(spec.openvpn)[listener], _kind(listener))
    try:
        _make_interface(names, listener, is_new)
        digest = openvpn_config.digest(layout.directory, listener)
        openvpn_process.start(names, layout, listener, digest, openvpn_config.most_memory(spec))
        _wait_ready(names, spec, layout, listener)
    except BaseException:
        openvpn_process.stop(layout, [listener])
        _remove_interface(names, listener)
        raise


def _make_interface(names: Names, listener: str, is_new: bool) -> None:
    """Create the interface in the host's namespace for the listener's user, who may not create one."""
    user = str(names.user(OPENVPN))
    add = ["ip", "tuntap", "add", "dev", names.openvpn(listener), "mode", "tun", "user", user, "group", user]
    if is_new and names.host.try_run(add).code == 0:
        return
    _remove_interface(names, listener)  # left by a crash, or by the process before
    names.host.run(add)


def _remove_interface(names: Names, listener: str) -> None:
    for netns in (names.inside, names.host):
        netns.try_run(["ip", "link", "delete", "dev", names.openvpn(listener)])


def _move_interface(names: Names, spec: HubSpec, device: str) -> None:
    names.host.run(["ip", "link", "set", "dev", device, "netns", names.netns])
    lines = openvpn_config.address_lines(spec, device)
    names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")


def _check_port(names: Names, port: int, kind: str) -> None:
    # The socket of a killed process may exist for a moment after the process is gone.
    deadline = time.monotonic() + _PORT_PATIENCE
    while _is_bound(names, port, kind):
        if time.monotonic() > deadline:
            raise _taken(port, kind)
        time.sleep(0.01)


def _is_taken(names: Names, layout: Layout, port: int, kind: str) -> bool:
    """Return True if a process other than the hub's listeners holds a port."""
    if not _is_bound(names, port, kind):
        return False
    # Only now look for its processes, which takes long on a server with many.
    own = {process.pid for process in openvpn_process.running(layout, LISTENERS)}
    lines = _listed(names, port, kind, "p")
    holders = {int(pid) for line in lines for pid in _PID.findall(line) or ["0"]}  # 0: a process that is not visible
    return bool(holders - own)


def _is_bound(names: Names, port: int, kind: str) -> bool:
    return bool(_listed(names, port, kind))


def _listed(names: Names, port: int, kind: str, more: str = "") -> list[str]:
    listed = names.host.run(["ss", f"-Hl{kind[0].lower()}n{more}", f"sport = :{port}"])
    return [line for line in listed.splitlines() if line.strip()]


def _taken(port: int, kind: str) -> AgentError:
    message = f"{kind} port {port} of the server is taken by another program: free it or choose another port."
    return AgentError(PORT_TAKEN, message, codes.OPENVPN_PORT_TAKEN.of(f"{port}/{kind.lower()}"))


def _kind(listener: str) -> str:
    return "UDP" if listener == UDP else "TCP"


def _wait_ready(names: Names, spec: HubSpec, layout: Layout, listener: str) -> None:
    _wait_until(lambda: os.path.lexists(layout.opened(listener)), layout, listener)
    _move_interface(names, spec, names.openvpn(listener))
    layout.opened(listener).unlink()  # now the listener continues and accepts clients
    # Its management socket exists earlier, but does not answer before.
    _wait_until(lambda: _is_muted(layout, listener), layout, listener)


def _wait_until(condition: Callable[[], bool], layout: Layout, listener: str) -> None:
    deadline = time.monotonic() + _READY_PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise openvpn_process.failure(layout, listener)
        time.sleep(0.01)


def _is_muted(layout: Layout, listener: str) -> bool:
    """Mute the listener's log, because failed handshakes could fill the disk; return True if it answered."""
    with suppress(NoAnswer):
        openvpn_management.mute(layout.socket(listener))
        return True
    return False


def remove(names: Names, layout: Layout) -> None:
    """Stop all listeners and the route process, and remove their interfaces."""
    openvpn_process.stop(layout, LISTENERS)
    openvpn_routes.stop(layout)
    cgroup.remove(names.hub)
    for listener in LISTENERS:
        _remove_interface(names, listener)


def _remove(names: Names, layout: Layout, listeners: Collection[str]) -> bool:
    gone = [listener for listener in listeners if layout.config(listener).exists()]
    if not gone:
        return False
    openvpn_process.stop(layout, gone)
    for listener in gone:
        _remove_interface(names, listener)
        for path in (layout.config(listener), layout.socket(listener), layout.pid(listener), layout.log(listener)):
            path.unlink(missing_ok=True)
    return True


def _is_current(names: Names, layout: Layout, listener: str, interfaces: _Interfaces) -> bool:
    process = openvpn_process.from_pid_file(layout, listener)
    return (
        process is not None
        and openvpn_process.confinement(names, layout).holds(process.pid)
        and openvpn_process.digest(process) == openvpn_config.digest(layout.directory, listener)
        and names.openvpn(listener) in interfaces
    )


def _interfaces(names: Names) -> _Interfaces:
    listing = json.loads(names.inside.run(["ip", "-j", "address", "show"]))
    return {str(interface.get("ifname")): interface for interface in listing}


def _ensure_interface(names: Names, spec: HubSpec, device: str, interfaces: _Interfaces) -> bool:
    there = interfaces[device]
    addresses = {str(address.get("local")) for address in there.get("addr_info", ())}
    wanted = {str(ipaddress.ip_interface(address).ip) for address in spec.addresses}
    if addresses == wanted and there.get("mtu") == spec.mtu and "UP" in there.get("flags", ()):
        return False
    lines = [f"address flush dev {device}"] if addresses - wanted else []
    lines += openvpn_config.address_lines(spec, device)
    names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    return True
