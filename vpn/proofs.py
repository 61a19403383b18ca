"""What knocks and devices say of a hub's listeners, noted on their rows. Written only where it differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from vpn.choices import ProofCause, Reachability
from vpn.models import Instance, InstanceObservation, ListenerProof

# Whether these listeners are reached cannot be seen from here, so that any device that is heard proves them.
_NOT_KNOWN = (ProofCause.NAT, ProofCause.NO_RIGHT)
# A listener and the IP version over which a device connected.
Coming = tuple[str, int]


class Finding(Protocol):
    """What a knock found: see `vpn.drivers.base.Found`."""

    @property
    def state(self) -> str:
        """A word of Reachability."""

    @property
    def cause(self) -> str:
        """A word of ProofCause, or ""."""


def record_knock(instance_id: UUID, found: Mapping[str, Mapping[str, Finding]]) -> bool:
    """Note what knocks found: by address, the one that most devices take first, and by listener.

    What is not in it does not run any more. A listener that was proven fails only at the second knock in a row; returns
    whether one waits for that. A device that came after the knocks began to fail is believed more than they are: a
    firewall may let in what it drops here.
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
    """Is all of it proven, as it was before? Then nothing is locked and nothing written."""
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
    """Set what a finding means; True where the next knock has to confirm it."""
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


def record_devices(instance_id: UUID, arrived: Collection[Coming], heard: Collection[Coming]) -> None:
    """Note at which listeners devices began a connection, and at which they were heard at all since the last look.

    Both by listener and IP version. A connection that is merely kept proves nothing where a firewall was loaded
    meanwhile: it lets known flows pass.
    """
    if not arrived and not heard:
        return
    now = timezone.now()
    for proof in ListenerProof.objects.filter(instance=instance_id, failing_since__isnull=False):
        coming = (proof.listener, 6 if ":" in proof.address else 4)
        if coming in arrived or (coming in heard and proof.cause in _NOT_KNOWN):
            proven = {"state": Reachability.PROVEN, "cause": "", "arrived_at": now}
            ListenerProof.objects.filter(pk=proof.pk).update(**proven)


def forget_proofs(instance_id: UUID) -> None:
    """Forget what was proven, as for an address that the hub has left; the next knock finds out anew."""
    unknown = {"state": Reachability.UNPROVEN, "cause": ProofCause.WAITING, "failing_since": None, "arrived_at": None}
    ListenerProof.objects.filter(instance=instance_id).update(**unknown)
    InstanceObservation.objects.filter(pk=instance_id).update(knocked_at=None)
