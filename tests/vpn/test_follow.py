"""The program that a router runs, with stand-ins for the programs that it calls: what it does when a step fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FOLLOW = Path("vpn/routers/follow.sh").resolve()
DEVICE = "vpn_0a1b2c3d"
OLD = "# vpn-portal 1\ndevice vpn_0a1b2c3d\nfingerprint 11\ninterval 60\n[Peer]\nPublicKey = a\nEndpoint = b:1\n# end\n"
NEW = OLD.replace("fingerprint 11", "token second\nfingerprint 22")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The files of a tunnel that is up, and programs that do nothing; curl answers with the file `given`."""
    home, programs = tmp_path / "etc" / DEVICE, tmp_path / "programs"
    home.mkdir(parents=True)
    programs.mkdir()
    for name in ("ip", "wg", "ping", "logger"):
        _program(programs / name, "exit 0")
    give = f'while [ "$1" != --output ]; do shift; done; cat {tmp_path}/given >"$2"; echo 200'
    _program(programs / "curl", give)
    contents = {"portal": "https://portal.test", "token": "first", "key": "k", "current": OLD, "applied": OLD}
    for name, content in contents.items():
        (home / name).write_text(content)
    return home


def _program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def _follow(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    folder = home.parent.parent
    environment = os.environ | {
        "PATH": f"{folder / 'programs'}:{os.environ['PATH']}",
        "VPN_PORTAL_DIR": str(home.parent),
        "VPN_PORTAL_RUN": str(folder / "run"),
        "VPN_PORTAL_SCHEDULE": "no",
    }
    argv = ["sh", str(FOLLOW), *words]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_token_alone_leaves_the_configuration(home: Path) -> None:
    (home.parent.parent / "given").write_text("# vpn-portal 1\ntoken second\n# end\n")
    done = _follow(home, "run", DEVICE)
    assert (done.returncode, (home / "current").read_text()) == (0, OLD), done.stderr
    assert (home / "token").read_text() == "second\n"


def test_a_new_configuration_waits_while_the_former_one_cannot_be_kept(home: Path) -> None:
    (home.parent.parent / "given").write_text(NEW)
    _program(home.parent.parent / "programs" / "cp", 'for file; do :; done; : >"$file"; exit 1')
    done = _follow(home, "run", DEVICE)
    assert "the new one waits" in done.stderr
    assert (home / "current").read_text() == OLD
    assert (home / "token").read_text() == "second\n"
    assert not (home / "former").exists()
    assert not (home / "pending").exists()


def test_an_answer_that_cannot_be_stored_changes_nothing(home: Path) -> None:
    (home.parent.parent / "given").write_text(NEW)
    (home / "new").mkdir()
    done = _follow(home, "run", DEVICE)
    assert "cannot be stored" in done.stderr
    assert ((home / "current").read_text(), (home / "token").read_text()) == (OLD, "first")


@pytest.mark.parametrize("name", ["", ".", "..", "eth0", "vpn_", "vpn_a/b"])
def test_only_a_tunnel_is_ended(home: Path, name: str) -> None:
    assert _follow(home, "end", name).returncode == 1
    assert (home / "key").exists()


def test_a_lock_of_a_run_that_was_killed_is_no_lock(home: Path) -> None:
    (home.parent.parent / "given").write_text(OLD)
    lock = home.parent.parent / "run" / f"{DEVICE}.lock"
    lock.mkdir(parents=True)
    with subprocess.Popen(["sleep", "600"]) as other:
        (lock / "pid").write_text(f"{other.pid}\n")
        done = _follow(home, "run", DEVICE)
        other.kill()
    assert (home.parent.parent / "run" / f"{DEVICE}.asked").exists(), done.stderr


def test_a_handshake_from_before_the_clock_was_set_has_no_age(home: Path) -> None:
    folder = home.parent.parent
    (folder / "given").write_text(OLD)
    _program(folder / "programs" / "wg", '[ "$3" != latest-handshakes ] || echo "key 5"')
    give = f'while [ "$1" != --data-binary ]; do shift; done; cat "${{2#@}}" >{folder}/said; echo 304'
    _program(folder / "programs" / "curl", give)
    assert _follow(home, "run", DEVICE).returncode == 0
    assert '"handshake_age": null' in (folder / "said").read_text()


def test_a_damaged_configuration_does_not_stop_check_ins_by_cron(home: Path) -> None:
    folder = home.parent.parent
    (folder / "given").write_text("")
    for name in ("current", "applied"):
        (home / name).write_text("")
    _program(folder / "programs" / "sleep", "exit 0")
    done = _follow(home, "cron", DEVICE)
    assert (folder / "run" / f"{DEVICE}.asked").exists(), done.stderr


def test_a_damaged_note_of_a_change_does_not_make_it_good(home: Path) -> None:
    folder = home.parent.parent
    (folder / "given").write_text(OLD)
    (home / "pending").write_text("")
    _program(folder / "programs" / "ping", "exit 1")
    _program(folder / "programs" / "sleep", "exit 0")
    done = _follow(home, "run", DEVICE)
    assert "There was no handshake" in done.stderr
