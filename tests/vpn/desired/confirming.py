"""The server that confirms what it was sent, and the spec that results from a delta."""

from __future__ import annotations

from typing import Any

from vpn.agent.memory.saved import Saved
from vpn.desired import Desired, compile_spec
from vpn.jobs import lease
from vpn.models import Instance
from vpn.observed import record_applied
from vpn.wire.report import HubReport
from vpn.wire.spec import parse_spec


def confirm(instance: Instance, desired: Desired) -> None:
    """Play the server that confirms what it was sent."""
    token = lease.claim(instance.pk)
    assert token is not None
    report = HubReport(instance.hub, desired.epoch, desired.generation, desired.digest, alive=True, observed_at=0.0)
    assert record_applied(instance.pk, token, desired, report)
    lease.release(instance.pk, token)


def sent_whole(instance: Instance) -> Saved:
    """What the agent saves of an instance that was just applied."""
    desired = compile_spec(instance.pk)
    confirm(instance, desired)
    return Saved.of(parse_spec(desired.document))


def following(spec: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """The spec that results from a delta."""
    peers = {key: peer for key, peer in spec["peers"].items() if key not in delta["remove"]} | delta["upsert"]
    settings: dict[str, Any] = {field: delta[field] for field in ("rules", "forwarding") if field in delta}
    return {**spec, **settings, "generation": delta["generation"], "peers": peers}
