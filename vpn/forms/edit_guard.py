"""Forms that replace a whole table: a save must not overwrite another user's change since the form was shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _

from portal.exceptions import NotPossible
from vpn.forms.note import note_field
from vpn.models import Instance

SEEN: Final = "seen"


class GuardedForm(forms.Form):
    """A form with a hidden digest (`seen`) of the table as it was when the form was shown."""

    note = note_field()

    def __init__(self, data: Mapping[str, str] | None, *, instance: Instance, initial: Mapping[str, Any]) -> None:
        super().__init__(data, initial=dict(initial))
        self.instance = instance
        self.seen = _digest(self.state_of(instance)) if data is None or SEEN not in data else data[SEEN]

    def state_of(self, instance: Instance) -> object:
        """The stored values that the form replaces."""
        raise NotImplementedError

    def changes(self) -> dict[str, Any]:
        """What differs from the stored values, as `update_instance` takes it."""
        raise NotImplementedError

    def refuse_concurrent_edit(self, locked: Instance) -> None:
        """Raise NotPossible once if the table changed since the form was shown.

        The form then carries the new digest, so that the informed user may save it again. A form without a digest may
        save.
        """
        digest = _digest(self.state_of(locked))
        if SEEN in self.data and self.seen != digest:
            self.seen = digest
            raise NotPossible(
                _("Another user changed this meanwhile."),
                next_step=_(
                    "Nothing of yours is saved yet. Open this page again beside this one to see their change; "
                    "press Save again to replace it with what is here."
                ),
            )


def _digest(state: object) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()
