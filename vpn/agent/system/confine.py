"""Sandbox for hubs' daemons: one implementation for all of them.

Each daemon has its own user and only the capabilities that it is given; it cannot gain others. It runs in a mount
namespace whose root contains the server's programs and only those files that it is given. Its root is a subdirectory of
the namespace's root, as with chroot(2): the kernel then refuses it a user namespace, where it would be root again
(user_namespaces(7)).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent.system import command, files

NET_ADMIN: Final = "net_admin"
NET_BIND_SERVICE: Final = "net_bind_service"
_BITS: Final = {NET_BIND_SERVICE: 10, NET_ADMIN: 12}  # capabilities(7)
_PROGRAMS: Final = ("unshare", "mount", "umount", "pivot_root", "chroot", "setpriv")
# The mount point of the root. Other processes see an empty directory there.
_VIEW: Final = Path("/run/vpn-hub-view")
# Where the kernel says that a confined process's files are: the root's subdirectory in `_SCRIPT`.
JAIL: Final = "/jail"
_TUN: Final = "tun"
_READABLE: Final = "ro"
_WRITABLE: Final = "rw"
# $1 is the mount point of the root. The next words, up to `--`, name its content; then comes the command to run. /etc
# contains only the files of the dynamic linker and OpenSSL, and the account that dnsmasq looks up. The script calls few
# programs, because a hub starts half a dozen daemons.
_SCRIPT: Final = r"""
set -e
umask 022
mount -t tmpfs -o mode=0755,nosuid,noexec,size=4m view "$1"
cd "$1"
shift
mkdir -p usr dev/net jail old
mount --rbind -o ro /usr usr
links=
for name in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then links="$links /$name"
  elif [ -d "/$name" ]; then mkdir "$name"; mount --rbind -o ro "/$name" "$name"; fi
done
[ -z "$links" ] || cp -P $links .
cp --parents /etc/ld.so.cache /etc/ssl/openssl.cnf . 2>/dev/null || mkdir -p etc
echo "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin" >etc/passwd
device() {
  mknod -m 0666 "dev/$1" c "$2" "$3" 2>/dev/null || { : >"dev/$1"; mount --bind "/dev/$1" "dev/$1"; }
}
device null 1 3
device urandom 1 9
while [ "$1" != -- ]; do
  if [ "$1" = tun ]; then device net/tun 10 200; shift; continue; fi
  if [ -d "$2" ]; then [ -d ".$2" ] || mkdir -p ".$2"; else mkdir -p ".${2%/*}"; : >".$2"; fi
  mount --bind -o "$1" "$2" ".$2"
  shift 2
done
shift
mount --rbind . jail
pivot_root . old
chroot old umount -l /
umask 077
exec chroot jail "$@"
"""


@dataclass(frozen=True)
class Confinement:
    """The rights of one daemon, and the files that it sees.

    `user` is 0 in a user namespace without other users. Paths in `readable` and `writable` keep their location.
    """

    user: int
    group: int
    capabilities: tuple[str, ...] = ()
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    has_tun: bool = False

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the argument list that runs a program in the sandbox."""
        words = [word for path in self.readable for word in (_READABLE, str(path))]
        words += [word for path in self.writable for word in (_WRITABLE, str(path))]
        words += [_TUN] * self.has_tun
        own_mounts = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "confine", str(_VIEW)]
        return [*own_mounts, *words, "--", *self._drop(), *argv]

    def holds(self, pid: int) -> bool:
        """Return True if a process runs with this confinement; False if it has ended."""
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            is_apart = os.stat(f"/proc/{pid}/ns/mnt").st_ino != os.stat("/proc/self/ns/mnt").st_ino
        except OSError:
            return False
        found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        bounded = sum(1 << _BITS[name] for name in self.capabilities)
        return (
            is_apart
            and found["Uid"].split() == [str(self.user)] * 4
            and found["NoNewPrivs"].strip() == "1"
            and int(found["CapBnd"], 16) == bounded
        )

    def _drop(self) -> list[str]:
        kept = ",".join(["-all", *(f"+{name}" for name in self.capabilities)])
        # In a user namespace with root only, the user stays the same and the bounding set limits the capabilities.
        owner = [f"--reuid={self.user}", f"--regid={self.group}", "--clear-groups"] if self.user else []
        sets = [f"--bounding-set={kept}", f"--inh-caps={kept}", f"--ambient-caps={kept}"]
        return ["setpriv", *owner, *sets, "--no-new-privs"]


def require() -> None:
    """Raise AgentError unless the programs for the sandbox are installed."""
    for program in _PROGRAMS:
        command.require(program)
    files.private_directory(_VIEW)
