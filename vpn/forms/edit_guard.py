"""Forms that replace a whole table: a save does not overwrite what another user saved since the form was shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms

from portal.exceptions import NotPossible
from vpn.models import Instance

SEEN: Final = "seen"


class GuardedForm(forms.Form):
    """A form that carries a digest of what was saved when it was shown, in a hidden field; `seen` is its value."""

    def __init__(self, data: Mapping[str, str] | None, *, instance: Instance, initial: Mapping[str, Any]) -> None:
        super().__init__(data, initial=dict(initial))
        self.instance = instance
        self.seen = _digest(self.state_of(instance)) if data is None or SEEN not in data else data[SEEN]

    def state_of(self, instance: Instance) -> object:
        """What the form replaces, as it is stored now."""
        raise NotImplementedError

    def changes(self) -> dict[str, Any]:
        """What differs from what is stored, as `update_instance` takes it."""
        raise NotImplementedError

    def refuse_concurrent_edit(self, locked: Instance) -> None:
        """Raise NotPossible once if the table changed since the form was shown. A form without the digest may save.

        The form then carries the new digest: the user was told, and may send it again.
        """
        digest = _digest(self.state_of(locked))
        if SEEN in self.data and self.seen != digest:
            self.seen = digest
            raise NotPossible(
                "Another user changed this meanwhile.",
                next_step="Nothing of yours is saved yet. Open this page again beside this one to see their change; "
                "press Save again to replace it with what is here.",
            )


def _digest(state: object) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()
