"""The data directory: owners, modes, keys."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from portal.running.account import Account, current_account
from portal.running.errors import CannotRunError
from portal.running.layout import Layout, prepare_layout, share_database


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_directory_is_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    prepare_layout(layout, current_account())
    for directory in (layout.database, layout.redis, layout.hub, layout.logs, layout.run):
        assert mode(directory) == 0o700, directory
    assert mode(layout.keys) == 0o750
    assert not mode(layout.secret_keys) & 0o037


def test_a_wide_open_directory_is_closed_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    prepare_layout(layout, current_account())
    layout.redis.chmod(0o777)
    prepare_layout(layout, current_account())
    assert mode(layout.redis) == 0o700


def test_keys_are_made_once_and_long_enough(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    prepare_layout(layout, current_account())
    first = layout.secret_keys.read_text()
    prepare_layout(layout, current_account())
    assert layout.secret_keys.read_text() == first
    assert len(first.strip()) >= 32


def test_the_service_passes_through_a_directory_made_under_a_strict_umask(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    before = os.umask(0o077)
    try:
        prepare_layout(layout, current_account())
    finally:
        os.umask(before)
    assert os.geteuid() != 0 or mode(layout.data) & 0o010


def test_a_path_too_long_for_a_socket_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="shorter DATA_DIR"):
        prepare_layout(Layout(tmp_path / ("x" * 100)), current_account())


def test_handing_over_never_follows_a_link(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    prepare_layout(layout, current_account())
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    (layout.database / "link").symlink_to(outside)
    owner = outside.stat().st_uid
    prepare_layout(layout, current_account())
    assert outside.stat().st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_sqlites_companions_are_the_services_before_root_opens_the_database(tmp_path: Path) -> None:
    service = Account("nobody", 65534, 65534)
    layout = Layout(tmp_path / "data")
    prepare_layout(layout, service)
    database = layout.database / "portal.sqlite3"
    with closing(sqlite3.connect(database)) as first:
        first.execute("PRAGMA journal_mode=WAL")
        first.execute("CREATE TABLE kept (value)")
    share_database(layout, service)
    companions = [database.with_name(f"portal.sqlite3{ending}") for ending in ("-wal", "-shm")]
    assert [(path.stat().st_uid, mode(path)) for path in companions] == [(65534, 0o600)] * 2
    before = [path.stat().st_ino for path in companions]
    with closing(sqlite3.connect(database)) as root:
        root.execute("INSERT INTO kept VALUES (1)")
        root.commit()
        assert [path.stat().st_ino for path in companions] == before, "root made no files of its own"
