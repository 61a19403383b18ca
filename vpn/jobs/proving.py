"""Steps of creating and of moving a hub: publish its name, and prove that packets flow."""

from __future__ import annotations

from uuid import UUID

from portal.told import Told, told
from vpn import failures
from vpn.choices import Listener, ProofCause, Reachability
from vpn.drivers.base import Found
from vpn.jobs.knock import knock_of
from vpn.jobs.names import look_at, name_of
from vpn.jobs.servers import driver_for
from vpn.models import Instance
from vpn.models.peer import with_compat
from vpn.presenters.needs.listener_words import ports_by_transport
from vpn.wire.finding import Finding


class StepFailed(Exception):
    """A step failed for `cause`: a finding, or for a proof what the knock found."""

    def __init__(self, cause: Finding | Told | str) -> None:
        super().__init__(str(cause))
        self.cause = cause


def publish_name(pk: UUID, token: UUID) -> Told | None:
    """Publish the hub's name. If that fails the hub works all the same, and the scheduled job tries again."""
    instance = Instance.objects.select_related("server").get(pk=pk)
    row = name_of(instance)
    if row is None:
        return None
    look_at(row)
    row.refresh_from_db()
    if row.finding is not None:
        return told("name-waits", why=told("finding", finding=row.finding))
    return told("name-resolves", name=row.name, addresses=list(row.resolved))


def prove(instance: Instance, *, over_openvpn: bool) -> tuple[list[Told], dict[str, dict[str, Found]]]:
    """Knock on an instance's hub at its addresses, like a device would; return what was found, told and by address.

    Raises StepFailed if most devices could not use it, or Unreachable.
    """
    addresses = instance.server.addresses if instance.server is not None else ()
    if not addresses or not instance.probe_private_key_sealed:
        raise StepFailed(failures.NOT_STARTED.of())
    has_compat = bool(with_compat([instance.pk]))
    has_resolver = instance.peers.exclude(applied_digest="").exists()
    knocks = [
        knock_of(instance, address, over_openvpn=over_openvpn, has_compat=has_compat, with_name=has_resolver)
        for address in addresses
    ]
    found = driver_for(instance.server).knock(knocks, _PROOF_SECONDS)
    # Most devices use the first address, so a fault of the other one does not stop provisioning.
    first = found[0][Listener.WIREGUARD]
    place = _place(instance, addresses[0])
    closed = [listener for listener, one in found[0].items() if one.cause == ProofCause.CLOSED]
    if closed:
        raise StepFailed(told("ports-closed", ports=ports_by_transport(instance, closed), address=addresses[0]))
    if first.cause == ProofCause.SILENT or first.reason:
        raise StepFailed(told("not-proven", place=place, why=first.reason))
    proof = [told("proven", place=place, named=has_resolver, where=str(first.cause))]
    for address, others in zip(addresses[1:], found[1:], strict=True):
        proof.append(_of_another(_place(instance, address), others[Listener.WIREGUARD]))
    if not has_resolver:
        proof.append(told("resolver-later"))
    return proof, dict(zip(addresses, found, strict=True))


def _of_another(place: Told, found: Found) -> Told:
    if found.state == Reachability.PROVEN and not found.reason:
        return told("proven-too", place=place)
    return told("not-proven", place=place, why=found.reason or told("proof-cause", cause=str(found.cause)))


def _place(instance: Instance, address: str) -> Told:
    return told("place", address=address, port=instance.wireguard_port)


# Long enough for a hub that has just started; four rounds fit in a job's time limit.
_PROOF_SECONDS = 5.0
