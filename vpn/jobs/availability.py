"""Check whether servers over SSH answer. One that does not is left alone by all other jobs until it does."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.exceptions import NotPossible
from portal.models import Principal
from portal.sealing import UnsealError
from vpn import doorbell, failures
from vpn.actions.servers.condition import note_answer, note_silence
from vpn.actions.servers.preparation import begin_preparation
from vpn.choices import Driver, NodeState, ServerState
from vpn.drivers.base import AgentError, Unreachable
from vpn.drivers.registry import driver_at
from vpn.jobs.compromise import ring_for_compromised
from vpn.jobs.leases import note_clock
from vpn.jobs.loss import rebuild_lost_hubs
from vpn.jobs.servers import address_of
from vpn.models import Preparation, Server
from vpn.wire.version import agent_version

logger = logging.getLogger(__name__)
_BY = Principal.portal(gettext_noop("checking whether the server answers"))
_UPGRADE = Principal.portal(gettext_noop("installing this version's agent"))
_CHECKED: Final = (ServerState.READY, ServerState.UNREACHABLE, ServerState.LOST)
# A look at a server takes less; its worker was killed.
_ABANDONED: Final = timedelta(seconds=45)
# A failed upgrade of the agent is tried again after this time.
_UPGRADE_EVERY: Final = timedelta(minutes=10)


def ring_for_servers() -> None:
    """Ring for every server whose check is due, and for preparations whose worker was killed."""
    now = timezone.now()
    due = Q(check_at=None) | Q(check_at__lt=now)
    rebuild_lost_hubs()
    ring_for_compromised()
    # One that is being removed is not expected to answer.
    remote = Server.objects.exclude(region__driver=Driver.LOCAL).exclude(node__state=NodeState.REMOVING)
    waiting = remote.filter(due, state__in=_CHECKED).order_by(F("check_at").asc(nulls_first=True))
    for ids in waiting.values_list("pk", "region"):
        doorbell.enqueue_check(*ids)
    for pk in Server.objects.filter(state=ServerState.LOST, loss_mailed_at=None).values_list("pk", flat=True):
        doorbell.enqueue_loss_mail(pk)
    late = Q(continued_at__lt=now - _ABANDONED) | Q(continued_at=None, started_at__lt=now - _ABANDONED)
    for pk in Preparation.objects.filter(late, is_running=True).values_list("pk", flat=True):
        doorbell.enqueue_prepare(pk)


def check_server(server_id: str) -> None:
    """Ask a server's agent for an answer, and record whether it came."""
    server = Server.objects.select_related("region", "ssh").filter(pk=UUID(server_id), state__in=_CHECKED).first()
    if server is None:
        return
    try:
        driver = driver_at(address_of(server))
        driver.check()
    except (Unreachable, AgentError) as error:
        logger.warning("%s does not answer: %s", server.name, error)
        note_silence(server, error.finding or failures.AGENT_SILENT.of(), by=_BY)
    except UnsealError as error:
        note_silence(server, failures.SECRET_UNREADABLE.of(str(error).partition(" ")[0]), by=_BY)
    else:
        note_answer(server, by=_BY)
        note_clock(server, driver.clock)
        _upgrade(server)


def _upgrade(server: Server) -> None:
    """Install this version's agent where another one is. Hubs go on meanwhile."""
    if server.ssh.agent == agent_version():
        return
    last = Preparation.objects.filter(server=server).first()
    if last is not None and last.started_at > timezone.now() - _UPGRADE_EVERY:
        return
    try:
        begin_preparation(server, by=_UPGRADE)
    except NotPossible as refusal:
        logger.warning("The agent of %s stays: %s", server.name, refusal.message)
