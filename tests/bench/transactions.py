"""`python -m tests.bench.transactions`: the longest write transaction of each action at 10,000 peers and 1,000 rules.

On a database of its own in DATABASE_URL, else SQLite in a new directory. Then how long the plans take to work out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
from django.core.management import call_command

from tests.bench.figures import milliseconds, say, say_where
from tests.factories import BY

SITES = 20


def main() -> None:
    """Fill a hub, act, and print."""
    call_command("migrate", verbosity=0)
    _measure()


def _measure() -> None:
    from portal.garbage import freeze_loaded
    from tests.factories import make_member, make_organization, make_region, make_site
    from tests.vpn.large_hub import make_large_hub, networks_of, some_rules
    from tests.vpn.writes import counted
    from vpn.actions.activity.plan_work import work_out_next
    from vpn.actions.activity.planning import preview
    from vpn.actions.instances.settings import update_instance
    from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
    from vpn.models import Peer, RuleRow

    freeze_loaded()  # as the portal's processes do
    make_region()
    organization = make_organization()
    hub = make_large_hub(organization, sites=SITES)
    site, member = make_site(organization, name="New"), make_member(organization, name="Anna")
    rules = some_rules([text for number in range(SITES) for text in networks_of(number)], seed=2)

    def peer() -> Peer:
        return hub.peers.select_related("instance", "site").get(site=site)

    def above() -> list[dict[str, str]]:
        present = [row.values._asdict() for row in RuleRow.all_of(hub)]
        return [{"source": "10.0.0.0/26", "destination": "any"}, *present[:-1]]

    acts: dict[str, Callable[[], object]] = {
        "add a device": partial(create_client_peer, hub, member=member, device="laptop", by=BY),
        "add a site with 500 subnets": partial(create_site_peer, hub, site=site, subnets=networks_of(30), by=BY),
        "change 500 subnets": lambda: update_peer(peer(), subnets=networks_of(31), by=BY),
        "ask about a rule above 1,000": lambda: preview(lambda: update_instance(hub, firewall=above(), by=BY)),
        "put a rule above 1,000": lambda: update_instance(hub, firewall=above(), by=BY),
        "ask about 1,000 rules": lambda: preview(lambda: update_instance(hub, firewall=rules, by=BY)),
        "save 1,000 rules": partial(update_instance, hub, firewall=rules, by=BY),
        "delete the site": lambda: delete_peer(peer(), by=BY),
    }
    for name, act in acts.items():
        with counted(pytest.MonkeyPatch(), with_steps=False) as most:
            act()
        say(f"{name}: longest write transaction", milliseconds(most.seconds))
        say("  of which this process computed", milliseconds(most.processor))
    began = time.process_time()
    plans = 1
    while work_out_next(hub.pk, by=BY):
        plans += 1
    say(
        f"work out what {plans} changes mean, outside of any transaction",
        f"{time.process_time() - began:.1f} s of a processor",
    )


if __name__ == "__main__":
    say_where()
    main()
