"""The processes of a running portal: their command lines and accounts."""

from __future__ import annotations

from dataclasses import dataclass

from portal.running.confine import Confinement
from portal.running.layout import Layout
from portal.running.options import Options

# The queues of those workers that are not named after their only one.
_QUEUES = {
    # Takes a job of each in turn: none of them waits for more than two jobs of the others.
    "worker-provision": ["knock", "destroy", "provision"],
    # A spare worker for queues whose jobs may take seconds, so that a slow job does not block the others.
    "worker-spare": ["--spare", "urgent", "apply", "destroy", "provision"],
}
# Workers that do not reach hubs run without root's rights.
_CONFINED = {"worker-plan", "worker-mail"}


@dataclass(frozen=True)
class Program:
    """One process: its argument list, with the paths that its account sees."""

    argv: list[str]
    confined: bool


def build_program(name: str, options: Options, confinement: Confinement) -> Program:
    """Return the program of this name in the supervisor's configuration. Raises KeyError for an unknown name."""
    if name.startswith("worker-"):
        queues = _QUEUES.get(name) or [name.removeprefix("worker-")]
        if name in _CONFINED:
            return manage(options, confinement, "worker", *queues)
        return Program([options.python, str(options.clone / "manage.py"), "worker", *queues], confined=False)
    builders = {"redis": _redis, "web": _web, "schedule": _schedule, "watch": _watch}
    return builders[name](options, confinement)


def manage(options: Options, confinement: Confinement, *arguments: str) -> Program:
    """Return a management command that runs under the service's account."""
    seen = confinement.seen
    return Program([str(seen(options.python)), str(seen(options.clone / "manage.py")), *arguments], confined=True)


def _redis(options: Options, confinement: Confinement) -> Program:
    """Return the private Redis: it listens only on a Unix socket, and stores nothing on the disk."""
    layout = Layout(options.data)
    argv = ["redis-server", "--port", "0", "--unixsocket", str(confinement.seen(layout.redis_socket))]
    argv += ["--unixsocketperm", "700", "--dir", str(confinement.seen(layout.redis)), "--daemonize", "no"]
    argv += ["--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
    return Program(argv, confined=True)


def _web(options: Options, confinement: Confinement) -> Program:
    argv = [str(confinement.seen(options.python)), "-m", "portal.serving", options.bind, str(options.port)]
    return Program(argv, confined=True)


def _schedule(options: Options, confinement: Confinement) -> Program:
    return manage(options, confinement, "schedule")


def _watch(options: Options, confinement: Confinement) -> Program:
    argv = [options.python, "-m", "vpn.agent", "--state", str(Layout(options.data).hub)]
    if options.hub_host_netns:
        argv += ["--host-netns", options.hub_host_netns]
    return Program([*argv, "watch"], confined=False)
