"""How settings of an instance are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portal.exceptions import InvalidInput
from vpn.actions.dns.records import RecordFault
from vpn.actions.firewall.input import RuleFault


class InvalidSettings(InvalidInput):
    """Settings at fault. Those of tables are told again by row: of firewall rules and of DNS records."""

    def __init__(
        self,
        errors: Mapping[str, Sequence[str]],
        rule_faults: Sequence[RuleFault] = (),
        record_faults: Sequence[RecordFault] = (),
    ) -> None:
        super().__init__(errors)
        self.rule_faults = tuple(rule_faults)
        self.record_faults = tuple(record_faults)
