"""A server is prepared over SSH: each fault is found at its step, and at the end the agent answers."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.conf import LazySettings

from tests.lab.lab import Lab
from tests.lab.server import LabServer
from tests.lab.waiting import wait_until
from vpn import failures
from vpn.choices import Listener, ProofCause
from vpn.drivers.base import Knock, SshAddress, Unreachable
from vpn.drivers.ssh import preparation
from vpn.drivers.ssh.bundle import agent_bundle
from vpn.drivers.ssh.driver import SshDriver
from vpn.drivers.ssh.host_key import seen_host_key
from vpn.keys import generate_private_key, generate_ssh_key, public_key
from vpn.wire import codes, preparing
from vpn.wire.finding import Finding
from vpn.wire.preparing import Line

pytestmark = pytest.mark.network
INSTALLED_WITHIN = 300.0
STATE = "/var/lib/vpn-hub"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A laboratory whose host is the portal's machine."""
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def server(lab: Lab) -> Iterator[LabServer]:
    """A server with an account for the portal that is not root."""
    with LabServer(lab, "server") as made:
        made.run(["useradd", "--create-home", "--shell", "/bin/sh", "portal"])
        yield made


@pytest.fixture(autouse=True)
def _from_the_host(settings: LazySettings, lab: Lab) -> None:
    settings.HUB_HOST_NETNS = lab.host.netns


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """The portal's key pair for the server."""
    return generate_ssh_key()


@pytest.fixture
def address(server: LabServer, keys: tuple[str, str]) -> SshAddress:
    """How root is reached on the server."""
    host_key = " ".join(server.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[:2])
    return SshAddress("root", server.node.v4, 22, host_key, keys[0])


def last(address: SshAddress, attempt: str = "a-test") -> Line:
    """The last line of one look."""
    return preparation.look(address, attempt)[-1]


def failed(step: str, finding: Finding) -> Line:
    """The line of a step that failed."""
    return Line(step, preparing.FAILED, finding=finding)


@contextmanager
def moved(server: LabServer, path: str) -> Iterator[None]:
    """Without this file or directory."""
    server.run(["mv", path, f"{path}.away"])
    try:
        yield
    finally:
        server.run(["rm", "-rf", path])  # It may have been made again.
        server.run(["mv", f"{path}.away", path])


def test_a_key_that_is_not_authorised(address: SshAddress) -> None:
    assert last(address) == failed(preparing.CONNECT, failures.KEY_NOT_AUTHORISED.of("root"))


def test_the_host_key_is_seen_before_it_is_trusted(address: SshAddress) -> None:
    assert seen_host_key(address.host, address.port) == address.host_key


def test_another_host_key_than_the_trusted_one(address: SshAddress) -> None:
    other = replace(address, host_key=generate_ssh_key()[1])
    assert last(other) == failed(preparing.CONNECT, failures.HOST_KEY_CHANGED.of("root"))


def test_a_server_that_does_not_answer(address: SshAddress) -> None:
    away = replace(address, port=2222)
    assert last(away) == failed(preparing.CONNECT, failures.SERVER_SILENT.of(away.place))
    assert seen_host_key(away.host, away.port) == ""


def test_an_account_without_sudo(server: LabServer, address: SshAddress, keys: tuple[str, str]) -> None:
    server.authorise(f"restrict {keys[1]} vpn-portal", "portal")
    assert last(replace(address, user="portal")) == failed(preparing.RIGHTS, failures.NO_SUDO.of("portal"))


def test_a_server_without_python(server: LabServer, address: SshAddress, keys: tuple[str, str]) -> None:
    server.authorise(f"restrict {keys[1]} vpn-portal")
    with moved(server, "/usr/bin/python3"):
        assert last(address) == failed(preparing.PYTHON, failures.PYTHON_MISSING.of())


def test_a_system_that_is_not_supported(server: LabServer, address: SshAddress) -> None:
    with moved(server, "/etc/os-release"):
        server.run(["tee", "/etc/os-release"], stdin='ID=debian\nVERSION_ID="11"\n')
        assert last(address) == failed(preparing.SYSTEM, codes.SERVER_SYSTEM_UNSUPPORTED.of("debian-11"))


