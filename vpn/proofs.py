"""Records in a hub's rows which listeners are proven, by knocks and by devices. Only differences are written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from vpn.choices import ProofCause, Reachability
from vpn.models import Instance, InstanceObservation, ListenerProof

# The portal cannot knock on these listeners, so any device that is heard proves them.
_NOT_KNOWN = (ProofCause.NAT, ProofCause.NO_RIGHT)
# A listener and the IP version over which a device connected.
Coming = tuple[str, int]


class Finding(Protocol):
    """The result of a knock: see `vpn.drivers.base.Found`."""

    @property
    def state(self) -> str:
        """A value of Reachability."""

    @property
    def cause(self) -> str:
        """A value of ProofCause, or ""."""


def record_knock(instance_id: UUID, found: Mapping[str, Mapping[str, Finding]]) -> bool:
    """Record the results of knocks, by address and by listener; the address that most devices use comes first.

    Listeners without a result do not run any more. A proven listener fails only at the second failed knock in a row;
    returns whether a second one is due. A device that connected after the knocks began to fail counts more than they
    do: a firewall may admit it and drop knocks.
    """
    findings = {(listener, address): one for address, by in found.items() for listener, one in by.items()}
    first = next(iter(found), "")
    if _is_known(instance_id, findings, first):
        return False
    now, waits = timezone.now(), False
    with transaction.atomic():
        Instance.objects.select_for_update(of=("self",)).get(pk=instance_id)
        rows = ListenerProof.objects.filter(instance=instance_id)
        known = {(proof.listener, proof.address): proof for proof in rows}
        for (listener, address), finding in findings.items():
            proof = known.get((listener, address)) or ListenerProof(
                instance_id=instance_id, listener=listener, address=address
            )
            before = (proof.state, proof.cause, proof.failing_since, proof.is_first)
            waits |= _judge(proof, finding, now)
            proof.is_first = address == first
            # A new row has no state yet, and so always differs.
            if (proof.state, proof.cause, proof.failing_since, proof.is_first) != before:
                proof.save()
        gone = [proof.pk for key, proof in known.items() if key not in findings]
        if gone:
            ListenerProof.objects.filter(pk__in=gone).delete()
    return waits


def _is_known(instance_id: UUID, findings: Mapping[tuple[str, str], Finding], first: str) -> bool:
    """Is every listener proven, as before? Then nothing is locked and nothing written."""
    if not all(finding.state == Reachability.PROVEN for finding in findings.values()):
        return False
    rows = ListenerProof.objects.filter(instance=instance_id)
    calm = {
        (proof.listener, proof.address)
        for proof in rows
        if proof.state == Reachability.PROVEN
        and proof.failing_since is None
        and proof.is_first == (proof.address == first)
    }
    return calm == set(findings) and len(rows) == len(calm)


def _judge(proof: ListenerProof, finding: Finding, now: datetime) -> bool:
    """Apply a finding to a proof; True if the next knock has to confirm it."""
    if finding.state == Reachability.PROVEN:
        proof.state, proof.cause, proof.failing_since = Reachability.PROVEN, "", None
        return False
    is_first = proof.failing_since is None
    began = proof.failing_since or now
    proof.failing_since = began
    if proof.arrived_at is not None and proof.arrived_at > began:
        proof.state, proof.cause = Reachability.PROVEN, ""
        return False
    if is_first and proof.state == Reachability.PROVEN:
        return True
    proof.state, proof.cause = finding.state, finding.cause
    return False


@dataclass(frozen=True)
class Devices:
    """The listeners of one hub on which devices connected since its last report, and those on which they were heard.

    Both by listener and IP version. An existing connection proves nothing: a firewall loaded since then lets known
    flows pass.
    """

    arrived: Collection[Coming] = ()
    heard: Collection[Coming] = ()


def record_devices(hubs: Mapping[UUID, Devices]) -> None:
    """Record which listeners the devices of these hubs have proven, by instance; one query for all hubs."""
    concerned = [pk for pk, devices in hubs.items() if devices.arrived or devices.heard]
    if not concerned:
        return
    now = timezone.now()
    for proof in ListenerProof.objects.filter(instance__in=concerned, failing_since__isnull=False):
        devices = hubs[proof.instance_id]
        coming = (proof.listener, 6 if ":" in proof.address else 4)
        if coming in devices.arrived or (coming in devices.heard and proof.cause in _NOT_KNOWN):
            proven = {"state": Reachability.PROVEN, "cause": "", "arrived_at": now}
            ListenerProof.objects.filter(pk=proof.pk).update(**proven)


def forget_proofs(instance_id: UUID) -> None:
    """Discard all proofs, as after a change of the hub's address; the next knock judges again."""
    unknown = {"state": Reachability.UNPROVEN, "cause": ProofCause.WAITING, "failing_since": None, "arrived_at": None}
    ListenerProof.objects.filter(instance=instance_id).update(**unknown)
    InstanceObservation.objects.filter(pk=instance_id).update(knocked_at=None)
