"""Saving of forms that replace a whole table (vpn.forms.edit_guard)."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from portal.actions.quota import lock_organization
from portal.exceptions import Conflict, InvalidInput
from portal.models import Principal
from vpn.actions.change import lock_instance
from vpn.actions.firewall.rules import prepare_rules
from vpn.actions.instances.settings import update_instance
from vpn.actions.revisions.notes import noted
from vpn.forms.edit_guard import GuardedForm
from vpn.forms.note import note_of
from vpn.models import Instance


def save_guarded(
    instance: Instance,
    form: GuardedForm,
    refuse: Callable[[Conflict | InvalidInput], None],
    *,
    by: Principal,
    confirm_within: int | None = None,
) -> bool:
    """Apply what differs; False if it was refused, which `refuse` shows in the form."""
    try:
        change_guarded(instance, form, by=by, confirm_within=confirm_within)
    except (Conflict, InvalidInput) as refusal:
        refuse(refusal)
        return False
    return True


def change_guarded(instance: Instance, form: GuardedForm, *, by: Principal, confirm_within: int | None = None) -> None:
    """Apply what differs, unless another user saved meanwhile; raises what the action refuses.

    `confirm_within` is as in `update_instance`.
    """
    if changes := form.changes():
        prepare_rules(changes.get("firewall", ()))
        with transaction.atomic():
            lock_organization(instance.organization_id)
            form.refuse_concurrent_edit(lock_instance(instance.pk))
            with noted(note_of(form)):
                update_instance(instance, by=by, confirm_within=confirm_within, **changes)
