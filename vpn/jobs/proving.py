"""Steps of creating and of moving a hub: publish its name, and prove that packets flow."""

from __future__ import annotations

from uuid import UUID

from vpn import failures
from vpn.choices import Listener, ProofCause, Reachability
from vpn.drivers.base import Found
from vpn.jobs.knock import knock_of
from vpn.jobs.names import look_at, name_of
from vpn.jobs.servers import driver_for
from vpn.models import Instance
from vpn.models.peer import with_compat
from vpn.presenters.findings import sentence_of
from vpn.presenters.needs.listener_words import ports_of
from vpn.wire.finding import Finding, parse_finding


class StepFailed(Exception):
    """A step failed for `cause`: a finding, or for a proof the words of the knock."""

    def __init__(self, cause: Finding | str) -> None:
        super().__init__(str(cause))
        self.cause = cause


def publish_name(pk: UUID, token: UUID) -> str:
    """Publish the hub's name. If that fails the hub works all the same, and the scheduled job tries again."""
    instance = Instance.objects.select_related("server").get(pk=pk)
    row = name_of(instance)
    if row is None:
        return ""
    look_at(row)
    row.refresh_from_db()
    if row.finding is not None:
        words = sentence_of(parse_finding(row.finding))
        return f"{words} The portal tries again by itself; until the name resolves, profiles carry the hub's address."
    return f"{row.name} resolves to {' and '.join(row.resolved)}."


def prove(instance: Instance, *, over_openvpn: bool) -> tuple[str, dict[str, dict[str, Found]]]:
    """Knock on an instance's hub at its addresses, like a device would; return what was found, in words and by address.

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
    spoken = _spoken(instance, addresses[0])
    closed = [listener for listener, one in found[0].items() if one.cause == ProofCause.CLOSED]
    if closed:
        raise StepFailed(
            f"{ports_of(instance, closed)} at {addresses[0]} did not answer the portal. Open these ports in the "
            "firewall of the server and of its provider, then try again."
        )
    if first.cause == ProofCause.SILENT or first.reason:
        raise StepFailed(f"{spoken} is not proven: {first.reason}")
    proof = "A handshake, a ping and a DNS query for its name" if has_resolver else "A handshake and a ping"
    message = f"{proof} through {spoken} were answered{_WHENCE[first.cause]}."
    for address, others in zip(addresses[1:], found[1:], strict=True):
        message += _of_another(_spoken(instance, address), others[Listener.WIREGUARD])
    if not has_resolver:
        message += " The resolver starts with the first peer."
    return message, dict(zip(addresses, found, strict=True))


def _of_another(spoken: str, found: Found) -> str:
    if found.state == Reachability.PROVEN and not found.reason:
        return f" So were those through {spoken}."
    return f" {spoken} is not proven: {found.reason or ProofCause(found.cause).label + '.'}"


def _spoken(instance: Instance, address: str) -> str:
    return f"{address} port {instance.wireguard_port}"


# Long enough for a hub that has just started; four rounds fit in a job's time limit.
_PROOF_SECONDS = 5.0
# A running hub is ready even if tests from outside were not possible. Pages show this until a device connects.
_WHENCE = {
    "": "",
    ProofCause.FIREWALL: " on the server itself; a firewall on the server drops packets from outside",
    ProofCause.NAT: " at the server's own address; the first device will prove that the router forwards packets",
    ProofCause.NO_RIGHT: " on the server itself; the first device will prove that packets from outside arrive",
}
