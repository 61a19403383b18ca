"""A spec with OpenVPN peers, and the files that openvpn gets for it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.agent import made
from vpn.agent.memory.names import Names
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import peer_file
from vpn.agent.openvpn.layout import Layout
from vpn.agent.system.command import Netns
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import HubSpec, parse_spec


def document() -> dict[str, Any]:
    whole = made.spec(2, openvpn=made.openvpn(compat_port=20000), pushed_routes=["10.77.0.0/16"], dns=["9.9.9.9"])
    whole["search_domains"] = ["office.example.net", "corp.example"]
    whole["peers"][made.peer_id(1)] = made.openvpn_peer(1, "10.1.0.0/24", "fd01::/64")
    whole["peers"][made.peer_id(3)] = made.openvpn_peer(3, route_all=True, compat=True)
    copied = json.loads(json.dumps(whole))
    assert isinstance(copied, dict)
    return copied


def replaced(place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    whole = copy.deepcopy(document())
    inner: Any = whole
    for step in place[:-1]:
        inner = inner[step]
    if isinstance(inner, list) and place[-1] == len(inner):
        inner.append(value)
    else:
        inner[place[-1]] = value
    return whole


def written(spec: HubSpec) -> dict[str, str]:
    """Return all that openvpn, its scripts and ip(8) get, by name."""
    layout = Layout(Path("/var/lib/vpn-hub/x/openvpn")).checked()
    assert spec.openvpn is not None
    texts = openvpn_config.contents(layout, Names(spec.hub, Netns("host")), spec, spec.openvpn, dual_stack=True)
    for peer_id, peer in spec.peers.items():
        if isinstance(peer, OpenVPNPeer):
            texts[f"ccd/{peer_id}"] = peer_file.client(spec, peer)
    return texts


GOOD = written(parse_spec(document()))
