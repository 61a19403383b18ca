"""The portal's real processes for a test: web, workers, schedule, watch, Redis, on a free port of loopback."""

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from portal.running.family import NAME_PREFIX
from portal.running.layout import Layout
from portal.running.leftovers import find_leftovers
from portal.running.options import CLONE
from tests.lab.waiting import wait_until
from tests.prepared import copy_prepared
from tests.visitor import Visitor

ADMIN_EMAIL: Final = "admin@example.org"
ADMIN_PASSWORD: Final = "correct-horse-battery"
ROOT: Final = Path(__file__).resolve().parents[1]
# On a busy machine; a quiet one takes a few seconds.
_STARTS_WITHIN: Final = 300.0
_ENDS_WITHIN: Final = 30.0
# What other tests or the machine configured for a portal.
_FOREIGN: Final = frozenset(
    (
        *("DATABASE_URL", "REDIS_URL", "SECRET_KEYS", "PUBLIC_URL", "BIND"),
        *("ADMIN_EMAIL", "ADMIN_PASSWORD", "HUB_ADDRESS"),
        *("VPN_DOMAIN", "DNS_URL", "DNS_RESOLVER", "EMAIL_URL"),
    )
)


class RunningPortal:
    """`make up` on data, a port and a host namespace of its own.

    As a context manager it starts, and ends with everything that it started, hubs included.
    """

    def __init__(
        self, host_netns: str, environment: Mapping[str, str] | None = None, *, mode: int = 0o755, clone: Path = CLONE
    ) -> None:
        self.clone = clone
        # A short path: Unix sockets have little room.
        self.data = Path(tempfile.mkdtemp(prefix="portal-", dir="/tmp"))
        self.data.chmod(mode)
        self.layout = Layout(self.data)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in _FOREIGN},
            "DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "HUB_HOST_NETNS": host_netns,
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.left: list[int] = []

    @classmethod
    def of_story(cls, host_netns: str, hub_address: str, **environment: str) -> Self:
        """One whose admin and hub address are configured; call `start`, or use it as a context manager."""
        story = {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": ADMIN_PASSWORD, "HUB_ADDRESS": hub_address}
        portal = cls(host_netns, story | environment)
        copy_prepared(portal.data)
        return portal

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.stop()
            self.take_hubs_away()
        finally:
            self.remove()

    def start(self) -> dict[str, Any]:
        """Run `up` until its health page is content, and return what that says."""
        with (self.data / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.running", "up"],
                cwd=self.clone,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.await_healthy()

    def await_healthy(self) -> dict[str, Any]:
        """Wait until the health page is content, and return what it says."""
        answers: list[bytes] = []
        wait_until(
            lambda: self._is_up(answers),
            _STARTS_WITHIN,
            "the portal's health",
            lambda: self.output + self.logs()[-4000:],
        )
        found: dict[str, Any] = json.loads(answers[-1])
        return found

    def _is_up(self, answers: list[bytes]) -> bool:
        assert self.process is None or self.process.poll() is None, self.output
        status, body = self.get("/healthz")
        answers.append(body)
        # Until those are gone that a kill left, it could be one of them that answers.
        return status == http.client.OK and not set(self.left) & set(self.processes())

    def is_healthy(self) -> bool:
        """Does the health page say that everything answers?"""
        return self.get("/healthz")[0] == http.client.OK

    def get(self, path: str) -> tuple[int, bytes]:
        """GET a page; status 0 where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def stop(self) -> float:
        """SIGTERM, and wait; hubs stay. Returns the seconds that it took."""
        process, self.process = self.process, None
        begun = time.monotonic()
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(_ENDS_WITHIN)
        return time.monotonic() - begun

    def kill(self) -> None:
        """Leave what `kill -9` of `make up`, its supervisor, and all that shares its session leaves: its programs."""
        assert self.process is not None
        supervisor = int((self.layout.run / "supervisord.pid").read_text())
        self.left = [pid for pid in self.processes() if pid != supervisor]
        os.killpg(self.process.pid, signal.SIGKILL)
        os.kill(supervisor, signal.SIGKILL)
        self.process.wait(10)

    def take_hubs_away(self) -> str:
        """Take this portal's hubs away, as `make down` does; returns what that prints."""
        return self._run("-m", "portal.running", "down").stdout

    def manage(self, *arguments: str) -> str:
        """Run a management command on this portal's data; returns what it prints."""
        done = self._run("manage.py", *arguments)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def refused(self, *arguments: str) -> str:
        """Run a management command that fails; returns what it says on standard error."""
        done = self._run("manage.py", *arguments)
        assert done.returncode == 1, f"{done.returncode}: {done.stdout}{done.stderr[-2000:]}"
        return done.stderr.strip()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.clone,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def visitor(self, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> Visitor:
        """A browser session that is signed in."""
        visitor = Visitor(self.url)
        visitor.sign_in(email, password)
        return visitor

    def pid(self, name: str) -> int:
        """The process of this name: one that the supervisor knows, or one of a family; 0 while it is being started."""
        transport = SupervisorTransport(None, None, f"unix://{self.layout.supervisor_socket}")
        with ServerProxy("http://localhost", transport=transport) as supervisor:
            found: Any = supervisor.supervisor.getAllProcessInfo()
        known = {str(process["name"]): int(process["pid"]) for process in found}
        if name in known:
            return known[name]
        forked = [pid for pid in self.processes() if _name_of(pid) == f"{NAME_PREFIX}{name}"]
        return next((pid for pid in forked if _parent_of(pid) in known.values()), 0)

    def processes(self) -> list[int]:
        """Every process that carries this portal's mark, whatever became of its parents."""
        return find_leftovers(str(self.data))

    @property
    def output(self) -> str:
        """What `make up` has printed so far."""
        return (self.data / "output").read_text(errors="replace")

    def logged(self) -> dict[str, int]:
        """How many bytes each log has by now."""
        return {path.name: path.stat().st_size for path in self.layout.logs.glob("*") if path.is_file()}

    def logs(self, since: Mapping[str, int] | None = None) -> str:
        """Everything that the processes logged, or what came after that many bytes of each log."""
        found = {name: (self.layout.logs / name).read_bytes()[(since or {}).get(name, 0) :] for name in self.logged()}
        return "\n".join(f"== {name}\n{text.decode(errors='replace')}" for name, text in sorted(found.items()))

    def remove(self) -> None:
        """End whatever is left and delete the data."""
        self.stop()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.data, ignore_errors=True)


def _name_of(pid: int) -> str:
    """The name that a process gave itself; "" for one that has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def _parent_of(pid: int) -> int:
    """The parent of a process; 0 for one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def environ_of(pid: int) -> list[bytes]:
    """A process's environment; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
