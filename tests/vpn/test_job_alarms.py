"""A job whose time is over, at whatever line, leaves the database free for everyone else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = (
    "import sys, django; django.setup(); from tests.vpn.job_alarms import main; raise SystemExit(main(sys.argv[1]))"
)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("job", ["apply", "observe", "reconcile", "compromise"])
def test_an_alarm_at_any_line_of_a_job_leaves_no_lock_and_loses_no_work(
    database_url: str, tmp_path: Path, job: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, job],
        env={**os.environ, "DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
