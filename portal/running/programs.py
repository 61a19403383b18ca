"""The processes of a running portal: their command lines and accounts."""

from __future__ import annotations

from dataclasses import dataclass

from portal.running.confine import Confinement
from portal.running.layout import Layout
from portal.running.options import Options

# Only the processes that reach hubs keep root's rights. The others are forked from the same parent, but where mounts
# cannot be private, they are a program of their own.
HUB_WORKERS = ("urgent", "apply", "provision", "observe", "spare")
SERVICES = ("web", "schedule", "plan", "mail")
# An idle worker takes some 15 MB. `urgent` starts these when a job waits for them (vpn.jobs.runtime.on_demand).
ON_DEMAND = ("spare", "plan", "mail")


@dataclass(frozen=True)
class Program:
    """One process: its argument list, with the paths that its account sees."""

    argv: list[str]
    confined: bool


def build_program(name: str, options: Options, confinement: Confinement) -> Program:
    """Return the program of this name in the supervisor's configuration. Raises KeyError for an unknown name."""
    builders = {"redis": _redis, "family": _family, "services": _services, "watch": _watch}
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
    # Looks for expired keys once a second, not ten times. Jobs are woken at once.
    argv += ["--hz", "1"]
    return Program(argv, confined=True)


def _family(options: Options, confinement: Confinement) -> Program:
    argv = [options.python, "-m", "portal.serving.family", *HUB_WORKERS]
    if confinement.can_cover:
        argv += ["--as-service", *SERVICES, "--on-demand", *ON_DEMAND]
    return Program(argv, confined=False)


def _services(options: Options, confinement: Confinement) -> Program:
    argv = [str(confinement.seen(options.python)), "-m", "portal.serving.family", *SERVICES]
    return Program(argv, confined=True)


def _watch(options: Options, confinement: Confinement) -> Program:
    argv = [options.python, "-m", "vpn.agent", "--state", str(Layout(options.data).hub)]
    if options.hub_host_netns:
        argv += ["--host-netns", options.hub_host_netns]
    return Program([*argv, "serve"], confined=False)
