"""`make drill [EXAMPLES=300]`: every attack at full size, then random networks whose packets are compared with plans.

Attacks are tests in files named `test_drill_…`: their short form, if they have one, is part of `make test`, and DRILL=1
selects the long one. Their output are figures. EXAMPLES=0 skips the random networks.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from postgres import postgres

ROOT = Path(__file__).resolve().parent.parent
MODEL = "tests/network/test_model.py"
REAL = "network or flow or browser"
NO_TESTS = 5  # pytest's exit code where it selected none
TOLD = re.compile(r"^(\d+) examples of the shape \S+, (\d+) probes$", re.MULTILINE)


def main() -> int:
    """Run the drills and print their figures; return 1 if one failed."""
    wanted = os.environ.get("EXAMPLES") or "300"
    # Debian 13 with systemd; without it, its drill is skipped.
    subprocess.run([ROOT / ".ci" / "server-root", "trixie"], check=False)
    with tempfile.TemporaryDirectory(prefix="vpn-portal-drill-") as data:
        environ = os.environ | {"DATA_DIR": data, "SECRET_KEYS": "only-for-tests-" * 3, "DRILL": "1"}
        environ.pop("DATABASE_URL", None)
        attacks = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_drill_*.py"))
        outcomes = [_run("attacks", environ, *attacks)]
        with postgres() as url:
            outcomes.append(
                _run("attacks, PostgreSQL", environ | {"DATABASE_URL": url}, "-m", f"not ({REAL})", *attacks)
            )
        if wanted != "0":
            outcomes.append(_run("drawn networks", environ | {"MODEL_EXAMPLES": wanted}, MODEL))
    print("\n--- Figures")
    for _, figures in outcomes:
        print(figures, end="")
    failed = [title for title, _ in outcomes if title]
    print("make drill: " + (f"failed: {', '.join(failed)}" if failed else "all passed"))
    return 1 if failed else 0


def _run(title: str, environ: dict[str, str], *arguments: str) -> tuple[str, str]:
    """Run pytest; return the title if it failed, else "", and the figures that the tests printed."""
    print(f"--- {title[0].upper()}{title[1:]}", flush=True)
    report = Path(environ["DATA_DIR"]) / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "junit_logging=system-out"]
    process = subprocess.run([*command, *arguments, *sys.argv[1:]], cwd=ROOT, env=environ, check=False)
    figures = _figures(report) if report.exists() else ""
    return ("" if process.returncode in {0, NO_TESTS} else title), figures


def _figures(report: Path) -> str:
    """Return the output of each test below its name, and the totals of the random networks."""
    lines: list[str] = []
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest's own report
        printed = [line.strip() for line in (case.findtext("system-out") or "").splitlines()]
        told = [line for line in printed if line and not line.startswith("----")]
        if told:
            lines += [f"{case.get('classname')}::{case.get('name')}", *(f"    {line}" for line in told)]
    totals = TOLD.findall("\n".join(line.strip() for line in lines))
    if totals:
        examples, probes = (sum(int(each[column]) for each in totals) for column in (0, 1))
        lines.append(f"drawn networks: {examples} examples, {probes:,} probes")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
