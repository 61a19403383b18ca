"""An organization with a confirmed instance."""

from __future__ import annotations

import pytest

from portal.models import Organization
from tests.factories import make_client_peer, make_instance, make_member, make_organization, make_site, make_site_peer
from tests.vpn.desired.confirming import confirm
from vpn.desired import compile_spec
from vpn.models import Instance


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def instance(organization: Organization) -> Instance:
    """An instance with a site and two devices, all confirmed."""
    made = make_instance(organization)
    anna = make_member(organization, name="Anna")
    make_client_peer(made, anna, "laptop")
    make_client_peer(made, anna, "phone")
    make_site_peer(made, make_site(organization, name="Berlin"), ["10.1.0.0/24"])
    confirm(made, compile_spec(made.pk))
    made.refresh_from_db()
    return made
