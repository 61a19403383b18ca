"""`make check`: linters, types, import contracts, migrations. Every check runs, so that one run shows all failures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# Concatenated, so that this file does not match itself.
REGISTRIES = re.compile(
    "|".join(
        [
            r"files\." + "pythonhosted",
            r"pypi\." + r"(org|python)",
            r"registry\." + "npmjs",
            r"deb\." + "debian",
            r"--find-" + "links",
        ]
    )
)


def checks() -> list[tuple[str, list[str]]]:
    """Return the name and the argument list of every check that is a program."""
    templates = [str(path) for path in sorted(ROOT.glob("templates/**/*.html"))]
    python = str(BIN / "python")
    return [
        ("ruff check", [str(BIN / "ruff"), "check", "."]),
        ("ruff format", [str(BIN / "ruff"), "format", "--check", "."]),
        ("mypy", [str(BIN / "mypy")]),
        ("import contracts", [str(BIN / "lint-imports"), "--no-cache"]),
        ("templates", [str(BIN / "djade"), "--target-version", "5.2", "--check", *templates]),
        ("system check", [python, "manage.py", "check", "--fail-level", "WARNING"]),
        ("migrations", [python, "manage.py", "makemigrations", "--check", "--dry-run"]),
        ("icons", [python, ".ci/icons.py", "--check"]),
    ]


def main() -> int:
    """Run all checks and return the number of failures."""
    with tempfile.TemporaryDirectory() as data:
        environ = os.environ | {
            "DATA_DIR": data,
            "SECRET_KEYS": "only-for-checks-" * 3,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        failed = [name for name, command in checks() if not _passes(name, command, environ)]
    if addresses := download_addresses():
        print("\n".join(["Committed files must not contain download addresses:", *addresses]))
        failed.append("download addresses")
    print(
        f"{len(checks()) + 1 - len(failed)} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else "")
    )
    return len(failed)


def download_addresses() -> list[str]:
    """Return the lines of committed files with the host of a package registry."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        found += [f"{name}:{number}" for number, line in enumerate(text.splitlines(), 1) if REGISTRIES.search(line)]
    return found


def _passes(name: str, command: list[str], environ: dict[str, str]) -> bool:
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name} ({time.monotonic() - begun:.1f} s)", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
