"""The portal's real processes for a test: web, workers, schedule, watch, Redis, on a free port of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import requests

from tests.lab.waiting import wait_until
from tests.visitor import Visitor

ADMIN_EMAIL = "admin@example.org"
ADMIN_PASSWORD = "correct-horse-battery"
ROOT = Path(__file__).resolve().parents[1]
# Ten processes of Django begin at once; a busy machine takes minutes for that.
_STARTS_WITHIN = 300.0
_ENDS_WITHIN = 15.0


class RunningPortal:
    """`make up` on data of its own. Use it as a context manager: it ends what it started and takes its hubs away."""

    def __init__(self, *, host_netns: str, hub_address: str, environment: Mapping[str, str] | None = None) -> None:
        # A short path: Unix sockets have little room. Readable on the way, for the web process without rights.
        self.data = Path(tempfile.mkdtemp(prefix="portal-", dir="/tmp"))
        self.data.chmod(0o755)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "PUBLIC_URL": f"http://localhost:{self.port}",
            "ADMIN_EMAIL": ADMIN_EMAIL,
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "HUB_HOST_NETNS": host_netns,
            "HUB_ADDRESS": hub_address,
            **(environment or {}),
        }
        for inherited in ("SECRET_KEYS", "REDIS_URL", "DATABASE_URL"):
            if inherited not in (environment or {}):
                self.environment.pop(inherited, None)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self.take_hubs_away()
        shutil.rmtree(self.data, ignore_errors=True)

    def start(self) -> None:
        """Run `up` until its health page is content."""
        with (self.data / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "import sys; from portal.running.up import up; sys.exit(up())"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_up, _STARTS_WITHIN, "the portal's health")

    def stop(self) -> None:
        """Send SIGTERM and wait for the end; hubs stay."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(_ENDS_WITHIN)

    def take_hubs_away(self) -> None:
        """Take this portal's hubs away, as `make down` does."""
        subprocess.run(
            [sys.executable, "-m", "portal.running", "down"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )

    def is_healthy(self) -> bool:
        """Does the health page say that everything answers?"""
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def manage(self, *arguments: str) -> str:
        """Run a management command on this portal's data; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def visitor(self, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> Visitor:
        """A browser session that is signed in."""
        visitor = Visitor(self.url)
        visitor.sign_in(email, password)
        return visitor

    def logs(self) -> str:
        """Everything that the processes logged."""
        files = sorted((self.data / "logs").glob("*")) if (self.data / "logs").exists() else []
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')}" for file in files if file.is_file())

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.data / "up.log").read_text(errors="replace")[-4000:]
        return self.is_healthy()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
