"""Options of a run from the environment; the table is in the README."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.running.errors import CannotRunError
from portal.running.public_url import public_url_fault

CLONE = Path(__file__).resolve().parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Options:
    """The options of one run: directories, and the address to listen on."""

    clone: Path
    data: Path
    bind: str
    port: int
    public_url: str
    redis_url: str
    hub_host_netns: str
    root: bool

    @property
    def python(self) -> str:
        """The interpreter of the virtual environment."""
        return sys.executable


def read_options(environ: Mapping[str, str]) -> Options:
    """Read and validate the environment. Raises CannotRunError for the first wrong value."""
    port = environ.get("PORT", "") or "8000"
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise CannotRunError(f"PORT is {port!r}, but must be a number from 1 to 65535.")
    public_url = (environ.get("PUBLIC_URL", "") or f"http://localhost:{port}").rstrip("/")
    if fault := public_url_fault(public_url):
        raise CannotRunError(fault)
    return Options(
        clone=CLONE,
        data=Path(os.path.abspath(environ.get("DATA_DIR", "") or CLONE / "var")),
        bind=environ.get("BIND", "") or "127.0.0.1",
        port=int(port),
        public_url=public_url,
        redis_url=environ.get("REDIS_URL", ""),
        hub_host_netns=environ.get("HUB_HOST_NETNS", ""),
        root=os.geteuid() == 0,
    )


def with_system_path(path: str) -> str:
    """Return PATH with the directories of ip, wg, nft and redis-server."""
    known = [entry for entry in path.split(":") if entry]
    return ":".join(known + [entry for entry in SYSTEM_PATH.split(":") if entry not in known])
