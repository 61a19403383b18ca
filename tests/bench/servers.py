"""`python -m tests.bench.servers [SERVERS] [HUBS] [PEERS] [SECONDS]`: what it costs to observe many servers over SSH.

10 servers with 100 hubs of 10 peers each. The portal, its worker, OpenSSH on both ends, and the agent's session are
real; each hub's state comes from a file, since 1,000 hubs with their daemons need more than the machine has.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.figures import say, say_where
from tests.bench.fleet import oldest_look, seconds_of, value_of
from tests.bench.running import Bench, bench
from tests.lab.server import LabServer
from tests.lab.waiting import wait_until
from vpn.drivers.ssh.bundle import agent_bundle
from vpn.keys import generate_ssh_key

_DIRECTORY = "/var/lib/vpn-hub/agent"
# The agent's session, whose reports come from a file.
_AGENT = f"""
import json, os, sys, time
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, "{_DIRECTORY}/real.pyz")
from vpn.agent import session
from vpn.agent.lifecycle.changes import shorten
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.system.command import Netns
from vpn.wire.report import parse_report

reports = [parse_report(document) for document in json.loads(Path("{_DIRECTORY}/hubs.json").read_text())]
by_hub = {{report.hub: report for report in reports}}
last = {{}}

def statuses(host, hubs, seconds):
    for hub, known in hubs.items():
        yield hub, lambda: shorten(replace(by_hub[hub], observed_at=time.time()), last, known)

session.statuses = statuses
session.session(Host(Netns(None), State(Path("/var/lib/vpn-hub"))), sys.stdin, sys.stdout)
"""
_ARE_READY = "from vpn.models import Server; Server.objects.filter(region='far').update(state='ready')"
# "" while a hub was not asked yet: its report was recorded when it was made up.
_OLDEST = "SELECT min(min(coalesce(looked_at, ''), coalesce(observed_at, ''))) FROM vpn_instanceobservation"


def main(servers: int = 10, hubs: int = 100, peers: int = 10, seconds: int = 60) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        running = stack.enter_context(bench())
        made = [stack.enter_context(LabServer(running.lab, f"far{number}")) for number in range(servers)]
        file = running.portal.data / "servers.json"
        private, public = generate_ssh_key()
        file.write_text(json.dumps([_entry(server, private, public) for server in made]))
        running.inside("tests.bench.seed_servers", str(file), str(hubs), str(peers))
        for server, entry in zip(made, json.loads(file.read_text()), strict=True):
            _install(server, entry)
        running.portal.manage("shell", "--verbosity", "0", "-c", _ARE_READY)
        began = time.time()
        wait_until(lambda: _are_seen(running, began), 600, "a report of every hub", running.portal.logs)
        say(f"{servers} servers with {hubs} hubs of {peers} peers each", "")
        _measure(running, seconds)


def _entry(server: LabServer, private: str, public: str) -> dict[str, Any]:
    server.authorise(f"restrict {public} vpn-portal")
    host_key = " ".join(server.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[:2])
    keys = {"private_key": private, "public_key": public, "host_key": host_key}
    return {"name": server.name, "address": server.node.v4, **keys}


def _install(server: LabServer, entry: dict[str, Any]) -> None:
    root = Path(f"/proc/{server.pid}/root{_DIRECTORY}")
    root.mkdir(parents=True)
    (root / "real.pyz").write_bytes(agent_bundle())
    (root / "hubs.json").write_text(json.dumps(entry["reports"]))
    (root / "current.pyz").write_text(_AGENT)


def _are_seen(running: Bench, since: float) -> bool:
    """Has every hub been asked since then (Unix time), and has its report been recorded?"""
    oldest = value_of(running, _OLDEST)
    return bool(oldest) and datetime.fromisoformat(f"{oldest}+00:00").timestamp() > since


def _measure(running: Bench, seconds: int) -> None:
    """Say how much of a core the worker and its connections take, and how late the latest look at a hub is."""
    worker = running.portal.pid("observe")
    ends, latest, began = time.monotonic() + seconds, 0.0, time.monotonic()
    below = _below(worker)
    own, connections = seconds_of([worker]), seconds_of(below)
    while time.monotonic() < ends:
        latest = max(latest, oldest_look(running))
        time.sleep(0.5)
    took = time.monotonic() - began
    say("the worker `observe`, share of a core", f"{(seconds_of([worker]) - own) / took:.1%}")
    # The time of a process that ended counts as its parent's.
    if set(_below(worker)) != set(below):
        say("a connection was renewed meanwhile", "measure again")
    say("its connections (ssh), share of a core", f"{(seconds_of(below) - connections) / took:.1%}")
    say("oldest look at a hub", f"{latest:.1f} s")


def _below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have started."""
    found: list[int] = []
    with suppress(OSError):  # ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in map(int, (task / "children").read_text().split()):
                    found += [child, *_below(child)]
    return found


if __name__ == "__main__":
    say_where()
    main(*map(int, sys.argv[1:]))
