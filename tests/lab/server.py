"""A server on the laboratory's internet: a Debian root of its own with a real sshd, for hubs on other machines.

    with LabServer(lab, "frankfurt") as server:
        server.authorise(line)
        server.stop_ssh()

It has network, mount, process and host name namespaces of its own. What is written goes to memory and ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import pytest

from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until

# Made by .ci/server-root.
ROOT: Final = Path("/var/cache/vpn-portal-tests/server")
STARTS_WITHIN: Final = 60.0
_BOOT: Final = """
set -e
mount -t tmpfs -o size=2g tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount --rbind /dev dev
mkdir -p run/sshd run/lock root/.ssh
# A resolver that refuses at once: nothing is installed over a network.
echo nameserver 127.0.0.1 >etc/resolv.conf
hostname "$3"
chroot . ssh-keygen -q -A
exec chroot . /usr/bin/python3 -c "$4"
"""
# The first process: it starts an SSH server for each line of its standard input, and buries every process that ends.
_INIT: Final = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if not os.fork():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.setsid()
        os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D"])
"""


@dataclass
class LabServer:
    """The server, a context manager. Tests that need one are skipped where its root could not be made."""

    lab: Lab
    name: str
    # A machine of the laboratory that is there already.
    machine: Node | None = None
    ssh: bool = True
    _boot: subprocess.Popen[bytes] | None = None
    _pid: int = 0
    node: Node = field(init=False)

    def __enter__(self) -> Self:
        if not (ROOT / ".packages").exists():
            pytest.skip("there is no root for servers: .ci/server-root says why")
        self.node = self.machine or self.lab.add_client(self.name)
        space = self.lab.directory / self.name / "server"
        space.mkdir()
        argv = ["nsenter", f"--net=/run/netns/{self.node.netns}", "unshare", "--mount", "--pid", "--uts", "--fork"]
        argv += [
            "--kill-child",
            "--propagation",
            "private",
            "sh",
            "-c",
            _BOOT,
            "boot",
            str(ROOT),
            str(space),
            self.name,
        ]
        self._boot = subprocess.Popen([*argv, _INIT], stdin=subprocess.PIPE)
        try:
            wait_until(self._is_up, STARTS_WITHIN, "the server's first process")
            if self.ssh:
                self.start_ssh()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """End it with all its processes: its first process takes them along."""
        boot, self._boot = self._boot, None
        if boot is not None:
            if boot.stdin is not None:
                boot.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid or boot.pid, signal.SIGKILL)
            boot.kill()
            boot.wait(10)

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._pid

    def die(self) -> None:
        """End it as a loss of power does: connections stay open, and nothing answers any more."""
        self.lab.run(self.node, ["ip", "link", "set", "eth0", "down"])
        self.__exit__()

    def run(
        self, argv: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the server as root."""
        enter = ["nsenter", "-t", str(self._pid), "--mount", "--net", "--pid", "--uts", "--root", "--wd=/"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*enter, "env", "-i", path, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv} failed: {done.stdout}{done.stderr}"
        return done

    @contextlib.contextmanager
    def small_disk(self, path: str, size: str) -> Iterator[None]:
        """Have a disk of this size at a directory, by the machine's mount(8): the server may have none yet."""
        self.run(["mkdir", "-p", path])
        enter = ["nsenter", "-t", str(self._pid), "--mount"]
        place = f"/proc/{self._pid}/root{path}"
        subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        try:
            yield
        finally:
            subprocess.run([*enter, "umount", place], check=True)

    def authorise(self, line: str, account: str = "root") -> None:
        """Add a line to an account's authorized keys."""
        home = "/root" if account == "root" else f"/home/{account}"
        script = (
            'mkdir -p "$1/.ssh" && cat >>"$1/.ssh/authorized_keys" && chown -R "$2" "$1/.ssh" && chmod 700 "$1/.ssh"'
        )
        self.run(["sh", "-c", script, "authorise", home, account], stdin=f"{line}\n")

    def start_ssh(self) -> None:
        """Start the SSH server, and wait until it listens."""
        assert self._boot is not None
        assert self._boot.stdin is not None
        self._boot.stdin.write(b"sshd\n")
        self._boot.stdin.flush()
        wait_until(self.listens, STARTS_WITHIN, "the SSH server")

    def stop_ssh(self) -> None:
        """End the SSH server with its connections; whatever else runs there stays."""
        for pid in self._processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "sshd":
                    os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: not self.listens(), STARTS_WITHIN, "the end of the SSH server")

    def watches(self) -> set[int]:
        """The processes of the agent's watch and of its supervisor, by their numbers on the server."""
        listed = self.run(["sh", "-c", "grep -lz [s]upervise /proc/[0-9]*/cmdline || true"]).stdout.split()
        return {int(path.split("/")[2]) for path in listed if path.split("/")[2].isdigit()}

    def listens(self) -> bool:
        """Does anything listen on the port of SSH?"""
        tables = Path(f"/proc/{self._pid}/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[1].endswith(":0016") and line.split()[3] == "0A" for line in tables)

    def _processes(self) -> list[str]:
        listed = subprocess.run(["ip", "netns", "pids", self.node.netns], capture_output=True, text=True, check=False)
        return listed.stdout.split()

    def _is_up(self) -> bool:
        assert self._boot is not None
        assert self._boot.poll() is None, "the server did not boot"
        if not self._pid:
            children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
            self._pid = int(children[0]) if children else 0
        return bool(self._pid) and Path(f"/proc/{self._pid}/comm").read_text().strip() == "python3"
