"""By which providers members sign in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from portal.models import Membership, ProviderIdentity, SignInProvider


class Connection(NamedTuple):
    """A membership, the provider of its organization, and the identity that signs in there; None if there is none."""

    membership: Membership
    provider: SignInProvider
    identity: ProviderIdentity | None


def has_identity(membership: Membership) -> bool:
    """Return True if an identity of the organization's provider signs in as this member."""
    return bool(ProviderIdentity.objects.filter(membership=membership.pk).exists())


def connections_of(memberships: Iterable[Membership]) -> list[Connection]:
    """Where these memberships sign in by a provider, or could."""
    ours = {one.organization_id: one for one in memberships}
    providers = list(SignInProvider.objects.filter(organization__in=ours))
    found = ProviderIdentity.objects.filter(provider__in=providers, membership__in=ours.values()) if providers else []
    identities = {one.membership_id: one for one in found}
    everything = (
        Connection(ours[one.organization_id], one, identities.get(ours[one.organization_id].pk)) for one in providers
    )
    return [one for one in everything if one.identity is not None or one.provider.enabled]
