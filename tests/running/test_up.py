"""`make up` for real: it runs, restarts what dies, ends with everything it started, and finds its way after kill -9."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

import pytest

from portal.running.options import CLONE
from tests.lab.waiting import wait_until
from tests.running.conftest import uid_of
from tests.running_portal import RunningPortal, environ_of

pytestmark = [pytest.mark.flow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
UNPRIVILEGED = ("redis", "web", "schedule")
PRIVILEGED = ("family", "urgent", "apply", "provision", "observe", "watch")
OWNERS_WHILE_ROOT_WRITES = """
from pathlib import Path
from django.conf import settings
from portal.models import User
User.objects.update(name="Written by root")
files = sorted((settings.DATA_DIR / "db").iterdir())
print(len(files), len({file.stat().st_uid for file in files}), files[0].stat().st_uid)
"""


def test_it_runs_and_ends_with_everything_it_started(portal: RunningPortal) -> None:
    assert portal.start()["status"] == "ok"
    assert portal.output.count("Sign in as admin@localhost with the password") == 1
    said = f"The portal is at http://localhost:{portal.port}"
    wait_until(lambda: said in portal.output, 60, said, lambda: portal.output)

    assert all(uid_of(portal.pid(name)) != 0 for name in UNPRIVILEGED)
    assert all(uid_of(portal.pid(name)) == 0 for name in PRIVILEGED)
    assert not any(entry.startswith(b"ADMIN_PASSWORD=") for entry in environ_of(portal.pid("web")))

    second = run_up(portal.environment)
    assert (second.returncode, "already runs" in second.stderr) == (1, True)

    assert portal.stop() < 10
    assert portal.processes() == []
    assert portal.get("/healthz")[0] == 0

    # Who signed in once knows how to.
    portal.start()
    assert portal.output.count("Sign in as") == 1


def test_what_dies_is_started_again(portal: RunningPortal) -> None:
    portal.start()
    for name in ("web", "apply", "redis", "family"):
        before = portal.pid(name)
        os.kill(before, signal.SIGKILL)
        wait_until(partial(_is_another, portal, name, before), 60, f"another {name}")
        portal.await_healthy()


def test_after_kill_9_the_next_one_cleans_up_and_runs(portal: RunningPortal) -> None:
    portal.start()
    portal.kill()
    assert portal.left
    portal.start()  # once none of those is left
    assert portal.stop() < 10
    assert portal.processes() == []


def test_root_and_the_service_share_the_database_files(portal: RunningPortal) -> None:
    portal.start()
    service = uid_of(portal.pid("web"))
    portal.stop()
    # Nobody has it open now: root makes the write-ahead log anew, and it must be the service's all the same.
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", OWNERS_WHILE_ROOT_WRITES]
    done = subprocess.run(command, cwd=CLONE, env=portal.environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "1", str(service)]
    portal.start()


def test_a_chosen_admin_is_made_and_the_password_is_not_shown(host_netns: str) -> None:
    portal = RunningPortal(host_netns, {"ADMIN_EMAIL": "root@example.org", "ADMIN_PASSWORD": "a-password-of-my-own"})
    try:
        portal.start()
        assert "Sign in as root@example.org" in portal.output
        assert "a-password-of-my-own" not in portal.output + portal.logs()
    finally:
        portal.remove()


def test_a_host_namespace_that_is_not_there_stops_it(portal: RunningPortal) -> None:
    done = run_up({**portal.environment, "HUB_HOST_NETNS": "never-made"})
    assert (done.returncode, "never-made" in done.stderr) == (1, True)


def test_a_taken_port_stops_it(portal: RunningPortal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", portal.port))
        taken.listen()
        done = run_up(portal.environment)
    assert (done.returncode, f"Port {portal.port}" in done.stderr) == (1, True)
    assert portal.processes() == []


def run_up(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `up` where it is expected to stop at once."""
    command = [sys.executable, "-m", "portal.running", "up"]
    return subprocess.run(command, cwd=CLONE, env=environment, capture_output=True, text=True, timeout=300, check=False)


def _is_another(portal: RunningPortal, name: str, before: int) -> bool:
    return portal.pid(name) not in (before, 0)  # 0 while it is being started


def test_a_database_without_its_keys_does_not_start(portal: RunningPortal) -> None:
    portal.start()
    # Failed, so that no job makes a hub of it.
    sealed = (
        "from tests.factories import make_instance, make_organization; "
        "make_instance(make_organization(), state='failed')"
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", sealed],
        cwd=CLONE,
        env=portal.environment | {"DJANGO_SETTINGS_MODULE": "portal.settings"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    portal.stop()
    kept = portal.layout.secret_keys.read_text()

    portal.layout.secret_keys.unlink()
    refused = run_up(portal.environment)
    assert refused.returncode == 1
    assert "secrets that no key here opens (2 journals, 1 instances)" in refused.stderr
    assert str(portal.layout.secret_keys) in refused.stderr

    # As it says: the old key as a further line.
    portal.layout.secret_keys.write_text(portal.layout.secret_keys.read_text() + kept)
    assert portal.start()["keys"] == "ok"
