"""Daemons of hubs are limited by control groups if the host has them, shown on a directory tree like the kernel's.

The kernels of test machines may have only version 1, and the machine's own groups must not be changed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vpn.agent.system import cgroup

HUB = "habcdef012"
MEMORY = 1 << 30


class Tree:
    """A mount of cgroup2, with the files that the kernel creates in each group."""

    def __init__(self, directory: Path, controllers: str = "cpu memory pids") -> None:
        self.root = directory / "cgroup"
        self.mounts = directory / "mounts"
        self.top, self.hub = self.root / "vpn-hubs", self.root / "vpn-hubs" / HUB
        self.root.mkdir()
        (self.root / "cgroup.controllers").write_text(f"{controllers}\n")
        (self.root / "cgroup.subtree_control").write_text("cpu\n")
        self.mounts.write_text(f"proc /proc proc rw 0 0\ncgroup2 {self.root} cgroup2 rw,nosuid 0 0\n")

    def populate(self) -> None:
        """Create the files that the kernel would create in new directories."""
        for group in (self.top, self.hub):
            group.mkdir()
            for name in ("memory.max", "pids.max"):
                (group / name).write_text("max\n")
            for name in ("cgroup.procs", "cgroup.subtree_control"):
                (group / name).write_text("")

    def text(self, group: Path, name: str) -> str:
        return (group / name).read_text()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    made = Tree(tmp_path)
    monkeypatch.setattr(cgroup, "_MOUNTS", made.mounts)
    return made


def test_a_hubs_daemons_are_held_below_all_hubs(tree: Tree) -> None:
    tree.populate()
    assert cgroup.limit(HUB, [41], MEMORY)
    assert tree.text(tree.root, "cgroup.subtree_control") == tree.text(tree.top, "cgroup.subtree_control")
    assert tree.text(tree.top, "cgroup.subtree_control") == "+memory +pids"
    of_all, there = int(tree.text(tree.top, "memory.max")), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0.7 * there < of_all < 0.8 * there
    # The kernel rounds to pages: any other number would differ each time and be written again.
    assert of_all % os.sysconf("SC_PAGE_SIZE") == 0
    assert (tree.text(tree.hub, "memory.max"), tree.text(tree.hub, "pids.max")) == (str(MEMORY), "512")
    assert tree.text(tree.hub, "cgroup.procs") == "41"


def test_what_is_held_already_is_left_alone(tree: Tree) -> None:
    tree.populate()
    cgroup.limit(HUB, [41], MEMORY)
    files = [path for path in tree.root.rglob("*") if path.is_file()]
    (tree.root / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tree.top / "cgroup.subtree_control").write_text("memory pids\n")
    before = {path: path.stat().st_mtime_ns for path in files}
    assert cgroup.limit(HUB, [41], MEMORY)
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert cgroup.limit(HUB, [41], 2 * MEMORY)
    assert tree.text(tree.hub, "memory.max") == str(2 * MEMORY)


@pytest.mark.parametrize("controllers", ["", "hugetlb", "cpu pids"])
def test_without_a_controller_for_memory_nothing_is_made(
    controllers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree(tmp_path, controllers)
    monkeypatch.setattr(cgroup, "_MOUNTS", tree.mounts)
    assert not cgroup.limit(HUB, [41], MEMORY)
    assert not tree.top.exists()


def test_a_host_without_version_2_or_right_has_the_other_limits(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a container: no group can be created, or the controllers are not enabled.
    assert not cgroup.limit(HUB, [41], MEMORY)
    monkeypatch.setattr(cgroup, "_MOUNTS", tmp_path / "nothing")
    assert not cgroup.limit(HUB, [41], MEMORY)
    cgroup.remove(HUB)


def test_groups_go_with_their_hubs(tree: Tree) -> None:
    tree.hub.mkdir(parents=True)
    (tree.top / "other").mkdir()
    cgroup.remove(HUB)
    assert [path.name for path in tree.top.iterdir()] == ["other"]
    (tree.top / "other").rmdir()
    tree.hub.mkdir()
    cgroup.remove(HUB)
    assert not tree.top.exists()
