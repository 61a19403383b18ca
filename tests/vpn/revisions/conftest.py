"""A hub with two connected sites, whose changes are watched."""

from __future__ import annotations

import pytest

from portal.models import Organization
from tests.factories import BY, make_instance, make_site, settle
from vpn.actions.peers.peer import create_site_peer
from vpn.models import Instance, Site


@pytest.fixture
def berlin(organization: Organization) -> Site:
    return make_site(organization, name="Berlin")


@pytest.fixture
def instance(organization: Organization, berlin: Site) -> Instance:
    """Two sites are connected: revisions 2 and 3."""
    made = make_instance(organization)
    create_site_peer(made, site=berlin, subnets=["10.1.0.0/24"], by=BY)
    create_site_peer(made, site=make_site(organization, name="Paris"), subnets=["10.2.0.0/24"], by=BY)
    return settle(made)
