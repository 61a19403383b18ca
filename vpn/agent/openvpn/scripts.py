"""Shell scripts that openvpn calls (openvpn(8), "Script hooks"). They are small, because openvpn waits for them.

The only input from a client is its common name, verified by its certificate. The scripts have no more rights than
openvpn. The agent moves the interface into the hub, and the process `routes` inside the hub sets routes: it gets the
peer's name and interface, and reads the peer's networks from its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vpn.agent.network.routing import CONNECTED_METRIC, CONNECTED_PROTOCOL

# The directory of records about connected peers (see `config`).
SHOWN: Final = "shown"
RUN: Final = "run"
ROUTE_REQUESTS: Final = "routes.asked"

_HEAD: Final = """\
#!/bin/sh
# Written by the hub's agent, and by it alone.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
_MAX_WAITS: Final = 1000  # of 0.01 seconds each, until the interface is moved


def up(directory: Path) -> str:
    """Return the script that waits until the agent has moved the interface of a listener (`$1`)."""
    return f"""\
{_HEAD}opened={directory}/{RUN}/$1.opened waits=0
echo >"$opened" || exit 1
while [ -e "$opened" ]; do
  waits=$((waits + 1))
  [ "$waits" -le {_MAX_WAITS} ] || exit 1
  sleep 0.01
done
"""


def connect(directory: Path) -> str:
    """Return the script that pushes options to a peer (written to the file `$3`) and requests its routes.

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
echo "replace $device $common_name" 1<>"{directory}/{ROUTE_REQUESTS}"
"""


def disconnect(directory: Path) -> str:
    """Return the script that requests the removal of a peer's routes."""
    return f"""\
{_HEAD}case "$common_name" in "" | *[!0-9a-f-]*) exit 0 ;; esac
echo "delete $1 $common_name" 1<>"{directory}/{ROUTE_REQUESTS}"
exit 0
"""


def routes(directory: Path, devices: Mapping[str, str]) -> str:
    """Return the script that sets routes inside the hub. A request is a line: verb, device, common name.

    `devices` maps the listeners' interfaces to their client-config-dirs. Whatever the request, the script sets only
    routes of a peer's own networks, and only on one of these interfaces.
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
