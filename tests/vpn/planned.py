"""What a change would mean: asked, then answered, as pages and the API do it."""

from __future__ import annotations

from collections.abc import Callable

from vpn.actions.activity.planning import compute_plan, preview
from vpn.plan.explaining import Plan


def planned(change: Callable[[], object]) -> Plan:
    """What `change`, an action, would mean; nothing of it stays. Raises what the action and `answer` raise."""
    return compute_plan(preview(change))
