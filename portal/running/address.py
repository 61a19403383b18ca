"""The address under which this machine's hubs are reached."""

from __future__ import annotations

import ipaddress
import json
import subprocess

_RANK = {4: 0, 6: 1}


def default_hub_address(netns: str | None) -> str | None:
    """The first global address of the host, or of the network namespace that plays it; IPv4 before IPv6.

    Reads only. None where there is no such address, or `ip` is missing.
    """
    command = ["ip", "-j", "addr"]
    if netns:
        command[:0] = ["nsenter", f"--net=/run/netns/{netns}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = [
        ipaddress.ip_address(entry["local"])
        for link in json.loads(answer or "[]")
        for entry in link.get("addr_info", [])
        if entry.get("scope") == "global" and not {"deprecated", "temporary", "tentative"} & entry.keys()
    ]
    ours = [address for address in found if not address.is_loopback and not address.is_link_local]
    return str(min(ours, key=lambda address: _RANK[address.version])) if ours else None
