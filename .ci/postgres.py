"""A private PostgreSQL for the tests: on a Unix socket in a temporary directory that is removed afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTS_WITHIN = 30.0


@contextmanager
def postgres(kept: Path | None = None) -> Iterator[str]:
    """Start one, yield its DATABASE_URL, and always stop it. The directory `kept`, if given, is not removed."""
    bin_dir = _find()
    base = kept or Path(tempfile.mkdtemp(prefix="pg-"))
    base.mkdir(exist_ok=True)
    try:
        drop = _unprivileged(base)
        base.joinpath("log").touch()
        with (base / "log").open("w") as log:
            initdb = [str(bin_dir / "initdb"), "-D", str(base / "data"), "-U", "portal", "-A", "trust", "-E", "UTF8"]
            if not (base / "data").exists():
                subprocess.run([*drop, *initdb, "--no-sync", "--locale=C"], check=True, stdout=log, cwd=base)
            server = [str(bin_dir / "postgres"), "-D", str(base / "data"), "-k", str(base), "-c", "listen_addresses="]
            # Nothing here has to survive a power cut.
            server += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
            process = subprocess.Popen([*drop, *server], stdout=log, stderr=log, cwd=base)
            try:
                _await(bin_dir, base, process)
                yield f"postgres://portal@/{base}/postgres"
            finally:
                process.send_signal(2)  # SIGINT: fast shutdown, see postgres(1)
                process.wait(20)
    finally:
        if kept is None:
            shutil.rmtree(base, ignore_errors=True)


def _find() -> Path:
    """Return the directory of initdb. Debian has one directory per version, outside of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    if not found:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent


def _unprivileged(base: Path) -> list[str]:
    """Return the command prefix to run as another user, who gets the directory: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    entry = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _known(name))
    os.chown(base, entry.pw_uid, entry.pw_gid)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _await(bin_dir: Path, base: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while subprocess.run([str(bin_dir / "pg_isready"), "-q", "-h", str(base)], check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("PostgreSQL did not start:\n" + (base / "log").read_text())
        time.sleep(0.1)
