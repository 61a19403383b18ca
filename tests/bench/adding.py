"""`python -m tests.bench.adding [ADDS] [CLIENTS] [PEERS]`: several clients add peers at once through the API.

The database is SQLite, and the hub has that many peers before.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.bench.figures import milliseconds, say, say_where
from tests.bench.running import Bench, bench

_OPEN = "from portal.models import *; Organization.objects.update(most_api_calls=10**6, most_peers=10**6)"
_TOKEN = "; print(ApiToken.issue(Membership.objects.get())[1], Membership.objects.get().pk)"

_DEVICES = itertools.count()


def main(adds: str = "400", clients: str = "8", peers: str = "0") -> None:
    """Start a portal, add, and print how long the answers took."""
    say_where()
    with bench() as running:
        instance, _ = running.create_instance("adding")
        token, user = running.portal.manage("shell", "--verbosity", "0", "-c", _OPEN + _TOKEN).split()
        running.fill(instance, int(peers))
        _add(running, instance, token, user, 20, 1)  # the first calls load what later ones have
        for number in (1, int(clients)):
            _report(number, _add(running, instance, token, user, int(adds) // (1 if number > 1 else 4), number))


def _add(running: Bench, instance: str, token: str, user: str, adds: int, clients: int) -> tuple[float, list[float]]:
    """The seconds that all took, and those of each."""
    url = f"{running.portal.url}/api/v1/vpn/instances/{instance}/peers"
    started = time.perf_counter()

    def client(_: int) -> list[float]:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        return [_one(session, url, user, f"laptop {next(_DEVICES)}") for _ in range(adds // clients)]

    with ThreadPoolExecutor(clients) as pool:
        taken = [seconds for found in pool.map(client, range(clients)) for seconds in found]
    return time.perf_counter() - started, sorted(taken)


def _one(session: requests.Session, url: str, user: str, device: str) -> float:
    body: dict[str, Any] = {"type": "client", "user_id": user, "device": device, "protocol": "wireguard"}
    started = time.perf_counter()
    answer = session.post(url, json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    return time.perf_counter() - started


def _report(clients: int, found: tuple[float, list[float]]) -> None:
    seconds, taken = found
    say(f"{clients} at once: peers added in a second", f"{len(taken) / seconds:.1f}")
    say("  median of the answers", milliseconds(statistics.median(taken)))
    say("  the slowest twentieth takes at least", milliseconds(taken[int(len(taken) * 0.95)]))
    say("  the slowest", milliseconds(taken[-1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
