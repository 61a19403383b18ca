"""A machine's part in probing: echoes TCP and UDP on some ports, and asks others, all at the same time.

Run by `probing.Probers` in each namespace; takes one JSON object a line and answers each with one line. Standard
library alone, and one process, so that thousands of probes take seconds.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import struct
import sys
import time
from typing import Any

OPEN, REFUSED, SILENT = "open", "refused", "silent"
REFUSALS = {errno.ECONNREFUSED, errno.EACCES, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.ECONNRESET}
GRACE = 0.06  # seconds in which nothing that should not may answer, after all that should have answered did

selector = selectors.DefaultSelector()


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


# Answering.


def listen(addresses: list[str], ports: list[int]) -> None:
    for address in addresses:
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                door = socket.socket(family_of(address), kind)
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.setblocking(False)
                door.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    door.listen(512)
                selector.register(door, selectors.EVENT_READ, accept if kind == socket.SOCK_STREAM else echo_datagram)


def accept(door: socket.socket) -> None:
    try:
        connection, _ = door.accept()
    except OSError:
        return  # gone already
    connection.setblocking(False)
    selector.register(connection, selectors.EVENT_READ, echo)


def echo(connection: socket.socket) -> None:
    try:
        data = connection.recv(65536)
        if data:
            connection.send(data)
            return
    except OSError:
        pass
    selector.unregister(connection)
    connection.close()


def echo_datagram(door: socket.socket) -> None:
    try:
        data, sender = door.recvfrom(65536)
        door.sendto(data, sender)
    except OSError:
        pass


# Asking.


class Probe:
    """One question: (protocol, address, port, whether an answer is expected, and from which address, "" for any)."""

    def __init__(self, protocol: str, address: str, port: int, expected: bool, source: str) -> None:
        self.protocol, self.address, self.port, self.expected = protocol, address, port, expected
        self.result = SILENT
        kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}.get(protocol, socket.SOCK_RAW)
        v6 = ":" in address
        number = (socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP) if kind == socket.SOCK_RAW else 0
        self.door = socket.socket(family_of(address), kind, number)
        self.door.setblocking(False)
        self.mark = os.urandom(4)
        if source:
            self.door.bind((source, 0))
        self.send()
        if self.result == SILENT:
            wanted = selectors.EVENT_WRITE if kind == socket.SOCK_STREAM else selectors.EVENT_READ
            selector.register(self.door, wanted, self.hear)

    def send(self) -> None:
        try:
            if self.protocol == "tcp":
                found = self.door.connect_ex((self.address, self.port))
                if found not in (0, errno.EINPROGRESS):
                    self.fail(found)
                return
            self.door.connect((self.address, self.port if self.protocol == "udp" else 0))
            self.door.send(self.mark if self.protocol == "udp" else self.ping())
        except OSError as error:
            self.fail(error.errno or 0)

    def ping(self) -> bytes:
        kind = 128 if ":" in self.address else 8
        packet = struct.pack("!BBH", kind, 0, 0) + self.mark
        total = sum(struct.unpack("!4H", packet))
        total = (total & 0xFFFF) + (total >> 16)
        return packet[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + packet[4:]

    def again(self) -> None:
        """Ask once more what may have got lost; the kernel does that for TCP."""
        if self.result == SILENT and self.protocol != "tcp":
            try:
                self.door.send(self.mark if self.protocol == "udp" else self.ping())
            except OSError as error:
                self.fail(error.errno or 0)

    def fail(self, number: int) -> None:
        self.result = REFUSED if number in REFUSALS else f"error {number}"

    def hear(self, door: socket.socket) -> None:
        try:
            if self.protocol == "tcp":
                found = door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if found:
                    self.fail(found)
                else:
                    self.result = OPEN
            else:
                data = door.recv(2048)
                if self.protocol != "udp":
                    data = data if ":" in self.address else data[20:]
                    if data[0] not in (0, 129) or data[4:8] != self.mark:
                        return
                    data = self.mark
                if data == self.mark:
                    self.result = OPEN
        except OSError as error:
            self.fail(error.errno or 0)
        if self.result != SILENT:
            selector.unregister(door)

    def close(self) -> None:
        if self.result == SILENT:
            selector.unregister(self.door)
        if self.protocol == "tcp":
            # No trace of it stays behind, at either end.
            self.door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.door.close()


def ask(questions: list[Any], seconds: float) -> list[str]:
    """Ask all, and answer when all that is expected to answer did, and a little later."""
    probes = [Probe(*question) for question in questions]
    started = time.monotonic()
    waiting = [probe for probe in probes if probe.expected]
    repeated = started
    while waiting and time.monotonic() < started + seconds:
        turn(0.02)
        waiting = [probe for probe in waiting if probe.result == SILENT]
        if time.monotonic() > repeated + 0.5:
            repeated = time.monotonic()
            for probe in waiting:
                probe.again()
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        turn(0.02)
    for probe in probes:
        probe.close()
    return [probe.result for probe in probes]


def turn(seconds: float) -> None:
    for key, _ in selector.select(seconds):
        if key.data is not None:
            key.data(key.fileobj)


# Flows that go on.


class Flow:
    """Numbers that go there and back, over one connection, until it is told to end."""

    def __init__(self, protocol: str, address: str, port: int) -> None:
        self.protocol = protocol
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        self.door = socket.socket(family_of(address), kind)
        self.door.settimeout(3)
        self.door.connect((address, port))
        if protocol == "tcp":
            self.door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.door.setblocking(False)
        self.sent = self.heard = self.lost = 0
        self.heard_at = time.time()
        self.longest = 0.0
        self.over = ""
        selector.register(self.door, selectors.EVENT_READ, self.hear)

    def send(self) -> None:
        try:
            self.door.send(b"%09d\n" % self.sent)
            self.sent += 1
        except OSError as error:
            self.end(error)

    def hear(self, door: socket.socket) -> None:
        try:
            data = door.recv(65536)
        except OSError as error:
            self.end(error)
            return
        now = time.time()
        self.heard += data.count(b"\n")
        if self.protocol == "udp":
            # Datagrams stay in order here, so those before the newest echo have been heard of or are lost.
            self.lost = int(data) + 1 - self.heard
        self.longest = max(self.longest, now - self.heard_at)
        self.heard_at = now
        if not data and self.protocol == "tcp":
            self.end(OSError(errno.ECONNRESET, "closed"))

    def end(self, error: OSError) -> None:
        passing = (errno.EAGAIN, errno.EHOSTUNREACH, errno.EACCES)
        if self.protocol == "tcp" and error.errno not in passing and not self.over:
            self.over = errno.errorcode.get(error.errno or 0, "?")
            selector.unregister(self.door)

    def document(self) -> dict[str, Any]:
        return {
            "heard": self.heard,
            "lost": self.lost,
            "heard_at": self.heard_at,
            "longest": self.longest,
            "over": self.over,
        }


flows: dict[str, Flow] = {}


def answer(request: dict[str, Any]) -> Any:
    command = request["command"]
    if command == "listen":
        return listen(request["addresses"], request["ports"])
    if command == "ask":
        return ask(request["questions"], request["seconds"])
    if command == "flow":
        try:
            flows[request["name"]] = Flow(*request["to"])
        except OSError as error:
            return str(error)
        return None
    if command == "flows":
        return {name: flow.document() for name, flow in flows.items()}
    if command == "end":
        for flow in flows.values():
            if not flow.over:
                selector.unregister(flow.door)
            flow.door.close()
        flows.clear()
        return None
    raise ValueError(command)


def main() -> None:
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    due = 0.0
    while True:
        events = selector.select(max(0.0, due - time.monotonic()) if flows else None)
        for key, _ in events:
            if key.data is not None:
                key.data(key.fileobj)
                continue
            line = sys.stdin.readline()
            if not line:
                return
            sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
            sys.stdout.flush()
            break  # what else there was may be gone
        if flows and time.monotonic() >= due:
            due = time.monotonic() + 0.02
            for flow in flows.values():
                if not flow.over:
                    flow.send()


if __name__ == "__main__":
    main()
