"""What one change does to rows, both ways: with it a plan is worked out later, or before anything is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from vpn.wire.documents import RuleDocument

# JSON data of a peer's row (vpn.plan.rows.Row.document); None where it is not there.
PeerDocument = dict[str, Any] | None
# A record of the instance's DNS: name, type, value.
Record = tuple[str, str, str]
# An instance's rules, in order.
Rules = list[RuleDocument]
# Names that differ in stored plans: during an upgrade, workers of two versions read the same rows.
_STORED = {"group_changes": "turned"}
_NAMES = {stored: name for name, stored in _STORED.items()}


@dataclass
class Delta:
    """Before and after of everything that a change touches; nothing in it is a secret.

    `columns` are those of the instance, and `server_networks`; `rules` the whole lists; `peers` rows by id;
    `group_changes` are members who joined or left a group, by the group's tag: to do it again is to undo it. `records`
    are those that are removed, and those that are added.
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
        """Yield the ends of the rules before and after, and the groups whose members the change changes."""
        for rules in self.rules or ():
            for rule in rules:
                yield rule["source"]
                yield rule["destination"]
        yield from self.group_changes
