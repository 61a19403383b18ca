"""The public addresses of a server's hubs: devices must be able to reach them."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.exceptions import InvalidInput
from tests.factories import BY
from vpn.actions.servers.region import add_region
from vpn.actions.servers.server import add_server
from vpn.models import Server

pytestmark = pytest.mark.django_db
UNREACHABLE = [
    *(("127.0.0.1", ""), ("0.0.0.0", ""), ("224.0.0.9", ""), ("169.254.3.4", ""), ("255.255.255.255", "")),  # noqa: S104
    *(("::1", ""), ("203.0.113.7", "::"), ("203.0.113.7", "ff02::1"), ("203.0.113.7", "fe80::1")),
]


@pytest.mark.parametrize(("address", "address_v6"), UNREACHABLE)
def test_an_address_that_devices_cannot_reach_is_refused(staff_browser: Client, address: str, address_v6: str) -> None:
    region = add_region("fra", "Frankfurt", by=BY)
    field = "address_v6" if address_v6 else "address"
    given = {"name": "fra1", "ssh": "root@192.0.2.7", "address": address, "address_v6": address_v6}
    with pytest.raises(InvalidInput, match=f"{field}: Enter an address by which devices reach the server"):
        add_server(region, by=BY, **given)  # type: ignore[arg-type]
    page = staff_browser.post("/admin/vpn/server/add/", {"region": "fra", **given})
    assert page.status_code == 200
    assert field in page.context["adminform"].form.errors
    assert not Server.objects.exists()


@pytest.mark.parametrize("address", ["203.0.113.7", "10.1.2.3", "192.168.1.9", "100.64.0.9", "fd12::7", "2001:db8::7"])
def test_private_addresses_stay_possible(address: str) -> None:
    region = add_region("fra", "Frankfurt", by=BY)
    assert add_server(region, "fra1", by=BY, ssh="root@192.0.2.7", address=address).address == address
