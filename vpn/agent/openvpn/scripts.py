"""The scripts that openvpn calls (openvpn(8), "Script hooks"): small ones of sh(1), for each holds up its listener.

What they are told by a client is its common name alone, whose certificate was made by the hub's authority. They have no
more rights than openvpn has: its interface is moved into the hub by the agent, and routes are set by `routes`, a
process inside the hub. It is told who came or went on which interface, and reads itself what that peer may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vpn.agent.network.routing import CONNECTED_METRIC, CONNECTED_PROTOCOL

# Where a peer's certificate and port are written down, and the digest of what it was pushed.
SHOWN: Final = "shown"
RUN: Final = "run"
ASKED: Final = "routes.asked"

_HEAD: Final = """\
#!/bin/sh
# Written by the hub's agent, and by it alone.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
_MOST_WAITS: Final = 1000  # of 0.01 seconds each, until an interface is moved


def up(directory: Path) -> str:
    """Return the script that has the agent move the interface of a listener (`$1`), before a client may connect."""
    return f"""\
{_HEAD}opened={directory}/{RUN}/$1.opened waits=0
echo >"$opened" || exit 1
while [ -e "$opened" ]; do
  waits=$((waits + 1))
  [ "$waits" -le {_MOST_WAITS} ] || exit 1
  sleep 0.01
done
"""


def connect(directory: Path) -> str:
    """Return the script that tells a peer what it needs to know (in the file `$3`), and has its routes set.

    `$1` is the interface, `$2` the directory of the listener's peers.
    """
    return f"""\
{_HEAD}device=$1 peer={directory}/$2/$common_name told=$3
case "$common_name" in "" | *[!0-9a-f-]*) exit 1 ;; esac
echo "$tls_serial_0 $trusted_port" >"{directory}/{SHOWN}/$common_name.$device" || exit 1
read -r mark kinds <"$peer" || exit 1
for kind in $kinds; do
  while read -r owner line; do
    [ "$owner" = "$common_name" ] || echo "$line"
  done <"{directory}/pushed_$kind" || exit 1
done >"$told" || exit 1
sha256sum <"$told" >>"{directory}/{SHOWN}/$common_name.$device"
echo "replace $device $common_name" 1<>"{directory}/{ASKED}"
"""


def disconnect(directory: Path) -> str:
    """Return the script that has the routes of a peer taken out again."""
    return f"""\
{_HEAD}case "$common_name" in "" | *[!0-9a-f-]*) exit 0 ;; esac
echo "delete $1 $common_name" 1<>"{directory}/{ASKED}"
exit 0
"""


def routes(directory: Path, devices: Mapping[str, str]) -> str:
    """Return the script that sets routes inside the hub, as it is asked by lines: what to do, on which device, whose.

    `devices` are the interfaces of listeners, with the directories of those that may come in. Whatever it is asked, it
    sets the routes of a peer's own networks, on one of these.
    """
    cases = "\n".join(f"    {device}) peers={peers} ;;" for device, peers in devices.items())
    return f"""\
{_HEAD}while read -r verb device name rest; do
  case "$verb" in replace | delete) ;; *) continue ;; esac
  case "$name" in "" | *[!0-9a-f-]*) continue ;; esac
  case "$device" in
{cases}
    *) continue ;;
  esac
  peer={directory}/$peers/$name
  [ -f "$peer" ] || continue
  while read -r mark network; do
    case "$mark $network" in
      "# "*/*) echo "route $verb $network dev $device proto {CONNECTED_PROTOCOL} metric {CONNECTED_METRIC}" ;;
    esac
  done <"$peer" | ip -force -batch - >/dev/null 2>&1
done
"""
