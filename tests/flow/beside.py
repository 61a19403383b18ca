"""What programs beside a running portal have in common: they run in processes of their own, with its environment."""

from __future__ import annotations

from django.utils.text import slugify

from portal.actions.organization import create_organization
from portal.models import Organization
from tests.factories import BY, make_user
from tests.lab.waiting import wait_until
from vpn.actions.instances.instance import delete_instance
from vpn.models import Instance

_DELETED_WITHIN = 110.0  # on a busy machine


def add_organization(name: str) -> Organization:
    """An organization with an active admin, whose address no other program on this portal has."""
    return create_organization(name, make_user(f"admin@{slugify(name)}.example.org"), by=BY).organization


def delete_instances(*organizations: Organization) -> None:
    """Delete all of their instances, and wait until the hubs are gone: the next story finds none."""
    instances = Instance.objects.filter(organization__in=organizations)
    for instance in instances.all():
        delete_instance(instance, by=BY)
    wait_until(lambda: not instances.exists(), _DELETED_WITHIN, "the end of the hubs")
