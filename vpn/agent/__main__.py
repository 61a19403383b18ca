"""The agent's command line.

`apply`, `status`, `destroy` and `list` answer one request, `session` answers many, `watch` repairs hubs.
`serve` watches, and answers sessions at a socket in its state directory. `supervise` keeps a watch running where there
is no systemd, `install-packages` installs what hubs need.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.preparation import packages
from vpn.agent.preparation.supervisor import revive, supervise
from vpn.agent.serve import serve
from vpn.agent.session import once, session
from vpn.agent.system.command import Netns
from vpn.agent.watch import watch

DEFAULT_STATE = "/var/lib/vpn-hub"
ONCE = ("apply", "status", "destroy", "list")
SERVICES: dict[str, Callable[[Host], None]] = {
    "watch": watch,
    "supervise": supervise,
    "install-packages": lambda host: packages.install(host.state.directory),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent and return its exit status: 0, or 1 for a request that failed."""
    parser = argparse.ArgumentParser(prog="hub-agent", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(DEFAULT_STATE), help="the agent's directory")
    parser.add_argument("--host-netns", default=None, help="the network namespace to treat as the host")
    parser.add_argument("command", choices=[*ONCE, "session", "serve", *SERVICES])
    options = parser.parse_args(arguments)
    os.umask(0o077)
    host = Host(Netns(options.host_netns or None), State(options.state.absolute()))
    if options.command == "session":
        revive(host.state.directory, Path(sys.argv[0]).resolve())
        session(host, sys.stdin, sys.stdout)
        return 0
    if options.command in SERVICES:
        SERVICES[options.command](host)
        return 0
    if options.command == "serve":
        return 0 if serve(host) else 1
    return 0 if once(host, sys.stdin, sys.stdout, options.command) else 1


if __name__ == "__main__":
    sys.exit(main())
