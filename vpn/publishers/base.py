"""What publishers share: the error, and the time that one look at a name may take."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from vpn.wire.finding import Finding

_QUERY_SECONDS: Final = 2.0
_LEAST_SECONDS: Final = 0.1


class NotPublished(Exception):
    """A name could not be published, withdrawn or checked; `finding` says why and what to do.

    `perhaps_written`: records may have been changed all the same.
    """

    def __init__(self, finding: Finding, *, perhaps_written: bool = False) -> None:
        super().__init__(str(finding))
        self.finding, self.perhaps_written = finding, perhaps_written


@dataclass(frozen=True)
class Patience:
    """The end of a look at a name, by time.monotonic(): no server that is silent may hold up the others' names."""

    end: float

    @classmethod
    def of(cls, seconds: float) -> Patience:
        """The patience for so many seconds from now on."""
        return cls(time.monotonic() + seconds)

    @property
    def timeout(self) -> float:
        """The seconds that one query may take."""
        return max(_LEAST_SECONDS, min(_QUERY_SECONDS, self.end - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Has the time run out?"""
        return time.monotonic() > self.end


class Publisher(Protocol):
    """Writes the records of names in a zone. Every method raises NotPublished."""

    def publish(self, name: str, owner: UUID, addresses: Collection[str], patience: Patience) -> bool:
        """Make `name` resolve to these addresses, and to nothing else; False if it did already.

        `owner` marks the records as this portal's. Records with another mark, or none, are never changed.
        """

    def withdraw(self, name: str, owner: UUID, patience: Patience) -> None:
        """Remove the records of `name` that carry this owner's mark."""

    def lagging(self, name: str, addresses: Collection[str], patience: Patience) -> str:
        """The first server of the zone that answers with other addresses; "" if there is none.

        A server that does not answer is left out.
        """
