"""Sandbox for hubs' daemons: one implementation for all of them.

Each daemon has its own user and only the capabilities that it is given; it cannot gain others. It runs in a mount
namespace whose root contains the server's programs and only those files that it is given. Its root is a subdirectory of
the namespace's root, as with chroot(2): the kernel then refuses it a user namespace, where it would be root again
(user_namespaces(7)).
"""

from __future__ import annotations

import os
import re
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
# contains only the files of the dynamic linker and OpenSSL, the account that dnsmasq looks up, and an fstab(5), from
# which mount(8) mounts everything at once. The script calls few programs, because a hub starts half a dozen daemons.
_SCRIPT: Final = r"""
set -ef
umask 022
IFS='
'
mount -t tmpfs -o mode=0755,nosuid,noexec,size=4m view "$1"
cd "$1"
shift
directories='usr
dev/net
etc
jail
old'
mounts='/usr usr none rbind,ro 0 0'
links= files= tun=
for name in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then links="$links
/$name"
  elif [ -d "/$name" ]; then directories="$directories
$name" mounts="$mounts
/$name $name none rbind,ro 0 0"; fi
done
while [ "$1" != -- ]; do
  if [ "$1" = tun ]; then tun=1; shift; continue; fi
  if [ -d "$2" ]; then directories="$directories
.$2"
  else directories="$directories
.${2%/*}" files="$files
.$2"; fi
  mounts="$mounts
$3 .$3 none bind,$1 0 0"
  shift 3
done
shift
bind_device() {
  : >"dev/$1"
  mounts="$mounts
/dev/$1 dev/$1 none bind 0 0"
}
mkdir -p $directories
for file in $files; do : >"$file"; done
[ -z "$links" ] || cp -P $links .
cp --parents /etc/ld.so.cache /etc/ssl/openssl.cnf . 2>/dev/null || :
echo "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin" >etc/passwd
cp -Rp /dev/null /dev/urandom dev 2>/dev/null || { bind_device null; bind_device urandom; }
[ -z "$tun" ] || mknod -m 0666 dev/net/tun c 10 200 2>/dev/null || bind_device net/tun
printf '%s\n' "$mounts" '. jail none rbind 0 0' >etc/fstab
mount -a -T etc/fstab
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
        words = [word for path in self.readable for word in (_READABLE, str(path), _in_fstab(path))]
        words += [word for path in self.writable for word in (_WRITABLE, str(path), _in_fstab(path))]
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


def _in_fstab(path: Path) -> str:
    """Return a path as fstab(5) has it."""
    return re.sub(r"[\s\\]", lambda sign: f"\\{ord(sign[0]):03o}", str(path))


def require() -> None:
    """Raise AgentError unless the programs for the sandbox are installed."""
    for program in _PROGRAMS:
        command.require(program)
    files.private_directory(_VIEW)
