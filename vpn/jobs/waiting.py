"""What `reconcile` has to look at: one statement for all kinds of work, compiled once.

Nearly always, none waits. Django takes longer to write a dozen queries than the database takes to answer them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from portal.models import QueuedMail
from vpn.choices import InstanceState, OperationKind, OperationState, PlanState
from vpn.models import ChangePlan, Instance, Operation, Peer, RetiredHub

_UNFINISHED: Final = (InstanceState.PENDING, InstanceState.PROVISIONING, InstanceState.DELETING)


@dataclass
class Waiting:
    """Asks which kinds of work may have rows. Conditions may depend on the database's clock only: they are kept."""

    kinds: Callable[[], Mapping[str, list[QuerySet[Any]]]]
    # By database system: the statement, its parameters, and the kinds in the order of its columns.
    _compiled: dict[str, tuple[str, list[Any], list[str]]] = field(default_factory=dict)

    def ask(self) -> set[str]:
        """Return the kinds of work that may wait."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile()
        statement, parameters, names = self._compiled[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return {name for name, waits in zip(names, cursor.fetchone(), strict=True) if waits}

    def _compile(self) -> tuple[str, list[Any], list[str]]:
        columns: list[str] = []
        parameters: list[Any] = []
        names: list[str] = []
        for name, querysets in self.kinds().items():
            for rows in querysets:
                statement, given = rows.order_by().values("pk")[:1].query.sql_with_params()
                columns.append(f"EXISTS({statement})")
                parameters += given
                names.append(name)
        return f"SELECT {', '.join(columns)}", parameters, names


def _kinds() -> dict[str, list[QuerySet[Any]]]:
    """Return by kind of work the rows that it may concern: `reconcile` looks closer."""
    behind = Q(applied_generation__lt=F("desired_generation")) | ~Q(applied_epoch=F("epoch"))
    concerned = Q(state__in=_UNFINISHED) | Q(behind, state=InstanceState.READY) | Q(lagging_since__isnull=False)
    expired = Peer.objects.filter(Q(expires_at__lte=Now()) | Q(unused_until__lte=Now())).exclude(applied_digest="")
    moving = Operation.objects.filter(
        kind__in=[OperationKind.MOVE, OperationKind.REBUILD], state=OperationState.RUNNING
    )
    unverified = Q(observation__verify_at=None) | Q(observation__verify_at__lte=Now())
    return {
        "instances": [Instance.objects.filter(concerned)],
        "expiry": [expired.filter(changed_generation__lte=F("instance__applied_generation"))],
        "moves": [moving, RetiredHub.objects.all()],
        "mail": [
            ChangePlan.objects.filter(mail_requested_at__isnull=False, mail_finished_at=None),
            QueuedMail.objects.all(),
        ],
        "plans": [ChangePlan.objects.filter(state=PlanState.WAITING)],
        "verify": [
            Instance.objects.filter(unverified, state=InstanceState.READY, applied_generation=F("desired_generation"))
        ],
    }


WAITING: Final = Waiting(_kinds)
