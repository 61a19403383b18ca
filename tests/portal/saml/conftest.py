"""An organization with a SAML provider, and a member who is connected to it."""

from __future__ import annotations

import pytest

from portal.models import Membership, SignInProvider
from tests.portal.providers import connected
from tests.portal.saml_providers import BentSaml, a_saml_provider


@pytest.fixture
def bent() -> BentSaml:
    """Builds answers of the provider."""
    return BentSaml()


@pytest.fixture
def provider(member: Membership) -> SignInProvider:
    """The provider of the member's organization."""
    return a_saml_provider(member.organization)


@pytest.fixture
def known(provider: SignInProvider, member: Membership) -> Membership:
    """A member who is connected as “anna”."""
    connected(provider, member)
    return member
