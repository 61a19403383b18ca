"""NetworkManager with its plugin for OpenVPN, as Linux desktops have it: services on a bus, in a root of their own.

It manages what is in the node's network namespace alone, and sees no udev, no radio and no host name of the machine's.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab import suites
from tests.lab.lab import Lab
from tests.lab.nodes import GATEWAY_V4, Node
from tests.lab.openvpn3 import BUS
from tests.lab.waiting import wait_until

_CONFIGURATION: Final = """\
[main]
plugins=keyfile
auth-polkit=root-only
no-auto-default=*
dns=none
rc-manager=unmanaged
hostname-mode=none
[connectivity]
enabled=false
[logging]
level=INFO
"""
# The way to the internet that the node has already, for a VPN to stand on.
_WIRED: Final = """\
[connection]
id=wired
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1={address}/24,{gateway}
[ipv6]
method=disabled
"""
_PASSWD: Final = "root:x:0:0::/:/bin/sh\nnm-openvpn:x:0:0::/:/bin/sh\n"
_GROUP: Final = "root:x:0:\nnm-openvpn:x:0:\n"
_RUN: Final = """\
set -e
# The plugin's openvpn stays root, for the account of its own is root here, too.
export NM_OPENVPN_CHROOT= NM_OPENVPN_USER= NM_OPENVPN_GROUP=
root=$1 files=$2
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mkdir -p "$root/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount --bind "$files" "$root/mnt"
for each in run tmp etc/NetworkManager var/lib/NetworkManager root; do
    mkdir -p "$root/$each"
    mount -t tmpfs tmpfs "$root/$each"
done
# As Debian's base system has it, which is not unpacked.
mkdir -p "$root/var/run"
mount --bind "$root/run" "$root/var/run"
mkdir -p "$root/run/dbus" "$root/etc/NetworkManager/system-connections"
cp "$files/NetworkManager.conf" "$root/etc/NetworkManager/"
cp "$files/wired.nmconnection" "$root/etc/NetworkManager/system-connections/"
chmod 600 "$root/etc/NetworkManager/system-connections/wired.nmconnection"
for each in passwd group; do
    touch "$root/etc/$each"
    mount --bind "$files/$each" "$root/etc/$each"
done
chroot "$root" dbus-daemon --config-file=/mnt/bus.conf --nofork &
while ! [ -S "$root/run/dbus/system_bus_socket" ]; do sleep 0.05; done
chroot "$root" NetworkManager --debug &
echo $$ >"$files/pid"
wait
"""


def root() -> Path:
    """Return where it is unpacked, or skip the test."""
    return suites.root_of("bookworm", "/usr/lib/NetworkManager/nm-openvpn-service")


@dataclass(frozen=True)
class NetworkManager:
    """One that runs on a node; `files` is /mnt there."""

    root: Path
    files: Path

    def nmcli(self, *arguments: str) -> str:
        """Call nmcli(1) beside it; raises AssertionError with what it said."""
        inside = ["nsenter", "--target", (self.files / "pid").read_text().strip(), "--mount", "--net"]
        command = [*inside, "chroot", str(self.root), "nmcli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (
            f"{arguments}: {done.stdout}{done.stderr}{(self.files / 'log').read_text()[-4000:]}"
        )
        return done.stdout


def start(lab: Lab, node: Node) -> NetworkManager:
    """Start it on a node, with the node's own link as a connection that is up; it ends with the laboratory."""
    files = lab.directory / node.name / "nm"
    files.mkdir()
    contents = {
        "bus.conf": BUS,
        "NetworkManager.conf": _CONFIGURATION,
        "wired.nmconnection": _WIRED.format(address=node.v4, gateway=GATEWAY_V4),
        "passwd": _PASSWD,
        "group": _GROUP,
        "log": "",
    }
    for name, content in contents.items():
        (files / name).write_text(content)
    command = 'log=$1; shift; exec "$@" >"$log" 2>&1'
    script = ["unshare", "--uts", "sh", "-c", _RUN, "sh", str(root()), str(files)]
    lab.start(node, ["sh", "-c", command, "sh", str(files / "log"), *script])
    manager = NetworkManager(root(), files)
    wait_until((files / "pid").exists, 10, "NetworkManager's start")

    def answers() -> bool:
        try:
            return "running" in manager.nmcli("-t", "-f", "RUNNING", "general")
        except AssertionError:
            return False

    wait_until(answers, 20, "NetworkManager's answer")
    manager.nmcli("connection", "up", "wired")
    return manager
