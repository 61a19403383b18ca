"""A hub of the size that the product promises: 10,000 peers and 1,000 rules."""

from __future__ import annotations

import random
from typing import Any

from portal.models import Membership, Organization
from tests.factories import BY, make_instance, make_member, make_site, settle
from vpn.actions.instances.settings import update_instance
from vpn.choices import PeerType
from vpn.models import Instance, Peer, Site

RULES = 1000


def networks_of(site: int, count: int = 500) -> list[str]:
    """So many networks of a site, none beside another one."""
    places = ((site * count + number) * 2 for number in range(count))
    return [f"10.{place >> 9}.{place >> 1 & 255}.{(place & 1) * 128}/26" for place in places]


def some_rules(ends: list[str], *, seed: int, count: int = RULES) -> list[dict[str, Any]]:
    """Rules with these ends and ranges of TCP ports, drawn by chance from a seed."""
    draw = random.Random(seed)
    rules = []
    for _ in range(count):
        first = draw.randint(1, 65_000)
        rules.append(
            {
                "action": draw.choice(["accept", "drop"]),
                "protocol": "tcp",
                "port": f"{first}-{draw.randint(first, 65_535)}",
                "source": draw.choice(ends),
                "destination": draw.choice(ends),
            }
        )
    return rules


def make_large_hub(organization: Organization, *, peers: int = 10_000, sites: int = 20) -> Instance:
    """A settled hub with so many peers, some of them sites with 500 networks each, and RULES rules."""
    Organization.objects.filter(pk=organization.pk).update(most_peers=100_000, most_subnets=100_000, most_rules=100_000)
    made = make_instance(organization)
    Instance.objects.filter(pk=made.pk).update(pool_v4="100.64.0.0/16")
    made.refresh_from_db()
    member = make_member(organization, name="Everybody")
    branches = [make_site(organization, name=f"Branch {number}") for number in range(sites)]
    Peer.objects.bulk_create([_site_peer(made, site, number) for number, site in enumerate(branches)])
    devices = [_device(made, member, number) for number in range(sites, peers)]
    Peer.objects.bulk_create(devices, batch_size=500)
    for number, site in enumerate(branches):
        Site.objects.filter(pk=site.pk).update(subnets=networks_of(number))
    update_instance(made, firewall=some_rules([f"site:{site.pk}" for site in branches], seed=1), by=BY)
    return settle(made)


def _site_peer(instance: Instance, site: Site, number: int) -> Peer:
    return Peer(
        instance=instance,
        type=PeerType.SITE,
        site=site,
        host=number + 2,
        public_key=f"{number:043}=",
        changed_generation=1,
        dns_label=f"s{number}",
        subnets=networks_of(number),
    )


def _device(instance: Instance, member: Membership, number: int) -> Peer:
    return Peer(
        instance=instance,
        type=PeerType.CLIENT,
        member=member,
        host=number + 2,
        public_key=f"{number:043}=",
        changed_generation=1,
        dns_label=f"d{number}",
        device=f"device {number}",
    )
