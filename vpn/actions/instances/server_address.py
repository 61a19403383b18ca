"""A change of a server's public address, noted for each hub with the profiles that it cuts off."""

from __future__ import annotations

import contextlib
from functools import partial
from ipaddress import ip_address
from uuid import UUID

from django.db import transaction

from portal.actions.acting import acted, one_act
from portal.models import Principal
from portal.sealing import UnsealError
from portal.told import told
from vpn import doorbell
from vpn.actions.activity.asking import note_asker
from vpn.actions.change import lock_instance
from vpn.actions.peers.certificates import renew_hub
from vpn.choices import InstanceState
from vpn.models import ChangePlan, Instance, PublicName, Server
from vpn.plan.explaining import Plan
from vpn.proofs import forget_proofs

_MOST_NOTED_LINES = 0


def move_server(server_id: UUID, address: str, address_v6: str | None, *, by: Principal) -> bool:
    """Give a server new addresses and update its hubs; False if it has these already.

    What was proven about the hubs' listeners is discarded, since it applied to the old addresses.
    """
    with transaction.atomic():
        server = Server.objects.select_for_update(no_key=True).get(pk=server_id)
        if (server.address, server.address_v6) == (address, address_v6):
            return False
        before = server.addresses
        server.address, server.address_v6 = address, address_v6
        server.save(update_fields=["address", "address_v6"])
        hubs = Instance.objects.filter(server=server, configured=True).exclude(state=InstanceState.DELETING)
        with one_act(by, "address changed", server) as act:
            act.details |= {"before": list(before), "after": list(server.addresses)}
            for pk in hubs.order_by("pk").values_list("pk", flat=True):
                _move_hub(lock_instance(pk), before, server.addresses, by)
    return True


def _move_hub(instance: Instance, before: tuple[str, ...], after: tuple[str, ...], by: Principal) -> None:
    instance.desired_generation += 1
    instance.settings_generation = instance.whole_generation = instance.desired_generation
    note_asker(instance, by=by)
    if instance.has_certificates:
        # Without this secret key no change can be applied, and pages report that.
        with contextlib.suppress(UnsealError):
            renew_hub(instance)
    instance.save()
    acted(by, "address changed", instance, details={"before": list(before), "after": list(after)})
    forget_proofs(instance.pk)
    PublicName.objects.look_soon(instance)
    if before:
        _note(instance, before, after)
    transaction.on_commit(partial(doorbell.enqueue_apply, instance.pk, instance.organization_id, instance.region_id))


def _note(instance: Instance, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Note the delivered profiles that point to an address which the hub has left."""
    delivered = instance.peers.exclude(delivered_digest="")
    left = [host for host in before if host not in after]
    rows = delivered.admitted().exclude(delivered_host__in=after).exclude(delivered_host="")
    cut_off = [pk for pk, host in rows.values_list("pk", "delivered_host") if _is_address(host)] if left else []
    move = {"before": list(before), "after": list(after)}
    plan = Plan(outdated=cut_off, delivered=delivered.count()).document(most_lines=_MOST_NOTED_LINES)
    ChangePlan.objects.create(
        instance=instance,
        generation=instance.desired_generation,
        changed=[told("address-moved", **move)],
        plan={**plan, "address": move},
        outdated=[str(pk) for pk in cut_off],
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
