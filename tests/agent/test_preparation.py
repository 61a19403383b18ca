"""What the agent writes while it prepares a server; tests/network/test_ssh_server.py prepares a real one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vpn.agent.preparation import checks, run, watching
from vpn.agent.preparation.supervisor import is_running, revive
from vpn.agent.system import command
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.preparing import parse_line


def test_the_unit_runs_this_version_and_leaves_the_daemons_of_hubs() -> None:
    text = watching.unit_text(Path("/var/lib/vpn-hub"), Path("/var/lib/vpn-hub/agent/0123456789ab.pyz"))
    assert "/var/lib/vpn-hub/agent/0123456789ab.pyz --state /var/lib/vpn-hub watch\n" in text
    assert "KillMode=process\n" in text
    assert "Restart=always\n" in text


@pytest.mark.parametrize("ahead", [-61.0, 3600.0])
def test_a_clock_more_than_a_minute_off_is_refused(ahead: float) -> None:
    with pytest.raises(AgentError) as refused:
        checks.clock(ahead)
    assert refused.value.finding == codes.SERVER_CLOCK_WRONG.of(f"{ahead:+.0f}")
    assert checks.clock(ahead / 100) == f"{ahead / 100:+.1f}"


def test_the_first_failed_step_ends_a_look(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program = tmp_path / "agent" / "0123456789ab.pyz"
    # Commands are forbidden here, so the namespaces cannot be checked.
    assert run.prepare({"attempt": "one", "ahead": 0.0}, str(program)) == 1
    lines = [parse_line(json.loads(text)) for text in capsys.readouterr().out.splitlines()]
    assert lines[-1] is not None
    assert lines[-1].state == "failed"
    assert lines[-1].step in {"system", "namespaces"}


def test_without_a_supervisor_before_a_session_starts_none(tmp_path: Path) -> None:
    with command.forbid():
        revive(tmp_path, tmp_path / "agent.pyz")
    assert not is_running(tmp_path)


def test_sessions_use_a_new_version_only_once_the_watch_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sessions may write what a watch of the former version cannot read."""
    new = tmp_path / "agent" / "0a1b.pyz"
    new.parent.mkdir()
    new.touch()
    current = new.with_name(run.CURRENT)
    current.symlink_to("00ff.pyz")
    used: list[str] = []

    def restart(_: Path, program: Path) -> str:
        used.append(os.readlink(current))
        if len(used) == 1:
            raise AgentError(FAILED, "The watch did not start.", codes.SERVER_WATCH_NOT_STARTED.of())
        return "systemd"

    monkeypatch.setattr(run, "ensure_watch", restart)
    with pytest.raises(AgentError):
        run._switch(tmp_path, new)
    assert os.readlink(current) == "00ff.pyz"
    assert run._switch(tmp_path, new) == "systemd"
    assert used == ["00ff.pyz", "00ff.pyz"]
    assert os.readlink(current) == "0a1b.pyz"
