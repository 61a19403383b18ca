"""`make up`: prepare what is missing, run the portal, and stop it at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from portal.running.account import service_account
from portal.running.address import default_hub_addresses
from portal.running.confine import PROPAGATION, Confinement, choose_confinement
from portal.running.errors import CannotRunError
from portal.running.health import check_port, complaints
from portal.running.layout import Layout, prepare_layout, share_database
from portal.running.leftovers import MARK, end_leftovers
from portal.running.lock import RunLock
from portal.running.options import Options, read_options, with_system_path
from portal.running.programs import manage
from portal.running.rights import why_no_hubs

CONFIGURATION = Path(__file__).with_name("supervisord.conf")
READY_WITHIN = 30.0
# The supervisor stops its processes after 5 s. The rest is killed then, so that a stop takes less than 10 s.
SUPERVISOR_ENDS_WITHIN = 6.5
PRIVATE = ("ADMIN_PASSWORD",)


class StopError(Exception):
    """A signal told this process to end."""


def up() -> int:
    """Run until SIGTERM or Ctrl-C; returns the exit code."""
    os.umask(0o022)  # private files set their own mode; directories that the service traverses must not be private
    os.environ["PATH"] = with_system_path(os.environ.get("PATH", ""))
    options = read_options(os.environ)
    layout = Layout(options.data)
    check_host_netns(options)
    service = service_account(root=options.root)
    prepare_layout(layout, service)
    lock = RunLock(layout.run / "lock")
    lock.acquire()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        end_leftovers(str(options.data), patience=6)
        check_port(options)
        confinement = choose_confinement(options, service)
        environment = children_environment(options, confinement)
        _prepare(options, confinement, environment)
        share_database(layout, service)
        return _supervise(options, layout, environment, lock)
    except StopError:
        return 0


def check_host_netns(options: Options) -> None:
    """Raise CannotRunError if HUB_HOST_NETNS names a namespace that does not exist."""
    name = options.hub_host_netns
    if name and ("/" in name or not Path("/run/netns", name).exists()):
        raise CannotRunError(f"HUB_HOST_NETNS is {name!r}, but there is no such namespace: ip netns add {name}")


def children_environment(options: Options, confinement: Confinement) -> dict[str, str]:
    """Return the environment of all processes; confined ones get their own paths (Confinement.environment)."""
    environment = {name: value for name, value in os.environ.items() if name not in PRIVATE}
    layout = Layout(options.data)
    reason = why_no_hubs()
    environment |= {
        MARK: str(options.data),
        "DATA_DIR": str(options.data),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONUNBUFFERED": "1",
        # The C library otherwise keeps memory apart for each thread, and returns little of it.
        "MALLOC_ARENA_MAX": "2",
        # Otherwise it returns less and less, after each large block that was freed.
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "PATH": f"{Path(options.python).parent}:{environment['PATH']}",
        "HUBS_AVAILABLE": "0" if reason else "1",
        "PORTAL_CLONE": str(options.clone),
        "PORTAL_LOGS": str(layout.logs),
        "PORTAL_RUN": str(layout.run),
        "PORTAL_START_REDIS": "false" if options.redis_url else "true",
        "PORTAL_START_SERVICES": "false" if confinement.can_cover else "true",
        "PORTAL_START_WATCH": "false" if reason else "true",
        PROPAGATION: confinement.propagation,
    }
    if reason:
        environment["HUBS_UNAVAILABLE_REASON"] = reason
        _say(f"This machine cannot carry hubs; everything else works. {reason}")
    if not environment.get("HUB_ADDRESS"):
        environment["HUB_ADDRESS"] = ",".join(default_hub_addresses(options.hub_host_netns))
    return environment


def _prepare(options: Options, confinement: Confinement, environment: dict[str, str]) -> None:
    """Run migrations, collect static files, create the first organization and admin, as the service's account."""
    private = {name: os.environ[name] for name in PRIVATE if name in os.environ}
    program = manage(options, confinement, "prepare")
    done = subprocess.run(
        confinement.command(program.argv),
        cwd=options.clone,
        env=confinement.environment(environment) | private,
        umask=0o077,
        check=False,
    )
    if done.returncode:
        raise CannotRunError("The portal could not be prepared; see the reason above.")


def _supervise(options: Options, layout: Layout, environment: dict[str, str], lock: RunLock) -> int:
    layout.supervisor_socket.unlink(missing_ok=True)  # left by a killed run
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        options.python,
        "-m",
        "supervisor.supervisord",
        "-c",
        str(CONFIGURATION),
    ]
    supervisor = subprocess.Popen(
        command, cwd=options.clone, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _await_ready(options, supervisor)
        code = supervisor.wait()
        _say(f"The supervisor ended by itself (exit code {code}); its log is {layout.logs / 'supervisor.log'}.")
    except StopError:
        code = 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lock.stopping()
    supervisor.terminate()
    try:
        supervisor.wait(SUPERVISOR_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    end_leftovers(str(options.data), patience=0.2)
    _say("Stopped. Hubs keep carrying traffic; `make down` removes them.")
    return code


def _await_ready(options: Options, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    wrong = complaints(options)
    while wrong and supervisor.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
        wrong = complaints(options)
    if supervisor.poll() is None:
        _say(f"The portal is at {options.public_url}" + "".join(f"\n  not yet: {line}" for line in wrong))


def _stop(number: int, frame: FrameType | None) -> None:
    raise StopError


def _say(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):  # the parent process closed the pipe
        pass
