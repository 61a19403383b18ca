"""The readiness proof, against a real WireGuard in a network namespace of its own."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portal.told import in_words
from vpn import keys
from vpn.drivers.proof import handshake

ROOT = Path(__file__).resolve().parents[2]
PORT = 20111

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root")


def run(*command: str, stdin: str | None = None) -> str:
    return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True, timeout=20).stdout


@dataclass
class Hub:
    """A WireGuard interface in a namespace, with one peer: the probe."""

    namespace: str
    interface: str
    public_key: str
    probe_key: str
    preshared_key: str

    def inside(self, *command: str, stdin: str | None = None) -> str:
        return run("nsenter", f"--net=/run/netns/{self.namespace}", *command, stdin=stdin)

    @contextlib.contextmanager
    def resolver(self, *lines: str) -> Iterator[None]:
        """A resolver on the hub's addresses, that knows what it is told."""
        options = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root"]
        options += ["--listen-address=100.64.0.1", "--listen-address=fd12:3456:789a::1", "--local=/#/"]
        command = ["dnsmasq", "--keep-in-foreground", "--pid-file=", *options, *(f"--{line}" for line in lines)]
        with subprocess.Popen(["nsenter", f"--net=/run/netns/{self.namespace}", *command]) as process:
            try:
                deadline = time.monotonic() + 10
                while ":53 " not in self.inside("ss", "-Hlnu"):
                    assert time.monotonic() < deadline, "dnsmasq did not start"
                yield
            finally:
                process.terminate()

    def request(self, **changes: Any) -> dict[str, Any]:
        return {
            "endpoint_host": "127.0.0.1",
            "endpoint_port": PORT,
            "hub_public_key": self.public_key,
            "private_key": self.probe_key,
            "preshared_key": self.preshared_key,
            "source_address": "100.64.15.254",
            "hub_address": "100.64.0.1",
            "timeout": 5,
        } | changes

    def prove(self, **changes: Any) -> dict[str, Any]:
        """What the program says when it is run beside the hub."""
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.namespace}", sys.executable, "-m", "vpn.drivers.proof.handshake"],
            input=json.dumps(self.request(**changes)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stderr == ""
        answer: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if answer["ok"] else 1)
        return answer


def wait_for_wireguard(interface: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while not Path(f"/var/run/wireguard/{interface}.sock").exists():
        assert process.poll() is None, "wireguard-go ended at its start"
        assert time.monotonic() < deadline, "wireguard-go did not start"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    suffix = secrets.token_hex(4)
    hub_key, probe_key = keys.generate_private_key(), keys.generate_private_key()
    made = Hub(f"proof-{suffix}", f"pf-{suffix}", keys.public_key(hub_key), probe_key, keys.generate_preshared_key())
    run("ip", "netns", "add", made.namespace)
    process: subprocess.Popen[bytes] | None = None
    try:
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{made.namespace}", "wireguard-go", "-f", made.interface],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_wireguard(made.interface, process)
        configuration = tmp_path_factory.mktemp("hub") / "hub.conf"
        configuration.touch(0o600)
        configuration.write_text(
            f"[Interface]\nListenPort = {PORT}\nPrivateKey = {hub_key}\n"
            f"[Peer]\nPublicKey = {keys.public_key(probe_key)}\nPresharedKey = {made.preshared_key}\n"
            "AllowedIPs = 100.64.15.254/32, fd12:3456:789a::ffe/128\n"
        )
        made.inside("wg", "setconf", made.interface, str(configuration))
        made.inside("ip", "link", "set", "lo", "up")
        made.inside("ip", "address", "add", "100.64.0.1/20", "dev", made.interface)
        made.inside("ip", "address", "add", "fd12:3456:789a::1/64", "dev", made.interface, "nodad")
        made.inside("ip", "link", "set", made.interface, "up")
        yield made
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=10)
        Path(f"/var/run/wireguard/{made.interface}.sock").unlink(missing_ok=True)
        run("ip", "netns", "delete", made.namespace)


