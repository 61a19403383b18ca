"""Writing settings of an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portal.models import Principal
from vpn.actions.dns.records import FIELD as RECORDS
from vpn.actions.dns.settings import replace_records
from vpn.actions.firewall.rules import write_rules
from vpn.models import Instance, RuleRow


def write_settings(locked: Instance, former: Sequence[RuleRow], wanted: Mapping[str, Any], *, by: Principal) -> None:
    """Write the wanted settings into a locked instance, whose generation was raised; `former` are its rules."""
    rest = dict(wanted)
    if RECORDS in rest:
        replace_records(locked, rest.pop(RECORDS), by=by)
    write_rules(locked, former, rest, by=by)
    for field, value in rest.items():
        setattr(locked, field, value)
