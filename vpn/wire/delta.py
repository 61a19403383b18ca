"""HubDelta, schema 1: a small change to an agent's saved spec."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from vpn.wire import parsing
from vpn.wire.documents import DeltaDocument
from vpn.wire.identity import HUB, MAXIMUM_COUNTER, SCHEMA, check_schema
from vpn.wire.parsing import UUID, Faults
from vpn.wire.peers import Peer, parse_peers
from vpn.wire.rules import Rule, parse_rules
from vpn.wire.spec import ALLOW, DENY

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = frozenset({"schema", "hub", "epoch", "generation", "base", "digest", "upsert", "remove"})
_OPTIONAL_FIELDS: Final = frozenset({"crl", "rules", "forwarding"})


@dataclass(frozen=True)
class HubDelta:
    """A small change to an agent's saved spec. Its own fields are validated, but not yet against that spec.

    `crl` is the new revocation list, `rules` and `forwarding` the new firewall rules and policy. An empty string and
    None mean no change.
    """

    hub: str
    epoch: int
    generation: int
    base_generation: int
    base_digest: str
    digest: str
    upsert: dict[str, Peer] = field(repr=False)
    remove: tuple[str, ...] = field(repr=False)
    crl: str = field(default="", repr=False)
    rules: tuple[Rule, ...] | None = None
    forwarding: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """Epoch and generation, which order deltas and specs."""
        return self.epoch, self.generation

    def document(self) -> DeltaDocument:
        """Return the delta as JSON data."""
        document: DeltaDocument = {
            "schema": SCHEMA,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "base": {"generation": self.base_generation, "digest": self.base_digest},
            "digest": self.digest,
            "upsert": {peer_id: peer.document() for peer_id, peer in self.upsert.items()},
            "remove": list(self.remove),
        }
        if self.crl:
            document["crl"] = self.crl
        if self.rules is not None:
            document["rules"] = [rule.document() for rule in self.rules]
        if self.forwarding:
            document["forwarding"] = self.forwarding
        return document


def parse_delta(document: object) -> HubDelta:
    """Return the delta that `document` (JSON data) describes. Raises AgentError `invalid` with all faults."""
    faults = Faults()
    data = parsing.fields_of(document, "delta", _FIELDS, faults, _OPTIONAL_FIELDS)
    if not data:
        faults.raise_if_any("delta")
    check_schema(data, faults)
    base = parsing.fields_of(data.get("base"), "base", frozenset({"generation", "digest"}), faults)
    remove = data.get("remove")
    if not isinstance(remove, list) or not all(isinstance(item, str) and UUID.fullmatch(item) for item in remove):
        faults.append("remove is a list of peer ids")
        remove = []
    delta = HubDelta(
        hub=parsing.text(data.get("hub"), "hub", HUB, faults),
        epoch=parsing.number(data.get("epoch"), "epoch", 1, MAXIMUM_COUNTER, faults),
        generation=parsing.number(data.get("generation"), "generation", 1, MAXIMUM_COUNTER, faults),
        base_generation=parsing.number(base.get("generation"), "base.generation", 1, MAXIMUM_COUNTER, faults),
        base_digest=parsing.text(base.get("digest"), "base.digest", _DIGEST, faults),
        digest=parsing.text(data.get("digest"), "digest", _DIGEST, faults),
        upsert=parse_peers(data.get("upsert"), "upsert", faults),
        remove=tuple(dict.fromkeys(remove)),
        crl=parsing.pem(data["crl"], "crl", "X509 CRL", faults) if "crl" in data else "",
        rules=parse_rules(data["rules"], faults) if "rules" in data else None,
        forwarding=parsing.choice(data["forwarding"], "forwarding", (ALLOW, DENY), faults)
        if "forwarding" in data
        else "",
    )
    if delta.upsert.keys() & set(delta.remove):
        faults.append("a peer is in upsert and in remove")
    faults.raise_if_any("delta")
    return delta
