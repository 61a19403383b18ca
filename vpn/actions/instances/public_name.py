"""A look at a hub's public name that an admin asks for."""

from __future__ import annotations

from django.db import transaction

from portal.actions.acting import acted
from portal.models import Principal
from vpn.models import Instance, PublicName


def check_name(instance: Instance, *, by: Principal) -> None:
    """Let the scheduled job look at the name at its next run."""
    with transaction.atomic():
        PublicName.objects.look_soon(instance)
        acted(by, "name checked", instance)
