"""A server that others control: it is trusted no more, and all its hubs get new keys and another place."""

from __future__ import annotations

from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import InvalidInput, NotPossible
from portal.models import Principal
from portal.told import Told, as_text
from vpn import doorbell
from vpn.actions.instances.instance import set_state
from vpn.choices import Driver, InstanceState, ServerState
from vpn.models import CompromisedHub, Instance, Preparation, Server, SshAccess
from vpn.models.compromised_hub import LONGEST_REASON
from vpn.models.querysets import InstanceQuerySet

_IN_USE: Final = (ServerState.READY, ServerState.UNREACHABLE, ServerState.LOST)


def refuse_uncompromisable(server: Server) -> None:
    """Raise NotPossible for this machine, a server that was never in use, and one that is known as compromised."""
    if server.region.driver == Driver.LOCAL:
        raise NotPossible(
            _("This machine runs the portal itself, so all its secrets are known to whoever controls it."),
            next_step=_("Install the portal anew, with new secret keys, and create its instances again."),
        )
    if server.state == ServerState.COMPROMISED:
        raise NotPossible(_("%(server)s is known as compromised already.") % {"server": server.name})
    if server.state not in _IN_USE:
        raise NotPossible(
            _("%(server)s was not in use yet and has no secrets.") % {"server": server.name}, next_step=_("Forget it.")
        )


def report_compromised(server: Server, typed: str, *, with_former: bool = True, by: Principal) -> None:
    """Trust a server no more, and begin to give its hubs new keys and another server. It cannot be undone.

    `typed` is the server's name, typed as the confirmation. `with_former`: hubs that were on it before get new keys,
    too, where they are. Raises InvalidInput or NotPossible.
    """
    if typed.strip() != server.name:
        raise InvalidInput.in_field("name", _("Type the server's name: %(server)s.") % {"server": server.name})
    with transaction.atomic():
        # Servers before instances, as every action does.
        locked = Server.objects.select_for_update(of=("self",), no_key=True).select_related("region").get(pk=server.pk)
        refuse_uncompromisable(locked)
        known = hubs_known_to(locked) | former_hubs_of(locked) if with_former else hubs_known_to(locked)
        hubs = list(known.order_by("pk"))
        _trust_no_more(locked)
        CompromisedHub.objects.bulk_create(CompromisedHub(server=locked, instance=hub) for hub in hubs)
        running = Instance.objects.select_for_update(of=("self",)).without_keys()
        for instance in running.filter(server=locked, state=InstanceState.READY, configured=True).order_by("pk"):
            set_state(instance, InstanceState.LOST, by=by)
        Instance.objects.filter(server=locked).update(failure="", refusal=None, retry_at=None)
        acted(by, "compromised", locked, details={"instances": [str(hub) for hub in hubs]})
        for row in CompromisedHub.objects.filter(server=locked).select_related("instance"):
            ids = row.pk, row.instance.organization_id, row.instance.region_id
            transaction.on_commit(partial(doorbell.enqueue_compromised, *ids))


def hubs_known_to(server: Server) -> InstanceQuerySet:
    """The hubs whose secrets a server has: those on it, those that it forwards for, and those that move to it.

    One statement, so that a hub that moves meanwhile is in it.
    """
    left = Q(pk__in=server.retired_hubs.filter(instance__isnull=False).values("instance"))
    coming = Q(pk__in=server.moves.values("instance"))
    return Instance.objects.filter(Q(server=server) | left | coming)


def former_hubs_of(server: Server) -> InstanceQuerySet:
    """The hubs that were on a server before, and whose keys are still those that it had."""
    found = Instance.objects.filter(pk__in=server.former_hubs.values("instance"))
    return found.exclude(pk__in=hubs_known_to(server).values("pk"))


def _trust_no_more(server: Server) -> None:
    now = timezone.now()
    # Nothing runs there on a lease that others would have to wait for: the new hub has other keys.
    server.state, server.state_since, server.cordoned = ServerState.COMPROMISED, now, True
    server.lease = server.lease_ends_at = server.silent_since = server.check_at = None
    server.state_reason = None
    server.save(
        update_fields=[
            *("state", "state_since", "state_reason", "cordoned"),
            *("lease", "lease_ends_at", "silent_since", "check_at"),
        ]
    )
    Preparation.objects.filter(server=server).update(is_running=False)
    # Its host key may be in other hands, and the portal's key pair for it is of no more use.
    SshAccess.objects.filter(server=server).update(
        host_key="", seen_host_key="", private_key_sealed="", public_key="", agent=""
    )


def note_waiting(row: CompromisedHub, why: Told | str, *, by: Principal) -> None:
    """Record what a hub waits for, in a sentence for staff."""
    text = as_text(why, LONGEST_REASON)
    if CompromisedHub.objects.filter(pk=row.pk).exclude(waits_for=text).update(waits_for=text):
        acted(by, "not rebuilt", row.instance)


def note_finished(row: CompromisedHub, *, by: Principal) -> None:
    """Record that a hub runs with its new keys on a server that was not compromised."""
    with transaction.atomic():
        still = CompromisedHub.objects.filter(pk=row.pk, finished_at=None)
        if still.update(finished_at=timezone.now(), waits_for=""):
            acted(by, "left compromised server", row.instance)
