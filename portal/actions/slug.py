"""A member's slug, which is part of their devices' DNS names. It changes with the name of their account."""

from __future__ import annotations

from uuid import UUID

from portal.actions.acting import acted
from portal.models import Membership, Organization, Principal, User
from portal.models.membership import slug_of
from portal.signals import membership_renamed


def lock_organizations_of(user_id: UUID) -> None:
    """Lock every organization of an account before renaming it, in a fixed order to avoid deadlocks."""
    theirs = Membership.objects.filter(user=user_id).values("organization")
    list(
        Organization.objects.filter(pk__in=theirs)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", flat=True)
    )


def follow_name(member: Membership, former_name: str, *, by: Principal) -> None:
    """Update a member's slug after the caller's transaction has renamed the account."""
    if slug_of(member.user) != slug_of(User(email=member.user.email, name=former_name)):
        Organization.objects.select_for_update(no_key=True).get(pk=member.organization_id)
        former_slug, member.slug = member.slug, member.free_slug()
        member.save(update_fields=["slug"])
        acted(by, "slug changed", member)
        membership_renamed.send(sender=Membership, membership=member, former_slug=former_slug, by=by)
