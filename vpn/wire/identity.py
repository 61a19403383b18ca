"""The hub and the version of a document or a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vpn.wire import parsing
from vpn.wire.parsing import Faults

SCHEMA: Final = 1
HUB: Final = re.compile(r"[a-z][a-z0-9]{9}")
MAXIMUM_COUNTER: Final = 2**62


def parse_hub(value: object) -> str:
    """Return `value` if it is a valid hub name. Raises AgentError `invalid`."""
    faults = Faults()
    hub = parsing.text(value, "hub", HUB, faults)
    faults.raise_if_any("request")
    return hub


def parse_version(epoch: object, generation: object) -> tuple[int, int]:
    """Return epoch and generation if they are valid. Raises AgentError `invalid`."""
    faults = Faults()
    version = (
        parsing.number(epoch, "epoch", 1, MAXIMUM_COUNTER, faults),
        parsing.number(generation, "generation", 1, MAXIMUM_COUNTER, faults),
    )
    faults.raise_if_any("request")
    return version


def check_schema(data: Mapping[str, Any], faults: Faults) -> None:
    """Add a fault if a document has another schema version."""
    if data.get("schema") != SCHEMA or isinstance(data.get("schema"), bool):
        faults.append(f"schema is not {SCHEMA}: the agent and the portal are of different versions")
