"""Looking at what hubs do: handshakes, endpoints, bytes, and whether they run what they confirmed."""

from __future__ import annotations

import logging
from uuid import UUID

from portal.models import Principal
from vpn import doorbell
from vpn.actions.instances.drift import undo_drift
from vpn.actions.instances.recovery import apply_again
from vpn.actions.peers.protocol_change import conclude_changes
from vpn.drivers.base import AgentError, HubReport, Unreachable, errors
from vpn.jobs.servers import driver_for, note_agent
from vpn.jobs.tick import begin_tick
from vpn.models import Instance
from vpn.observed import record_observation

logger = logging.getLogger(__name__)
OBSERVE_SECONDS = 4
_GONE = Principal.portal("the hub was gone from its server")
_DIFFERS = Principal.portal("the hub runs something else than it confirmed")
_DRIFT = Principal.portal("undoing what was changed on the server")
_ARRIVED = Principal.portal("the peer uses its new protocol")


def observe_all() -> None:
    """Ring for every instance that has a hub."""
    if begin_tick("observe", OBSERVE_SECONDS):
        for pk, organization_id in Instance.objects.with_hub().values_list("pk", "organization"):
            doorbell.enqueue_observe(pk, organization_id)


def observe_instance(instance_id: str) -> None:
    """Look at one hub, note what is seen, and ring where it does not run what it confirmed."""
    instance = Instance.objects.with_hub().select_related("server__region").filter(pk=UUID(instance_id)).first()
    if instance is None:
        return
    try:
        report = driver_for(instance.server).status(instance.hub, peers=True)
    except AgentError as error:
        if error.code in {errors.UNKNOWN_HUB, errors.DESTROYED} and _is_at_rest(instance):
            logger.warning("The hub of instance %s is gone from its server; bringing it back", instance.pk)
            apply_again(instance.pk, instance.organization_id, by=_GONE)
        return
    except Unreachable as error:
        logger.warning("Observing instance %s failed: %s", instance.pk, error)
        return
    note_agent(instance.server, report)
    if report.alive:  # a hub that is down was not observed: nobody is connected through it
        conclude_changes(instance.pk, record_observation(instance.pk, report), by=_ARRIVED)
    if not _is_at_rest(instance):
        return
    if not _matches(instance, report):
        logger.warning("The hub of instance %s runs something else than it confirmed; applying again", instance.pk)
        apply_again(instance.pk, instance.organization_id, by=_DIFFERS)
    elif report.drift and undo_drift(instance.pk, report.drift, by=_DRIFT):
        logger.warning(
            "Somebody else changed the hub of instance %s: %s", instance.pk, ", ".join(map(str, report.drift))
        )


def _is_at_rest(before: Instance) -> bool:
    """Did nothing change, and does nobody change anything? What a hub says in the midst of a change means nothing."""
    return (
        before.is_up_to_date
        and Instance.objects.unclaimed()
        .filter(
            pk=before.pk,
            epoch=before.epoch,
            desired_generation=before.desired_generation,
            applied_generation=before.applied_generation,
            applied_digest=before.applied_digest,
        )
        .exists()
    )


def _matches(instance: Instance, report: HubReport) -> bool:
    if not report.alive:
        return False
    return (report.epoch, report.generation, report.digest) == (
        instance.applied_epoch,
        instance.applied_generation,
        instance.applied_digest,
    )
