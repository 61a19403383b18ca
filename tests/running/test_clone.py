"""It works from any clone: here one made under a strict umask in a home that only root may enter."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.running.options import CLONE
from tests.running.conftest import uid_of
from tests.running_portal import RunningPortal

pytestmark = [pytest.mark.flow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def clone() -> Iterator[Path]:
    """The code, readable by root alone."""
    home = Path(tempfile.mkdtemp(prefix="home-"))
    for name in ("portal", "vpn", "templates", "static"):
        shutil.copytree(CLONE / name, home / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CLONE / "manage.py", home / "clone")
    (home / "private").touch()
    for path in (home / "clone", *(home / "clone").rglob("*")):
        path.chmod(0o770 if path.is_dir() else 0o660)
    yield home / "clone"
    shutil.rmtree(home)


def test_a_clone_that_only_root_may_read(host_netns: str, clone: Path) -> None:
    portal = RunningPortal(host_netns, mode=0o700, clone=clone)
    try:
        portal.start()
        web = portal.pid("web")
        assert uid_of(web) != 0
        # It has its parent's paths, and sees nothing else of that home.
        home = Path(f"/proc/{web}/root{clone.parent}")
        assert [path.name for path in home.iterdir()] == ["clone"]
        # No other process sees these mounts.
        assert str(clone.parent) not in Path("/proc/self/mountinfo").read_text()
        assert (clone.parent / "private").exists()
        assert not any(path.stat().st_mode & 0o027 for path in (clone, clone / "portal", clone / "manage.py"))
    finally:
        portal.remove()


def test_a_clone_whose_content_only_root_may_read(host_netns: str, clone: Path) -> None:
    """As `git clone` makes it under a strict umask in a directory that was there, such as below /opt."""
    for directory in (clone.parent, clone):
        directory.chmod(0o755)
    portal = RunningPortal(host_netns, mode=0o700, clone=clone)
    try:
        portal.start()
        assert uid_of(portal.pid("web")) != 0
    finally:
        portal.remove()
