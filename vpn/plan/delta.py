"""The effect of one change on rows, in both directions.

Plans are computed from it: later for a saved change, at once for a preview.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from vpn.wire.documents import RuleDocument

# JSON data of a peer's row (vpn.plan.rows.Row.document); None if the peer does not exist.
PeerDocument = dict[str, Any] | None
# A record of the instance's DNS: name, type, value.
Record = tuple[str, str, str]
# An instance's rules, in order.
Rules = list[RuleDocument]
# Keys of stored deltas that differ from the field's name. They stay, since two versions read them during an upgrade.
_STORED = {"group_changes": "turned"}
_NAMES = {stored: name for name, stored in _STORED.items()}


@dataclass
class Delta:
    """Everything that a change touches, before and after; it holds no secret.

    `columns` are those of the instance, and `server_networks`; `rules` the whole lists; `peers` rows by id.
    `group_changes` are members who joined or left a group, by the group's tag: applying it twice reverts it. `records`
    are the removed ones and the added ones.
    """

    columns: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    rules: tuple[Rules, Rules] | None = None
    peers: dict[str, tuple[PeerDocument, PeerDocument]] = field(default_factory=dict)
    group_changes: dict[str, list[str]] = field(default_factory=dict)
    records: tuple[Sequence[Record], Sequence[Record]] = ((), ())

    def document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {_STORED.get(one.name, one.name): getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` returned."""
        return cls(**{_NAMES.get(name, name): value for name, value in document.items()})

    def ends(self) -> Iterator[str]:
        """Yield the ends of the rules before and after, and the groups that the change touches."""
        for rules in self.rules or ():
            for rule in rules:
                yield rule["source"]
                yield rule["destination"]
        yield from self.group_changes
