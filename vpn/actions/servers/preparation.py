"""The rows of a server's preparation: its begin, its steps, and its end."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn import doorbell
from vpn.actions.servers.input import refuse_compromised
from vpn.actions.servers.loss import find_again
from vpn.choices import NodeState, PreparationStepName, ServerState, StepState
from vpn.models import CloudNode, Preparation, PreparationStep, Server, SshAccess
from vpn.wire import preparing
from vpn.wire.preparing import Line

_STATES = {
    preparing.DONE: StepState.SUCCEEDED,
    preparing.RUNNING: StepState.RUNNING,
    preparing.FAILED: StepState.FAILED,
}


_STATE = ("state", "state_since", "state_reason")


def begin_preparation(server: Server, *, by: Principal, ring: bool = True) -> Preparation:
    """Begin to prepare a server, or to repair it; `ring` lets a worker do it. Raises NotPossible.

    A ready server stays ready meanwhile, and its hubs go on.
    """
    access = SshAccess.objects.filter(server=server).first()
    if access is None:
        raise NotPossible(
            _("%(server)s is not reached over SSH, so there is nothing to prepare.") % {"server": server.name}
        )
    if not access.host_key:
        raise NotPossible(
            _("The host key of %(server)s is not confirmed yet.") % {"server": server.name},
            next_step=_("Compare its fingerprint, and confirm it first."),
        )
    refuse_compromised(server)
    _refuse_ordered(server)
    now = timezone.now()
    with transaction.atomic():
        locked = Server.objects.select_for_update(no_key=True).get(pk=server.pk)
        begun, _is_new = Preparation.objects.update_or_create(
            server=locked,
            defaults={"attempt": uuid.uuid4(), "is_running": True, "started_at": now, "continued_at": None},
        )
        locked.preparation_steps.all().delete()
        PreparationStep.objects.bulk_create(
            PreparationStep(server=locked, position=position, name=name)
            for position, name in enumerate(PreparationStepName.values)
        )
        if locked.state == ServerState.NEW:
            locked.state, locked.state_since = ServerState.PREPARING, now
        if locked.state == ServerState.PREPARING:
            locked.state_reason = None
        locked.save(update_fields=_STATE)
        acted(by, "preparation begun", locked)
        if ring:
            transaction.on_commit(partial(doorbell.enqueue_prepare, locked.pk))
    return begun


def _refuse_ordered(server: Server) -> None:
    """Raise NotPossible for a cloud's server that has not answered yet: its failure would order another one."""
    node = CloudNode.objects.filter(server=server).first()
    if node is not None and node.state in {NodeState.WANTED, NodeState.BOOTING}:
        raise NotPossible(
            _("%(server)s is still being ordered.") % {"server": server.name},
            next_step=_("Wait: the portal prepares it as soon as it answers over SSH."),
        )
    if node is not None and node.state == NodeState.FAILED:
        raise NotPossible(
            _("The order of %(server)s has failed.") % {"server": server.name},
            next_step=_("Try one of its instances again."),
        )


def note_lines(preparation: Preparation, lines: Sequence[Line], *, by: Principal) -> None:
    """Record the results of a look. A failed step ends the preparation."""
    now = timezone.now()
    with transaction.atomic():
        if not _is_current(preparation):
            return
        for line in lines:
            PreparationStep.objects.filter(server=preparation.server_id, name=line.step).update(
                state=_STATES[line.state],
                value=line.value,
                refusal=line.finding.document() if line.finding is not None else None,
                finished_at=None if line.state == preparing.RUNNING else now,
            )
        failed = next((line for line in lines if line.state == preparing.FAILED), None)
        if failed is not None:
            Preparation.objects.filter(pk=preparation.pk).update(is_running=False)
            why = failed.finding.document() if failed.finding is not None else None
            Server.objects.filter(pk=preparation.server_id, state=ServerState.PREPARING).update(state_reason=why)
            acted(by, "preparation failed", preparation)


def conclude_preparation(preparation: Preparation, *, by: Principal) -> None:
    """Record that the agent answers: the server is ready."""
    now = timezone.now()
    with transaction.atomic():
        if not _is_current(preparation):
            return
        Preparation.objects.filter(pk=preparation.pk).update(is_running=False)
        server = Server.objects.select_for_update(no_key=True).get(pk=preparation.server_id)
        if server.state == ServerState.LOST:
            find_again(server, by=by)
        if server.state != ServerState.READY:
            server.state, server.state_since, server.loss_mailed_at = ServerState.READY, now, None
        server.state_reason, server.unanswered, server.silent_since, server.check_at = None, 0, None, now
        server.save(update_fields=[*_STATE, "unanswered", "silent_since", "check_at", "loss_mailed_at"])
        acted(by, "prepared", server)


def note_installed(server: Server, agent: str, *, by: Principal) -> None:
    """Record the version of the agent that was installed: workers open new sessions with it."""
    if SshAccess.objects.filter(server=server).exclude(agent=agent).update(agent=agent):
        acted(by, "agent installed", server)


def _is_current(preparation: Preparation) -> bool:
    """Return True unless another preparation of the server has begun."""
    rows = Preparation.objects.select_for_update().filter(
        pk=preparation.pk, attempt=preparation.attempt, is_running=True
    )
    return bool(rows)
