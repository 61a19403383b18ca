"""A server of the laboratory that systemd runs as its first process: Debian 13, as it boots on a machine.

    with SystemdServer(lab, "frankfurt") as server:
        server.reboot()

It also has IPC and cgroup namespaces of its own, and its own /dev; its /proc/sys is read-only but for the network's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pytest

from tests.lab.server import ROOT as _WITHOUT_SYSTEMD
from tests.lab.server import LabServer
from tests.lab.waiting import wait_until

SUITE: Final = "trixie"
# Made by `.ci/server-root trixie`, which `make drill` calls.
ROOT: Final = _WITHOUT_SYSTEMD.with_name(f"server-{SUITE}")
BOOTS_WITHIN: Final = 180.0
# Those of a machine: devices, disks, consoles; and cloud-init, which would look for a cloud.
_MASKED: Final = (
    "systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service systemd-modules-load.service "
    "systemd-networkd.service systemd-networkd.socket getty.target console-getty.service serial-getty@.service "
    "apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service cloud-init.target"
)
# The disk outlives a boot: it is mounted once, and each boot is one round of the loop.
_MACHINE: Final = """
set -e
mount -t tmpfs -o size=2g tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mkdir -p root/.ssh etc/cloud etc/systemd/system
echo nameserver 127.0.0.1 >etc/resolv.conf
echo "$3" >etc/hostname
touch etc/cloud/cloud-init.disabled
for unit in $5; do ln -s /dev/null "etc/systemd/system/$unit"; done
chroot . ssh-keygen -q -A
echo $$ >"$4/cgroup.procs"
while :; do
    setpriv --pdeathsig KILL unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh -c "$6" boot "$3" || true
done
"""
_BOOT: Final = """
set -e
hostname "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
for device in null zero full random urandom tty net/tun; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount --bind . .
cd .
pivot_root . mnt
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'umount -l /mnt; exec /lib/systemd/systemd' \
    <dev/null >dev/null 2>&1
"""


@dataclass
class SystemdServer(LabServer):
    """The server, a context manager. Tests that need one are skipped where it cannot be."""

    _cgroup: Path | None = None

    def __enter__(self) -> Self:
        if not (ROOT / ".packages").exists():
            pytest.skip(f"there is no root of {SUITE}: `.ci/server-root {SUITE}` says why")
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        unified = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
        if unified is None:
            pytest.skip("this machine has no cgroups of version 2, which systemd needs")
        self.node = self.machine or self.lab.add_client(self.name)
        space = self.lab.directory / self.name / "server"
        space.mkdir()
        self._cgroup = Path(unified) / f"vpn-lab-{os.getpid()}-{self.name}"
        self._cgroup.mkdir()
        argv = ["nsenter", f"--net=/run/netns/{self.node.netns}", "unshare", "--mount", "--propagation", "private"]
        argv += ["sh", "-c", _MACHINE, "machine", str(ROOT), str(space), self.name, str(self._cgroup), _MASKED, _BOOT]
        self._boot = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        try:
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """End it with all its processes, and remove its cgroups."""
        boot, self._boot = self._boot, None
        if boot is None:
            return
        boot.kill()
        boot.wait(10)
        assert self._cgroup is not None
        wait_until(self._remove_cgroups, BOOTS_WITHIN, "the end of the server's processes")

    def reboot(self) -> None:
        """End it as a loss of power does, and let it start again."""
        self._end_boot()
        self._wait_until_up()

    def start_ssh(self) -> None:
        """Let systemd start the SSH server."""
        self.run(["systemctl", "start", "ssh"])
        wait_until(self.listens, BOOTS_WITHIN, "the SSH server")

    def stop_ssh(self) -> None:
        """Let systemd stop the SSH server, and end its connections."""
        self.run(["systemctl", "stop", "ssh"])
        self.run(["pkill", "-9", "sshd"], check=False)

    def main_pid(self, unit: str) -> int:
        """The main process of a unit, by its number on the server; 0 if it does not run."""
        return int(self.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout)

    def watches(self) -> set[int]:
        """The process of the agent's watch."""
        return {self.main_pid("vpn-hub-watch")} - {0}

    def _end_boot(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        before, self._pid = self._pid, 0
        wait_until(lambda: not Path(f"/proc/{before}").exists(), BOOTS_WITHIN, "the end of the server's processes")

    def _wait_until_up(self) -> None:
        wait_until(self._is_up, BOOTS_WITHIN, "systemd")
        wait_until(self._has_booted, BOOTS_WITHIN, "the end of systemd's start", self._failed_units)
        wait_until(self.listens, BOOTS_WITHIN, "the SSH server", self._failed_units)

    def _has_booted(self) -> bool:
        return self.run(["systemctl", "is-system-running"], check=False).stdout.strip() in {"running", "degraded"}

    def _failed_units(self) -> str:
        return self.run(["systemctl", "list-units", "--failed", "--no-legend"], check=False).stdout

    def _is_up(self) -> bool:
        assert self._boot is not None
        assert self._boot.poll() is None, "the server did not boot"
        found = [self._boot.pid]
        for _ in range(2):  # The shell, unshare, systemd.
            found = [child for pid in found for child in _children(pid)]
        self._pid = next((pid for pid in found if _name(pid) == "systemd"), 0)
        return bool(self._pid)

    def _remove_cgroups(self) -> bool:
        assert self._cgroup is not None
        for directory, _, _ in os.walk(self._cgroup, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        return not self._cgroup.exists()


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
