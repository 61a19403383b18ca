"""How a process drops root's rights, and still reaches a clone that only root may enter.

Where the clone or its data lie below a directory that the service account cannot enter (such as a 0700 home), the
process gets a mount namespace of its own in which they are bound below /run. No other process sees these mounts, and
they end with the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.running.account import Account
from portal.running.errors import CannotRunError
from portal.running.layout import Layout
from portal.running.options import Options

RUN = Path("/run")
BINDS = "VPN_PORTAL_BINDS"
# $1 is the number of pairs that follow; the first pair (the code) becomes read-only.
_BIND_AND_EXEC = """
pairs=$1; shift
readonly=yes
while [ "$pairs" -gt 0 ]; do
    mount --bind "$1" "$2" || exit 1
    [ "$readonly" = no ] || mount -o remount,bind,ro "$2" || exit 1
    readonly=no; pairs=$((pairs - 1)); shift 2
done
cd "$1" && shift && exec "$@"
"""
_CAN_RUN = (
    "import os, sys, django, uvicorn, portal; sys.exit(not all(os.access(p, os.R_OK | os.X_OK) for p in sys.argv[1:]))"
)


@dataclass(frozen=True)
class Confinement:
    """How the service's processes see the clone, the data and the interpreter."""

    options: Options
    service: Account
    binds: tuple[tuple[Path, Path], ...] = ()
    # "unchanged" only below a mount that is private already: no other process may see ours. See unshare(1).
    propagation: str = "private"

    def seen(self, path: Path | str) -> Path:
        """Where the confined process finds a path of ours."""
        for source, target in reversed(self.binds):
            if Path(path).is_relative_to(source):
                return target / Path(path).relative_to(source)
        return Path(path)

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of a confined process: its own paths, none of root's homes."""
        confined = {name: value for name, value in environ.items() if name not in {"HOME", "TMPDIR", "XDG_CONFIG_HOME"}}
        confined["DATA_DIR"] = str(self.seen(self.options.data))
        confined["HOME"] = "/nonexistent" if self.options.root else environ.get("HOME", "/")
        confined["PYTHONDONTWRITEBYTECODE"] = "1"
        return confined

    def told(self) -> dict[str, str]:
        """The variable from which `read_confinement` makes this confinement again."""
        pairs = [[str(path) for path in pair] for pair in self.binds]
        return {BINDS: json.dumps({"propagation": self.propagation, "pairs": pairs})}

    def command(self, argv: list[str], *, die_with_parent: bool = False) -> list[str]:
        """Wrap an argument list, whose paths are already `seen`, so that it runs without root's rights."""
        drop = ["setpriv"]
        if self.options.root:
            drop += [f"--reuid={self.service.uid}", f"--regid={self.service.gid}", "--init-groups"]
            drop += ["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
        if die_with_parent:
            drop += ["--pdeathsig", "TERM"]
        if len(drop) > 1:
            argv = [*drop, *argv]
        if not self.binds:
            return argv
        pairs = [str(path) for pair in self.binds for path in pair]
        inner = [str(len(self.binds)), *pairs, str(self.seen(self.options.clone)), *argv]
        own_mounts = ["unshare", "--mount", "--propagation", self.propagation]
        return [*own_mounts, "sh", "-c", _BIND_AND_EXEC, "confine", *inner]


def choose_confinement(options: Options, service: Account) -> Confinement:
    """The lightest confinement in which the service can run; raises CannotRunError where there is none."""
    plain = Confinement(options, service)
    if not options.root or _works(plain):
        return plain
    binds = _binds(options, _base(options))
    candidates = [Confinement(options, service, binds)]
    if _is_private(RUN):  # in a chroot, whose root is no mount, nothing else works
        candidates.append(Confinement(options, service, binds, "unchanged"))
    for _ in range(2):
        for candidate in candidates:
            if _works(candidate):
                return candidate
        _let_service_read(options, service)
    raise CannotRunError(
        f"The unprivileged account {service.name} cannot run {options.python} with the code in {options.clone}: "
        "put the clone where every user can read it, such as below /opt, and use the distribution's python3."
    )


def remove_mount_points(options: Options) -> None:
    """Remove the directories on which the clone was bound: they are empty, since the mounts were never ours to see."""
    for directory in (*_base(options).glob("*"), _base(options)):
        with contextlib.suppress(OSError):
            directory.rmdir()


def _base(options: Options) -> Path:
    return RUN / f"vpn-portal-{options.mark}"


def _binds(options: Options, base: Path) -> tuple[tuple[Path, Path], ...]:
    """What has to be seen elsewhere, and where; the mount points are made."""
    binds = [(options.clone, base / "app"), (options.data, base / "data")]
    prefix = Path(sys.prefix)
    if not prefix.is_relative_to(options.clone):
        binds.append((prefix, base / "venv"))
    for _, target in binds:
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
    return tuple(binds)


def _is_private(path: Path) -> bool:
    """Do mounts below this path stay in their own namespace? See proc_pid_mountinfo(5) on `shared:`."""
    nearest: tuple[int, bool] | None = None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = Path(fields[4])
        if path.is_relative_to(point) and (nearest is None or len(point.parts) >= nearest[0]):
            optional = fields[6 : fields.index("-")]
            nearest = (len(point.parts), not any(field.startswith("shared:") for field in optional))
    return nearest is not None and nearest[1]


def read_confinement(options: Options, service: Account, environ: Mapping[str, str]) -> Confinement:
    """The confinement that `make up` chose, as it told its processes through the environment."""
    told = json.loads(environ[BINDS])
    binds = tuple((Path(source), Path(target)) for source, target in told["pairs"])
    return Confinement(options, service, binds, told["propagation"])


def _works(confinement: Confinement) -> bool:
    options = confinement.options
    seen = confinement.seen
    layout = Layout(options.data)
    # The virtual environment's python is a link to the distribution's: it is the link that must be called.
    argv = [str(seen(options.python)), "-c", _CAN_RUN, str(seen(options.clone)), str(seen(layout.database))]
    done = subprocess.run(
        confinement.command(argv),
        cwd="/" if confinement.binds else options.clone,
        env=confinement.environment(os.environ) | {"PYTHONPATH": str(seen(options.clone))},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _let_service_read(options: Options, service: Account) -> None:
    """Let the service's group alone read the code, in a clone made under a strict umask."""
    options.clone.chmod(options.clone.stat().st_mode | 0o050)
    os.chown(options.clone, -1, service.gid)
    for path in _code(options.clone):
        mode = path.lstat().st_mode
        execute = path.is_dir() or bool(mode & 0o100)
        others = 0o005 if execute else 0o004
        if not path.is_symlink() and mode & others != others:
            os.chown(path, -1, service.gid, follow_symlinks=False)
            path.chmod(mode | others << 3)


def _code(clone: Path) -> Iterator[Path]:
    for name in ("manage.py", "portal", "vpn", "templates", "static", ".venv"):
        top = clone / name
        if top.exists():
            yield top
        for parent, directories, files in os.walk(top):
            yield from (Path(parent) / entry for entry in directories + files)
