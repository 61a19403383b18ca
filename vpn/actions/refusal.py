"""The error that refuses settings of an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portal.exceptions import InvalidInput
from vpn.actions.dns.records import RecordFault
from vpn.actions.firewall.input import RuleFault


class InvalidSettings(InvalidInput):
    """Faults in settings. Faults of tables are listed by row too: firewall rules and DNS records."""

    def __init__(
        self,
        errors: Mapping[str, Sequence[str]],
        rule_faults: Sequence[RuleFault] = (),
        record_faults: Sequence[RecordFault] = (),
    ) -> None:
        super().__init__(errors)
        self.rule_faults = tuple(rule_faults)
        self.record_faults = tuple(record_faults)
