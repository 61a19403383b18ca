"""The one place where actions record who changed which row.

Every action takes `by` and passes it on. Where a row changes, it calls `acted` in the same transaction.
"""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models import Model

from portal.audit.log import note_own_act
from portal.models import Principal, PrincipalKind


def acted(by: Principal, did: str, on: Model) -> None:
    """Record that `by` did something to a row; `did` is a past participle, such as "deleted".

    Actions of the portal itself get a line in the audit log after the commit. Requests and commands have their own
    lines.
    """
    if by.kind == PrincipalKind.PORTAL:
        what = {"object": on._meta.label_lower, "id": on.pk}
        transaction.on_commit(partial(note_own_act, by, did, **what))
