"""Creating, changing, retrying and deleting instances."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from ipaddress import IPv4Network
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.actions.operator import forget_instance as forget_operated
from portal.actions.quota import lock_organization, require_room
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Organization, Principal, Quota
from vpn import doorbell, failures, keys
from vpn.actions.activity.asking import note_asker
from vpn.actions.activity.operation import begin_operation, cancel_operations, resume_operation
from vpn.actions.change import lock_instance
from vpn.actions.instances.placement import needs_place, server_in
from vpn.actions.instances.pool import checked_pool, free_pool
from vpn.actions.instances.ports import free_port_base
from vpn.actions.instances.retirement import give_up_move, leave_servers
from vpn.actions.instances.settings import faults_of
from vpn.actions.revisions.recording import record_first
from vpn.actions.servers.node import release_if_empty, retry_node
from vpn.addressing.pools import random_ula
from vpn.choices import INSTANCE_TRANSITIONS, EndReason, InstanceState, OperationKind, OperationState, StepState
from vpn.connections.ending import end_all
from vpn.constants import (
    DEFAULT_POOL_PREFIX,
    HOSTNAME_QUARANTINE_DAYS,
    MAX_POOL_PREFIX,
    MIN_POOL_PREFIX,
)
from vpn.models import Instance, InstanceObservation, Operation, PublicName, Region, ReleasedHostname
from vpn.validators import parse_pool, validate_hostname, validate_name

_ATTEMPTS = 5


def create_instance(
    organization: Organization,
    *,
    by: Principal,
    name: str,
    hostname: str,
    region: Region,
    pool_prefix: int = DEFAULT_POOL_PREFIX,
    pool: str = "",
) -> Instance:
    """Create an instance and start provisioning.

    `pool` is the network of its peers' addresses; "" takes a free one of length `pool_prefix`. Raises InvalidInput,
    Conflict (hostname taken) or QuotaReached.
    """
    name = name.strip()
    errors = faults_of({"name": (validate_name, name), "hostname": (validate_hostname, hostname)})
    if pool:
        errors |= faults_of({"pool": (parse_pool, pool)})
    elif not MIN_POOL_PREFIX <= pool_prefix <= MAX_POOL_PREFIX:
        errors["pool_prefix"] = [
            _("Choose a prefix length from %(min_pool_prefix)s to %(max_pool_prefix)s.")
            % {"min_pool_prefix": MIN_POOL_PREFIX, "max_pool_prefix": MAX_POOL_PREFIX}
        ]
    if closed := region.why_closed:
        errors["region"] = [closed]
    if errors:
        raise InvalidInput(errors)
    for _attempt in range(_ATTEMPTS):
        _refuse_taken_hostname(hostname, organization)
        try:
            wanted = parse_pool(pool) if pool else pool_prefix
            return _insert(organization, wanted, by, name=name, hostname=hostname, region=region)
        except IntegrityError:
            continue  # Another transaction took the hostname, the port or the pool first.
    raise Conflict(_("Another instance was created at the same moment."), next_step=_("Please try again."))


def _insert(organization: Organization, wanted: IPv4Network | int, by: Principal, **fields: Any) -> Instance:
    """Insert an instance with the requested pool, or with a free one of that prefix length."""
    private_key = keys.generate_private_key()
    with transaction.atomic():
        require_room(organization.pk, Quota.INSTANCES)
        require_room(organization.pk, Quota.PROVISIONING)
        server = server_in(fields["region"])
        pool = (
            free_pool(organization, wanted, server)
            if isinstance(wanted, int)
            else checked_pool(organization, wanted, server)
        )
        instance = Instance(
            organization=organization,
            pool_v4=str(pool),
            pool_v6=str(random_ula()),
            port_base=free_port_base(server),
            public_key=keys.public_key(private_key),
            server=server,
            **fields,
        )
        instance.private_key = private_key
        instance.save(force_insert=True)
        ReleasedHostname.objects.filter(hostname=instance.hostname).delete()
        with one_act(by, "created", instance) as act:
            act.operation = begin_operation(instance, OperationKind.PROVISION, by=by).pk
            record_first(instance, by=by)
        transaction.on_commit(partial(doorbell.enqueue_provision, instance.pk, organization.pk, instance.region_id))
    return instance


def hostname_fault(hostname: str, organization: Organization) -> str:
    """Why this hostname cannot be used; empty if it can."""
    try:
        validate_hostname(hostname)
        _refuse_taken_hostname(hostname, organization)
    except ValidationError as error:
        return " ".join(error.messages)
    except Conflict as error:
        return error.message
    return ""


def _refuse_taken_hostname(hostname: str, organization: Organization) -> None:
    if Instance.objects.filter(hostname=hostname).exists():
        raise Conflict(
            _("%(hostname)s is taken. Choose another hostname.") % {"hostname": hostname},
            field="hostname",
            code="hostname-taken",
        )
    since = timezone.now() - timedelta(days=HOSTNAME_QUARANTINE_DAYS)
    released = ReleasedHostname.objects.filter(hostname=hostname, released_at__gt=since)
    if released.exclude(organization=organization).exists():
        raise Conflict(
            _(
                "%(hostname)s belonged to another organization until a short while ago, and its devices may still "
                "look for it. Choose another hostname."
            )
            % {"hostname": hostname},
            field="hostname",
            code="hostname-taken",
        )


def retry_instance(instance: Instance, *, by: Principal) -> Instance:
    """Resume provisioning at the failed step; raises NotPossible if nothing failed, or QuotaReached."""
    with transaction.atomic():
        lock_organization(instance.organization_id)
        locked = lock_instance(instance.pk)
        if locked.state == InstanceState.FAILED:
            require_room(locked.organization_id, Quota.PROVISIONING)
            operation = locked.operations.filter(kind=OperationKind.PROVISION).first()
            if operation is None:
                begin_operation(locked, OperationKind.PROVISION, by=by)
            else:
                resume_operation(operation, by=by)
                if needs_place(locked):
                    # From the first step on, on a server that answers.
                    anew = {"started_at": None, "finished_at": None, "message": "", "refusal": None}
                    operation.steps.update(state=StepState.WAITING, **anew)
            set_state(locked, InstanceState.PROVISIONING, by=by)
            if locked.server is not None:
                retry_node(locked.server, by=by)
            transaction.on_commit(
                partial(doorbell.enqueue_provision, locked.pk, locked.organization_id, locked.region_id)
            )
        elif locked.state == InstanceState.READY and not locked.server_ready:
            note_asker(locked, by=by)
            Instance.objects.filter(pk=locked.pk).update(failure="", asked_by=locked.asked_by)
            transaction.on_commit(partial(doorbell.enqueue_apply, locked.pk, locked.organization_id, locked.region_id))
        else:
            raise NotPossible(_("Nothing failed on this instance, so there is nothing to retry."))
        acted(by, "retried", locked)
    return locked


def ask_apply(instance: Instance, *, by: Principal) -> None:
    """Let a worker compare the hub with its desired state, and repair it."""
    with transaction.atomic():
        acted(by, "apply requested", instance)
        ring = partial(doorbell.enqueue_apply, instance.pk, instance.organization_id, instance.region_id)
        transaction.on_commit(ring)


def delete_instance(instance: Instance, *, by: Principal) -> Instance:
    """Revoke all peers and remove the hub in the background; the row goes once the server confirms."""
    with transaction.atomic():
        locked = lock_instance(instance.pk)
        if locked.state != InstanceState.DELETING:
            with one_act(by, "deletion requested", locked) as act:
                set_state(locked, InstanceState.DELETING, by=by)
                give_up_move(locked, by=by)
                leave_servers(locked, by=by)
                locked.desired_generation += 1
                locked.save(update_fields=["desired_generation"])
                cancel_operations(locked.operations.all(), failures.CANCELLED_BY_DELETION.of(), by=by)
                act.operation = begin_operation(locked, OperationKind.DESTROY, by=by).pk
        transaction.on_commit(partial(end_all, locked.pk, EndReason.DELETED), robust=True)
        transaction.on_commit(partial(doorbell.enqueue_destroy, locked.pk, locked.organization_id, locked.region_id))
    return locked


def set_state(instance: Instance, state: InstanceState, *, by: Principal) -> None:
    """Change the state, guarded by the previous one; raises NotPossible where another process was first."""
    if state not in INSTANCE_TRANSITIONS[instance.state]:
        raise NotPossible(
            _("An instance that is %(former)s cannot become %(state)s.")
            % {"former": instance.get_state_display().lower(), "state": state.label}
        )
    moved = Instance.objects.filter(pk=instance.pk, state=instance.state).update(state=state)
    if not moved:
        raise NotPossible(
            _("Another user or the portal changed this instance at the same moment. Load the page again.")
        )
    instance.state = state
    acted(by, f"became {state.value}", instance)


def forget_instance(instance: Instance, *, by: Principal) -> None:
    """Remove an instance whose server is gone for good, without asking the server; for staff."""
    with transaction.atomic():
        remove_rows(lock_instance(instance.pk), by=by)


def remove_rows(instance: Instance, *, by: Principal) -> None:
    """Delete the instance's rows, and reserve its hostname for its organization for a while."""
    ReleasedHostname.objects.update_or_create(
        hostname=instance.hostname,
        defaults={"organization": instance.organization, "released_at": timezone.now()},
    )
    with one_act(by, "deleted", instance):
        # Staff may forget an instance that is being moved.
        give_up_move(instance, by=by)
        leave_servers(instance, by=by)
    PublicName.objects.leave(instance)
    end_all(instance.pk, EndReason.DELETED)
    # Locked first, as the observing job does, so that the two cannot deadlock.
    InstanceObservation.objects.filter(pk=instance.pk).delete()
    # Locks the organization, which comes before instances in the order of locks.
    gone = partial(forget_operated, instance.pk, instance.organization_id, by=by)
    transaction.on_commit(gone, robust=True)
    instance.delete()
    release_if_empty(instance.server_id, by=by)


def pending_work(instance: Instance) -> list[str]:
    """The names in CONTRACT of what is still in progress; empty once the hub is up to date."""
    if instance.state in {InstanceState.PENDING, InstanceState.PROVISIONING}:
        return ["provisioning"]
    if instance.is_up_to_date or instance.state != InstanceState.READY:
        return []
    words = ["applying"]
    if instance.tombstones.exists():
        words.append("peer-removed")
    waiting = instance.peers.filter(changed_generation__gt=instance.applied_generation)
    if waiting.filter(applied_digest="").exists():
        words.append("peer-created")
    if instance.settings_generation > instance.applied_generation or waiting.exclude(applied_digest="").exists():
        words.append("settings-changed")
    return words


def open_operation(instance: Instance, kind: OperationKind) -> Operation | None:
    """The running operation of a kind, if there is one."""
    return instance.operations.filter(kind=kind, state=OperationState.RUNNING).first()
