"""OpenVPN's listeners: one process each, and its tunnel interface.

The agent makes the interface, for the listener's user to open, and moves it into the hub when the listener has it.
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
from vpn.agent.openvpn.management import Unheard
from vpn.agent.system import cgroup
from vpn.wire import codes
from vpn.wire.errors import PORT_TAKEN, AgentError
from vpn.wire.spec import HubSpec

_READY_PATIENCE: Final = 5.0  # seconds
_PORT_PATIENCE: Final = 0.5  # seconds
_PID: Final = re.compile(r"pid=([0-9]+)")
_Interfaces = dict[str, dict[str, Any]]


def ensure(names: Names, spec: HubSpec, layout: Layout) -> bool:
    """Make the listeners of `spec`, and no others, run with what is written for them; return whether some did not."""
    interfaces = _interfaces(names)
    wanted = openvpn_config.ports(spec.openvpn)
    stale = [each for each in wanted if not _is_current(names, layout, each, interfaces)]
    changed = _remove(names, layout, [each for each in LISTENERS if each not in wanted])
    changed |= openvpn_routes.ensure(names, layout)
    for listener in wanted.keys() - set(stale):
        changed |= _ensure_interface(names, spec, names.openvpn(listener), interfaces)
    restart(names, spec, layout, stale)
    if not stale:
        _hold(names, spec, layout)
    return changed or bool(stale)


def check(names: Names, spec: HubSpec, layout: Layout, texts: Mapping[str, str]) -> None:
    """Raise AgentError where a listener has to start with `texts` and could not, before any is ended for it."""
    own = {process.pid for process in openvpn_process.running(layout, LISTENERS)}
    for listener, port in openvpn_config.ports(spec.openvpn).items():
        process = openvpn_process.written(layout, listener)
        if process is not None and openvpn_process.digest(process) == openvpn_config.digest_of(texts, listener):
            continue
        openvpn_process.require()
        if _holders(names, port, _kind(listener)) - own:
            raise _taken(port, _kind(listener))


def restart(names: Names, spec: HubSpec, layout: Layout, listeners: Collection[str]) -> None:
    """Start listeners, each when nothing is left of the one before. All are tried before an AgentError is raised."""
    if not listeners:
        return
    # All end before any starts: ports may have changed hands.
    openvpn_process.stop(layout, listeners)
    refusals = []
    for listener in listeners:
        try:
            _start(names, spec, layout, listener)
        except AgentError as refusal:
            refusals.append(refusal)
    _hold(names, spec, layout)
    if refusals:
        raise refusals[0]


def _hold(names: Names, spec: HubSpec, layout: Layout) -> None:
    """Have the kernel count the listeners' memory together, where it can; their own limits hold anyway."""
    running = [openvpn_process.written(layout, listener) for listener in openvpn_config.ports(spec.openvpn)]
    pids = [process.pid for process in running if process is not None]
    cgroup.hold(names.hub, pids, len(running) * openvpn_config.most_memory(spec))


def _start(names: Names, spec: HubSpec, layout: Layout, listener: str) -> None:
    _check_port(names, openvpn_config.ports(spec.openvpn)[listener], _kind(listener))
    try:
        _make_interface(names, listener)
        digest = openvpn_config.digest(layout.directory, listener)
        openvpn_process.start(names, layout, listener, digest, openvpn_config.most_memory(spec))
        _await(names, spec, layout, listener)
    except BaseException:
        openvpn_process.stop(layout, [listener])
        _remove_interface(names, listener)
        raise


def _make_interface(names: Names, listener: str) -> None:
    """Make the interface in the host's namespace, for the listener's user to open: it may make none itself."""
    _remove_interface(names, listener)
    user = str(names.user(OPENVPN))
    names.host.run(["ip", "tuntap", "add", "dev", names.openvpn(listener), "mode", "tun", "user", user, "group", user])


def _remove_interface(names: Names, listener: str) -> None:
    for place in (names.inside, names.host):
        place.try_run(["ip", "link", "delete", "dev", names.openvpn(listener)])


def _move_interface(names: Names, spec: HubSpec, device: str) -> None:
    names.host.run(["ip", "link", "set", "dev", device, "netns", names.netns])
    lines = openvpn_config.address_lines(spec, device)
    names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")


def _check_port(names: Names, port: int, kind: str) -> None:
    # The socket of one that was killed may outlive its name by a moment.
    deadline = time.monotonic() + _PORT_PATIENCE
    while _holders(names, port, kind):
        if time.monotonic() > deadline:
            raise _taken(port, kind)
        time.sleep(0.01)


def _holders(names: Names, port: int, kind: str) -> set[int]:
    """Return the ids of the processes that hold a port; 0 stands for one that is not to be seen."""
    lines = names.host.run(["ss", "-Hlunp" if kind == "UDP" else "-Hltnp", f"sport = :{port}"]).splitlines()
    return {int(pid) for line in lines if line.strip() for pid in _PID.findall(line) or ["0"]}


def _taken(port: int, kind: str) -> AgentError:
    message = f"{kind} port {port} of the server is taken by another program: free it or choose another port."
    return AgentError(PORT_TAKEN, message, codes.OPENVPN_PORT_TAKEN.of(f"{port}/{kind.lower()}"))


def _kind(listener: str) -> str:
    return "UDP" if listener == UDP else "TCP"


def _await(names: Names, spec: HubSpec, layout: Layout, listener: str) -> None:
    _await_that(lambda: os.path.lexists(layout.opened(listener)), layout, listener)
    _move_interface(names, spec, names.openvpn(listener))
    layout.opened(listener).unlink()  # it goes on, and lets clients in
    # Its socket is there for longer, and nothing answers at it before.
    _await_that(lambda: _is_quiet(layout, listener), layout, listener)


def _await_that(condition: Callable[[], bool], layout: Layout, listener: str) -> None:
    deadline = time.monotonic() + _READY_PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise openvpn_process.failure(layout, listener)
        time.sleep(0.01)


def _is_quiet(layout: Layout, listener: str) -> bool:
    """Stop its log, since failed handshakes could fill the disk; return whether it answered."""
    with suppress(Unheard):
        openvpn_management.quieten(layout.socket(listener))
        return True
    return False


def remove(names: Names, layout: Layout) -> None:
    """End all listeners, with what sets their routes, and remove their interfaces."""
    openvpn_process.stop(layout, LISTENERS)
    openvpn_routes.stop(layout)
    cgroup.release(names.hub)
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
    process = openvpn_process.written(layout, listener)
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
