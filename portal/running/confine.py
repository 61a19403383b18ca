"""Drop root's rights, even if only root may enter the directory of the clone.

The clone may lie below a directory that the service account cannot enter, such as a 0700 home. No right on the clone
helps then: Python, SQLite and Redis open absolute paths. So the process gets a mount namespace of its own, in which
clone and data are bound below /run. No other process sees these mounts, and they end with the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.running.account import Account
from portal.running.errors import CannotRunError
from portal.running.layout import Layout
from portal.running.options import Options

# Empty directories outside such a namespace, so all clones share them.
VIEW = Path("/run/vpn-portal")
PROPAGATION = "VPN_PORTAL_PROPAGATION"
# Pairs of a source and its mount point, `--`, the working directory, the program.
_BIND_AND_EXEC = """
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done
cd "$2" && shift 2 && exec "$@"
"""
# Python takes a directory that it cannot read for a package without a file.
_CAN_RUN = """
import os, sys, django, uvicorn, portal
sys.exit(not (portal.__file__ and all(os.access(path, os.R_OK | os.X_OK) for path in sys.argv[1:])))
"""
_CODE = ("manage.py", "portal", "vpn", "templates", "static", ".venv")


@dataclass(frozen=True)
class Confinement:
    """The paths of the clone, the data and the interpreter as the service's processes see them."""

    options: Options
    service: Account
    # Empty without a mount namespace of its own, else as unshare(1) takes it.
    propagation: str = ""

    @property
    def binds(self) -> dict[Path, Path]:
        """Return the bind mounts as pairs of source and target; a path inside another comes after it."""
        if not self.propagation:
            return {}
        binds = {self.options.clone: VIEW / "app", self.options.data: VIEW / "data"}
        prefix = Path(sys.prefix)
        return binds if prefix.is_relative_to(self.options.clone) else {**binds, prefix: VIEW / "venv"}

    @property
    def can_cover(self) -> bool:
        """True if a forked process can have the paths that its parent has (see `cover`)."""
        return self.propagation in ("", "private")

    def seen(self, path: Path | str) -> Path:
        """Return the path under which the confined process sees one of ours."""
        for source, target in reversed(self.binds.items()):
            if Path(path).is_relative_to(source):
                return target / Path(path).relative_to(source)
        return Path(path)

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a confined process: with its own paths, without root's home."""
        confined = {name: value for name, value in environ.items() if name not in {"HOME", "TMPDIR", "XDG_CONFIG_HOME"}}
        confined["DATA_DIR"] = str(self.seen(self.options.data))
        confined["HOME"] = "/nonexistent" if self.options.root else environ.get("HOME", "/")
        confined["PYTHONDONTWRITEBYTECODE"] = "1"
        return confined

    def command(self, argv: list[str]) -> list[str]:
        """Wrap an argument list, whose paths are already `seen`: without root's rights, ended with its parent."""
        drop = ["setpriv", "--pdeathsig", "TERM"]
        if self.options.root:
            drop += [f"--reuid={self.service.uid}", f"--regid={self.service.gid}", "--init-groups"]
            drop += ["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
        if not self.binds:
            return [*drop, *argv]
        pairs = [str(path) for pair in self.binds.items() for path in pair]
        own_mounts = ["unshare", "--mount", "--propagation", self.propagation, "sh", "-c", _BIND_AND_EXEC, "confine"]
        return [*own_mounts, *pairs, "--", str(self.seen(self.options.clone)), *drop, *argv]


def choose_confinement(options: Options, service: Account) -> Confinement:
    """Return the simplest confinement in which the service can run. Raises CannotRunError if there is none."""
    plain = Confinement(options, service)
    if not options.root or _works(plain):
        return plain
    confinement = Confinement(options, service, _propagation())
    for target in confinement.binds.values():
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not _works(confinement):
        _let_service_read(options, service)
        if not _works(confinement):
            raise CannotRunError(
                f"The unprivileged account {service.name} cannot run {options.python} with the code in "
                f"{options.clone}: put the clone where every user can read it, such as below /opt, and use the "
                "distribution's python3."
            )
    return confinement


def _propagation() -> str:
    """Return the mount propagation that keeps the mounts private; empty if there is none."""
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True, check=False)
    if tried.returncode == 0:
        return "private"
    # In a chroot, whose root is no mount, nothing can be made private: /run has to be already.
    command = ["findmnt", "--noheadings", "--output", "PROPAGATION", "--target", str(VIEW.parent)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return "unchanged" if found.returncode == 0 and "shared" not in found.stdout else ""


def _works(confinement: Confinement) -> bool:
    options = confinement.options
    seen = confinement.seen
    # Call the link in the virtual environment, not the distribution's python that it points to.
    argv = [str(seen(options.python)), "-c", _CAN_RUN, str(seen(options.clone))]
    argv.append(str(seen(Layout(options.data).database)))
    done = subprocess.run(
        confinement.command(argv),
        cwd="/" if confinement.binds else options.clone,
        env=confinement.environment(os.environ) | {"PYTHONPATH": str(seen(options.clone))},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _let_service_read(options: Options, service: Account) -> None:
    """In a clone made under a strict umask, let the service's group read the code, but not write it."""
    code = [str(options.clone / name) for name in _CODE if (options.clone / name).exists()]
    for where in ([str(options.clone), "-maxdepth", "0"], code):
        for change in (["chmod", "g=rX"], ["chgrp", service.name]):
            closed = ["find", *where, "!", "-type", "l", "!", "-perm", "-o=r"]
            subprocess.run([*closed, "-exec", *change, "{}", "+"], check=True)
