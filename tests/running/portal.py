"""A portal started for a test with `python -m portal.running up`: its data in a directory that only root may enter."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from portal.running.confine import remove_mount_points
from portal.running.layout import Layout
from portal.running.leftovers import MARK
from portal.running.options import CLONE, read_options

T = TypeVar("T")
READY_WITHIN = 90.0
HUB_ADDRESS = "203.0.113.9"


class RunningPortal:
    """Starts, watches and ends one portal with a data directory, a port and a host namespace of its own."""

    def __init__(self, netns: str, clone: Path = CLONE, **environ: str) -> None:
        self.clone = clone
        self.data = Path(tempfile.mkdtemp(prefix="up-"))  # 0700, and short enough for a socket
        self.layout = Layout(self.data)
        self.port = free_port()
        self.environ = clean_environ() | {
            "DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "HUB_HOST_NETNS": netns,
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.left: list[int] = []

    def start(self) -> None:
        """Start `make up`'s process, without waiting."""
        with (self.data / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.running", "up"],
                cwd=self.clone,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def await_healthy(self) -> dict[str, Any]:
        """Wait until /healthz says 200, and return what it says."""

        def healthy() -> dict[str, Any] | None:
            assert self.process is None or self.process.poll() is None, self.output
            if set(self.left) & set(self.processes()):
                return None  # it would be the old one that answers
            status, body = self.get("/healthz")
            return json.loads(body) if status == http.client.OK else None

        return wait_for(healthy, READY_WITHIN, lambda: self.output + self.logs())

    def get(self, path: str) -> tuple[int, bytes]:
        """GET a page; status 0 while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def pid(self, name: str) -> int:
        """The process that the supervisor knows by this name."""
        transport = SupervisorTransport(None, None, f"unix://{self.layout.supervisor_socket}")
        with ServerProxy("http://localhost", transport=transport) as supervisor:
            group = "redis" if name == "redis" else "portal"
            found = supervisor.supervisor.getProcessInfo(f"{group}:{name}")
        assert isinstance(found, dict)
        return int(found["pid"])

    def stop(self) -> float:
        """SIGTERM, and wait; returns the seconds that it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - begun

    def kill(self) -> None:
        """What `kill -9` of `make up`, its supervisor, and all that shares its session leaves: its programs."""
        assert self.process is not None
        supervisor = int((self.layout.run / "supervisord.pid").read_text())
        self.left = [pid for pid in self.processes() if pid != supervisor]
        os.killpg(self.process.pid, signal.SIGKILL)
        os.kill(supervisor, signal.SIGKILL)
        self.process.wait(10)

    def processes(self) -> list[int]:
        """Every process that carries this portal's mark, whatever became of its parents."""
        mark = f"{MARK}={self.data}".encode()
        return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if mark in environ_of(pid)]

    @property
    def output(self) -> str:
        """What `make up` has printed so far."""
        return (self.data / "output").read_text()

    def logs(self) -> str:
        """The ends of all logs, for a failure's message."""
        return "".join(
            f"\n== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.layout.logs.glob("*.log"))
        )

    def remove(self) -> None:
        """End whatever is left and delete the data."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        remove_mount_points(replace(read_options(self.environ), clone=self.clone))
        shutil.rmtree(self.data, ignore_errors=True)


def clean_environ() -> dict[str, str]:
    """The environment without what other tests or the machine configured for a portal."""
    ours = {
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEYS",
        "PUBLIC_URL",
        "BIND",
        "ADMIN_EMAIL",
        "ADMIN_PASSWORD",
        "HUB_ADDRESS",
    }
    return {name: value for name, value in os.environ.items() if name not in ours}


def environ_of(pid: int) -> list[bytes]:
    """A process's environment; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def uid_of(pid: int) -> int:
    """Whom a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], T | None], seconds: float, explain: Callable[[], str] = lambda: "") -> T:
    """Wait until a condition gives something, and return that; fail with an explanation after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {explain()}"
        time.sleep(0.1)
    return found


def run_up(environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `up` where it is expected to stop at once."""
    command = [sys.executable, "-m", "portal.running", "up"]
    return subprocess.run(command, cwd=CLONE, env=environ, capture_output=True, text=True, timeout=60, check=False)
