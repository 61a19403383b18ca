"""`python -m tests.bench.seed INSTANCE NUMBER`: fill an instance up to that many client peers, and ring for them."""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import transaction  # noqa: E402 - needs the settings

from portal.models import Membership  # noqa: E402
from vpn.actions.peer import create_client_peer  # noqa: E402
from vpn.models import Instance  # noqa: E402


def main(instance_id: str, number: int) -> None:
    """Create what is missing in one transaction."""
    instance = Instance.objects.get(pk=instance_id)
    member = Membership.objects.filter(organization=instance.organization).select_related("user")[0]
    with transaction.atomic():
        for count in range(instance.peers.count(), number):
            create_client_peer(instance, member=member, device=f"device {count}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
