"""Changes on trial: begun with a save, kept by a confirmation, or taken back by a person or by the hub itself.

One change of an instance is on trial at a time. Meanwhile other changes of the same settings are refused; peers, DNS
and all else change as usual, because they are the same before and after the trial.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.exceptions import InvalidInput, NotPossible
from portal.figures import grouped
from portal.models import Principal
from portal.told import Told, told
from vpn.actions.activity.change_words import settings_words
from vpn.actions.activity.planning import planned_change
from vpn.actions.change import Scope, changing, lock_changeable
from vpn.actions.firewall.input import missing_ends, present_ends
from vpn.actions.firewall.management import FIELDS as MANAGEMENT
from vpn.actions.instances.written import write_settings
from vpn.actions.unchanged import differing_settings
from vpn.choices import InstanceState, TrialState
from vpn.models import ChangePlan, ChangeTrial, Instance, Move, RuleRow, Server
from vpn.wire.trial import FEATURE, LONGEST, TrialReport

# The settings that a change on trial may touch.
TRIED: Final = frozenset({"firewall", "firewall_policy", "pushed_routes"}) | MANAGEMENT
FIELD: Final = "confirm_within"
USUAL: Final = 120  # seconds
SHORTEST: Final = 5
# A report that differs less from the known end is not written.
_EXACT: Final = timedelta(seconds=2)


def refuse_during_trial(locked: Instance, fields: Collection[str] = TRIED) -> None:
    """Raise NotPossible if one of these settings is on trial."""
    if not TRIED.isdisjoint(fields) and ChangeTrial.objects.running().filter(instance=locked).exists():
        raise NotPossible(
            _("A change of this instance's firewall or routes is waiting for confirmation."),
            code="trial-running",
            next_step=_("Keep it or return to the former settings first."),
            told=told("trial-running"),
        )


def check_trial(locked: Instance, fields: Collection[str], seconds: int) -> None:
    """Raise InvalidInput or NotPossible if these settings cannot be tried for so many seconds."""
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidInput.in_field(
            FIELD,
            _("Choose %(shortest)s to %(longest)s seconds.") % {"shortest": SHORTEST, "longest": grouped(LONGEST)},
        )
    if others := sorted(set(fields) - TRIED):
        raise InvalidInput.in_field(
            FIELD,
            _("Only the firewall and pushed routes return by themselves. Save %(others)s separately.")
            % {"others": ", ".join(others)},
        )
    if locked.state != InstanceState.READY or not locked.configured or locked.server is None:
        raise NotPossible(
            _("The hub is not ready, so it cannot return by itself."),
            next_step=_("Wait until it is ready, or save without confirmation."),
        )
    if Move.objects.filter(instance=locked).exists():
        raise NotPossible(
            _("This instance is being moved or rebuilt, and its new hub would try the change anew."),
            code="move-under-way",
            next_step=_("Wait until that is done, or save without confirmation."),
        )
    if FEATURE not in (locked.server.agent_features or ()):
        raise NotPossible(
            _("The agent on this hub's server is of an older release and cannot return by itself. Nothing is saved."),
            code="agent-too-old",
            next_step=_("Ask the operator to update the server, or save without confirmation."),
        )


def begin_trial(
    locked: Instance, former: dict[str, Any], words: Sequence[Told], seconds: int, *, by: Principal
) -> ChangeTrial:
    """Put the change that is being written on trial; `former` are the settings before it (`former_settings`)."""
    ChangeTrial.objects.filter(instance=locked).delete()
    trial = ChangeTrial.objects.create(
        instance=locked, seconds=seconds, former=former, changed=list(words), asked_by=by.document()
    )
    acted(by, "trial begun", locked)
    return trial


def forget_returned(locked: Instance, *, by: Principal) -> None:
    """Forget a trial that was taken back: a newer change of these settings is being saved."""
    if ChangeTrial.objects.filter(instance=locked, state=TrialState.RETURNED).delete()[0]:
        acted(by, "trial forgotten", locked)


def keep_change(instance: Instance, *, by: Principal) -> Instance:
    """Confirm the change on trial. Raises NotPossible unless the hub runs it, and its time is not over."""
    with transaction.atomic():
        locked = lock_changeable(instance.pk)
        trial = _running(locked)
        if trial.ends_at is None:
            raise NotPossible(
                _("The hub has not applied this change yet."),
                next_step=_("Wait until the page shows the time left, then keep the change."),
            )
        if trial.is_over():
            raise NotPossible(
                _("The time for confirming is over, and the hub returns to its former settings."),
                next_step=_("Save the change again if you want it."),
            )
        with (
            one_act(by, "change kept", locked) as act,
            changing(locked.pk, by=by, scope=Scope.WHOLE, urgent=True) as locked,
        ):
            act.on, act.details["changed"] = locked, trial.changed
            trial.delete()
    return locked


def return_change(instance: Instance, *, by: Principal) -> Instance:
    """Take the change on trial back now. Raises NotPossible."""
    with transaction.atomic():
        locked = lock_changeable(instance.pk)
        return _return(locked, _running(locked), by=by)


def note_trial(pk: UUID, seen: TrialReport | None, asked_at: datetime, *, by: Principal) -> None:
    """Record what a hub reported of its trial, when it was asked. If it has returned by itself, so does the portal.

    A trial that was confirmed or taken back in the portal meanwhile stays so.
    """
    trial = ChangeTrial.objects.running().filter(instance=pk, pk=seen.id).first() if seen is not None else None
    if seen is None or trial is None:
        return
    if seen.has_returned:
        with suppress(NotPossible, Instance.DoesNotExist):
            _note_returned(pk, trial.pk, by=by)
        return
    # At the earliest: the answer was on its way since.
    ends_at = asked_at + timedelta(seconds=seen.left)
    if trial.ends_at is None or abs(trial.ends_at - ends_at) > _EXACT:
        ChangeTrial.objects.running().filter(pk=trial.pk).update(ends_at=ends_at)


def end_untriable(server: Server, *, by: Principal) -> None:
    """Take back the changes that are on trial on a server whose agent knows no trials: it refuses their settings.

    The agent may have been replaced by an earlier release meanwhile.
    """
    rows = ChangeTrial.objects.running().filter(instance__server=server)
    for pk, trial_id in list(rows.values_list("instance", "pk")):
        with suppress(NotPossible, Instance.DoesNotExist):
            _note_returned(pk, trial_id, by=by)


def _note_returned(pk: UUID, trial_id: UUID, *, by: Principal) -> None:
    with transaction.atomic():
        locked = lock_changeable(pk)
        trial = ChangeTrial.objects.running().filter(pk=trial_id).first()
        if trial is not None:
            _return(locked, trial, by=by, was_unconfirmed=True)


def _running(locked: Instance) -> ChangeTrial:
    trial = ChangeTrial.objects.running().filter(instance=locked).first()
    if trial is None:
        raise NotPossible(_("No change of this instance is waiting for confirmation."), code="no-trial")
    return trial


def _return(locked: Instance, trial: ChangeTrial, *, by: Principal, was_unconfirmed: bool = False) -> Instance:
    """Restore the settings before the trial, as a new change. Rules that name what was deleted since stay out."""
    rows = RuleRow.all_of(locked)
    present = [row.values for row in rows]
    former = trial.rule_values
    gone = {fault.number for fault in missing_ends(locked.organization_id, former)}
    before = {
        "firewall": [values for number, values in enumerate(former, 1) if number not in gone],
        "firewall_policy": trial.former["firewall_policy"],
        "pushed_routes": trial.former["pushed_routes"],
        **_former_management(locked, trial),
    }
    wanted = differing_settings(locked, present, before)
    words = settings_words(present, wanted)
    trial.state, trial.returned_at, trial.was_unconfirmed = TrialState.RETURNED, timezone.now(), was_unconfirmed
    trial.save(update_fields=["state", "returned_at", "was_unconfirmed"])
    with one_act(by, "change returned", locked) as act:
        act.details["changed"] = words
        with planned_change(locked.pk, by=by, scope=Scope.WHOLE, urgent=True) as locked:
            act.on = locked
            write_settings(locked, rows, wanted, by=by)
    ChangePlan.objects.filter(instance=locked, generation=locked.desired_generation).update(changed=words)
    return locked


def _former_management(locked: Instance, trial: ChangeTrial) -> dict[str, Any]:
    """Who could manage routers before the trial, and by which services, without what was deleted since."""
    present = present_ends(locked.organization_id, trial.former_sources) if trial.former_sources else set()
    sources = [source for source in trial.former_sources if source in present]
    return {"management_services": trial.former_services if sources else [], "management_sources": sources}
