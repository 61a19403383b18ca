"""Revocations are sent to their hubs before anything is written, and before those that were sent are recorded."""

from __future__ import annotations

import logging
from uuid import UUID

from portal.sealing import UnsealError
from vpn import doorbell
from vpn.desired import ConcurrentChange, Desired, can_be_delta, compile_change, compile_removals
from vpn.drivers.base import AgentError, HubReport, Unreachable, errors
from vpn.jobs.servers import driver_for
from vpn.models import Instance

logger = logging.getLogger(__name__)
Sent = tuple[Desired, HubReport]
# By instance, what this process has sent and not recorded yet. If it is lost, the next job sends the same again.
_sent: dict[UUID, Sent] = {}


def send_ahead(instance: Instance) -> tuple[Sent | None, bool]:
    """Send the delta before the instance is claimed. Return it, or None if it has to wait for the claim.

    Also return True if the hub enforces the revocation: it does so already if it is busy and the delta only removes
    peers. The agent enforces the order even without a claim: it refuses an older generation and a delta with another
    base. If the whole spec has to be sent, a delta that only removes peers is sent first.
    """
    compilers = (compile_change, compile_removals) if can_be_delta(instance) else (compile_removals,)
    for compiler in compilers:
        desired = None
        try:
            desired = compiler(instance.pk)
            if desired is not None and desired.is_delta:
                ahead = bool(desired.document["remove"])
                return (desired, driver_for(instance.server).apply(desired.document, delta=True, ahead=ahead)), True
        except (AgentError, Unreachable, ConcurrentChange, UnsealError) as error:
            logger.info("Instance %s has to be claimed first: %s", instance.pk, error)
            # With the last OpenVPN peer the listeners stop, which needs the whole spec: remove the peer alone first.
            if not isinstance(error, AgentError) or error.code != errors.BASE_MISMATCH:
                is_busy = isinstance(error, AgentError) and error.code == errors.BUSY
                return None, is_busy and desired is not None and _only_removes(instance, desired)
    return None, False


def _only_removes(instance: Instance, desired: Desired) -> bool:
    """Return True if a delta removes peers and revokes nothing else."""
    is_of_peers = desired.is_part or instance.settings_generation <= instance.applied_generation
    return is_of_peers and not desired.document["upsert"]


def has_to_wait(pk: UUID, sent: Sent) -> bool:
    """Keep what was `sent` for this instance, and return True, if revocations wait that were not sent yet."""
    waiting = doorbell.waiting_revocations() - {pk}
    # A spare worker may have taken the others.
    for other in _sent.keys() - waiting:
        del _sent[other]
    if sent[0].is_part or waiting <= _sent.keys():
        return False
    _sent[pk] = sent
    return True


def sent_before(instance: Instance) -> Sent | None:
    """Return what this process has sent for the instance, if nothing has changed since. It is kept no longer."""
    sent = _sent.pop(instance.pk, None)
    if sent is None or sent[0].generation != instance.desired_generation or not follows(instance, sent[0]):
        return None
    return sent


def forget(pk: UUID) -> None:
    """Keep nothing for an instance whose hub is up to date, or that is no task of these jobs."""
    _sent.pop(pk, None)


def follows(instance: Instance, sent: Desired) -> bool:
    """Return True if a delta was sent on the recorded confirmation, and is newer.

    Otherwise another worker has recorded it, or what the hub had confirmed was discarded: then it is sent again.
    """
    base = sent.document["base"]
    is_base = (base["generation"], base["digest"]) == (instance.applied_generation, instance.applied_digest)
    noted = (instance.applied_epoch, instance.applied_generation)
    return is_base and instance.epoch == sent.epoch and (sent.epoch, sent.generation) > noted
