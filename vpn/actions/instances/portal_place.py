"""Whether the portal itself runs on a hub's server.

Devices that send all traffic through that hub then reach the portal through it.
"""

from __future__ import annotations

import socket
import threading
from functools import partial
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction

from portal.actions.acting import acted
from portal.models import Principal
from vpn import doorbell
from vpn.actions.instances.recovery import raise_generation
from vpn.choices import InstanceState
from vpn.models import Instance, Server

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PATIENCE: Final = 3.0  # seconds that a start waits for the DNS


def place_portal(server_id: UUID, *, by: Principal) -> None:
    """Store the portal's port if PUBLIC_URL points to this server, and update its hubs if that changed.

    A name that does not resolve now changes nothing.
    """
    public = urlsplit(settings.PUBLIC_URL)
    found = _addresses_of(public.hostname or "")
    if not found:
        return
    with transaction.atomic():
        server = Server.objects.select_for_update(no_key=True).get(pk=server_id)
        here = not found.isdisjoint(server.addresses)
        port = (public.port or _DEFAULT_PORTS[public.scheme]) if here else None
        if port == server.portal_port:
            return
        server.portal_port = port
        server.save(update_fields=["portal_port"])
        acted(by, "portal placed", server)
        hubs = Instance.objects.filter(server=server, state=InstanceState.READY).order_by("pk")
        for pk, organization_id, region_id in hubs.values_list("pk", "organization", "region"):
            raise_generation(pk, by=by)
            transaction.on_commit(partial(doorbell.enqueue_apply, pk, organization_id, region_id))


def _addresses_of(host: str) -> set[str]:
    """The addresses of a host; none if it does not resolve in time."""
    found: set[str] = set()

    def resolve() -> None:
        try:
            answers = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
        except OSError:
            return
        found.update(str(ip_address(str(answer[4][0]).partition("%")[0])) for answer in answers)

    asking = threading.Thread(target=resolve, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return set(found)
