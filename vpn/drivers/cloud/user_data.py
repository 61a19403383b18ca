"""The user data of a node, for cloud-init."""

from __future__ import annotations

import json
from collections.abc import Sequence


def user_data(
    *, account: str, authorized_key: str, sudo: str, host_key: str, public_host_key: str, packages: Sequence[str]
) -> str:
    """Return a cloud-config in JSON, which is also YAML.

    It carries the node's host key, so that the first connection is already verified. `sudo` is the account's rule
    without its name. Programs on the node can read the user data, so the host key is replaced after that connection.
    """
    config = {
        "users": [
            {
                "name": account,
                "gecos": "VPN portal",
                "shell": "/bin/sh",
                "lock_passwd": True,
                "sudo": [sudo],
                "ssh_authorized_keys": [authorized_key],
            }
        ],
        "disable_root": True,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": public_host_key},
        "package_update": True,
        "packages": ["sudo", "python3-minimal", *packages],
    }
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n"
