"""How a process drops root's rights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from portal.running.account import Account
from portal.running.confine import Confinement
from portal.running.options import Options, read_options

SERVICE = Account("vpnportal", 990, 991)


def options(*, root: bool) -> Options:
    return dataclasses.replace(read_options({"DATA_DIR": "/root/data"}), root=root)


def test_nothing_is_dropped_where_there_is_nothing_to_drop() -> None:
    assert Confinement(options(root=False), SERVICE).command(["true"]) == ["setpriv", "--pdeathsig", "TERM", "true"]


def test_root_drops_account_and_every_capability() -> None:
    command = Confinement(options(root=True), SERVICE).command(["true"])
    assert {"--reuid=990", "--regid=991", "--no-new-privs", "--bounding-set=-all"} <= set(command)
    assert command[-1] == "true"


def test_paths_are_seen_below_the_bind_that_is_nearest() -> None:
    inside = dataclasses.replace(options(root=True), clone=Path("/root/clone"), data=Path("/root/clone/var"))
    seen = Confinement(inside, SERVICE, "private").seen
    assert seen("/root/clone/manage.py") == Path("/run/vpn-portal/app/manage.py")
    assert seen("/root/clone/var/db") == Path("/run/vpn-portal/data/db")
    assert seen("/usr/bin/python3") == Path("/usr/bin/python3")


def test_the_environment_names_the_paths_as_they_are_seen() -> None:
    confinement = Confinement(options(root=True), SERVICE, "private")
    environment = confinement.environment({"DATA_DIR": "/root/data", "HOME": "/root", "TMPDIR": "/root/tmp"})
    assert environment["DATA_DIR"] == "/run/vpn-portal/data"
    assert environment["HOME"] == "/nonexistent"
    assert "TMPDIR" not in environment
