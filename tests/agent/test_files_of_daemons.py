"""Files that the agent gives to daemons, and files that it reads from possibly compromised ones."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.system import files

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="to give a file away takes root")
DAEMON = 1_900_000_000


def test_what_a_daemon_wrote_is_read_and_nothing_that_it_points_at(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a key")
    (tmp_path / "link").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_text("x" * 200_000)
    (tmp_path / "plain").write_text("4711\n")
    assert files.read_foreign(tmp_path / "plain") == "4711\n"
    for name in ("link", "pipe", "missing", "."):
        assert files.read_foreign(tmp_path / name) is None
    assert len(files.read_foreign(tmp_path / "long") or "") == 64 * 1024


@needs_root
def test_a_directory_is_shared_with_what_is_put_there_later(tmp_path: Path) -> None:
    top, inner = tmp_path / "hub", tmp_path / "hub" / "ccd"
    files.private_directory(inner)
    files.replace(top / "key", "old")
    (top / "script").touch(mode=0o700)
    (top / "link").symlink_to("/etc/shadow")
    files.give(top / "run", DAEMON)
    before = os.stat("/etc/shadow")
    files.share(top, DAEMON)
    files.replace(inner / "peer", "new", mode=files.SHARED)
    assert files.is_shared(top, DAEMON)
    assert files.is_shared(inner, DAEMON)
    for path, mode in ((top / "key", 0o640), (top / "script", 0o750), (inner / "peer", 0o640)):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, DAEMON, mode), path
    run = (top / "run").stat()
    assert (run.st_uid, run.st_gid, run.st_mode & 0o777) == (DAEMON, DAEMON, 0o700)
    after = os.stat("/etc/shadow")
    assert (after.st_gid, after.st_mode) == (before.st_gid, before.st_mode)


@needs_root
def test_what_lies_in_a_directory_that_is_given_away_is_given_too(tmp_path: Path) -> None:
    directory = tmp_path / "shown"
    files.private_directory(directory)
    (directory / "peer").write_text("7 1194\n")
    (directory / "link").symlink_to("/etc/shadow")
    files.give(directory, DAEMON)
    assert (directory / "peer").stat().st_uid == DAEMON
    assert os.stat("/etc/shadow").st_uid == 0


def test_a_listener_leads_the_agent_to_no_other_socket(tmp_path: Path) -> None:
    other, link = tmp_path / "other.sock", tmp_path / "udp.sock"
    link.symlink_to(other)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(other))
        listening.listen()
        with pytest.raises(openvpn_management.NoAnswer):
            openvpn_management.end(link, ["a peer"])
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
