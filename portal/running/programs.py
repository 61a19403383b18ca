"""The processes of a running portal: what each executes, and under which account."""

from __future__ import annotations

from dataclasses import dataclass

from portal.running.confine import Confinement
from portal.running.layout import Layout
from portal.running.options import Options

WORKERS = ("urgent", "apply", "provision", "observe", "plan", "mail")
# One more worker for the queues in which a job may take seconds: a slow one does not keep all others waiting.
_SPARE = ["--spare", "urgent", "apply", "provision"]
# Those that touch no hub need no rights.
_CONFINED = {"worker-plan", "worker-mail"}


@dataclass(frozen=True)
class Program:
    """One process: its argument list, with paths as its account sees them."""

    argv: list[str]
    confined: bool


def build_program(name: str, options: Options, confinement: Confinement) -> Program:
    """The program that the supervisor's configuration calls by this name; raises KeyError for another."""
    if name.startswith("worker-"):
        queues = _SPARE if name == "worker-spare" else [name.removeprefix("worker-")]
        if name in _CONFINED:
            return manage(options, confinement, "worker", *queues)
        return Program([options.python, str(options.clone / "manage.py"), "worker", *queues], confined=False)
    builders = {"redis": _redis, "web": _web, "schedule": _schedule, "watch": _watch}
    return builders[name](options, confinement)


def manage(options: Options, confinement: Confinement, *arguments: str) -> Program:
    """A management command under the service's account."""
    seen = confinement.seen
    return Program([str(seen(options.python)), str(seen(options.clone / "manage.py")), *arguments], confined=True)


def _redis(options: Options, confinement: Confinement) -> Program:
    """A doorbell: it listens on a socket alone and keeps nothing."""
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
