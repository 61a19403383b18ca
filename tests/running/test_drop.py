"""A forked process drops the rights that an executed one drops, and sees the clone below a closed directory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from portal.running.account import Account, service_account
from portal.running.confine import Confinement
from portal.running.cover import closed_directories
from portal.running.options import CLONE, read_options

_DROP = """
from portal.running.account import service_account
from portal.running.drop import drop_rights
drop_rights(service_account(root=True))
print(open("/proc/self/status").read())
"""
_RIGHTS = ("Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_forked_process_has_the_rights_of_an_executed_one() -> None:
    executed = Confinement(read_options({}), service_account(root=True)).command(["cat", "/proc/self/status"])
    rights = _rights_of(executed)
    assert _rights_of([sys.executable, "-c", _DROP]) == rights
    assert rights["CapBnd"] == "0000000000000000"
    assert "0" not in rights["Uid"].split()


def _rights_of(argv: list[str]) -> dict[str, str]:
    status = subprocess.run(argv, cwd=CLONE, capture_output=True, text=True, check=True).stdout
    lines = dict(line.partition(":")[::2] for line in status.splitlines())
    return {name: lines[name].strip() for name in _RIGHTS}


def test_the_uppermost_closed_directory_is_covered() -> None:
    stranger = Account("stranger", 64_999, 64_999)
    with tempfile.TemporaryDirectory(prefix="home-") as made:
        home, closed = Path(made), Path(made, "closed")
        clone = closed / "clone"
        clone.mkdir(parents=True)
        home.chmod(0o755)
        closed.chmod(0o755)
        if closed_directories([clone], stranger):
            pytest.skip("the directory for temporary files is closed itself")
        closed.chmod(0o700)
        assert closed_directories([clone, clone / "var"], stranger) == {closed}
        home.chmod(0o750)
        assert closed_directories([clone, clone / "var"], stranger) == {home}
        assert closed_directories([clone], Account("me", os.geteuid(), 64_999)) == set()
        assert closed_directories([clone], Account("mine", 64_999, home.stat().st_gid)) == {closed}
