"""A cloud region whose EC2 is moto's, on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import BY
from tests.lab.ec2 import Ec2
from tests.vpn.clouds.made import SECRET, Servers, settings_for
from vpn.actions.servers.account import set_account
from vpn.actions.servers.region import add_region
from vpn.choices import Driver
from vpn.models import CloudAccount, Region


@pytest.fixture(scope="session")
def _moto() -> Iterator[Ec2]:
    with Ec2() as api:
        yield api


@pytest.fixture
def ec2(_moto: Ec2) -> Ec2:
    """An empty cloud."""
    _moto.reset()
    return _moto


@pytest.fixture
def region(ec2: Ec2, db: None) -> Region:
    """A region whose servers are ordered there."""
    made = add_region("fra", "Frankfurt", driver=Driver.CLOUD, by=BY)
    set_account(made, by=BY, secret=SECRET, **settings_for(ec2))
    return Region.objects.get(pk=made.pk)


@pytest.fixture
def account(region: Region) -> CloudAccount:
    """Its account."""
    return CloudAccount.objects.get(region=region)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    """The SSH servers of the nodes."""
    return Servers(monkeypatch)
