"""Moving a large file over TCP between two machines of a laboratory, with a checksum on both sides."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from typing import Final

from tests.lab.lab import Lab
from tests.lab.nodes import Node

SIZE: Final = 2_000_000

# Answers each connection with the file, once it has read as much: so it has passed in both directions.
_SERVER: Final = """
import socket, sys, threading
size = int(sys.argv[3])
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
def answer(connection):
    with connection:
        connection.settimeout(15)
        data = bytearray()
        try:
            while len(data) < size and (part := connection.recv(65536)):
                data += part
            connection.sendall(data)
        except OSError:
            pass
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family) as door:
    print("ready", flush=True)
    while True:
        threading.Thread(target=answer, args=(door.accept()[0],), daemon=True).start()
"""
_CLIENT: Final = """
import hashlib, random, socket, sys
size = int(sys.argv[3])
data = random.Random(1).randbytes(size)
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as connection:
    connection.settimeout(float(sys.argv[4]))
    connection.sendall(data)
    back = bytearray()
    while len(back) < size and (part := connection.recv(65536)):
        back += part
print(hashlib.sha256(back).hexdigest())
"""


def serve_file(lab: Lab, node: Node, address: str, port: int = 9000) -> None:
    """Send back what comes to `address`, from now on until the laboratory's end."""
    command = [sys.executable, "-S", "-c", _SERVER, address, str(port), str(SIZE)]
    process = lab.start(node, command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"no file server on {node.name}"


def moves_a_file(lab: Lab, node: Node, address: str, port: int = 9000, *, patience: float = 15) -> bool:
    """Whether a file comes unharmed from `node` to a `serve_file`, and back, without a pause of `patience` seconds."""
    command = [sys.executable, "-S", "-c", _CLIENT, address, str(port), str(SIZE), str(patience)]
    done = lab.run(node, command, check=False, timeout=60)
    return done.stdout.strip() == hashlib.sha256(random.Random(1).randbytes(SIZE)).hexdigest()