@pytest.mark.network
@needs_root
class TestAgainstRealWireGuard:
    def test_a_hub_that_carries_packets_is_proven(self, hub: Hub) -> None:
        answer = hub.prove()
        assert answer["ok"] is True
        assert 0 < answer["seconds"] < 5

    def test_it_is_proven_again_with_the_same_key(self, hub: Hub) -> None:
        assert hub.prove()["ok"]
        assert hub.prove()["ok"]

    def test_over_ipv6_inside_and_outside_the_tunnel(self, hub: Hub) -> None:
        answer = hub.prove(endpoint_host="::1", source_address="fd12:3456:789a::ffe", hub_address="fd12:3456:789a::1")
        assert answer["ok"] is True

    def test_the_hub_itself_saw_the_handshake(self, hub: Hub) -> None:
        assert hub.prove()["ok"]
        shown = hub.inside("wg", "show", hub.interface, "latest-handshakes")
        assert int(shown.split()[1]) > 0

    def test_another_preshared_key_is_refused_with_its_reason(self, hub: Hub) -> None:
        answer = hub.prove(preshared_key=keys.generate_preshared_key(), timeout=2)
        assert answer["code"] == "rejected"
        assert "preshared key" in in_words(answer["reason"])

    def test_no_preshared_key_is_not_the_same_as_one(self, hub: Hub) -> None:
        assert hub.prove(preshared_key=None, timeout=2)["code"] == "rejected"

    def test_a_key_that_the_hub_does_not_have_gets_no_answer(self, hub: Hub) -> None:
        answer = hub.prove(private_key=keys.generate_private_key(), timeout=1)
        assert answer["code"] == "silent"

    def test_another_hubs_key_gets_no_answer(self, hub: Hub) -> None:
        other = keys.public_key(keys.generate_private_key())
        assert hub.prove(hub_public_key=other, timeout=1)["code"] == "silent"

    def test_a_closed_port_is_named(self, hub: Hub) -> None:
        answer = hub.prove(endpoint_port=PORT + 1, timeout=2)
        assert answer["code"] == "closed"
        assert f"port {PORT + 1}" in in_words(answer["reason"])

    def test_a_handshake_without_a_packet_is_no_proof(self, hub: Hub) -> None:
        hub.inside("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
        try:
            answer = hub.prove(timeout=2)
        finally:
            hub.inside("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0")
        assert answer["code"] == "no-echo"
        assert "handshake" in in_words(answer["reason"])

    def test_a_source_that_is_not_the_peers_own_is_no_proof(self, hub: Hub) -> None:
        assert hub.prove(source_address="100.64.0.99", timeout=2)["code"] == "no-echo"

    @pytest.mark.parametrize("over", ["v4", "v6"])
    def test_a_resolver_has_to_know_the_hubs_name(self, hub: Hub, over: str) -> None:
        ways = {"source_address": "fd12:3456:789a::ffe", "hub_address": "fd12:3456:789a::1"} if over == "v6" else {}
        told = ["203.0.113.1", "2001:db8:113::1"]
        asked = {"name": "office.vpn.example.net", "name_addresses": told, **ways}
        answer = hub.prove(**asked, timeout=2)
        assert answer["code"] == "no-name"
        assert "did not answer" in in_words(answer["reason"])
        with hub.resolver("host-record=office.vpn.example.net,203.0.113.1,2001:db8:113::1"):
            assert hub.prove(**asked)["ok"] is True
            assert hub.prove(**asked | {"name_addresses": told[1:]})["ok"] is True
            wrong = hub.prove(**asked | {"name_addresses": ["203.0.113.2"]}, timeout=2)
            unknown = hub.prove(**asked | {"name": "other.vpn.example.net"}, timeout=2)
        assert (wrong["code"], unknown["code"]) == ("no-name", "no-name")
        assert "answered 203.0.113.1 for office.vpn.example.net, not 203.0.113.2" in in_words(wrong["reason"])
        assert "the name does not exist" in in_words(unknown["reason"])

    def test_a_name_that_does_not_resolve_is_told(self, hub: Hub) -> None:
        assert hub.prove(endpoint_host="hub.invalid", timeout=1)["code"] == "unresolved"

    def test_no_answer_quotes_a_key(self, hub: Hub) -> None:
        for changes in ({}, {"preshared_key": None, "timeout": 0.5}, {"private_key": hub.probe_key[:-2] + "!="}):
            answer = json.dumps(hub.prove(**changes))
            assert hub.probe_key[:-2] not in answer
            assert hub.preshared_key not in answer


def request(**changes: Any) -> dict[str, Any]:
    return {
        "endpoint_host": "127.0.0.1",
        "endpoint_port": PORT,
        "hub_public_key": keys.public_key(keys.generate_private_key()),
        "private_key": keys.generate_private_key(),
        "preshared_key": None,
        "source_address": "100.64.0.2",
        "hub_address": "100.64.0.1",
        "timeout": 0.3,
    } | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": "short"},
        {"hub_public_key": "A" * 43 + "="},
        {"preshared_key": "x"},
        {"hub_address": "fd12::1"},
        {"hub_address": "nowhere"},
        {"name": "two..dots", "name_addresses": ["203.0.113.1"]},
        {"name": "office", "name_addresses": ["nowhere"]},
    ],
)
def test_malformed_arguments_are_told_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(handshake.HandshakeFailed) as failed:
        handshake.prove(**request(**changes))
    assert failed.value.code == "invalid"


@pytest.mark.parametrize("length", [0, 1, 15, 16, 32, 64, 92, 148])
@pytest.mark.parametrize("kind", [0, 2, 3, 4])
def test_garbage_from_the_endpoint_neither_proves_nor_breaks_anything(kind: int, length: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def answer() -> None:
            initiation, address = server.recvfrom(2048)
            reply = bytearray(os.urandom(length))
            reply[:1] = bytes((kind,))[:length]
            reply[8:12] = initiation[4:8][: max(0, length - 8)]
            server.sendto(reply, address)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(handshake.HandshakeFailed) as failed:
            handshake.prove(**request(endpoint_port=server.getsockname()[1], timeout=0.1))
        thread.join()
    assert failed.value.code in {"silent", "rejected", "busy"}


def test_the_program_refuses_what_is_not_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vpn.drivers.proof.handshake"], input="[1]", cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "invalid"
    assert done.stderr == ""


def test_it_needs_no_django() -> None:
    program = (
        "import sys, vpn.drivers.proof.handshake; sys.exit(any(name.startswith('django') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
