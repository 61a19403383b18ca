"""A site's subnets and what its peers advertise are one list from now on: sites take over what is advertised.

Nothing that is routed changes: the peers keep what they have.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from django.db import migrations

# Wider ones merely lead through a site (vpn.addressing.networks.is_broad).
_WIDEST = {4: 8, 6: 32}


def take_over(apps: Any, schema_editor: Any) -> None:
    peers = apps.get_model("vpn", "Peer").objects.exclude(site=None).order_by("created_at", "id")
    advertised: dict[Any, dict[str, None]] = {}
    for site_id, subnets in peers.values_list("site_id", "subnets"):
        for text in subnets:
            if ip_network(text).prefixlen >= _WIDEST[ip_network(text).version]:
                advertised.setdefault(site_id, {})[text] = None
    for site in apps.get_model("vpn", "Site").objects.filter(pk__in=advertised):
        subnets = list(dict.fromkeys([*site.subnets, *advertised[site.pk]]))
        if subnets != site.subnets:
            site.subnets = subnets
            site.save(update_fields=["subnets"])


class Migration(migrations.Migration):
    dependencies = [("vpn", "0016_pool_origin")]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