def test_a_clock_that_is_wrong(address: SshAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("vpn.drivers.ssh.preparation.time.time", lambda: now + 3600)
    line = last(address)
    assert line.finding is not None
    assert (line.step, line.finding.code) == (preparing.CLOCK, codes.SERVER_CLOCK_WRONG.name)
    assert -3600 <= int(line.finding.subject) < -3400


def test_a_disk_that_is_full(server: LabServer, address: SshAddress) -> None:
    with server.small_disk(STATE, "64k"):
        assert last(address) == failed(preparing.DISK, failures.SERVER_DISK_FULL.of())
    with server.small_disk(STATE, "20m"):
        line = last(address)
        assert line.finding is not None
        assert (line.step, line.finding.code) == (preparing.DISK, codes.SERVER_DISK_SHORT.name)


def test_packages_that_cannot_be_installed(server: LabServer, address: SshAddress) -> None:
    with moved(server, "/var/cache/apt/archives"):
        line = finished(address, "no-packages")
        assert line.finding is not None
        assert (line.step, line.finding.code) == (preparing.PACKAGES, codes.SERVER_PACKAGES_NOT_INSTALLED.name)
        assert "openvpn" in line.finding.subject.split("+")


def finished(address: SshAddress, attempt: str) -> Line:
    """The last line once nothing runs on the server any more."""
    lines: list[Line] = []

    def look() -> bool:
        lines.append(last(address, attempt))
        return lines[-1].state != preparing.RUNNING

    wait_until(look, INSTALLED_WITHIN, "the end of the preparation")
    return lines[-1]


def test_an_account_with_the_sudo_rule_prepares_it_for_real(server: LabServer, address: SshAddress) -> None:
    rule = "portal ALL=(root) NOPASSWD: /usr/bin/python3 -I -, "
    rule += "/usr/bin/python3 -I /var/lib/vpn-hub/agent/current.pyz session\n"
    server.run(["tee", "/etc/sudoers.d/portal"], stdin=rule)
    account = replace(address, user="portal")
    assert finished(account, "for-real") == Line(preparing.WATCH, preparing.DONE, "supervisor")
    assert server.run(["wg", "--version"]).returncode == 0
    driver = SshDriver(account)
    try:
        driver.check()
    finally:
        driver.close()


def test_it_is_repaired_by_preparing_it_again(server: LabServer, address: SshAddress) -> None:
    server.run(["rm", "/var/lib/vpn-hub/agent/current.pyz"])
    server.run(["kill", "-9", *map(str, server.watches())])
    driver = SshDriver(address)
    try:
        with pytest.raises(Unreachable) as refused:
            driver.check()
        assert refused.value.finding == failures.AGENT_NOT_INSTALLED.of()
        assert finished(address, "repair").state == preparing.DONE
        driver.check()
        assert server.watches()
    finally:
        driver.close()


def test_a_newer_agent_replaces_the_older(
    server: LabServer, address: SshAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, newer = server.watches(), io.BytesIO(agent_bundle())
    with zipfile.ZipFile(newer, "a") as archive:
        archive.writestr("vpn/agent/newer.py", "# Another version.\n")
    monkeypatch.setattr(preparation, "agent_bundle", newer.getvalue)
    monkeypatch.setattr(preparation, "agent_version", lambda: "0123456789ab")
    assert finished(address, "newer").state == preparing.DONE
    assert server.run(["readlink", f"{STATE}/agent/current.pyz"]).stdout.strip() == "0123456789ab.pyz"
    wait_until(lambda: server.watches() and not server.watches() & before, 30, "the watch of the newer agent")


def test_a_session_that_ends_is_opened_again(server: LabServer, address: SshAddress) -> None:
    driver = SshDriver(address)
    try:
        driver.check()
        server.stop_ssh()
        with pytest.raises(Unreachable) as silent:
            driver.check()
        assert silent.value.finding == failures.SERVER_SILENT.of(address.place)
        server.start_ssh()
        driver.check()
    finally:
        driver.close()


def test_a_listener_that_does_not_answer_is_closed(server: LabServer, address: SshAddress) -> None:
    driver = SshDriver(address)
    try:
        knock = Knock(
            address=server.node.v4,
            wireguard_port=20000,
            hub_public_key=public_key(generate_private_key()),
            private_key=generate_private_key(),
            preshared_key="",
            source_address="100.64.0.2",
            hub_address="100.64.0.1",
        )
        assert driver.knock([knock], 1.0)[0][Listener.WIREGUARD].cause == ProofCause.CLOSED
    finally:
        driver.close()
