"""OpenVPN 3, the core of OpenVPN Connect, from Debian's openvpn3-client: services on a bus, in a root of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.lab import suites
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until

BUS: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <servicedir>/usr/share/dbus-1/system-services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
# Its services run as accounts of their own. Here the bus, which is not the system's, starts them all as root.
_PASSWD: Final = "root:x:0:0::/:/bin/sh\n_openvpn:x:0:0::/:/bin/sh\nopenvpn:x:0:0::/:/bin/sh\n"
_GROUP: Final = "root:x:0:\n_openvpn:x:0:\nopenvpn:x:0:\n"
_RUN: Final = """\
set -e
root=$1 files=$2 transport=$3
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$files" "$root/mnt"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/dbus" "$root/var/lib/openvpn3"
mount -t tmpfs tmpfs "$root/var/lib/openvpn3"
mkdir "$root/var/lib/openvpn3/configs"
echo '{"resolv_conf_file": "/mnt/resolv.conf"}' >"$root/var/lib/openvpn3/netcfg.json"
for each in passwd group; do
    touch "$root/etc/$each"
    mount --bind "$files/$each" "$root/etc/$each"
done
chroot "$root" dbus-daemon --config-file=/mnt/bus.conf --nofork &
while ! [ -S "$root/run/dbus/system_bus_socket" ]; do sleep 0.05; done
chroot "$root" openvpn3 config-import --name profile --config /mnt/profile.ovpn
if [ -n "$transport" ]; then chroot "$root" openvpn3 config-manage --config profile --proto-override "$transport"; fi
chroot "$root" openvpn3 session-start --config profile
wait
"""


def root() -> Path:
    """Return where it is unpacked, or skip the test."""
    return suites.root_of("trixie", "/usr/bin/openvpn3")


def up(lab: Lab, node: Node, text: str, seconds: float = 20.0, transport: str = "") -> Path:
    """Bring a profile up, wait until it is connected, and return its log; it ends with the laboratory.

    With `transport` ("udp" or "tcp") it tries the profile's remotes of that kind alone.
    """
    files = lab.directory / node.name / "openvpn3"
    files.mkdir()
    log = files / "log"
    contents = {
        "profile.ovpn": text,
        "bus.conf": BUS,
        "passwd": _PASSWD,
        "group": _GROUP,
        "resolv.conf": "",
        "log": "",
    }
    for name, content in contents.items():
        (files / name).write_text(content)
    command = 'log=$1; shift; exec "$@" >"$log" 2>&1'
    lab.start(node, ["sh", "-c", command, "sh", str(log), "sh", "-c", _RUN, "sh", str(root()), str(files), transport])
    try:
        wait_until(lambda: "Client INFO: Connected: " in log.read_text(), seconds, f"{node.name}'s OpenVPN 3")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()}") from None
    return log
