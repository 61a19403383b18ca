"""What a site's page hands out for the version that its router shows."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import settle
from tests.vpn.profiles.vyos_schema import SCHEMAS, refusal
from vpn.actions.peer import create_site_peer
from vpn.actions.site import create_site
from vpn.choices import Platform
from vpn.models import Instance, Peer

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come at once does not come in these tests."""
    monkeypatch.setattr("vpn.views.profile.WAIT_SECONDS", 0)


def connected(instance: Instance, admin: Membership, platform: str, version: str, protocol: str) -> Peer:
    """A site with such a router, on the hub, which has a route to another site."""
    for name, router, shown in (("Plant", platform, version), ("Office", Platform.LINUX, "")):
        subnets = ["10.1.0.0/24"] if name == "Plant" else ["10.2.0.0/24", "fd10:2::/64"]
        site = create_site(admin, name=name, platform=router, platform_version=shown, subnets=subnets)
        create_site_peer(instance, site=site, subnets=subnets, protocol=protocol if name == "Plant" else "wireguard")
    settle(instance)
    return Peer.objects.get(site__name="Plant")


# OpenVPN is offered for VyOS 1.4 and newer.
VYOS = [
    (f"VyOS {version}" if named else "", version, protocol)
    for version, named in [*((version, True) for version in SCHEMAS), ("1.4.0", False)]
    for protocol in (("wireguard",) if version == "1.3.8" else ("wireguard", "openvpn"))
]


@pytest.mark.parametrize(("shown", "version", "protocol"), VYOS)
def test_vyos_takes_every_command_that_it_gets(
    admin_browser: Client, instance: Instance, admin: Membership, shown: str, version: str, protocol: str
) -> None:
    peer = connected(instance, admin, Platform.VYOS, shown, protocol)
    name = f"vpn-{peer.pk.hex[:8]}.vyos"
    script = admin_browser.post(f"/peers/{peer.pk}/profile/", {"file": name}).content.decode()
    commands = [line for line in script.splitlines() if line.startswith(("set ", "delete "))]
    assert len(commands) > 10
    assert [refused for line in commands if (refused := refusal(version, line))] == []
