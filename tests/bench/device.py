"""A device that takes profiles on standard input, one JSON string a line, and answers each with its first handshake.

Runs in the device's namespace, speaks to its wireguard-go (https://www.wireguard.com/xplatform/) and starts no process,
so that what is measured is the tunnel and not the measuring.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import time

_NAMES = {
    "PrivateKey": "private_key",
    "PublicKey": "public_key",
    "PresharedKey": "preshared_key",
    "Endpoint": "endpoint",
    "PersistentKeepalive": "persistent_keepalive_interval",
}


def ask(path: str, text: str) -> str:
    """One exchange over wireguard-go's socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(text.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += connection.recv(65536)
    return answer.decode()


def as_request(profile: str) -> str:
    """The profile as a `set` request that replaces what the interface had."""
    lines = ["set=1"]
    for line in profile.splitlines():
        name, _, value = line.partition(" = ")
        if name in {"PrivateKey", "PublicKey", "PresharedKey"}:
            value = base64.b64decode(value).hex()
        if name in _NAMES:
            lines += [f"{_NAMES[name]}={value}"] + (["replace_peers=true"] if name == "PrivateKey" else [])
        elif name == "AllowedIPs":
            lines += [f"allowed_ip={network}" for network in value.split(", ")]
    return "\n".join(lines) + "\n\n"


def main(path: str) -> None:
    """Connect with each profile that comes."""
    for line in sys.stdin:
        answer = ask(path, as_request(json.loads(line)))
        if "errno=0" not in answer:
            sys.exit(answer)
        while "last_handshake_time_sec=0\n" in ask(path, "get=1\n\n"):
            time.sleep(0.001)
        sys.stdout.write("connected\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
