"""`python -m tests.bench.seed_servers FILE HUBS PEERS`: rows of servers over SSH with hubs that have all they should.

FILE lists the servers, and gets the reports that their agents give. No worker asks the servers yet.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import transaction  # noqa: E402 - needs the settings

from portal.models import Organization  # noqa: E402
from tests.bench.population import MANY, Populating  # noqa: E402
from tests.factories import BY, settle  # noqa: E402
from vpn.actions.instances.instance import create_instance  # noqa: E402
from vpn.actions.peers.certificates import ensure_certificates  # noqa: E402
from vpn.actions.servers.region import add_region  # noqa: E402
from vpn.choices import ServerState  # noqa: E402
from vpn.desired import compile_digest  # noqa: E402
from vpn.jobs.knock import give_probe  # noqa: E402
from vpn.models import Instance, Region, Server, SshAccess  # noqa: E402
from vpn.wire.report import HubReport, PeerReport  # noqa: E402
from vpn.wire.version import agent_version  # noqa: E402


def main(file: Path, hubs: int, peers: int) -> None:
    """Insert the rows, and write the reports."""
    began = time.perf_counter()
    organization = Organization.objects.get()
    limits = [field.name for field in Organization._meta.fields if field.name.startswith("most_")]
    Organization.objects.filter(pk=organization.pk).update(**dict.fromkeys(limits, MANY))
    populating = Populating()
    members = populating.members(organization, 20, admins=0)
    region = add_region("far", "Far away", by=BY)
    servers = json.loads(file.read_text())
    for entry in servers:
        # No job is rung: what they would do has been done.
        with transaction.atomic():
            server = _server(region, entry)
            made = [_hub(organization, server, f"{entry['name']}-{number}") for number in range(hubs)]
            for instance in made:
                populating.fill(instance, members, peers)
            entry["reports"] = [_report(_provisioned(instance)).document() for instance in made]
            # Its agent is not there yet, so no worker may ask for it.
            Server.objects.filter(pk=server.pk).update(state=ServerState.PREPARING)
            transaction.get_connection().run_on_commit.clear()
    file.write_text(json.dumps(servers))
    sys.stdout.write(json.dumps({"seeded": time.perf_counter() - began}))


def _server(region: Region, entry: dict[str, Any]) -> Server:
    made = Server.objects.create(
        region=region, name=entry["name"], address=entry["address"], state=ServerState.READY, agent_schema=1
    )
    access = SshAccess(server=made, user="root", host=entry["address"], public_key=entry["public_key"])
    access.host_key = access.seen_host_key = entry["host_key"]
    access.private_key, access.agent = entry["private_key"], agent_version()
    access.save()
    return made


def _hub(organization: Organization, server: Server, name: str) -> Instance:
    made = create_instance(
        organization, name=f"Hub {name}", hostname=f"hub-{name}", region=server.region, pool_prefix=24, by=BY
    )
    Instance.objects.filter(pk=made.pk).update(server=server)
    made.refresh_from_db()
    return made


def _provisioned(instance: Instance) -> Instance:
    """Give it what provisioning gives: else scheduled jobs would, and have its hub changed during the measurement."""
    ensure_certificates(instance)
    give_probe(instance)
    instance.save()
    return settle(instance)


def _report(instance: Instance) -> HubReport:
    """What the agent of a hub says that does as it should."""
    generation, digest = compile_digest(instance.pk)
    confirmed = {"applied_generation": generation, "applied_digest": digest, "applied_epoch": instance.epoch}
    Instance.objects.filter(pk=instance.pk).update(**confirmed)
    seen = PeerReport("203.0.113.5:40000", int(time.time()), 1000, 1000)
    peers = dict.fromkeys(instance.peers.values_list("public_key", flat=True), seen)
    return HubReport(
        *(instance.hub, instance.epoch, generation, digest, True, time.time()),
        peers=peers,
        sessions={},
        hits={},
        families=["ipv4", "ipv6"],
        upstreams={},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
