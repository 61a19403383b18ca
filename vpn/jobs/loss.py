"""Build the hubs of a lost server anew on other servers, once they cannot run there any more."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.exceptions import Conflict, NotPossible
from portal.models import Principal
from vpn.actions.instances.move import rebuild_instance
from vpn.actions.servers.loss import note_no_room
from vpn.choices import InstanceState, OperationKind, OperationState, ServerState
from vpn.models import Instance, Operation, Server
from vpn.models.querysets import InstanceQuerySet

logger = logging.getLogger(__name__)
_BY: Final = Principal.portal(gettext_noop("the hub's server is lost"))
_AT_ONCE: Final = 20
# After a refusal, or a rebuild that failed.
_AGAIN: Final = timedelta(seconds=60)


def rebuild_lost_hubs() -> None:
    """Begin to build the next lost hubs anew; those without room are tried again later."""
    for instance in _due().select_related("region", "server")[:_AT_ONCE]:
        try:
            rebuild_instance(instance, by=_BY, in_place=False)
        except (Conflict, NotPossible) as refusal:
            logger.warning("The hub of instance %s is not built anew: %s", instance.pk, refusal)
            note_no_room(instance, refusal, _AGAIN, by=_BY)


def _due() -> InstanceQuerySet:
    """Lost hubs whose lease has ended on their server, and that had one."""
    now = timezone.now()
    over = Server.objects.filter(state=ServerState.LOST, region__rebuild_lost=True, lease_ends_at__lt=Now())
    lost = Instance.objects.filter(Q(retry_at=None) | Q(retry_at__lt=now), server__in=over, state=InstanceState.LOST)
    leased = lost.filter(observation__leased_on=F("server"))
    begun = Q(state=OperationState.RUNNING) | Q(started_at__gt=now - _AGAIN)
    tried = Operation.objects.filter(begun, kind=OperationKind.REBUILD, instance__in=lost)
    return leased.exclude(operations__in=tried).order_by("created_at")
