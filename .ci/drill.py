"""`make drill [EXAMPLES=300]`: drawn networks, built for real, on which every packet must do what the plan says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOLD = re.compile(r"^(\d+) examples of the shape \S+, (\d+) probes$", re.MULTILINE)


def main() -> int:
    """Run the model test with as many examples as asked for; returns its exit code."""
    wanted = os.environ.get("EXAMPLES") or "300"
    with tempfile.TemporaryDirectory(prefix="vpn-portal-drill-") as data:
        environ = os.environ | {"DATA_DIR": data, "SECRET_KEYS": "only-for-tests-" * 3, "MODEL_EXAMPLES": wanted}
        environ.pop("DATABASE_URL", None)
        command = [sys.executable, "-m", "pytest", "-q", "tests/network/test_model.py", *sys.argv[1:]]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
        output = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            output.append(line)
        code = process.wait()
    totals = TOLD.findall("".join(output))
    examples, probes = (sum(int(each[column]) for each in totals) for column in (0, 1))
    print(f"make drill: {examples} examples, {probes:,} probes, " + ("all as planned" if code == 0 else "failed"))
    return code


if __name__ == "__main__":
    sys.exit(main())
