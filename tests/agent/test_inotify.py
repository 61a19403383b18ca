"""wireguard-go needs an inotify instance: the limit is raised if that is allowed, and named in the error if not."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vpn.agent.system import inotify, sysctl
from vpn.agent.system.command import Netns, Result
from vpn.wire import codes

ROOT = Path(__file__).resolve().parents[2]
# Runs in a new user namespace with its own limits, and a network namespace that belongs to it.
_START = """
from pathlib import Path
from tests.agent import made
from vpn.agent.lifecycle import host_parts, preflight
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.system import inotify
from vpn.agent.system.command import Netns
from vpn.agent.wireguard import process
from vpn.wire.errors import AgentError
from vpn.wire.spec import parse_spec

def limit():
    return Path("/proc/sys/user/max_inotify_instances").read_text().strip()

process._kernel_has_wireguard[0] = False
# Not the server's limit: root of a user namespace may write /proc/sys/fs, which would change it for all.
inotify._LIMITS = ("user.max_inotify_instances",) if {may_raise} else ()
host = Host(Netns(), State(Path("/run/agent")))
hub = host.hub("{hub}")
try:
    preflight.check(hub, parse_spec(made.spec(1)))
    process.start(hub.names)
except AgentError as error:
    print("refused:", error, error.finding)
else:
    print("started with", limit())
    process.remove(hub.names)
    host_parts._put_limits_back(host)
    print("left", limit())
"""


@pytest.fixture
def hub() -> str:
    return "t" + secrets.token_hex(5)[:9]


def start(hub: str, *, may_raise: bool, free: int = 0) -> str:
    """Start wireguard-go where so many inotify instances are free, and return its output."""
    script = textwrap.dedent(_START).format(hub=hub, may_raise=may_raise)
    # /run is private to the namespace, and all its processes end with the first one.
    server = Path("/proc/sys/fs/inotify/max_user_instances")
    before = server.read_text()
    limit = f"echo {free} >/proc/sys/user/max_inotify_instances"
    steps = f'mount -t tmpfs tmpfs /run && {limit} && exec "$0" -c "$1"'
    isolated = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    command = [*isolated, "sh", "-c", steps, sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    assert server.read_text() == before, "a test must not change the machine's own limit"
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"NOT TRIED: {done.stderr.strip()}")
    return done.stdout + done.stderr


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.mark.network
@needs_root
@pytest.mark.parametrize("free", [0, 1])
def test_the_limit_is_raised_where_it_is_in_the_way(hub: str, free: int) -> None:
    """A hub's resolver needs an instance, too."""
    assert start(hub, may_raise=True, free=free).split("\n")[0] == "started with 1024"


@pytest.mark.network
@needs_root
def test_the_limit_is_put_back_with_the_last_hub(hub: str) -> None:
    assert start(hub, may_raise=True).split("\n")[1] == "left 0"


@pytest.mark.network
@needs_root
def test_the_true_reason_is_told_where_it_cannot_be_raised(hub: str) -> None:
    said = start(hub, may_raise=False)
    assert str(codes.WIREGUARD_NO_INOTIFY.of("fs.inotify.max_user_instances=1024")) in said
    assert "no inotify instance left" in said
    assert "sysctl -w fs.inotify.max_user_instances=" in said
    assert "/dev/net/tun" not in said


def test_a_limit_is_never_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def answer(_netns: Netns, argv: list[str], _stdin: str = "") -> Result:
        asked.append(argv)
        return Result(0, "4096\n", "")

    monkeypatch.setattr(Netns, "try_run", answer)
    assert not sysctl.raise_to(Netns(), "fs.inotify.max_user_instances", 1024)
    assert asked == [["sysctl", "-n", "fs.inotify.max_user_instances"]]
    assert sysctl.raise_to(Netns(), "fs.inotify.max_user_instances", 8192)
    assert asked[-1][-1] == "fs.inotify.max_user_instances=8192"


def test_a_limit_that_another_program_has_changed_since_is_not_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def answer(_netns: Netns, argv: list[str], _stdin: str = "") -> Result:
        written.extend(argv[3:] if "-w" in argv else [])
        return Result(0, "1024\n" if argv[-1] == inotify.LIMIT else "5000\n", "")

    monkeypatch.setattr(Netns, "try_run", answer)
    inotify.put_back(Netns(), {inotify.LIMIT: (128, 1024), "user.max_inotify_instances": (128, 1024)})
    assert written == ["fs.inotify.max_user_instances=128"]
