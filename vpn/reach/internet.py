"""Names for the internet and its parts: `any`, one address family, or the networks that rules name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from vpn.reach.effects import Change
from vpn.reach.first_packet import NOWHERE
from vpn.reach.partition import INTERNET, ROOTS, AddressClass, Ownership, Ownerships
from vpn.reach.rulebook import ICMP, ICMPV6, OTHER, TCP, UDP
from vpn.wire.intervals import networks_of, outermost

# A part of the internet with more networks than this is named by the wider networks around it.
_MOST_NETWORKS = 16
# The rest of the internet, of both families, without networks that rules name.
REST = AddressClass(0, NOWHERE, NOWHERE)

# The changes between two ends by protocol, and those of several such pairs by the second end.
Changes = dict[str, set[Change]]
ByEnd = Mapping[AddressClass | None, Changes]  # None: all destinations


class Internet:
    """The parts of the internet, as rules and owners divide it."""

    def __init__(self, ownerships: Ownerships) -> None:
        self._held: Mapping[AddressClass, Ownership] = ownerships.get(INTERNET, {})
        self._rest = {
            kind.version: kind for kind, ownership in self._held.items() if not ownership.around.isdisjoint(ROOTS)
        }

    def ends(self, part: AddressClass) -> list[str]:
        """Return the names of a part. Networks of owners within it are ignored, or there would often be hundreds."""
        if part is REST:
            return [INTERNET]
        networks = networks_of(self._held[part].spans)
        return networks if len(networks) <= _MOST_NETWORKS else networks_of(outermost(self._held[part].around))

    def both(self, said: ByEnd) -> ByEnd:
        """Return the changes by destination; those common to the rest of both families are listed under `REST`."""
        if len(self._rest) < len(ROOTS) or any(kind not in said for kind in self._rest.values()):
            return said
        found = {end: defaultdict(set, changes) for end, changes in said.items()}
        rest = found.setdefault(REST, defaultdict(set))
        for names in ((TCP, TCP), (UDP, UDP), (ICMP, ICMPV6), (OTHER, OTHER)):
            sides = list(zip(names, (found[self._rest[4]], found[self._rest[6]]), strict=True))
            common = set.intersection(*(changes[name] for name, changes in sides))
            for name, changes in sides:
                changes[name] = changes[name] - common
                rest[name] |= common
        return found

    def without_family(self, part: AddressClass) -> AddressClass:
        """Return the same part without its family, if the other end determines that."""
        return REST if part in self._rest.values() else part
