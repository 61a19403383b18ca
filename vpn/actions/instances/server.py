"""Settings of a server that staff change."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.exceptions import InvalidInput
from portal.models import Principal
from vpn.actions.activity.planning import planned_change
from vpn.actions.change import Scope
from vpn.addressing.networks import Network
from vpn.choices import InstanceState
from vpn.constants import MOST_SERVER_NETWORKS
from vpn.models import Server
from vpn.validators import parse_server_network

_LEFT_ALONE = (InstanceState.DELETING, InstanceState.LOST)


def allow_networks(server: Server, texts: Sequence[str], *, by: Principal) -> Server:
    """Let instances push networks behind their server, and update the hubs whose routes lead there.

    Raises InvalidInput with the fault of every network.
    """
    networks = _cleaned(texts)
    with transaction.atomic():
        locked = Server.objects.select_for_update(no_key=True).get(pk=server.pk)
        if locked.networks == networks:
            return locked
        with one_act(by, "networks allowed", locked):
            _allow(locked, networks, by)
    return locked


def _allow(locked: Server, networks: list[str], by: Principal) -> None:
    """Write the networks of a locked server, and update the hubs concerned."""
    concerned = locked.instances.exclude(state__in=_LEFT_ALONE).exclude(pushed_routes=[])
    # Every action locks several instances in this order, so that no two can deadlock.
    for pk in list(concerned.order_by("pk").values_list("pk", flat=True)):
        with planned_change(pk, by=by, scope=Scope.WHOLE) as instance:
            # The previous networks, to compare with.
            instance.server = copy.copy(locked)
            instance.server.networks = networks
            acted(by, "server networks changed", instance)
    locked.networks = networks
    locked.save(update_fields=["networks"])


def _cleaned(texts: Sequence[str]) -> list[str]:
    if len(texts) > MOST_SERVER_NETWORKS:
        raise InvalidInput.in_field(
            "networks", _("Name at most %(most_server_networks)s.") % {"most_server_networks": MOST_SERVER_NETWORKS}
        )
    networks: dict[Network, None] = {}
    faults: list[str] = []
    for text in texts:
        try:
            networks[parse_server_network(text)] = None
        except ValidationError as error:
            faults += error.messages
    if faults:
        raise InvalidInput({"networks": faults})
    return [str(network) for network in networks]
