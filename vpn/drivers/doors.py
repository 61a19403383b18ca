"""Tests listeners ("doors") from the network namespace in which it is started, all at the same time.

`python -m vpn.drivers.doors` first prints an empty line, so that a veth pair can be moved into its network namespace.
Then it is the other end of `vpn.wire.session`: it answers each line {"id": 1, "doors": [...], "timeout": 2.5} with
{"id": 1, "results": [...]}, a result for each door: {"answers": true|false, "reason": {"code": "...", ...}}. It ends
with its input, and imports no Django.

A door is {"wireguard": {arguments of handshake.prove}} or {"openvpn": {"transport", "host", "port", "client_key"}}.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vpn.drivers.proof import handshake
from vpn.drivers.proof.handshake import HandshakeFailed
from vpn.drivers.proof.openvpn_reset import Reset
from vpn.drivers.proof.reason import reason

AT_ONCE = 200
_PAUSE = 0.4  # seconds until a datagram is sent again, because it may be lost
_LARGEST = 65535
# Failures after the hub has answered a packet: its listener is reached.
_REACHED = {"busy", "rejected", "no-echo", "no-name"}


def knock(door: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Test one listener. `answers` is true if it was reached; `reason` is a fault, even if it was."""
    try:
        if "wireguard" in door:
            return _wireguard(door["wireguard"], timeout)
        return _openvpn(door["openvpn"], timeout)
    except (OSError, ValueError) as error:
        return {"answers": False, "reason": reason("unreachable", error=type(error).__name__)}


def _wireguard(arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    try:
        handshake.prove(**{**arguments, "timeout": timeout})
    except HandshakeFailed as failure:
        return {"answers": failure.code in _REACHED, "reason": failure.reason}
    return {"answers": True}


def _openvpn(door: dict[str, Any], timeout: float) -> dict[str, Any]:
    reset, deadline = Reset(door["client_key"]), time.monotonic() + timeout
    over = _over_udp if door["transport"] == "udp" else _over_tcp
    answers = over((door["host"], door["port"]), reset, deadline)
    where = {"hub": f"{door['host']} port {door['port']}", "transport": door["transport"].upper()}
    return {"answers": True} if answers else {"answers": False, "reason": reason("openvpn-silent", **where)}


def _over_udp(address: tuple[str, int], reset: Reset, deadline: float) -> bool:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect(address)
        while (left := deadline - time.monotonic()) > 0:
            udp.settimeout(min(left, _PAUSE))
            try:
                udp.send(reset.message)
                if reset.is_answer(udp.recv(_LARGEST)):
                    return True
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                time.sleep(min(max(deadline - time.monotonic(), 0), _PAUSE))
    return False


def _over_tcp(address: tuple[str, int], reset: Reset, deadline: float) -> bool:
    with socket.create_connection(address, timeout=max(deadline - time.monotonic(), 0.1)) as tcp:
        message = reset.message
        tcp.sendall(len(message).to_bytes(2) + message)
        received = b""
        while (left := deadline - time.monotonic()) > 0:
            tcp.settimeout(left)
            chunk = tcp.recv(_LARGEST)
            received += chunk
            length = int.from_bytes(received[:2]) if len(received) >= 2 else _LARGEST
            if len(received) >= 2 + length:
                return reset.is_answer(received[2 : 2 + length])
            if not chunk:
                return False
    return False


def main() -> int:
    """Print an empty line, then answer each line of doors with a line of results, until the input ends."""
    print(flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        asked = request["doors"]
        with ThreadPoolExecutor(max(1, min(AT_ONCE, len(asked)))) as pool:
            results = [*pool.map(knock, asked, [request["timeout"]] * len(asked))]
        print(json.dumps({"id": request["id"], "results": results}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
