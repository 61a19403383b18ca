"""`python -m tests.bench.scale [sqlite]`: pages and calls of a large organization among many tenants, PostgreSQL first.

Starts a database and a Redis of its own, and measures in a process that has them as its settings (`scale_pages`).
With SCALE_KEPT=DIRECTORY the filled database stays there, and the next run measures without filling it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import say_where
from tests.running_portal import ROOT

sys.path.insert(0, str(ROOT / ".ci"))
from postgres import postgres  # type: ignore[import-not-found]


def main(databases: list[str], measured: Sequence[str] = ("tests.bench.scale_pages",)) -> None:
    """Measure with each of these databases: run a module, with its arguments."""
    for database in databases:
        sys.stdout.write(f"--- {measured[0]}, {database}\n")
        sys.stdout.flush()
        with _directory(database) as data, _redis(data) as redis:
            (data / "db").mkdir(exist_ok=True)
            environ = os.environ | {"DATA_DIR": str(data), "REDIS_URL": redis}
            if database == "sqlite":
                _measure(measured, environ)
            else:
                with postgres(data / "postgresql" if os.environ.get("SCALE_KEPT") else None) as url:
                    _measure(measured, environ | {"DATABASE_URL": url})


@contextmanager
def _directory(database: str) -> Iterator[Path]:
    """A directory for the portal's data: a temporary one, or one that stays."""
    if kept := os.environ.get("SCALE_KEPT"):
        data = Path(kept) / database
        data.mkdir(parents=True, exist_ok=True)
        yield data
    else:
        with tempfile.TemporaryDirectory(prefix="scale-", dir="/tmp") as made:
            yield Path(made)


def _measure(measured: Sequence[str], environ: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", *measured], cwd=ROOT, env=environ, check=True)


@contextmanager
def _redis(data: Path) -> Iterator[str]:
    """A Redis on a socket in `data`; gives its URL."""
    socket = data / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    say_where()
    main(sys.argv[1:] or ["postgresql", "sqlite"])
