"""`python -m tests.bench.firewall`: 10,000 peers and 1,000 rules, one rule changed, and one peer added."""

from __future__ import annotations

import dataclasses
import ipaddress
import time
import uuid
from collections.abc import Callable
from statistics import median

from tests.bench.figures import milliseconds, say, say_where
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from vpn.wire.documents import RuleDocument
from vpn.wire.report import HubReport

PEERS, RULES, SITES, MEMBERS, GROUPS = 10_000, 1_000, 100, 3_000, 50
TURNS = 5


def identifier(number: int) -> str:
    """An id that is always the same for a number."""
    return str(uuid.UUID(int=number))


def end(number: int) -> str:
    """An end of a rule: each kind in its turn."""
    kinds = (
        "any",
        f"10.{number % 200}.0.0/16",
        f"site:{identifier(number % SITES)}",
        f"user:{identifier(number % MEMBERS)}",
        f"group:{identifier(number % GROUPS)}",
        f"fd00:{number % 200:x}::/32",
    )
    return kinds[number % len(kinds)]


def rule(number: int, port: int = 443) -> RuleDocument:
    """A rule of mixed ends."""
    return {
        "id": identifier(number + 1),
        "action": ("accept", "drop", "reject")[number % 3],
        "protocol": ("tcp", "any")[number % 2],
        "ports": [port, port],
        "source": end(number),
        "destination": end(number // 2 + 1),
    }


def fill(hub: Hub) -> None:
    """Give the hub its peers, with tags, and its rules."""
    hub.add_many(PEERS)
    for number, device in enumerate(hub.devices.values()):
        if number < SITES:
            device.subnets = (f"10.{number}.0.0/16", f"fd01:{number + 1:x}::/32")
            device.tags = (f"site:{identifier(number)}",)
        else:
            device.tags = (f"user:{identifier(number % MEMBERS)}", f"group:{identifier(number % GROUPS)}")
    hub.rules = tuple(rule(number) for number in range(RULES))


def measure(what: str, act: Callable[[int], HubReport]) -> None:
    """Do it a few times; print the median of what the agent took, and of what its caller waited."""
    own, whole = [], []
    for turn in range(TURNS):
        started = time.perf_counter()
        report = act(turn)
        whole.append(time.perf_counter() - started)
        own.append(report.duration_ms / 1000)
        assert report.changed["firewall"], what
    say(
        f"{what}: agent / with its caller (median of {TURNS})",
        f"{milliseconds(median(own))} / {milliseconds(median(whole))}",
    )


def main() -> None:
    """Measure and print."""
    with Lab() as lab:
        agent = Agent(lab)
        try:
            hub = Hub(lab, agent, pool_v4=ipaddress.IPv4Network("100.64.0.0/18"))
            fill(hub)
            say(f"a hub with {PEERS:,} peers and {RULES:,} rules begins", milliseconds(hub.apply().duration_ms / 1000))

            def change_rule(turn: int) -> HubReport:
                return hub.send(hub.delta(rules=(*hub.rules[:-1], rule(RULES - 1, 1000 + turn))))

            def change_whole(turn: int) -> HubReport:
                hub.rules = (*hub.rules[:-1], rule(RULES - 1, 2000 + turn))
                return hub.apply_next()

            def add_peer(turn: int) -> HubReport:
                device = hub.add()
                del hub.devices[device.peer_id]
                device.tags = (f"user:{identifier(6 * turn + 3)}", f"group:{identifier(4)}")
                return hub.send(hub.delta(upsert=[device]))

            def move_subnet(turn: int) -> HubReport:
                device = list(hub.devices.values())[6 * turn + 2]  # one whose tag a rule names
                wider = dataclasses.replace(device, subnets=(*device.subnets, f"172.16.{turn}.0/24"))
                return hub.send(hub.delta(upsert=[wider]))

            measure("one rule changed, by a delta", change_rule)
            measure("one rule changed, by a whole specification", change_whole)
            measure("one peer added by a delta", add_peer)
            measure("one subnet added to a site by a delta", move_subnet)
            started = time.perf_counter()
            assert not any(hub.apply().changed.values())
            say("the same again: nothing to do", milliseconds(time.perf_counter() - started))
        finally:
            agent.close()


if __name__ == "__main__":
    say_where()
    main()
