"""The scripts that openvpn calls (openvpn(8), "Script hooks"): small ones of sh(1), for each holds up its listener.

What they are told by a client is its common name alone, whose certificate was made by the hub's authority.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vpn.agent.names import Names

# The routes that the scripts set, to be known from the agent's own (see ip-route(8), `protocol`). They are preferred to
# the static ones of the same networks, which hold what is meant for a site that is away.
PROTOCOL: Final = 201
METRIC: Final = 100

# Where a peer's certificate and port are written down, and the digest of what it was pushed.
SHOWN: Final = "shown"

_HEAD: Final = """\
#!/bin/sh
# Written by the hub's agent, and by it alone.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def _inside(names: Names) -> str:
    return f"nsenter --net=/run/netns/{names.netns} -- ip"


def up(names: Names, lines: Iterable[str]) -> str:
    """Return the script that moves a new interface (`$1`) into the hub, and has ip(8) do `lines` there."""
    batch = "\n".join(lines)
    return f"""\
{_HEAD}ip link set dev "$1" netns {names.netns} || exit 1
exec {_inside(names)} -batch - <<END
{batch}
END
"""


def connect(directory: Path, names: Names) -> str:
    """Return the script that tells a peer what it needs to know (in the file `$3`), and sets its routes.

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
while read -r mark network; do
  case "$mark $network" in "# "*/*) echo "route replace $network dev $device proto {PROTOCOL} metric {METRIC}" ;; esac
done <"$peer" | {_inside(names)} -batch -
"""


def disconnect(directory: Path, names: Names) -> str:
    """Return the script that takes the routes of a peer out again."""
    return f"""\
{_HEAD}device=$1 peer={directory}/$2/$common_name
case "$common_name" in "" | *[!0-9a-f-]*) exit 0 ;; esac
[ -f "$peer" ] || exit 0
while read -r mark network; do
  case "$mark $network" in "# "*/*) echo "route delete $network dev $device proto {PROTOCOL} metric {METRIC}" ;; esac
done <"$peer" | {_inside(names)} -force -batch - 2>/dev/null
exit 0
"""
