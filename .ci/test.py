"""`make test`: all tests on PostgreSQL, some also on SQLite, then real processes, tunnels and a browser.

docs/testing.md explains why.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from postgres import postgres

ROOT = Path(__file__).resolve().parent.parent
REAL = "network or flow or browser"
WORKERS = "2"  # for tests that compute
REAL_WORKERS = "4"  # for those that mostly wait
NO_TESTS = 5  # pytest's exit code where it selected none


def main() -> int:
    """Run all three parts even if one fails; return 1 if one failed."""
    with tempfile.TemporaryDirectory(prefix="vpn-portal-test-") as data:
        environ = os.environ | {"DATA_DIR": data, "SECRET_KEYS": "only-for-tests-" * 3}
        environ.pop("DATABASE_URL", None)
        failed = [part for part in (_postgresql, _sqlite, _real) if not part(environ)]
    print("make test: " + (f"failed: {', '.join(part.__name__[1:] for part in failed)}" if failed else "all passed"))
    return 1 if failed else 0


def _postgresql(environ: dict[str, str]) -> bool:
    with postgres() as url:
        return _pytest("PostgreSQL", environ | {"DATABASE_URL": url}, "-n", WORKERS, "-m", f"not ({REAL})")


def _sqlite(environ: dict[str, str]) -> bool:
    chosen = f"both_databases and database and not ({REAL} or postgres)"
    return _pytest("SQLite", environ, "-n", WORKERS, "-m", chosen)


def _real(environ: dict[str, str]) -> bool:
    """Run each file in one process, because its tests share namespaces and a portal. The longest file comes first."""
    order = ("--dist", "loadfile", "--no-loadscope-reorder")
    return _pytest("Real processes", environ, "-n", REAL_WORKERS, *order, "-m", REAL)


def _pytest(title: str, environ: dict[str, str], *arguments: str) -> bool:
    print(f"--- {title}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", *arguments, *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode in {0, NO_TESTS}


if __name__ == "__main__":
    sys.exit(main())
