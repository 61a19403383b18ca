"""`python -m tests.bench.seed INSTANCE NUMBER [PROTOCOL]`: fill an instance up to that many client peers.

Waits until its hub has them, and prints how long both took.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import transaction  # noqa: E402 - needs the settings

from portal.models import Membership  # noqa: E402
from tests.factories import BY  # noqa: E402
from tests.lab.waiting import wait_until  # noqa: E402
from vpn.actions.peers.peer import create_client_peer  # noqa: E402
from vpn.models import Instance  # noqa: E402

CHUNK = 250  # in one transaction, because other writers to SQLite wait for its end


def main(instance_id: str, number: int, protocol: str = "wireguard") -> None:
    """Create what is missing, and wait."""
    logging.disable(logging.INFO)  # the audit log would print three lines for each peer
    instance = Instance.objects.get(pk=instance_id)
    member = Membership.objects.filter(organization=instance.organization).select_related("user")[0]
    missing = list(range(instance.peers.count(), number))
    started = time.perf_counter()
    for first in range(0, len(missing), CHUNK):
        with transaction.atomic():
            for count in missing[first : first + CHUNK]:
                create_client_peer(instance, member=member, device=f"device {count}", protocol=protocol, by=BY)
    created = time.perf_counter()
    wait_until(lambda: Instance.objects.get(pk=instance_id).server_ready, 120, f"{number} peers on the hub")
    settled = time.perf_counter()
    sys.stdout.write(json.dumps({"created": created - started, "settled": settled - created}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
