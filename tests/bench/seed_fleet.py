"""`python -m tests.bench.seed_fleet NUMBER`: request that many instances at once, whatever the quotas are."""

from __future__ import annotations

import json
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from portal.models import Organization  # noqa: E402 - needs the settings
from tests.factories import BY  # noqa: E402
from vpn.actions.instances.instance import create_instance  # noqa: E402
from vpn.models import Region  # noqa: E402


def main(number: int) -> None:
    """Request them, and print the seconds that it took as JSON."""
    organization = Organization.objects.get()
    limits = {"most_instances": number, "most_provisioning": number}
    Organization.objects.filter(pk=organization.pk).update(**limits)
    region, began = Region.objects.get(pk="local"), time.perf_counter()
    for each in range(number):
        create_instance(organization, name=f"Hub {each}", hostname=f"hub{each}", region=region, pool_prefix=24, by=BY)
    sys.stdout.write(json.dumps({"requested": time.perf_counter() - began}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
